"""What the engine tells whoever listens: the terminal, a JSON stream. Events are past; a listener never answers.

State changes are told only after they are durable. `LogArrived` comes from worker threads, the rest from the thread
of the loop; a listener that draws must lock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runner.goal import Goal
from runner.job import Stream
from runner.state import Reason, State


@dataclass(frozen=True, slots=True)
class NodeShown:
    """A node of the plan as listeners need it: its step, its image and the names of the nodes it waits for; a trial
    also has the task node that it belongs to and the values that were chosen for it. `kind` is `execution`, `task` or
    `deployment`; `goal` is what the trials of a task are compared by, None where nobody said."""

    name: str
    step: str
    image: str
    upstream: tuple[str, ...]
    kind: str = "execution"
    trial_of: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    goal: Goal | None = None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run is recorded and begins, or goes on. `kind` is `exec`, `pipeline` or `task`."""

    id: str
    counter: int
    kind: str
    name: str
    executor: str
    nodes: tuple[NodeShown, ...]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Before the first node runs: how many nodes there are and for how many of them an earlier execution stands;
    `seconds` is what the rest is likely to take, None where a step was never timed. The same of the trials of task
    nodes, as far as is known how many there will be; `at_least` where more of them may be reused. In a run that goes on
    those are `kept` which ran in it before."""

    nodes: int
    reused: int
    seconds: float | None
    trials: int = 0
    trials_reused: int = 0
    at_least: bool = False
    kept: int = 0
    trials_kept: int = 0


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """A node moved to `state`. `execution` is the counter of its execution, once there is one; of a reused node that of
    the execution that stands for it, which ended `age` seconds ago."""

    node: str
    state: State
    reason: Reason | None = None
    detail: str | None = None
    execution: int | None = None
    exit_code: int | None = None
    duration: float | None = None
    work: str | None = None
    age: float | None = None


@dataclass(frozen=True, slots=True)
class TrialsAdded:
    """A task node has these trials from now on; `size` is how many it will have in all, None while nobody knows."""

    node: str
    trials: tuple[NodeShown, ...]
    size: int | None


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """A node waits until a person says whether it goes on; `point` is that of its life (`runner.plan.model.Point`)."""

    node: str
    point: str


@dataclass(frozen=True, slots=True)
class ApprovalDecided:
    """A node goes on, or not, because `by` said so."""

    node: str
    point: str
    approved: bool
    by: str


@dataclass(frozen=True, slots=True)
class LogArrived:
    """A node's program printed some bytes."""

    node: str
    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class MetricsArrived:
    """A node's program printed a metadata event."""

    node: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ImagePulled:
    """An image is being fetched. Bytes; `total` is 0 while unknown."""

    image: str
    text: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class InputFetched:
    """A file of an input is being downloaded. Bytes; `total` is 0 while unknown, equal to `done` at the end.

    Told a few times a second at most, and only of a download that takes longer than a second.
    """

    node: str
    address: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Noticed:
    """One line that the user should see; `node` is None when it is about the whole run."""

    text: str
    node: str | None = None


@dataclass(frozen=True, slots=True)
class RunParked:
    """Nobody drives the run until these nodes are approved or rejected."""

    id: str
    counter: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run reached its final state, after seconds that nobody knows if it lost its runner (`duration` is None)."""

    id: str
    counter: int
    state: State
    reason: Reason | None
    duration: float | None


Event = (
    RunStarted
    | Foreseen
    | NodeChanged
    | TrialsAdded
    | ApprovalAsked
    | ApprovalDecided
    | LogArrived
    | MetricsArrived
    | ImagePulled
    | InputFetched
    | Noticed
    | RunParked
    | RunEnded
)
Listener = Callable[[Event], None]
