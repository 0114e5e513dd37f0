"""How times are read, and times, ages, sizes and values written for people, in a terminal and on a page alike. Pure."""

import json
from datetime import datetime

from runner.escape import printable

_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS = ((86400, "day"), (3600, "h"), (60, "min"), (1, "s"))
_RELATIVE_DAYS = 30


def moment(text: str) -> datetime:
    """A recorded time. Raises ValueError."""
    return datetime.fromisoformat(text)


def seconds_between(start: str, end: datetime) -> float:
    """From a recorded time to `end`, never negative: clocks of two boots may disagree."""
    return max(0.0, (end - moment(start)).total_seconds())


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
    """`12 s`, `5 min`, `3 h`, `1 day`, `3 days`: as many of the largest unit as are full."""
    return next((_span(int(seconds // size), unit) for size, unit in _SPANS if seconds >= size), "0 s")


def span_text(seconds: float) -> str:
    """`30 days`, `12 h`, `90 min`: exact, in the largest unit that divides it."""
    sizes = (one for one in _SPANS if seconds >= one[0] and seconds % one[0] == 0)
    return next((_span(int(seconds // size), unit) for size, unit in sizes), f"{seconds:g} s")


def _span(number: int, unit: str) -> str:
    return f"{number:,} {unit}" + ("s" if unit == "day" and number != 1 else "")


def ago(seconds: float) -> str:
    """`just now`, `12 s ago`, `3 days ago`."""
    return f"{age_text(seconds)} ago" if seconds >= 1 else "just now"


def relative_time(text: str | None, now: datetime) -> str:
    """A recorded time as `12 s ago`, `3 days ago`; its date when it was more than a month ago; empty for None."""
    if text is None:
        return ""
    passed = seconds_between(text, now)
    return local_time(text)[:10] if passed >= _RELATIVE_DAYS * 86400 else ago(passed)


def local_time(text: str | None) -> str:
    """A recorded time in the zone of this machine, to the second: `2026-11-21 10:44:02`; empty for None."""
    return "" if text is None else moment(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


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
