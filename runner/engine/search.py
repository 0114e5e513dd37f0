"""The samplers whose trials do not depend on how others come out: grid, random, manual, and distributed. Pure.

A trial is made from its index alone, so that no list of them is needed and a sweep that was interrupted goes on where
it was. `make_sampler` is where a task's way of choosing is found.
"""

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from math import prod

from runner.engine.sampler import Sampler, Told
from runner.job import Value
from runner.plan.space import Space
from runner.plan.variation import Axis, Choices, Span
from runner.spec.model import TaskType

Chosen = Mapping[str, Value]


def make_sampler(space: Space) -> Sampler:
    """What chooses the trials of a task. Raises MlrunError (USAGE) where a library that it needs is missing."""
    match space.type:
        case TaskType.BAYESIAN_TPE:
            # Not at the top: few tasks are Bayesian, and the library takes its time.
            from runner.engine.bayes import Bayesian

            return Bayesian(space)
        case TaskType.RANDOM_SEARCH:
            return _random(space)
        case TaskType.MANUAL_SEARCH:
            return Listed(space.size, space.sets.__getitem__)
        case TaskType.DISTRIBUTED:
            return Listed(space.size, lambda index: _cell(space.axes, 0))
        case TaskType.GRID_SEARCH:
            return Listed(space.size, lambda index: _cell(space.axes, index))


class Listed:
    """Trials that are known from the beginning, by index."""

    def __init__(self, size: int, trial: Callable[[int], Chosen]) -> None:
        self.size: int | None = size
        self._left = range(size)
        self._trial = trial

    def restore(self, trials: Sequence[Told]) -> None:
        """Go on behind these."""
        self._left = self._left[len(trials) :]

    def ask(self, count: int) -> Sequence[Chosen]:
        """The next ones."""
        asked, self._left = self._left[: max(count, 0)], self._left[max(count, 0) :]
        return [self._trial(index) for index in asked]

    def tell(self, trial: int, told: Told) -> None:
        """Nothing follows from it."""

    @property
    def exhausted(self) -> bool:
        """Whether there will be no further trials."""
        return not self._left


def _random(space: Space) -> Listed:
    """Trials drawn at random: out of finitely many combinations each at most once, so that of fewer combinations than
    trials every one is tried."""
    size = prod(map(_length, space.axes.values()))
    if 0 < size <= sys.maxsize:
        seed = "\0".join([space.seed, *space.seeds.values()])
        cells = random.Random(seed).sample(range(size), min(space.size, size))
        return Listed(len(cells), lambda index: _cell(space.axes, cells[index]))

    def drawn(index: int) -> Chosen:
        return {name: _drawn(axis, random.Random(f"{space.seeds[name]}\0{index}")) for name, axis in space.axes.items()}

    return Listed(space.size, drawn)


def _length(axis: Axis) -> int:
    """How many values there are; 0 for more than can be counted, or for some that are not equally likely."""
    if isinstance(axis, Choices):
        return len(axis.values)
    return int(axis.high) - int(axis.low) + 1 if axis.integer and not axis.log else 0


def _cell(axes: Mapping[str, Axis], index: int) -> Chosen:
    """The combination with this index of all that there are; the last parameter is the first to change."""
    chosen = {}
    for name, axis in reversed(list(axes.items())):
        index, place = divmod(index, _length(axis))
        chosen[name] = axis.values[place] if isinstance(axis, Choices) else int(axis.low) + place
    return {name: chosen[name] for name in axes}


def _drawn(axis: Axis, source: random.Random) -> Value:
    return axis.draw(source) if isinstance(axis, Span) else source.choice(axis.values)
