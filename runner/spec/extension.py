"""What a file may say beyond Valohai's language: the top-level items of kinds that only mlrun has. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from runner.errors import Location
from runner.goal import Aim


class PruningRule(StrEnum):
    """How it is decided that a trial of a sweep is hopeless."""

    MEDIAN = "median"
    """It is worse than the median of the others at the same point."""
    HALVING = "halving"
    """It is not among the best part of those that came to the same rung (successive halving)."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """When trials of a sweep are given up, by the values of `metric` that they print: its greatest or smallest value is
    sought, or the one nearest to a number (`goal`). `warmup` values of each trial are never looked at, with fewer
    than `startup` other trials none is given up, and of the trials at a rung one in `reduction` goes on."""

    metric: str
    location: Location
    goal: Aim = "maximize"
    rule: PruningRule = PruningRule.MEDIAN
    warmup: int = 1
    startup: int = 4
    reduction: int = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user wants of the executions of a step beyond what Valohai's language can say. A value is None where
    the policy leaves it open; `reuse` is 0 for never, else for how many seconds an execution may be reused; `pruning`
    is for its trials in a sweep."""

    step: str
    location: Location
    reuse: float | None = None
    retries: int | None = None
    pool: str | None = None
    priority: int | None = None
    code: tuple[str, ...] | None = None
    pruning: Pruning | None = None
