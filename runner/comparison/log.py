"""Two logs: the first line that differs in more than times. Reads both once, a line at a time."""

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import BinaryIO

from runner.comparison.finding import IDENTICAL, Finding, different, equal

_MOST_LINE = 1 << 20
"""Bytes after which a line counts as ended."""

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_NUMBER = rb"[0-9]+(?:[.,][0-9]+)?(?:e[+-]?[0-9]+)?"
_TIMES = re.compile(
    rb"|".join(
        (
            rb"[0-9]{4}[-/.][0-9]{2}[-/.][0-9]{2}",
            rb"(?:\b%s,? +)?\b(?:%s +[0-9]{1,2}|[0-9]{1,2} +%s)\b(?:,? +[0-9]{4}\b)?" % (_DAY, _MONTH, _MONTH),
            rb"T?[0-9]{1,3}:[0-9]{2}(?::[0-9]{2})?(?:[.,][0-9]+)?(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2})\b)?",
            rb"\b1[0-9]{9}(?:[0-9]{3}){0,3}(?:\.[0-9]+)?\b",
            rb"\b%s ?(?:it|steps?|[kKMG]?i?B|s)/(?:it|step|s|sec)\b" % _NUMBER,
            rb"\b%s ?(?:ns|us|\xc2\xb5s|ms|s|secs?|seconds?|mins?|minutes?|hours?)\b" % _NUMBER,
        )
    )
)


def compare_logs(before: BinaryIO, after: BinaryIO) -> Finding:
    """Identical, equal but for dates, times, durations and rates, or different at a line (from 1). Of a line that was
    written over with carriage returns, as progress bars are, only the last state counts. Raises OSError."""
    same = True
    for number, (one, other) in enumerate(zip_longest(_lines(before), _lines(after)), 1):
        if one == other:
            continue
        if one is None or other is None or timeless(one) != timeless(other):
            return different(f"line {number:,}", _shown(one), _shown(other))
        same = False
    return IDENTICAL if same else equal(0.0)


def timeless(line: bytes) -> bytes:
    """The last state of a line, with a mark for every time, and single blanks."""
    last = line.rstrip(b"\r\n").rpartition(b"\r")[2]
    return b" ".join(_TIMES.sub(b"<time>", last).split())


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(_MOST_LINE):
        yield line


def _shown(line: bytes | None) -> str:
    return "" if line is None else line.rstrip(b"\r\n").rpartition(b"\r")[2].decode("utf-8", "replace")
