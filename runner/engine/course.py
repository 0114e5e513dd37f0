"""What the loop has in hand of one node, and what reaches it from the threads that bind nodes and run jobs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event as ThreadEvent

from runner.engine.callback import Bound, Deployed, Stand, Sweep, Ticket
from runner.engine.stimulus import JobPaused, JobStarted, LimitReached, Stimulus
from runner.events import Listener, LogArrived, MetricsArrived
from runner.job import Job, LogChunk, Value
from runner.metrics import MetricEvent
from runner.plan.bind import Left
from runner.plan.model import PlannedNode
from runner.state import Reason
from runner.store.record import OutputFile
from runner.worker.report import Finished
from runner.worker.stopper import Stopper
from runner.worker.watchdog import StopCondition

_RECORDED_WITHIN = 10.0
"""Seconds that a job's helper waits for the record of a file that was taken while the job runs."""


@dataclass(slots=True)
class Course:
    """One node on its way. What belongs to an attempt is that of the latest."""

    node: PlannedNode
    chosen: Mapping[str, Value] = field(default_factory=dict)
    """The values that were chosen for a trial."""
    ticket: Ticket | None = None
    bound: Bound | None = None
    stand: Stand | None = None
    deployed: Deployed | None = None
    sweep: Sweep | None = None
    trials: dict[str, int] = field(default_factory=dict)
    """The trials of a task node, in the order in which they were chosen, which is numbered from 0."""
    stopper: Stopper = field(default_factory=Stopper)
    finished: Finished | None = None
    condition: StopCondition | None = None
    """That of its task, over what this trial prints."""
    left: Left | None = None

    @property
    def job(self) -> Job | None:
        """The job of the latest attempt."""
        return self.bound.job if self.bound else None

    def begin_again(self, ticket: Ticket) -> None:
        """Another attempt, or the first."""
        self.ticket = ticket
        self.bound, self.finished, self.left = None, None, None
        self.stopper = Stopper()

    def settle(self) -> None:
        """Nobody waits for the node, or for its attempt, any more; idempotent."""
        self.settling()()

    def settling(self) -> Callable[[], None]:
        """What settles the attempt that is the latest now; may be called from any thread, and more than once."""
        ticket, bound = self.ticket, self.bound

        def settle() -> None:
            if ticket is not None:
                ticket.give_up()
            # Whoever binds it sets `bound` first and then asks the ticket: either sees what the other did.
            latest = bound or (self.bound if self.ticket is ticket else None)
            if latest is not None:
                latest.settle()

        return settle

    @property
    def last_metrics(self) -> Mapping[str, object]:
        """The last value per key of what the node printed, or what stands for it did."""
        if self.stand is not None:
            return self.stand.left.metrics
        return self.finished.metrics if self.finished is not None else {}


@dataclass(frozen=True, slots=True)
class Taken:
    """A running job left a file that is in the store; whoever tells waits until that is recorded."""

    node: str
    file: OutputFile
    recorded: ThreadEvent = field(default_factory=ThreadEvent)


@dataclass(frozen=True, slots=True)
class Measured:
    """A trial printed metadata whose task may draw conclusions from it."""

    node: str
    values: Mapping[str, object]


class Bug(Exception):
    """An exception on another thread that nobody foresaw."""


Message = Stimulus | Taken | Measured | Bug


class CourseListener:
    """Passes on what a worker tells of one job: what decides something to the loop, the rest to the listeners."""

    def __init__(self, node: str, arrived: "SimpleQueue[Message]", emit: Listener, *, measures: bool) -> None:
        """`measures`: the loop wants to know of every metadata event, too."""
        self._node = node
        self._arrived = arrived
        self._emit = emit
        self._measures = measures

    def started(self) -> None:
        self._arrived.put(JobStarted(self._node))

    def paused(self) -> None:
        self._arrived.put(JobPaused(self._node))

    def log(self, chunk: LogChunk) -> None:
        self._emit(LogArrived(self._node, chunk.stream, chunk.data))

    def metric(self, event: MetricEvent) -> None:
        self._emit(MetricsArrived(self._node, event.values))
        if self._measures:
            self._arrived.put(Measured(self._node, event.values))

    def limit(self, reason: Reason) -> None:
        self._arrived.put(LimitReached(self._node, reason))

    def taken(self, file: OutputFile) -> None:
        taken = Taken(self._node, file)
        self._arrived.put(taken)
        taken.recorded.wait(_RECORDED_WITHIN)
