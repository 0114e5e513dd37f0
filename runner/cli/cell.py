"""How single values are written in tables and pages: times, sizes, numbers, digests, states. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from runner.escape import display_width
from runner.quantity import moment, seconds_between
from runner.state import State

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
