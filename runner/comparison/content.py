"""Two files of one name: by their bytes, and where these differ by what the name says they are."""

import gzip
import io
import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from runner.comparison.array import compare_archives, compare_arrays
from runner.comparison.finding import IDENTICAL, Finding, different, equal
from runner.comparison.kind import Misnamed
from runner.comparison.raw import compare_bytes
from runner.comparison.table import compare_tables
from runner.comparison.tolerance import Tolerance
from runner.comparison.value import compare_documents, compare_lines

Comparison = Callable[[BinaryIO, BinaryIO, Tolerance], Finding]
"""Compares two streams by their meaning, never as identical. Raises Misnamed, OSError."""

KINDS: Mapping[str, Comparison] = {
    "json": compare_documents,
    "jsonl": compare_lines,
    "ndjson": compare_lines,
    "csv": compare_tables,
    "tsv": compare_tables,
    "npy": compare_arrays,
    "npz": compare_archives,
}
"""By the ending of a name."""

_ENDING = re.compile(r"\.([a-z]+)(?:~[0-9]+)?", re.IGNORECASE)
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """Some bytes: `digest` tells whether they are the same as others, `open` gives them, seekable."""

    digest: str
    open: Callable[[], BinaryIO]


def compare_contents(name: str, before: Content, after: Content, tolerance: Tolerance) -> Finding:
    """How like two versions of a file are; `name~2` is a version of `name`. Raises OSError and what `open` raises."""
    if before.digest == after.digest:
        return IDENTICAL
    if ending(name) == "gz":
        try:
            return _compare_packed(name[: name.rindex(".")], before, after, tolerance)
        except Misnamed:
            pass
    return _compare_plain(name, before, after, tolerance)


def _compare_plain(name: str, before: Content, after: Content, tolerance: Tolerance) -> Finding:
    if (compare := KINDS.get(ending(name))) is not None:
        try:
            return _both(before, after, lambda one, other: compare(one, other, tolerance))
        except Misnamed:
            pass
    return _both(before, after, compare_bytes)


def _compare_packed(name: str, before: Content, after: Content, tolerance: Tolerance) -> Finding:
    """What two files of gzip hold, never as identical: their heads have a time. Raises Misnamed."""
    one, other = (replace(side, open=_unpacking(side.open)) for side in (before, after))
    try:
        found = _compare_plain(name, one, other, tolerance)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Misnamed(str(error)) from error
    if found.difference is not None:
        place = found.difference
        return different(f"unpacked, {place.where}", place.before, place.after)
    return equal(found.deviation)


def _unpacking(open: Callable[[], BinaryIO]) -> Callable[[], BinaryIO]:
    return lambda: cast(BinaryIO, _Unpacked(open()))


class _Unpacked(gzip.GzipFile):
    """What a packed file holds; closes that file with itself."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        super().__init__(fileobj=packed, mode="rb")

    def close(self) -> None:
        """See `io.IOBase`."""
        super().close()
        self._packed.close()


def ending(name: str) -> str:
    """What follows the last dot of a file's name, in small letters; empty without one."""
    base = name.rpartition("/")[2]
    found = _ENDING.fullmatch(base, base.rfind(".")) if "." in base else None
    return found[1].lower() if found else ""


def _both(before: Content, after: Content, compare: Callable[[BinaryIO, BinaryIO], Finding]) -> Finding:
    with closing(_buffered(before.open())) as one, closing(_buffered(after.open())) as other:
        return compare(one, other)


def _buffered(stream: BinaryIO) -> BinaryIO:
    """Small reads of an unbuffered stream are slow."""
    return stream if isinstance(stream, io.BufferedIOBase) else cast(BinaryIO, io.BufferedReader(stream, _BUFFER))
