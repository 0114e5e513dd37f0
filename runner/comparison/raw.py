"""Two streams of bytes: where they part. Reads both once, a piece at a time."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from runner.comparison.finding import IDENTICAL, Finding, different

PIECE = 1 << 20
_CONTINUATION = bytes(range(0x80, 0xC0))
"""The bytes within a letter of UTF-8."""

_SHOWN = 40
"""Bytes of a line or a stretch of data that are shown, at most so many before the difference."""


def compare_bytes(before: BinaryIO, after: BinaryIO) -> Finding:
    """The first byte that differs, by its offset (from 0), and in text by its line (from 1). Raises OSError."""
    offset, lines, is_text, tail = 0, 1, True, b""
    for one, other in pairs(before, after):
        is_text = is_text and b"\0" not in one and b"\0" not in other
        if one == other:
            offset += len(one)
            lines += one.count(b"\n")
            tail = one[-_SHOWN:]
            continue
        at = first_difference(one, other)
        around = [_around(tail + piece, len(tail) + at) for piece in (one, other)]
        texts = [_decoded(stretch) for stretch in around] if is_text else [None]
        if None in texts:
            return different(
                f"byte {offset + at:,}", *(piece[at : at + _SHOWN // 2].hex(" ") for piece in (one, other))
            )
        line = lines + one.count(b"\n", 0, at)
        return different(f"line {line:,}, byte {offset + at:,}", *texts)
    return IDENTICAL


def pairs(before: BinaryIO, after: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Pieces of both of the same length, but for the last. Raises OSError."""
    while True:
        one, other = read_full(before, PIECE), read_full(after, PIECE)
        if not one and not other:
            return
        yield one, other


def read_full(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end; a raw stream may give fewer at a time. Raises OSError."""
    found = stream.read(size)
    if len(found) == size or not found:
        return found
    parts, missing = [found], size - len(found)
    while missing and (piece := stream.read(missing)):
        parts.append(piece)
        missing -= len(piece)
    return b"".join(parts)


def first_difference(one: bytes, other: bytes) -> int:
    """The first place at which two texts that differ do so, by halving: a comparison of slices is fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _around(data: bytes, at: int) -> bytes:
    """The line around a place, as far as it is near."""
    if at >= len(data):
        return b""
    start = max(data.rfind(b"\n", 0, at) + 1, at - _SHOWN)
    end = data.find(b"\n", at)
    return data[start : len(data) if end < 0 else end][: 2 * _SHOWN]


def _decoded(data: bytes) -> str | None:
    """The text of a stretch that may begin and end within a letter; None for what is no UTF-8."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data.lstrip(_CONTINUATION))
    except UnicodeDecodeError:
        return None
