"""Which trials of a sweep are hopeless, by the scores that they print while they run. Pure.

A trial is compared at its n-th score with what others had at their n-th, each by its best so far: so it does not matter
which of them began first, and one bad value decides nothing.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from runner.engine.callback import Pruner
from runner.spec.extension import Pruning, PruningRule

_DENSE = 6
"""Up to 2 to this power every score of a trial is looked at, then ever fewer, each doubling as many as the one before:
a program that prints without end costs little."""


def make_pruner(pruning: Pruning) -> Pruner:
    """What follows a rule for pruning."""
    if pruning.rule is PruningRule.MEDIAN:
        return Watch(Median(pruning.startup), pruning.warmup)
    return Watch(Halving(pruning.startup, pruning.reduction), pruning.warmup)


class Rule(Protocol):
    """Judges the trials that come to the same point."""

    def looks_at(self, number: int) -> bool:
        """Whether trials are judged at their score of this number, from 1."""
        ...

    def judge(self, number: int, best: float) -> bool:
        """A trial came there, and this was its best so far; whether it is hopeless."""
        ...


@dataclass(slots=True)
class _Trial:
    """How many scores count so far, the best of them, and whether it was given up."""

    count: int
    best: float = inf
    hopeless: bool = False


class Watch:
    """Follows the scores of all trials; the first `warmup` of each do not count."""

    def __init__(self, rule: Rule, warmup: int) -> None:
        self._rule = rule
        self._warmup = warmup
        self._trials: dict[str, _Trial] = {}

    def report(self, trial: str, score: float) -> bool:
        """The trial printed its next score; whether it is hopeless by now."""
        found = self._trials.setdefault(trial, _Trial(-self._warmup))
        found.count += 1
        if found.count > 0 and not found.hopeless:
            found.best = min(found.best, score)
            found.hopeless = self._rule.looks_at(found.count) and self._rule.judge(found.count, found.best)
        return found.hopeless


@dataclass(slots=True)
class _Level:
    """The best scores of those that came to a point, sorted, and of how many that were given up before it is known."""

    scores: list[float] = field(default_factory=list)
    known: int = 0


class Median:
    """A trial is hopeless that is worse than the median of at least `startup` others at the same point. One that was
    given up before counts with what it had: else only those would be left to compare with that are good."""

    def __init__(self, startup: int) -> None:
        self._startup = startup
        self._levels: dict[int, _Level] = {}
        self._given_up: list[tuple[int, float]] = []
        """Those that are hopeless: at which point, and their best."""

    def looks_at(self, number: int) -> bool:
        """At every one in the beginning, then ever fewer."""
        return number % (1 << max(0, number.bit_length() - _DENSE)) == 0

    def judge(self, number: int, best: float) -> bool:
        """Whether more than half of the others are better."""
        level = self._levels.setdefault(number, _Level())
        for point, score in self._given_up[level.known :]:
            if point < number:
                insort(level.scores, score)
        level.known = len(self._given_up)
        others, better = len(level.scores), bisect_left(level.scores, best)
        insort(level.scores, best)
        hopeless = others >= self._startup and 2 * better > others
        if hopeless:
            self._given_up.append((number, best))
        return hopeless


class Halving:
    """Successive halving: of those that came to a rung one in `reduction` goes on, and each rung is `reduction` times
    as far as the one before. Nobody waits for the others: a trial is compared with those that were there before it."""

    def __init__(self, startup: int, reduction: int) -> None:
        self._startup = startup
        self._reduction = reduction
        self._rungs: dict[int, list[float]] = {}

    def looks_at(self, number: int) -> bool:
        """At the powers of `reduction`."""
        while number % self._reduction == 0:
            number //= self._reduction
        return number == 1

    def judge(self, number: int, best: float) -> bool:
        """Whether it is not among the best of its rung."""
        rung = self._rungs.setdefault(number, [])
        insort(rung, best)
        kept = max(len(rung) // self._reduction, 1)
        return len(rung) > self._startup and best > rung[kept - 1]
