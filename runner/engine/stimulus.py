"""What can happen to a run: the stimuli of `runner.engine.machine`. Pure.

A node is named as in the plan; a trial of a task node is a node, too, under the name that `Proposed` gives it.
"""

from dataclasses import dataclass

from runner.engine.action import Timer
from runner.plan.model import Point
from runner.state import Reason


@dataclass(frozen=True, slots=True)
class Begun:
    """The run may start, or go on with what was restored."""


@dataclass(frozen=True, slots=True)
class NodeBound:
    """The node's values and inputs are known; it can run. `time_limit` is in seconds."""

    node: str
    time_limit: float | None = None


@dataclass(frozen=True, slots=True)
class TaskBound:
    """The values among which the task node chooses are known; it can be asked for trials, `size` in all, None while
    nobody knows."""

    node: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class NodeReused:
    """An earlier execution stands for the node; `detail` says which."""

    node: str
    detail: str


@dataclass(frozen=True, slots=True)
class NodeGathered:
    """The files of a deployment node are in the record, which is all that it does; `detail` says so."""

    node: str
    detail: str


@dataclass(frozen=True, slots=True)
class NodeUnbindable:
    """The node's inputs or values are not to be had."""

    node: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """The trials that a task node is to run next, none of them named before; with `exhausted` there are no others.

    None, and not exhausted: the answer depends on how those that run come out.
    """

    node: str
    trials: tuple[str, ...]
    exhausted: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """What the actions of a node want at `point`: the words of `then` of those whose conditions hold; `detail` says
    which."""

    node: str
    point: Point
    then: tuple[str, ...] = ()
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Approved:
    """A person, or who acts for one, lets the node that awaits approval go on."""

    node: str
    by: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A person does not let the node that awaits approval go on."""

    node: str
    by: str


@dataclass(frozen=True, slots=True)
class JobStarted:
    """The node's program runs."""

    node: str


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The node's job is over and its outputs are stored; `succeeded` is the job's own verdict."""

    node: str
    succeeded: bool
    reason: Reason
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class JobPaused:
    """The node's program has failed by itself, and its place stays open for a person until `JobEnded` tells of that
    failure: nothing that happens meanwhile changes how it ended."""

    node: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set by `SetTimer` ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The worker saw that the node's job must end: it was silent for too long, or its stop-condition holds."""

    node: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Hopeless:
    """What a trial printed so far is worse than what others had at that point."""

    node: str


@dataclass(frozen=True, slots=True)
class TaskSatisfied:
    """What the trial `node` printed makes the stop-condition of its task hold; `detail` says so."""

    node: str
    detail: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants the run to end; `kill` without grace."""

    kill: bool = False


Stimulus = (
    Begun
    | NodeBound
    | TaskBound
    | NodeReused
    | NodeGathered
    | NodeUnbindable
    | Proposed
    | Checked
    | Approved
    | Rejected
    | JobStarted
    | JobPaused
    | JobEnded
    | TimerFired
    | LimitReached
    | Hopeless
    | TaskSatisfied
    | StopAsked
)
