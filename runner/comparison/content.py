"""Two files of one name: by their bytes, and where these differ by what the name says they are."""

import io
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, cast

from runner.comparison.array import compare_archives, compare_arrays
from runner.comparison.finding import IDENTICAL, Finding
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
    if (compare := KINDS.get(ending(name))) is not None:
        try:
            return _both(before, after, lambda one, other: compare(one, other, tolerance))
        except Misnamed:
            pass
    return _both(before, after, compare_bytes)


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
