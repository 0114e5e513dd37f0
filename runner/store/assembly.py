"""The bytes of a packed object, put together from ranges of open files as they are read. Knows no digest's content."""

import io
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

from runner.digest import Digest
from runner.store.recipe import Recipe

_BUFFER = 1 << 20


class Assembly(io.RawIOBase):
    """A stream over the pieces of a recipe; `sources` are open files, closed with it. Raises OSError.

    It ends early where a source is shorter than the recipe says: whoever checks the digest finds that out.
    """

    def __init__(self, recipe: Recipe, sources: Mapping[Digest, BinaryIO]) -> None:
        super().__init__()
        self._sources = dict(sources)
        self._pieces = iter(recipe.pieces)
        self._source = -1
        self._offset = 0
        self._left = 0

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of `buffer`; how many bytes, 0 at the end. Raises ValueError when it is closed."""
        if self.closed:
            # By now the number of the descriptor may be another file's.
            raise ValueError("the stream is closed")
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        if not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._source = self._sources[piece.source].fileno()
            self._offset, self._left = piece.offset, piece.length
        count = os.preadv(self._source, [view[: self._left]], self._offset)
        self._offset += count
        self._left -= count
        return count

    def close(self) -> None:
        """Close the sources; idempotent."""
        if not self.closed:
            while self._sources:
                self._sources.popitem()[1].close()
        super().close()

    def buffered(self) -> io.BufferedReader:
        """The same stream, to be read in pieces of any size and closed instead of this one."""
        return io.BufferedReader(self, _BUFFER)


def descriptor(file: BinaryIO) -> int | None:
    """The descriptor of an open object that is one file; None for one that is put together."""
    return None if isinstance(file, io.BufferedReader) else file.fileno()
