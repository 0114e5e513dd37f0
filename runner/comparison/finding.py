"""What a comparison of two things can find. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Likeness(StrEnum):
    """How like two things are, from the best to the worst."""

    IDENTICAL = "identical"
    """The same bytes, or the same value."""
    EQUAL = "equal"
    """The same values within the tolerance, in other bytes."""
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place in which two things differ: `where` in words, and what stands there before and after, in short;
    empty where one has nothing there."""

    where: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of it. `difference` is there if and only if they are different; `deviation` is the greatest relative
    one among numbers that are equal within the tolerance, 0 where all are the same."""

    likeness: Likeness
    difference: Difference | None = None
    deviation: float = 0.0


IDENTICAL = Finding(Likeness.IDENTICAL)

_ORDER: Mapping[Likeness, int] = {likeness: number for number, likeness in enumerate(Likeness)}


def equal(deviation: float) -> Finding:
    """The same within the tolerance."""
    return Finding(Likeness.EQUAL, None, deviation)


def different(where: str, before: object, after: object) -> Finding:
    """Not the same; `before` and `after` become short texts."""
    return Finding(Likeness.DIFFERENT, Difference(where, short(before), short(after)))


def worst(*found: Likeness) -> Likeness:
    """The least like of several; of none, identical."""
    return max(found, key=_ORDER.__getitem__, default=Likeness.IDENTICAL)


_LONGEST = 80


def short(value: object) -> str:
    """A value in at most 80 letters."""
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
