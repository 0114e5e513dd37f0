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
    """Not the same; all three become short texts, of the place its end, which says the most."""
    place = where if len(where) <= LONGEST_PLACE else f"…{where[1 - LONGEST_PLACE :]}"
    return Finding(Likeness.DIFFERENT, Difference(place, short(before), short(after)))


def is_cut(difference: Difference) -> bool:
    """Whether its place was too long to be told whole."""
    return "…" in difference.where


def worst(*found: Likeness) -> Likeness:
    """The least like of several; of none, identical."""
    return max(found, key=_ORDER.__getitem__, default=Likeness.IDENTICAL)


LONGEST = 80
"""Letters of a value."""

LONGEST_PLACE = 160
"""Letters of a place: a path through JSON, or the name of a column, may be as long as the file."""


def short(value: object) -> str:
    """A value in as many letters at most."""
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
