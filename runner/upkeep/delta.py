"""What an older version of a file is made of: ranges of the newest one, and leftovers that are nowhere else.

Only reads.
"""

from collections.abc import Iterator
from typing import NamedTuple

from runner.digest import Digest
from runner.store.recipe import Piece
from runner.upkeep.chunk import Chunk, Key, Window, chunks, shared_end, shared_start

LEFTOVER = Digest("leftover")
"""The source of pieces of what is left over by all versions, one behind the other, as long as it has no digest."""


class Parts(NamedTuple):
    """What a version is made of, and the parts of it to put behind the leftovers of those before."""

    pieces: list[Piece]
    leftovers: list[Window]

    @property
    def cost(self) -> int:
        """Bytes of the leftovers."""
        return sum(window.size for window in self.leftovers)


class Delta:
    """Takes versions of one file apart, each against `base` and the leftovers of those before.

    `average` is the size of chunks in bytes (`runner.upkeep.chunk.average_size`). Methods raise OSError.
    """

    def __init__(self, base: Digest, window: Window, average: int) -> None:
        self._base = base
        self._window = window
        self._average = average
        self._in_base: dict[Key, int] | None = None
        self._in_leftovers: dict[Key, int] = {}
        self._kept = 0
        self._fresh: list[Key] = []
        self._leftovers: list[Window] = []

    def take_apart(self, old: Window) -> Parts:
        """What makes `old`."""
        self._fresh, self._leftovers = [], []
        head = shared_start(old, self._window)
        rest = old._replace(begin=old.begin + head)
        tail = shared_end(rest, self._window)
        first, last = self._of_base(self._window.begin, head), self._of_base(self._window.end - tail, tail)
        middle = rest._replace(end=rest.end - tail)
        pieces = [piece for piece in (first, *self._middle(middle, first, last), last) if piece.length]
        return Parts(pieces, self._leftovers)

    def undo(self) -> None:
        """Forget the version that was taken apart last: its leftovers are not kept."""
        self._kept -= sum(window.size for window in self._leftovers)
        for key in self._fresh:
            del self._in_leftovers[key]
        self._fresh, self._leftovers = [], []

    def _middle(self, middle: Window, left: Piece, last: Piece) -> Iterator[Piece]:
        if middle.size <= self._average:
            yield from self._left_over(middle, [])
            return
        unknown: dict[Key, Chunk] = {}
        for chunk in chunks(middle, self._average):
            known = self._find(chunk)
            if unknown and (known or chunk.key in unknown):
                yield from self._between(middle.fd, unknown, left, known)
                left = _NOTHING
                unknown = {}
                known = known or self._find(chunk)
            if known:
                yield known
                left = known
            else:
                unknown[chunk.key] = chunk
        yield from self._between(middle.fd, unknown, left, last)

    def _between(self, fd: int, unknown: dict[Key, Chunk], left: Piece, right: Piece | None) -> Iterator[Piece]:
        """The pieces of unknown chunks in a row. What stands beside them in the base may go on into them."""
        if not unknown:
            return
        row = list(unknown.values())
        window = Window(fd, row[0].begin, row[-1].end)
        if left.source == self._base:
            behind = left.offset + left.length
            shared = shared_start(window, self._window._replace(begin=behind))
            yield self._of_base(behind, shared)
            window = window._replace(begin=window.begin + shared)
        shared = 0
        if right is not None and right.source == self._base:
            shared = shared_end(window, self._window._replace(end=right.offset))
            window = window._replace(end=window.end - shared)
        yield from self._left_over(window, row)
        if right is not None and shared:
            yield self._of_base(right.offset - shared, shared)

    def _left_over(self, window: Window, row: list[Chunk]) -> Iterator[Piece]:
        """A part that nobody has; `row` are the chunks around it, of which those in it are known from here on."""
        if not window.size:
            return
        at = self._kept
        self._kept += window.size
        self._leftovers.append(window)
        for chunk in row:
            if window.begin <= chunk.begin and chunk.end <= window.end and chunk.key not in self._in_leftovers:
                self._in_leftovers[chunk.key] = at + chunk.begin - window.begin
                self._fresh.append(chunk.key)
        yield Piece(LEFTOVER, at, window.size)

    def _find(self, chunk: Chunk) -> Piece | None:
        if self._in_base is None:
            self._in_base = {one.key: one.begin for one in chunks(self._window, self._average)}
        size = chunk.end - chunk.begin
        if (begin := self._in_base.get(chunk.key)) is not None:
            return self._of_base(begin, size)
        if (begin := self._in_leftovers.get(chunk.key)) is not None:
            return Piece(LEFTOVER, begin, size)
        return None

    def _of_base(self, begin: int, size: int) -> Piece:
        return Piece(self._base, begin, size)


_NOTHING = Piece(Digest(""), 0, 0)
