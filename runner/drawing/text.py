"""A drawing for a terminal: one node after another, each below those it needs, with rails at the left that show where
files and values go. Pure.

A rail begins below a node and ends at the last node that takes something from it: `├` takes from a rail that goes on,
`╰` and `╯` from one that ends, and `┆` is a rail that is passed without being touched.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from runner.drawing.bundle import SIGNS, Bundle, Kind, bundles, full_text
from runner.drawing.layer import backward, topological
from runner.drawing.model import Drawing, DrawnNode, Mark
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


@dataclass(frozen=True, slots=True)
class _Rail:
    """What of the rails stands left of a node's line, and of the lines below it."""

    at: str
    below: str


def render(drawing: Drawing, width: int | None = None, *, ascii: bool = False, paint: Paint = _unpainted) -> str:
    """One pipeline as lines of text, no longer than `width` columns if one is given; `ascii` for a terminal that lacks
    the signs of a drawing."""
    lines = bundles(drawing)
    backs = backward(len(drawing.nodes), [(bundle.source, bundle.target) for bundle in lines])
    forward = [bundle for bundle, back in zip(lines, backs, strict=True) if not back]
    order = _order(len(drawing.nodes), forward)
    rails = _rails(drawing, order, forward, (width or 120) // 3)
    head = (
        f"{printable(drawing.pipeline)}: {counted(len(drawing.nodes), 'node')}, {counted(len(drawing.edges), 'edge')}"
    )
    writer = _Writer(width, paint, ascii=ascii)
    writer.write("", [(head, "1")], "")
    writer.write("", [], "")
    arriving: dict[int, list[tuple[Bundle, bool]]] = {}
    for bundle, back in zip(lines, backs, strict=True):
        arriving.setdefault(bundle.target, []).append((bundle, back))
    for node, rail in zip(order, rails, strict=True):
        writer.write(rail.at, _head(drawing.nodes[node]), rail.below)
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


def _rails(drawing: Drawing, order: Sequence[int], forward: Sequence[Bundle], room: int) -> list[_Rail]:
    """The rails of every node in order, or none where they would take too much room, which the first line that is too
    wide tells: of a large tangle the others are never made."""
    rows: list[tuple[list[str], list[str]]] = []
    for row in _rows(drawing, order, forward):
        if max(map(len, row)) > min(RAILS, room // 2):
            return [_Rail(f"{_SIGNS[drawing.nodes[node].type]} ", "  ") for node in order]
        rows.append(row)
    widest = max((len(part) for row in rows for part in row), default=0)
    return [
        _Rail("".join(at) + "  " * (widest - len(at)) + " ", "".join(below) + "  " * (widest - len(below)) + " ")
        for at, below in rows
    ]


def _rows(drawing: Drawing, order: Sequence[int], forward: Sequence[Bundle]) -> Iterator[tuple[list[str], list[str]]]:
    """Node by node the signs of its line and of the lines below it, one for each column."""
    until: dict[int, int] = {}
    place = {node: index for index, node in enumerate(order)}
    before: dict[int, list[int]] = {}
    for bundle in forward:
        before.setdefault(bundle.target, []).append(bundle.source)
        until[bundle.source] = max(until.get(bundle.source, 0), place[bundle.target])
    columns: list[int | None] = []
    for index, node in enumerate(order):
        sources = set(before.get(node, ()))
        ending = {source for source in sources if until[source] == index}
        touched = {column: owner in ending for column, owner in enumerate(columns) if owner in sources}
        column = _column(columns, touched)
        sign = _SIGNS[drawing.nodes[node].type]
        crossing = _crossing(columns, touched, column, sign)
        columns = [None if owner in ending else owner for owner in columns]
        columns += [None] * (column + 1 - len(columns))
        columns[column] = node if node in until else None
        while columns and columns[-1] is None:
            columns.pop()
        yield crossing, ["│ " if owner is not None else "  " for owner in columns]


def _column(columns: Sequence[int | None], touched: dict[int, bool]) -> int:
    """Where a node stands: below the first rail that ends at it, else at the first place free right of its sources."""
    ends = [column for column, ending in touched.items() if ending]
    if ends:
        return ends[0]
    start = max(touched, default=-1) + 1
    return next((column for column in range(start, len(columns)) if columns[column] is None), max(len(columns), start))


def _crossing(columns: Sequence[int | None], touched: dict[int, bool], column: int, sign: str) -> list[str]:
    """The line of a node: its sign, and the rails that lead to it from either side."""
    low, high = min([column, *touched]), max([column, *touched])
    signs = []
    for index in range(max(len(columns), column + 1)):
        between = low <= index <= high
        rail = index < len(columns) and columns[index] is not None
        mark = "│" if rail else " "
        if index == column:
            mark = sign
        elif index in touched:
            outer = index in (low, high)
            turn = ("╰" if index < column else "╯") if outer else "┴"
            side = ("├" if index < column else "┤") if outer else "┼"
            mark = turn if touched[index] else side
        elif between:
            mark = "┆" if rail else "─"
        signs.append(mark + ("─" if between and index < high else " "))
    return signs
