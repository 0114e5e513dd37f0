"""A drawing as a Mermaid flowchart, such as GitHub shows in Markdown. Pure.

Texts stand in double quotes; every character that Mermaid, its Markdown or HTML could take for a sign of theirs is
written as an entity code (`#35;`), as Mermaid's manual says. Nodes have ids of our own, so no name can be a keyword.
"""

from collections.abc import Iterator, Sequence

from runner.drawing.bundle import SIGNS, Bundle, Kind, bundles, kind_of, node_lines, short_text
from runner.drawing.model import Drawing, DrawnNode, Mark
from runner.escape import printable

MAX_EDGES = 500
MAX_CHARACTERS = 50_000
"""What Mermaid draws unless a page configures it otherwise, as GitHub does not (`maxEdges` and `maxTextSize` in the
configuration schema of Mermaid)."""

LIMIT = 80
"""Characters of one line of a label."""

LINES = 6
"""Lines of an edge's label."""

_ARROWS = {Kind.FILES: "-->", Kind.VALUES: "-.->", Kind.ORDER: "-.->"}
_BRACKETS = {"execution": ("(", ")"), "task": ("[[", "]]"), "deployment": ("{{", "}}")}
_CLASSES = {
    "execution": "fill:#eff6ff,stroke:#3b82f6,color:#172033",
    "task": "fill:#f5f0ff,stroke:#8b5cf6,color:#172033",
    "deployment": "fill:#ecfdf5,stroke:#0d9488,color:#172033",
    Mark.ADDED: "fill:#dcfce7,stroke:#16a34a,stroke-width:3px,color:#172033",
    Mark.REMOVED: "fill:#fee2e2,stroke:#dc2626,stroke-width:3px,stroke-dasharray:6 4,color:#172033",
    Mark.CHANGED: "fill:#fef3c7,stroke:#d97706,stroke-width:3px,color:#172033",
    Mark.AFFECTED: "fill:#fffbeb,stroke:#d97706,stroke-dasharray:2 3,color:#172033",
}
_LINKS = {
    Mark.ADDED: "stroke:#16a34a,stroke-width:2px",
    Mark.REMOVED: "stroke:#dc2626,stroke-width:2px",
    Mark.CHANGED: "stroke:#d97706,stroke-width:2px",
    Mark.AFFECTED: "stroke:#d97706",
}


def render(drawing: Drawing) -> str:
    """One pipeline as a flowchart."""
    return "\n".join(["flowchart TD", *_styles([drawing]), *_body(drawing, "n", 0, "  ")])


def render_all(drawings: Sequence[Drawing]) -> str:
    """Several pipelines as one flowchart, a subgraph each."""
    lines = ["flowchart TD", *_styles(drawings)]
    links = 0
    for index, drawing in enumerate(drawings):
        lines.append(f'  subgraph p{index}["{escape(drawing.pipeline)}"]')
        lines += _body(drawing, f"p{index}n", links, "    ")
        lines.append("  end")
        links += len(bundles(drawing))
    return "\n".join(lines)


def excess(drawings: Sequence[Drawing], page: str) -> str | None:
    """What a flowchart of these drawings has more of than viewers such as GitHub show: `672 edges`; None if nothing."""
    edges = sum(len(bundles(drawing)) for drawing in drawings)
    if edges > MAX_EDGES:
        return f"{edges} edges"
    return f"{len(page):,} characters" if len(page) > MAX_CHARACTERS else None


def _styles(drawings: Sequence[Drawing]) -> Iterator[str]:
    """The classes that occur."""
    nodes = [node for drawing in drawings for node in drawing.nodes]
    used = {str(node.mark or node.type) for node in nodes}
    for name, style in _CLASSES.items():
        if str(name) in used:
            yield f"  classDef {name} {style}"


def _body(drawing: Drawing, prefix: str, links: int, indent: str) -> Iterator[str]:
    """Nodes, links and the styles of these; `links` is the number of links before."""
    for index, node in enumerate(drawing.nodes):
        opened, closed = _BRACKETS[node.type]
        yield f'{indent}{prefix}{index}{opened}"{_label(node)}"{closed}:::{node.mark or node.type}'
    lines = bundles(drawing)
    for bundle in lines:
        label = _edge_label(bundle)
        middle = f'|"{label}"|' if label else ""
        yield f"{indent}{prefix}{bundle.source} {_ARROWS[bundle.kind]}{middle} {prefix}{bundle.target}"
    for number, bundle in enumerate(lines, links):
        style = [_LINKS[bundle.mark]] if bundle.mark else []
        if bundle.kind is Kind.ORDER:
            style.append("stroke-dasharray:1 4")
        if style:
            yield f"{indent}linkStyle {number} {','.join(style)}"


_STYLES = {"step": "{}", "fan": "<i>{}</i>", "image": "<small>{}</small>"}
"""By the role of a line of a node."""


def _label(node: DrawnNode) -> str:
    sign = f"{escape(SIGNS[node.mark])} " if node.mark else ""
    lines = [f"{sign}<b>{escape(node.name)}</b>"]
    lines += [_STYLES[role].format(escape(text)) for role, text in node_lines(node)]
    if node.mark:
        lines.append(f"<i>{node.mark}</i>")
    return "<br/>".join(lines)


def _edge_label(bundle: Bundle) -> str:
    lines = []
    for edge in bundle.edges:
        sign = f"{escape(SIGNS[edge.mark])} " if edge.mark else ""
        text = escape(short_text(edge)) or (f"order {edge.mark}" if edge.mark else "")
        if text:
            mixed = kind_of(edge) is not bundle.kind
            lines.append(f"{sign}<i>{text}</i>" if mixed else f"{sign}{text}")
    if len(lines) > LINES:
        lines[LINES - 1 :] = [f"… {len(lines) - LINES + 1} more"]
    return "<br/>".join(lines)


def escape(text: str) -> str:
    """A text of a file for a place in double quotes, on one line, no longer than `LIMIT`."""
    shown = printable(text)
    shown = shown if len(shown) <= LIMIT else shown[: LIMIT - 1] + "…"
    return "".join(
        character if _plain(shown, index) else f"#{ord(character)};" for index, character in enumerate(shown)
    )


def _plain(text: str, index: int) -> bool:
    """Whether a character may stand as it is: a letter, a digit, a blank or an arrow, or within a word one of the
    signs that join words, unless that looks like an address of the web."""
    character = text[index]
    if character.isalnum() or character in " →×…−,":
        return True
    inside = 0 < index < len(text) - 1 and text[index - 1].isalnum() and text[index + 1].isalnum()
    return inside and character in "-.:/" and not text[:index].lower().endswith("www")
