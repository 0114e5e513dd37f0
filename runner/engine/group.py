"""The trials of one task node: how many may be under way, and what their ends mean for the task. Pure."""

from dataclasses import dataclass, field

from runner.plan.model import PlannedNode
from runner.spec.model import OnChildError, TaskType
from runner.spec.phrase import counted, counted_of
from runner.state import DONE, FINAL, Reason, State

_WINDOW = 2
"""How many trials per place are under way where the file sets no bound: enough that no place waits for the choice of
the next, few enough that what is learnt from those that ended tells on it."""


@dataclass(slots=True)
class Group:
    """The trials of a task node by name, in the order in which they were chosen."""

    window: int
    """How many may be under way at the same time."""
    together: int | None
    """How many start all at once, as the members of a distributed task do."""
    on_child_error: OnChildError
    trials: dict[str, State] = field(default_factory=dict)
    bound: bool = False
    """Whether the task node can be asked for trials."""
    size: int | None = None
    """How many there will be in all, None while nobody knows."""
    exhausted: bool = False
    closed: bool = False
    """No further trial is begun."""
    satisfied: str | None = None
    """How the task's stop-condition came to hold."""
    alive: int = 0
    failed: int = 0
    pruned: int = 0
    reused: int = 0

    @classmethod
    def of(cls, node: PlannedNode, places: int) -> "Group":
        """That of a task node on a machine with so many places."""
        task = node.task
        together = task.members if task and task.type is TaskType.DISTRIBUTED else None
        bound = task.maximum_queued_executions if task else None
        if task and task.type is TaskType.BAYESIAN_TPE:
            bound = min(filter(None, (bound, task.execution_batch_size)), default=bound)
        default = OnChildError.STOP_ALL_AND_ERROR if together else OnChildError.CONTINUE_AND_ERROR
        return cls(
            window=together or bound or max(_WINDOW * places, 8),
            together=together,
            on_child_error=(task.on_child_error if task else None) or default,
        )

    @property
    def room(self) -> int:
        """How many trials more may be begun now."""
        return 0 if self.closed or self.exhausted or not self.bound else self.window - self.alive

    @property
    def is_over(self) -> bool:
        """Whether every trial came to its end and there will be no other."""
        return self.alive == 0 and (self.closed or (self.bound and self.exhausted))

    def add(self, trial: str, state: State = State.WAITING, reason: Reason | None = None) -> None:
        """A trial was chosen; of one that is restored, how it came out."""
        self.trials[trial] = state
        self.alive += 1
        if state in FINAL:
            self.end(trial, state, reason)

    def end(self, trial: str, state: State, reason: Reason | None) -> None:
        """A trial came to its end."""
        self.trials[trial] = state
        self.alive -= 1
        self.failed += state is State.FAILED
        self.pruned += reason is Reason.PRUNED
        self.reused += state is State.REUSED

    @property
    def has_failed(self) -> bool:
        """Whether what failed fails the task."""
        return self.failed > 0 and self.on_child_error is not OnChildError.CONTINUE_AND_COMPLETE

    @property
    def is_hurt(self) -> bool:
        """Whether what failed ends the others."""
        return self.failed > 0 and self.on_child_error is OnChildError.STOP_ALL_AND_ERROR

    def sentence(self) -> str:
        """What became of the trials, in words: of how many, where that is known, else how many never began."""
        count = len(self.trials)
        stopped = sum(state is State.STOPPED for state in self.trials.values()) - self.pruned
        done = sum(state in DONE for state in self.trials.values())
        skipped = sum(state is State.SKIPPED for state in self.trials.values())
        parts = [counted(count, "trial") if self.size is None else counted_of(count - skipped, self.size, "trial")]
        told = {"failed": self.failed, "reused": self.reused, "pruned": self.pruned, "stopped": stopped}
        parts += [f"{number} {word}" for word, number in told.items() if number]
        if skipped and self.size is None:
            parts.append(f"{skipped} not begun")
        if done < count and not any((self.failed, self.pruned, stopped, skipped)):
            parts.append(f"{done} done")
        return ", ".join(parts) + (f"; {self.satisfied}" if self.satisfied else "")
