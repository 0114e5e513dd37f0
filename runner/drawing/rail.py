"""Rails at the left of a list of nodes, which show where files and values go: one node after another, each below those
it needs. Pure.

A rail begins below a node and ends at the last node that takes something from it: `├` takes from a rail that goes on,
`╰` and `╯` from one that ends, and `┆` is a rail that is passed without being touched.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.drawing.layer import Pair


@dataclass(frozen=True, slots=True)
class Rail:
    """What of the rails stands `before` and `after` the sign of a node, and left of the lines `below` it. All rails of
    a list are of the same width."""

    before: str
    after: str
    below: str

    def at(self, sign: str) -> str:
        """The rails of the node's own line."""
        return f"{self.before}{sign}{self.after}"


def bare(count: int) -> list[Rail]:
    """So many nodes without rails."""
    return [Rail("", " ", "  ")] * count


def rails(order: Sequence[int], pairs: Sequence[Pair], most: int) -> list[Rail] | None:
    """The rails of every node in `order`, for the `pairs` of a node and another that takes something from it and comes
    later. None where more than `most` would stand beside one another, which the first line that is too wide tells: of a
    large tangle the others are never made."""
    rows: list[_Row] = []
    for row in _rows(order, pairs):
        if max(len(row.before) + 1 + len(row.after), len(row.below)) > most:
            return None
        rows.append(row)
    widest = max((max(len(row.before) + 1 + len(row.after), len(row.below)) for row in rows), default=0)
    return [_filled(row, widest) for row in rows]


@dataclass(frozen=True, slots=True)
class _Row:
    """The same with two columns of a terminal for each rail; behind the node's sign comes `link`."""

    before: list[str]
    link: str
    after: list[str]
    below: list[str]


def _filled(row: _Row, widest: int) -> Rail:
    after = widest - len(row.before) - 1
    return Rail(
        "".join(row.before),
        row.link + "".join(row.after) + "  " * (after - len(row.after)) + " ",
        "".join(row.below) + "  " * (widest - len(row.below)) + " ",
    )


def _rows(order: Sequence[int], pairs: Sequence[Pair]) -> Iterator[_Row]:
    """Node by node what stands in each column of its line and of the lines below it."""
    until: dict[int, int] = {}
    place = {node: index for index, node in enumerate(order)}
    taken: dict[int, list[int]] = {}
    for source, target in pairs:
        taken.setdefault(target, []).append(source)
        until[source] = max(until.get(source, 0), place[target])
    columns: list[int | None] = []
    for index, node in enumerate(order):
        sources = set(taken.get(node, ()))
        ending = {source for source in sources if until[source] == index}
        touched = {column: owner in ending for column, owner in enumerate(columns) if owner in sources}
        column = _column(columns, touched)
        before, link, after = _crossing(columns, touched, column)
        columns = [None if owner in ending else owner for owner in columns]
        columns += [None] * (column + 1 - len(columns))
        columns[column] = node if node in until else None
        while columns and columns[-1] is None:
            columns.pop()
        yield _Row(before, link, after, ["│ " if owner is not None else "  " for owner in columns])


def _column(columns: Sequence[int | None], touched: dict[int, bool]) -> int:
    """Where a node stands: below the first rail that ends at it, else at the first place free right of its sources."""
    ends = [column for column, ending in touched.items() if ending]
    if ends:
        return ends[0]
    start = max(touched, default=-1) + 1
    return next((column for column in range(start, len(columns)) if columns[column] is None), max(len(columns), start))


def _crossing(columns: Sequence[int | None], touched: dict[int, bool], column: int) -> tuple[list[str], str, list[str]]:
    """The line of a node: what stands before its sign, right behind it, and after that."""
    low, high = min([column, *touched]), max([column, *touched])
    signs = []
    for index in range(max(len(columns), column + 1)):
        between = low <= index <= high
        rail = index < len(columns) and columns[index] is not None
        mark = "│" if rail else " "
        if index == column:
            mark = ""
        elif index in touched:
            outer = index in (low, high)
            turn = ("╰" if index < column else "╯") if outer else "┴"
            side = ("├" if index < column else "┤") if outer else "┼"
            mark = turn if touched[index] else side
        elif between:
            mark = "┆" if rail else "─"
        signs.append(mark + ("─" if between and index < high else " "))
    return signs[:column], signs[column], signs[column + 1 :]
