"""What is to be done about what happened: the actions of `runner.engine.machine`. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from runner.plan.model import Point
from runner.state import Reason, State


class Purpose(StrEnum):
    """What a timer is for."""

    LIMIT = "limit"
    """The job has run for as long as it may."""
    RETRY = "retry"
    """The node is to be tried again."""


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer of one attempt of a node; attempts are counted from 1."""

    node: str
    attempt: int
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Move:
    """Record and show that a node changed. One that awaits approval does so at `point`."""

    node: str
    state: State
    reason: Reason | None = None
    detail: str | None = None
    point: Point | None = None


@dataclass(frozen=True, slots=True)
class Conclude:
    """Record how the node's execution ended, which need not be how its node does; comes before the node's move."""

    node: str
    state: State
    reason: Reason | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Find out what the node's actions want at `point`; then send `Checked`, before any other stimulus."""

    node: str
    point: Point


@dataclass(frozen=True, slots=True)
class AskApproval:
    """Ask whether the node may go on; then send `Approved` or `Rejected`, some time."""

    node: str
    point: Point


@dataclass(frozen=True, slots=True)
class Decide:
    """Record who let a node go on, or did not."""

    node: str
    point: Point
    approved: bool
    by: str


@dataclass(frozen=True, slots=True)
class Bind:
    """Find out the node's values and inputs, and whether an earlier execution may stand for it; then send `NodeBound`,
    `TaskBound`, `NodeReused`, `NodeGathered` or `NodeUnbindable`."""

    node: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Choose up to `count` further trials of a task node; then send `Proposed`, before any other stimulus."""

    node: str
    count: int


@dataclass(frozen=True, slots=True)
class Add:
    """Record and show that a task node has these trials from now on."""

    node: str
    trials: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell whoever chooses the trials of task `node` that this one came to its end."""

    node: str
    trial: str
    state: State


@dataclass(frozen=True, slots=True)
class Start:
    """Start the node's job, then send `JobStarted` (unless it never starts) and `JobEnded`."""

    node: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """The node's job runs since before: follow it, then send `JobEnded`."""

    node: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask the node's job to end, at once if `kill`."""

    node: str
    kill: bool = False
    reason: Reason = Reason.STOP


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send `TimerFired` in so many seconds."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class Park:
    """Nothing can happen before somebody approves or rejects: record that, and let the run lie."""


@dataclass(frozen=True, slots=True)
class EndRun:
    """Every node is final; nothing follows."""

    state: State
    reason: Reason | None
    detail: str | None = None


Action = (
    Move
    | Conclude
    | Check
    | AskApproval
    | Decide
    | Bind
    | Ask
    | Add
    | Tell
    | Start
    | Adopt
    | Stop
    | SetTimer
    | Park
    | EndRun
)
