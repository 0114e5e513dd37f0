"""How single values are written in tables and pages: times, sizes, numbers, digests, states. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from runner.escape import display_width, printable
from runner.state import State

_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_RELATIVE_DAYS = 30

COLOURS: Mapping[str, str] = {
    State.SUCCEEDED: "32",
    State.REUSED: "32;2",
    State.FAILED: "31;1",
    State.STOPPED: "33",
    State.INTERRUPTED: "33",
    State.SKIPPED: "2",
    State.RUNNING: "36",
    State.STOPPING: "33",
}
"""SGR colours by state; a state is equal to its word."""


def moment(text: str) -> datetime:
    """A recorded time. Raises ValueError."""
    return datetime.fromisoformat(text)


def seconds_between(start: str, end: datetime) -> float:
    """From a recorded time to `end`, never negative: clocks of two boots may disagree."""
    return max(0.0, (end - moment(start)).total_seconds())


def relative_time(text: str | None, now: datetime) -> str:
    """`12 s ago`, `3 d ago`; the date when it was more than a month ago; empty for None."""
    if text is None:
        return ""
    passed = seconds_between(text, now)
    if passed >= _RELATIVE_DAYS * 86400:
        return local_time(text)[:10]
    for span, unit in _SPANS:
        if passed >= span:
            return f"{int(passed // span)} {unit} ago"
    return "just now"


def local_time(text: str | None) -> str:
    """A recorded time in the zone of this machine, to the second: `2026-11-21 10:44:02`; empty for None."""
    return "" if text is None else moment(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration_text(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def age_text(seconds: float) -> str:
    """`12 s`, `3 h`, `1 day`, `3 days`."""
    if seconds >= 86400:
        days = int(seconds // 86400)
        return "1 day" if days == 1 else f"{days:,} days"
    return next((f"{int(seconds // span)} {unit}" for span, unit in _SPANS if seconds >= span), "0 s")


def ago(seconds: float) -> str:
    """`just now`, `12 s ago`, `3 days ago`."""
    return f"{age_text(seconds)} ago" if seconds >= 1 else "just now"


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def size_text(size: int) -> str:
    """`512 B`, `1.5 KiB`, `12 MiB`: binary units (IEC 80000-13), two or three digits."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in _UNITS:
        value /= 1024
        if value < 1023.5 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def value_text(value: object) -> str:
    """A value of a metric, parameter or field in one clean line; floats with at most five significant digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.5g}"
    return exact_text(value)


def exact_text(value: object) -> str:
    """A value with nothing left out, in one clean line; lists and objects as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return printable(value)
    if type(value) is int or type(value) is float:
        return repr(value)
    return printable(json.dumps(value, ensure_ascii=False, default=str))


def number(value: object) -> float | None:
    """`value` as a number if it is one, recorded NaN and infinities (which are text) included; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, float):
        return value
    return float(value) if isinstance(value, str) and value in _NO_NUMBERS else None


def shorten(text: str, room: int) -> str:
    """`text`, cut to `room` columns with `…` at its end if it is longer."""
    if display_width(text) <= room:
        return text
    kept = ""
    taken = 1
    for char in text:
        taken += display_width(char)
        if taken > room:
            break
        kept += char
    return kept + "…"


def padded(text: str, room: int) -> str:
    """`text` with blanks behind it up to `room` columns."""
    return text + " " * (room - display_width(text))
