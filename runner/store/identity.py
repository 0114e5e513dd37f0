"""Ids: UUIDs of version 7 (RFC 9562), which sort by the time they were made. Knows no disk."""

import os
import time
from threading import Lock

_lock = Lock()
_last = 0


_MOST = (1 << 60) - (1 << 40)
"""An id with more ticks than this was not made by a clock, and nothing could follow it for long."""


def new_id(after: str = "") -> str:
    """A fresh UUIDv7 in its usual form of 36 characters; within one process each is greater than the one before.

    `after` is an id of another process that it has to follow as well, though the clock may have been set back.

    48 bits of milliseconds since 1970, then (RFC 9562, 6.2, method 3) 12 bits of the fraction of the millisecond,
    then 62 random bits.
    """
    global _last
    with _lock:
        nanoseconds = time.time_ns()
        ticks = (nanoseconds // 1_000_000 << 12) | (nanoseconds % 1_000_000 * 4096 // 1_000_000)
        _last = ticks = max(ticks, _last + 1, _following(after))
    random = int.from_bytes(os.urandom(8)) >> 2
    value = (ticks >> 12) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64 | 0b10 << 62 | random
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _following(id: str) -> int:
    """The first tick after that of an id; 0 for what is no id, or none that a clock made."""
    if not is_id(id):
        return 0
    value = int(id.replace("-", ""), 16)
    ticks = (value >> 80) << 12 | (value >> 64 & 0xFFF)
    return ticks + 1 if ticks < _MOST else 0


def is_id(text: str) -> bool:
    """Whether `text` could be an id, so that it may become a file name."""
    return len(text) == 36 and all(
        char == "-" if place in {8, 13, 18, 23} else char in "0123456789abcdef" for place, char in enumerate(text)
    )
