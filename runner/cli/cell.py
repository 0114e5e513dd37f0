"""Cells of a table: the colours of their words, and how they are cut and filled up. Pure but for the clock."""

from collections.abc import Mapping
from datetime import UTC, datetime

from runner.escape import display_width
from runner.sign import WORDS, Tone, tone_of

_SGR: Mapping[Tone, str] = {
    Tone.GOOD: "32",
    Tone.SAME: "32;2",
    Tone.BAD: "31;1",
    Tone.ODD: "33",
    Tone.ASKING: "33;1",
    Tone.BUSY: "36",
    Tone.QUIET: "2",
}

COLOURS: Mapping[str, str] = {word: _SGR[tone_of(word)] for word in WORDS}
"""SGR colours by the word of a state."""


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
