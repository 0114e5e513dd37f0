"""What the loop asks of others: a recorder of what happens, and functions that bind nodes, run jobs and set names."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, Protocol

from runner.crew import Work, nothing
from runner.digest import Digest
from runner.engine.node import Restored
from runner.engine.sampler import Sampler, Told
from runner.job import Job, Value
from runner.plan.bind import Left
from runner.plan.model import PlannedNode
from runner.state import FINAL
from runner.store.record import Gathered, Reused
from runner.worker.report import Finished, JobListener
from runner.worker.stopper import Stopper


class Recorder(Protocol):
    """What the loop needs of the store: durable turns, counters and other people's requests."""

    def append(self, entries: Sequence[Mapping[str, Any]], then: Callable[[], None]) -> object:
        """Write one turn; durable when this returns. `then` is called once others find what it tells, soon and perhaps
        on another thread. Raises MlrunError."""
        ...

    def new_execution_counter(self) -> int:
        """The next number of an execution of this project."""
        ...

    def inbox(self) -> list[dict[str, Any]]:
        """Take the requests that arrived since the last call; their `type` is `stop` or `kill`, or `approve` or
        `reject` of a `node` (all that await it, if there is none) `by` somebody."""
        ...

    def drop_log(self, execution_id: str) -> None:
        """Remove the log folder of an execution whose record names the log's objects."""
        ...


class GivenUp(Exception):
    """The node that is being bound will not run: its run ends, or something that it needs has failed."""


class Ticket:
    """What the loop gives a node that is being bound. Used by the thread that binds it; `give_up` by any."""

    def __init__(self, draw: Callable[[], int]) -> None:
        self._draw = draw
        self._given_up = Event()

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for the node any more."""
        return self._given_up.is_set()

    def number(self) -> int:
        """The next number of an execution. Raises GivenUp rather than waste one, and MlrunError."""
        self.wait(0)
        return self._draw()

    def wait(self, seconds: float) -> None:
        """Let some time pass. Raises GivenUp as soon as nobody waits for the node any more."""
        if self._given_up.wait(seconds):
            raise GivenUp

    def give_up(self) -> None:
        """Nobody waits for the node any more; idempotent."""
        self._given_up.set()


@dataclass(frozen=True, slots=True)
class Bound:
    """A node that will run: its job, the number of its execution and its base key, if it has one. Once the execution
    is recorded, or nobody will run it, `settle` is called, from any thread and perhaps twice. One that runs since
    before has done so for `elapsed` seconds."""

    job: Job
    counter: int
    key: Digest | None = None
    settle: Work = nothing
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True)
class Stand:
    """An earlier execution that stands for a node, what that left for the nodes downstream, a clause on it, and how
    many seconds ago it ended. Of a task node it is `trials` for which executions stand, each by its name with the
    values that were chosen for it, and none for the node itself."""

    reused: Reused | None
    left: Left
    detail: str
    age: float = 0.0
    trials: Mapping[str, "tuple[Mapping[str, Value], Stand]"] = field(default_factory=dict)

    def all_reused(self) -> Iterator[Reused]:
        """The executions that stand."""
        if self.reused is not None:
            yield self.reused
        for _, stand in self.trials.values():
            yield from stand.all_reused()


class Pruner(Protocol):
    """Says which trials of a sweep are hopeless. Used by one thread."""

    def report(self, trial: str, score: float) -> bool:
        """The trial printed its next score (the smaller, the better); whether it is hopeless by now."""
        ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """A task node whose values are known. A trial of it is the `template` with the values that the `sampler` chose;
    `score` reads from metadata what is sought (the smaller, the better), None where it is not there."""

    template: PlannedNode
    sampler: Sampler
    score: Callable[[Mapping[str, object]], float | None]
    pruner: Pruner | None = None

    def trial(self, name: str, parameters: Mapping[str, Value]) -> PlannedNode:
        """The node of a trial."""
        return replace(
            self.template,
            name=name,
            kind="execution",
            task=None,
            actions=(),
            parameters=self._in_order({**self.template.parameters, **parameters}),
            trial_of=self.template.name,
        )

    def _in_order(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """As the step has them: that counts for reuse, and a trial is the same work as a node of these values."""
        return {one.name: values[one.name] for one in self.template.step.parameters if one.name in values}


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment node, which only gathers files; a clause on that."""

    gathered: Gathered
    left: Left
    detail: str


@dataclass(frozen=True, slots=True)
class Past:
    """What a run that goes on has behind it: its nodes as they were left, what those that are done left for others, the
    jobs that still run, and the trials of its task nodes in the order in which they were chosen."""

    nodes: Mapping[str, Restored] = field(default_factory=dict)
    left: Mapping[str, Left] = field(default_factory=dict)
    adopted: Mapping[str, Bound] = field(default_factory=dict)
    trials: Mapping[str, Mapping[str, Told]] = field(default_factory=dict)

    def over(self) -> dict[str, Restored]:
        """The nodes, trials among them, that will not run again: they are final, or become so once somebody decides."""
        return {name: node for name, node in self.nodes.items() if node.state in FINAL or node.becomes is not None}


NO_PAST = Past()
"""Of a run that begins."""

Binder = Callable[[PlannedNode, Mapping[str, Left], Ticket], Bound | Stand | Sweep | Deployed]
"""Resolves a node, fetches its inputs, asks whether an earlier execution may stand for it, and else gives it a number;
of a task node says among which values its trials choose; gathers the files of a deployment node. Called on a thread of
its own. Raises MlrunError, and GivenUp of the ticket."""

Worker = Callable[[Job, Stopper, JobListener], Finished]
"""Runs one job to its end on the calling thread, or follows one that runs since before."""

Publisher = Callable[[Job, Finished], Sequence[str]]
"""Sets the names that a finished and recorded job asks for; what to tell the user about it. Never raises."""


def publish_nothing(job: Job, finished: Finished) -> Sequence[str]:
    """Names stay as they are."""
    return ()


Republisher = Callable[[Reused], Sequence[str]]
"""Sets the names that an execution asks for which stands for a node; what to tell the user about it. Never raises."""


def republish_nothing(reused: Reused) -> Sequence[str]:
    """Names stay as they are."""
    return ()


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What the loop has others do: `work` runs a job, `leave` says what a finished job leaves for the nodes downstream;
    `adopt` follows a job that runs since before, None in a run that has none. `known` are nodes for which an earlier
    execution is known to stand as soon as all above them are done."""

    bind: Binder
    work: Worker
    leave: Callable[[Job, Finished], Left]
    publish: Publisher = publish_nothing
    known: Mapping[str, Stand] = field(default_factory=dict)
    republish: Republisher = republish_nothing
    adopt: Worker | None = None
