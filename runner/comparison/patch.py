"""The lines in which two texts differ, as a unified diff. Pure.

`difflib` by itself takes time with the square of what differs, half a minute for 20,000 lines, and takes the frequent
lines of a long text for noise, so that one that changed among them seems to change all. So the lines that both texts
have exactly once are matched first (Bram Cohen's patience diff), and between them the fewest changes are looked for
(E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986), up to a bound.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import Match, SequenceMatcher

from runner.escape import printable

_CONTEXT = 3
_MOST_CHANGES = 256
"""Lines that come and go between two that were matched. Where there are more, all in between counts as replaced."""
_EFFORT = 64
"""How often each line is looked at, at most. What is left then counts as replaced."""
_NO_NEWLINE = "\\ No newline at end of file"


def text_of(data: bytes | None) -> str | None:
    """A file as text; None for what is none, or is not to be had. Bytes that are not UTF-8 stand as `\\xff`."""
    return None if data is None or b"\0" in data else data.decode("utf-8", "backslashreplace")


def unified(before: str, after: str, name: str) -> tuple[str, ...]:
    """The lines of a unified diff, without their newlines; none where nothing differs. Only a newline ends a line."""
    was, now = _lines(before), _lines(after)
    if was == now:
        return ()
    return (f"--- a/{printable(name)}", f"+++ b/{printable(name)}", *_hunks(was, now))


def added_and_removed(patch: Sequence[str]) -> tuple[int, int]:
    """How many lines a unified diff of one file adds and removes."""
    body = patch[2:]
    return sum(line.startswith("+") for line in body), sum(line.startswith("-") for line in body)


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _hunks(was: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    for group in _Matcher(was, now).get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_span(first[1], last[2])} +{_span(first[3], last[4])} @@"
        for word, was_from, was_to, now_from, now_to in group:
            if word == "equal":
                yield from _marked(" ", was[was_from:was_to])
            else:
                yield from _marked("-", was[was_from:was_to])
                yield from _marked("+", now[now_from:now_to])


def _span(start: int, stop: int) -> str:
    """Lines as the head of a hunk tells them: the first one counts 1, of none the one before is told."""
    count = stop - start
    return str(start + 1) if count == 1 else f"{start + 1 if count else start},{count}"


def _marked(sign: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield sign + line.removesuffix("\n")
        if not line.endswith("\n"):
            yield _NO_NEWLINE


class _Matcher(SequenceMatcher[str]):
    """A matcher whose time grows about as the lines do."""

    def __init__(self, was: Sequence[str], now: Sequence[str]) -> None:
        super().__init__(None, was, now, autojunk=False)
        self._blocks = [*_joined(sorted(_same_pieces(was, now))), Match(len(was), len(now), 0)]

    def get_matching_blocks(self) -> list[Match]:
        """The pieces that are the same, in order, with an empty one at the end."""
        return self._blocks


_Piece = tuple[int, int, int]
"""Where lines that are the same begin in both texts, and how many."""


def _same_pieces(was: Sequence[str], now: Sequence[str]) -> Iterator[_Piece]:
    waiting = [(0, len(was), 0, len(now))]
    effort = _EFFORT * (len(was) + len(now))
    while waiting and effort > 0:
        was_from, was_to, now_from, now_to = waiting.pop()
        effort -= was_to - was_from + now_to - now_from
        head = _common(was[was_from:was_to], now[now_from:now_to])
        yield was_from, now_from, head
        was_from, now_from = was_from + head, now_from + head
        tail = _common(was[was_from:was_to][::-1], now[now_from:now_to][::-1])
        was_to, now_to = was_to - tail, now_to - tail
        yield was_to, now_to, tail
        left, right = was[was_from:was_to], now[now_from:now_to]
        if anchors := _anchors(left, right):
            starts = [(was_from, now_from), *((was_from + i, now_from + j) for i, j in anchors)]
            stops = [*starts[1:], (was_to, now_to)]
            waiting += [(i, to_i, j, to_j) for (i, j), (to_i, to_j) in zip(starts, stops, strict=True)]
        else:
            yield from ((was_from + i, now_from + j, 1) for i, j in _fewest_changes(left, right))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines both begin with."""
    least = min(len(one), len(other))
    return next((place for place in range(least) if one[place] != other[place]), least)


def _anchors(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """The longest run of places, growing in both, of lines that each has exactly once."""
    alone = {line for line, count in Counter(left).items() if count == 1}
    places = {line: place for place, line in enumerate(left) if line in alone}
    once = Counter(line for line in right if line in alone)
    pairs = [(places[line], place) for place, line in enumerate(right) if once.get(line) == 1]
    # Patience sorting: on each pile the smallest place in `left` that ends a run of that length.
    piles: list[int] = []
    ends: list[int] = []
    before: list[int | None] = []
    for number, (place, _) in enumerate(pairs):
        pile = bisect_left(piles, place)
        before.append(ends[pile - 1] if pile else None)
        piles[pile : pile + 1] = [place]
        ends[pile : pile + 1] = [number]
    found = []
    at = ends[-1] if ends else None
    while at is not None:
        found.append(pairs[at])
        at = before[at]
    return found[::-1]


def _fewest_changes(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """The places of lines that are the same on the shortest way from one to the other; none if that is too long.

    `reach[k]` is how far in `left` one comes on the diagonal `left - right == k` with so many changes.
    """
    reach = {1: 0}
    steps: list[dict[int, int]] = []
    for changes in range(min(len(left) + len(right), _MOST_CHANGES) + 1):
        steps.append(dict(reach))
        for diagonal in range(-changes, changes + 1, 2):
            x = reach[diagonal + 1] if _adds(reach, diagonal, changes) else reach[diagonal - 1] + 1
            while x < len(left) and x - diagonal < len(right) and left[x] == right[x - diagonal]:
                x += 1
            reach[diagonal] = x
            if x >= len(left) and x - diagonal >= len(right):
                return _way_back(steps, len(left), len(right))
    return []


def _adds(reach: Mapping[int, int], diagonal: int, changes: int) -> bool:
    """Whether the farthest way to a diagonal ends with a line that is added, not with one that is removed."""
    return diagonal == -changes or (diagonal != changes and reach[diagonal - 1] < reach[diagonal + 1])


def _way_back(steps: Sequence[Mapping[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    same = []
    for changes in range(len(steps) - 1, -1, -1):
        reach, diagonal = steps[changes], x - y
        before = diagonal + 1 if _adds(reach, diagonal, changes) else diagonal - 1
        from_x = reach[before]
        from_y = from_x - before
        while x > max(from_x, 0) and y > max(from_y, 0):
            x, y = x - 1, y - 1
            same.append((x, y))
        x, y = from_x, from_y
    return same[::-1]


def _joined(pieces: Sequence[_Piece]) -> Iterator[Match]:
    """Pieces without the empty ones, those that touch as one."""
    open_at: _Piece | None = None
    for i, j, size in pieces:
        if not size:
            continue
        if open_at is not None and (open_at[0] + open_at[2], open_at[1] + open_at[2]) == (i, j):
            open_at = open_at[0], open_at[1], open_at[2] + size
            continue
        if open_at is not None:
            yield Match(*open_at)
        open_at = i, j, size
    if open_at is not None:
        yield Match(*open_at)
