"""Durations as `time-limit` writes them: seconds, or text such as `1h 30m`. Pure."""

import re
from dataclasses import dataclass

from runner.spec.tree import shorten

LONGEST = 100 * 365 * 86400.0
"""Seconds; more than this is a mistake."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_USUAL = re.compile(r"s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?")
_PIECE = re.compile(r"([.\d]+)\s*([a-z]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Duration:
    """`seconds` of wall clock; `surprise` says what its writer may not have meant."""

    seconds: float
    surprise: str | None = None


def parse_duration(value: object) -> Duration | None:
    """The duration of a YAML value; None for an empty one. Raises ValueError with a message for people.

    Of a unit only the first letter counts, as on Valohai, so that a month is a minute.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a duration is a number of seconds or text such as `1h 30m`")
    duration = _parse_text(value) if isinstance(value, str) else Duration(float(value))
    if not 0 < duration.seconds <= LONGEST:
        raise ValueError("a duration is more than 0 seconds and at most 100 years")
    return duration


def _parse_text(text: str) -> Duration:
    total, surprise = 0.0, None
    pieces = _PIECE.findall(text)
    if not pieces:
        raise ValueError(f"`{shorten(text.strip())}` has no number, as `3h` or `1h 30m` have")
    for number, unit in pieces:
        word = unit.lower()
        if not unit and len(pieces) == 1 and number == text.strip():
            word, surprise = "s", f"`{number}` without a unit is read as seconds"
        elif not word or word[0] not in _SECONDS:
            raise ValueError(f"`{number}{unit}` has no known unit (s, m, h, d, w)")
        elif not _USUAL.fullmatch(word):
            surprise = f"`{unit}` is read as `{word[0]}`, because only its first letter counts"
        try:
            total += float(number) * _SECONDS[word[0]]
        except ValueError:
            raise ValueError(f"`{number}` is not a number") from None
    return Duration(total, surprise)
