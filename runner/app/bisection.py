"""Which of a line of commits broke something: what to look at next, and what is known by now. Pure.

Positions count from the newest commit, 0, which is bad, back to older ones. Somewhere behind it is a good one; the
newest good one and the oldest bad one before it close in on each other. Where nobody says how far back to look, the
steps backwards double until something is good. What cannot be judged is passed over, and others in reach are asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Judgement(StrEnum):
    """What is known of a commit."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"
    """Nothing can be said: its file is broken, its run failed, or it has no such metric."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Judge the commit at this position; about `left` more than that are to follow, None where nobody knows."""

    at: int
    left: int | None


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The culprit is one of those from the position `bad`, which is bad, back to before `good`, which is good. Where
    these are not next to each other, nothing could be said of those between."""

    bad: int
    good: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """The commit at an end is not what it should be, so that there is nothing to look for."""

    at: int
    wanted: Judgement


@dataclass(frozen=True, slots=True)
class AllBad:
    """No commit back to the oldest is good."""


Step = Ask | Narrowed | Unfit | AllBad


def next_step(count: int, judged: Mapping[int, Judgement], *, bounded: bool) -> Step:
    """What to do about `count` commits of which some are judged. `bounded`: the oldest of them has to be good.

    No position is asked for that is judged already, so whoever goes on asking comes to an end. Raises ValueError
    without commits.
    """
    if count < 1:
        raise ValueError("there are no commits")
    ends = [(0, Judgement.BAD)] + ([(count - 1, Judgement.GOOD)] if bounded else [])
    for at, wanted in ends:
        if at not in judged:
            return Ask(at, _questions(count - 1) + (at == 0) if bounded else None)
        if judged[at] is not wanted:
            return Unfit(at, wanted)
    good = min((at for at, one in judged.items() if one is Judgement.GOOD), default=None)
    bad = max(at for at, one in judged.items() if one is Judgement.BAD and (good is None or at < good))
    if good is None:
        return _go_back(count, bad, judged)
    return _close_in(bad, good, judged)


def _go_back(count: int, bad: int, judged: Mapping[int, Judgement]) -> Step:
    """Twice as far back as is known to be bad, or anywhere behind that once something could not be judged."""
    open_ones = [at for at in range(bad + 1, count) if at not in judged]
    if not open_ones:
        return AllBad()
    if len(open_ones) == count - bad - 1:
        return Ask(min(max(1, 2 * bad), count - 1), None)
    return Ask(_middle(open_ones, (bad,), len(judged)), None)


def _close_in(bad: int, good: int, judged: Mapping[int, Judgement]) -> Step:
    """In the middle between an end that is bad and one that is good."""
    open_ones = [at for at in range(bad + 1, good) if at not in judged]
    if not open_ones:
        return Narrowed(bad, good)
    return Ask(_middle(open_ones, (bad, good), len(judged)), _questions(len(open_ones) + 1) - 1)


def _middle(open_ones: list[int], ends: tuple[int, ...], judged: int) -> int:
    """The middle of the longest row without a gap, by turns of all and of those that touch an end: where what cannot be
    judged lies together, the latter find its edge soon, and where it is scattered, the former halve what is left."""
    edges = [0, *(at for at in range(1, len(open_ones)) if open_ones[at] != open_ones[at - 1] + 1), len(open_ones)]
    rows = [open_ones[start:end] for start, end in pairwise(edges)]
    touching = [row for row in rows if row[0] - 1 in ends or row[-1] + 1 in ends]
    row = max(touching if touching and judged % 2 else rows, key=len)
    return row[(len(row) - 1) // 2]


def _questions(candidates: int) -> int:
    """How many questions tell one of so many from the others."""
    return max(0, candidates - 1).bit_length()
