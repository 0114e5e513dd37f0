"""Who chooses the values of the trials of a sweep: what is asked of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.job import Value
from runner.state import State


@dataclass(frozen=True, slots=True)
class Told:
    """How a trial came out: the values that were chosen for it, its state, and its score (the smaller, the better),
    None where it has none."""

    parameters: Mapping[str, Value]
    state: State
    score: float | None = None


class Sampler(Protocol):
    """Chooses trials. Used by one thread. Asked the same after the same was told, it answers the same: a sweep that was
    interrupted goes on where it was."""

    size: int | None
    """How many trials there will be in all, None where that is not known."""

    def restore(self, trials: Sequence[Told]) -> None:
        """Go on behind these trials, in the order in which they were chosen; one that is not final has not ended.
        Called at most once, before anything else."""
        ...

    def ask(self, count: int) -> Sequence[Mapping[str, Value]]:
        """Up to `count` further trials; fewer when there are no more, or when it waits for what those bring that were
        chosen before."""
        ...

    def tell(self, trial: int, told: Told) -> None:
        """The trial with this index (the first is 0) came to its end."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether there will be no further trials."""
        ...
