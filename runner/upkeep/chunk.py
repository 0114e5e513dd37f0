"""Which parts of a file another one has: shared beginnings and ends, then content-defined chunks. Only reads.

Chunks end where their content says so (FastCDC), so that an insertion moves no boundary behind it. Nothing depends on
where exactly: a recipe names ranges of bytes, and whoever writes one hashes what it makes.
"""

import os
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from runner.digest import Hasher

_BLOCK = 1 << 20
_CHUNKS = 1 << 16
"""About so many chunks of a file at most, so that the memory for them is bounded whatever its size."""
_LEAST, _MOST = 1 << 11, 1 << 22
"""Bytes of a chunk on average."""

Key = bytes
"""The hash of a chunk."""


class Window(NamedTuple):
    """The bytes from `begin` to `end` of an open file."""

    fd: int
    begin: int
    end: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.begin


class Chunk(NamedTuple):
    """A chunk of a file, from `begin` to `end`."""

    key: Key
    begin: int
    end: int


def whole(fd: int) -> Window:
    """All of an open file. Raises OSError."""
    return Window(fd, 0, os.fstat(fd).st_size)


def shared_start(one: Window, other: Window) -> int:
    """With how many equal bytes both begin. Raises OSError."""
    size = min(one.size, other.size)
    blocks = _Blocks()
    for at in range(0, size, _BLOCK):
        first, second = blocks.read(one, one.begin + at, other, other.begin + at, min(_BLOCK, size - at))
        if first != second:
            return at + _first_difference(first, second)
    return size


def shared_end(one: Window, other: Window) -> int:
    """With how many equal bytes both end. Raises OSError."""
    size = min(one.size, other.size)
    blocks = _Blocks()
    for at in range(0, size, _BLOCK):
        length = min(_BLOCK, size - at)
        first, second = blocks.read(one, one.end - at - length, other, other.end - at - length, length)
        if first != second:
            return at + _first_difference(first[::-1], second[::-1])
    return size


def average_size(size: int) -> int:
    """How large the chunks of files of about this size should be, in bytes: a power of two."""
    wanted = max(_LEAST, min(_MOST, size // _CHUNKS))
    return 1 << (wanted - 1).bit_length()


def chunks(window: Window, average: int) -> Iterator[Chunk]:
    """Cut a part of a file into chunks. Raises OSError."""
    # Not at the top: most files only grow, and those are never cut.
    from pyfastcdc import FastCDC

    at = window.begin
    for chunk in FastCDC(average).cut_stream(_Stream(window)):
        yield Chunk(Hasher(chunk.data).digest(), at, at + chunk.length)
        at += chunk.length


class _Blocks:
    """Two buffers to compare parts of files in; reused, for new memory costs more than the comparison."""

    def __init__(self) -> None:
        self._first, self._second = bytearray(), bytearray()

    def read(self, one: Window, begin: int, other: Window, start: int, length: int) -> tuple[bytearray, bytearray]:
        """The `length` bytes of both files that begin there; fewer from a file that is cut off."""
        if len(self._first) != length:
            self._first, self._second = bytearray(length), bytearray(length)
        got = _fill(one.fd, self._first, begin), _fill(other.fd, self._second, start)
        if got == (length, length):
            return self._first, self._second
        return self._first[: got[0]], self._second[: got[1]]


def _fill(fd: int, buffer: bytearray, offset: int) -> int:
    view, got = memoryview(buffer), 0
    while got < len(buffer) and (more := os.preadv(fd, [view[got:]], offset + got)):
        got += more
    return got


def _first_difference(one: bytes | bytearray, other: bytes | bytearray) -> int:
    """Where two unequal strings of bytes differ first."""
    sizes = range(1, min(len(one), len(other)) + 1)
    return bisect_left(sizes, True, key=lambda size: one[:size] != other[:size])


class _Stream:
    """A part of a file as the chunker reads it."""

    def __init__(self, window: Window) -> None:
        self._fd, self._at, self._end = window

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer as far as possible; the number of bytes."""
        got = os.preadv(self._fd, [buffer[: self._end - self._at]], self._at)
        self._at += got
        return got
