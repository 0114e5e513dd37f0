"""What the loop asks of others: a recorder of what happens, and functions that bind nodes, run jobs and set names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

from runner.digest import Digest
from runner.job import Job
from runner.plan.bind import Left
from runner.plan.model import PlannedNode
from runner.store.record import Reused
from runner.worker.report import Finished, JobListener
from runner.worker.stopper import Stopper


class Recorder(Protocol):
    """What the loop needs of the store: durable turns, counters and other people's requests."""

    def append(self, entries: Sequence[Mapping[str, Any]]) -> object:
        """Write one turn; durable when this returns. Raises MlrunError."""
        ...

    def new_execution_counter(self) -> int:
        """The next number of an execution of this project."""
        ...

    def inbox(self) -> list[dict[str, Any]]:
        """Take the requests that arrived since the last call; their `type` is `stop` or `kill`."""
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


def nothing() -> None:
    """There is nobody to tell."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A node that will run: its job, the number of its execution and its base key, if it has one. Once the execution
    is recorded, or nobody will run it, `settle` is called, from any thread and perhaps twice."""

    job: Job
    counter: int
    key: Digest | None = None
    settle: Callable[[], None] = nothing


@dataclass(frozen=True, slots=True)
class Stand:
    """An earlier execution that stands for a node, what that left for the nodes downstream, a clause on it, and how
    many seconds ago it ended."""

    reused: Reused
    left: Left
    detail: str
    age: float = 0.0


Binder = Callable[[PlannedNode, Mapping[str, Left], Ticket], Bound | Stand]
"""Resolves a node, fetches its inputs, asks whether an earlier execution may stand for it, and else gives it a number;
called on a thread of its own. Raises MlrunError, and GivenUp of the ticket."""

Worker = Callable[[Job, Stopper, JobListener], Finished]
"""Runs one job to its end on the calling thread."""

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
    """What the loop has others do; `leave` says what a finished job leaves for the nodes downstream. `known` are nodes
    for which an earlier execution is known to stand as soon as all above them are done."""

    bind: Binder
    work: Worker
    leave: Callable[[Job, Finished], Left]
    publish: Publisher = publish_nothing
    known: Mapping[str, Stand] = field(default_factory=dict)
    republish: Republisher = republish_nothing
