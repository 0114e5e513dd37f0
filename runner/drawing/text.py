"""A drawing for a terminal: one node after another, each below those it needs, with rails at the left that show where
files and values go (`runner.drawing.rail`). Pure."""

from collections.abc import Callable, Sequence

from runner.drawing.bundle import SIGNS, Bundle, Kind, bundles, full_text
from runner.drawing.layer import backward, topological
from runner.drawing.model import Drawing, DrawnNode, Mark
from runner.drawing.rail import bare, rails
from runner.escape import display_width, printable
from runner.spec.phrase import counted

Paint = Callable[[str, str], str]
"""A text in a colour of the terminal (an SGR code such as `1`)."""

RAILS = 12
"""More rails than this, or than a third of the width has room for, are left out: the list alone is easier to read."""

_INDENT = 4
"""Blanks before what did not fit on a line."""

_SIGNS = {"execution": "●", "task": "◆", "deployment": "▲"}
_COLOURS = {Mark.ADDED: "32", Mark.REMOVED: "31", Mark.CHANGED: "33", Mark.AFFECTED: "33"}
_PLAIN = str.maketrans(
    {
        "●": "*",
        "◆": "#",
        "▲": "^",
        "│": "|",
        "┆": ":",
        "├": "+",
        "┤": "+",
        "┼": "+",
        "┴": "+",
        "╰": "`",
        "╯": "'",
        "─": "-",
        "→": ">",
        "←": "<",
        "↑": "^",
        "×": "x",
        "−": "-",
        "»": ">",
        "…": "~",
        "·": "-",
    }
)


def _unpainted(text: str, _code: str) -> str:
    return text


def render(drawing: Drawing, width: int | None = None, *, ascii: bool = False, paint: Paint = _unpainted) -> str:
    """One pipeline as lines of text, no longer than `width` columns if one is given; `ascii` for a terminal that lacks
    the signs of a drawing."""
    lines = bundles(drawing)
    backs = backward(len(drawing.nodes), [(bundle.source, bundle.target) for bundle in lines])
    forward = [bundle for bundle, back in zip(lines, backs, strict=True) if not back]
    order = _order(len(drawing.nodes), forward)
    pairs = [(bundle.source, bundle.target) for bundle in forward]
    drawn = rails(order, pairs, min(RAILS, (width or 120) // 6)) or bare(len(order))
    head = (
        f"{printable(drawing.pipeline)}: {counted(len(drawing.nodes), 'node')}, {counted(len(drawing.edges), 'edge')}"
    )
    writer = _Writer(width, paint, ascii=ascii)
    writer.write("", [(head, "1")], "")
    writer.write("", [], "")
    arriving: dict[int, list[tuple[Bundle, bool]]] = {}
    for bundle, back in zip(lines, backs, strict=True):
        arriving.setdefault(bundle.target, []).append((bundle, back))
    for node, rail in zip(order, drawn, strict=True):
        sign = _SIGNS[drawing.nodes[node].type]
        writer.write(rail.at(sign), _head(drawing.nodes[node]), rail.below)
        for bundle, back in arriving.get(node, ()):
            _sources(writer, rail.below, drawing, bundle, back=back)
        if node != order[-1]:
            writer.write(rail.below, [], rail.below)
    return "\n".join(writer.lines)


def _order(count: int, forward: Sequence[Bundle]) -> list[int]:
    return topological(count, [(bundle.source, bundle.target) for bundle in forward])


def _head(node: DrawnNode) -> list[tuple[str, str]]:
    """The line of a node: parts with their colours."""
    colour = _COLOURS[node.mark] if node.mark else ""
    parts = [(printable(node.name), f"1;{colour}" if colour else "1")]
    if node.mark:
        parts.append((f"[{SIGNS[node.mark]} {node.mark}]", colour))
    said = {"deployment": "deploys", "task": "task of", "execution": "step"}[node.type]
    if node.step:
        parts.append((f"{said} {printable(node.step)}", ""))
    elif node.type != "execution":
        parts.append((node.type, ""))
    if node.fan_out:
        parts.append((printable(node.fan_out), "35"))
    if node.image:
        parts.append((printable(node.image), "2"))
    return parts


def _sources(writer: "_Writer", rail: str, drawing: Drawing, bundle: Bundle, *, back: bool) -> None:
    """What a node takes from another one, a line for each edge."""
    source = printable(drawing.nodes[bundle.source].name)
    loop = " (itself)" if bundle.source == bundle.target else " (a cycle)" if back else ""
    for edge in bundle.edges:
        sign = f"{SIGNS[edge.mark]} " if edge.mark else ""
        what = full_text(edge) if bundle.kind is not Kind.ORDER or edge.mark else "dependency"
        mark = f" [{edge.mark}]" if edge.mark else ""
        colour = _COLOURS[edge.mark] if edge.mark else ""
        writer.write(rail, [(f"  {sign}← {source}{loop}: {what}{mark}", colour)], rail)


class _Writer:
    """Lines of a width: what is too long goes on below, indented."""

    def __init__(self, width: int | None, paint: Paint, *, ascii: bool) -> None:
        self._width, self._paint, self._ascii = width, paint, ascii
        self.lines: list[str] = []

    def write(self, rail: str, parts: Sequence[tuple[str, str]], below: str) -> None:
        """One line with its rails, and `below` as the rails of its continuations."""
        room = max(16, self._width - display_width(rail)) if self._width else None
        line, used, first = rail, 0, True
        for text, colour in parts:
            for index, piece in enumerate(_pieces(text, room and room - _INDENT)):
                gap = 2 if used and not index else 0
                if room and (index or used + gap + display_width(piece) > room) and not first:
                    self._end(line)
                    line, used, gap = below + " " * _INDENT, _INDENT, 0
                line += " " * gap + self._paint(self._shown(piece), colour)
                used += gap + display_width(piece)
                first = False
        self._end(line)

    def _shown(self, text: str) -> str:
        if not self._ascii:
            return text
        return text.translate(_PLAIN).encode("ascii", "backslashreplace").decode()

    def _end(self, line: str) -> None:
        self.lines.append((self._shown(line) if self._ascii else line).rstrip())


def _pieces(text: str, room: int | None) -> list[str]:
    """A text cut into pieces that fit, at blanks where there are some."""
    if room is None:
        return [text]
    pieces, start = [], 0
    while (cut := _fitting(text, start, room)) < len(text):
        blank = text.rfind(" ", start + room // 2, cut)
        cut = blank if blank > 0 else cut
        pieces.append(text[start:cut])
        start = cut
        while text[start : start + 1].isspace():
            start += 1
    return [*pieces, text[start:]] if start < len(text) or not pieces else pieces


def _fitting(text: str, start: int, room: int) -> int:
    """Where a piece that begins at `start` has to end; it has one letter at least."""
    used = 0
    for end in range(start, len(text)):
        used += display_width(text[end])
        if used > room and end > start:
            return end
    return len(text)
