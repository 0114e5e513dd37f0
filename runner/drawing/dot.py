"""A drawing in the DOT language of Graphviz. Pure."""

from collections.abc import Iterator, Sequence

from runner.drawing.bundle import SIGNS, Bundle, Kind, bundles, full_text, node_lines, node_words, short_text
from runner.drawing.model import Drawing, DrawnNode, Mark
from runner.escape import printable

LIMIT = 60
"""Characters of one line of a label; the whole text is in the tooltip."""

LINES = 6
"""Lines of an edge's label."""

_SHAPES = {
    "execution": 'style="rounded,filled", fillcolor="#eff6ff", color="#3b82f6"',
    "task": 'shape=box3d, style="filled", fillcolor="#f5f0ff", color="#8b5cf6"',
    "deployment": 'shape=hexagon, style="filled", fillcolor="#ecfdf5", color="#0d9488"',
}
_STROKES = {Kind.FILES: "solid", Kind.VALUES: "dashed", Kind.ORDER: "dotted"}
_MARKS = {Mark.ADDED: "#16a34a", Mark.REMOVED: "#dc2626", Mark.CHANGED: "#d97706", Mark.AFFECTED: "#b45309"}


def render(drawing: Drawing) -> str:
    """One pipeline as a digraph."""
    lines = [
        f"digraph {_quote(printable(drawing.pipeline))} {{",
        '  graph [rankdir=TB, fontname="Helvetica", nodesep=0.4, ranksep=0.6];',
        '  node [shape=box, fontname="Helvetica", fontsize=11, margin="0.18,0.1"];',
        '  edge [fontname="Helvetica", fontsize=9, color="#64748b", fontcolor="#475569"];',
        *_nodes(drawing),
        *_edges(drawing),
        "}",
    ]
    return "\n".join(lines)


def _nodes(drawing: Drawing) -> Iterator[str]:
    for index, node in enumerate(drawing.nodes):
        mark = f', penwidth=3, color="{_MARKS[node.mark]}"' if node.mark else ""
        tooltip = _quote(node_words(node))
        yield f"  n{index} [label={_label(_node_lines(node))}, tooltip={tooltip}, {_SHAPES[node.type]}{mark}];"


def _node_lines(node: DrawnNode) -> list[str]:
    sign = f"{SIGNS[node.mark]} " if node.mark else ""
    lines = [sign + node.name, *(text for _, text in node_lines(node))]
    return [*lines, f"({node.mark})"] if node.mark else lines


def _edges(drawing: Drawing) -> Iterator[str]:
    for bundle in bundles(drawing):
        parts = [f"style={_STROKES[bundle.kind]}"]
        lines = _edge_lines(bundle)
        if lines:
            parts.append(f"label={_label(lines)}")
        parts.append(f"tooltip={_label([full_text(edge) for edge in bundle.edges], 400)}")
        if bundle.mark:
            parts.append(f'color="{_MARKS[bundle.mark]}", penwidth=2')
        yield f"  n{bundle.source} -> n{bundle.target} [{', '.join(parts)}];"


def _edge_lines(bundle: Bundle) -> list[str]:
    lines = []
    for edge in bundle.edges:
        text = short_text(edge) or ("order" if edge.mark else "")
        if text:
            lines.append(f"{SIGNS[edge.mark]} {text}" if edge.mark else text)
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], f"… {len(lines) - LINES + 1} more"]


def _label(lines: Sequence[str], limit: int = LIMIT) -> str:
    shown = (printable(line) for line in lines)
    return '"' + "\\n".join(_escape(line if len(line) <= limit else line[: limit - 1] + "…") for line in shown) + '"'


def _quote(text: str) -> str:
    return f'"{_escape(text)}"'


def _escape(text: str) -> str:
    r"""For a quoted string of DOT, where `\N` is a name and `&amp;` an entity."""
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
