"""What the machine knows of one node. Pure."""

from dataclasses import dataclass

from runner.engine.group import Group
from runner.engine.stimulus import JobEnded
from runner.plan.model import Point
from runner.spec.model import OnError
from runner.state import Reason, State

_FAILING = frozenset({Reason.TIMEOUT, Reason.NO_OUTPUT})
"""Limits that fail the node which they end."""

_STOPPING = frozenset({Reason.STOP, Reason.PRUNED})
"""Reasons to stop a job that do not fail it."""

_UNSURE = frozenset({Reason.STOP, Reason.KILLED})
"""Ends that only tell that somebody ended the job."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A node of a run that goes on, as it was left: one that is final is kept, one that runs has been adopted, one that
    awaits approval does so at `point`, and `becomes` that afterwards if it is over; any other begins anew.

    `tolerated`: it failed, and those below have what it left all the same. A trial belongs to a task node.
    """

    state: State
    reason: Reason | None = None
    detail: str | None = None
    point: Point | None = None
    becomes: State | None = None
    tolerated: bool = False
    trial_of: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """What a node is about to become."""

    state: State
    reason: Reason | None = None
    detail: str | None = None


@dataclass(slots=True)
class Node:
    story: list[State]
    waits_for: int
    on_error: OnError
    retries: int
    """How many times more it may be tried."""
    trial_of: str | None = None
    group: Group | None = None
    attempt: int = 1
    turn: int = 0
    """When it was its turn, among all nodes: those that became ready before it go first."""
    watched: frozenset[str] = frozenset()
    """The points at which it has actions."""
    time_limit: float | None = None
    ending: Reason | None = None
    """Why it was asked to stop: decides what its end means."""
    paused: bool = False
    """Its program has failed, and somebody looks at what it left."""
    tolerated: bool = False
    """It failed, and its pipeline goes on as if it had not."""
    point: Point | None = None
    """Where its actions are asked for, or a person is."""
    held: End | None = None
    """What it becomes once it may."""

    @property
    def state(self) -> State:
        return self.story[-1]


def verdict(ending: Reason | None, ended: JobEnded) -> End:
    """What the end of a job means, which was asked to stop for the reason `ending`, or was not."""
    if ended.succeeded:
        return End(State.SUCCEEDED, ended.reason, ended.detail)
    if ending in _STOPPING:
        return End(State.STOPPED, ending, None if ending is Reason.PRUNED else ended.detail)
    if ending in _FAILING and ended.reason in _UNSURE:
        return End(State.FAILED, ending, ended.detail)
    return End(State.FAILED, ended.reason, ended.detail)
