"""What the trials of a task are compared by. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

Direction = Literal["maximize", "minimize"]
DIRECTIONS: tuple[Direction, ...] = ("maximize", "minimize")
Aim = Direction | float
"""What is sought of a metric: its greatest value, its smallest, or the one nearest to a number."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Which trial is best: the one whose last value of `metric` is greatest, smallest, or nearest to a number."""

    metric: str
    aim: Aim

    def cost(self, value: float) -> float:
        """How bad a value is: the smaller, the better."""
        if isinstance(self.aim, str):
            return -value if self.aim == "maximize" else value
        return abs(value - self.aim)

    def score(self, metrics: Mapping[str, object]) -> float | None:
        """How bad a trial with these last values is: the smaller, the better; None where they do not tell. A number may
        be written as text; what is none, or not finite, is no score."""
        value = _number(metrics.get(self.metric))
        return None if value is None else self.cost(value)

    def rank(self, metrics: Mapping[str, object], *, done: bool) -> tuple[bool, bool, float]:
        """What trials are sorted by: the best first, behind those that are done the others, those without a score
        last."""
        score = self.score(metrics)
        return score is None, not done, 0.0 if score is None else score

    def words(self) -> str:
        """`the greatest accuracy`."""
        if isinstance(self.aim, str):
            return f"the {'greatest' if self.aim == 'maximize' else 'smallest'} {self.metric}"
        return f"the {self.metric} nearest to {self.aim:g}"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) else None
