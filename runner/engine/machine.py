"""The states of all nodes of a run: stimulus in, actions out. Pure: no clock, no disk, no thread.

Every move of a node passes through `Machine._move`, which checks the transition table. Work per stimulus is
proportional to the edges it touches, so that a graph of n nodes and e edges is scheduled in O(n + e).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.plan import graph
from runner.plan.model import Plan
from runner.spec.model import OnError
from runner.state import FINAL, TRANSITIONS, BadTransition, Reason, State

# Stimuli ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begun:
    """The run may start."""


@dataclass(frozen=True, slots=True)
class NodeBound:
    """The node's values and inputs are known; it can run. `time_limit` is in seconds."""

    node: str
    time_limit: float | None = None


@dataclass(frozen=True, slots=True)
class NodeReused:
    """An earlier execution stands for the node; `detail` says which."""

    node: str
    detail: str


@dataclass(frozen=True, slots=True)
class NodeUnbindable:
    """The node's inputs or values are not to be had."""

    node: str
    reason: Reason
    detail: str


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

    node: str


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The worker saw that the node's job must end: it was silent for too long, or its stop-condition holds."""

    node: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants the run to end; `kill` without grace."""

    kill: bool = False


Stimulus = (
    Begun
    | NodeBound
    | NodeReused
    | NodeUnbindable
    | JobStarted
    | JobPaused
    | JobEnded
    | TimerFired
    | LimitReached
    | StopAsked
)

# Actions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    """Record and show that a node changed."""

    node: str
    state: State
    reason: Reason | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Bind:
    """Find out the node's values and inputs, and whether an earlier execution may stand for it; then send `NodeBound`,
    `NodeReused` or `NodeUnbindable`."""

    node: str


@dataclass(frozen=True, slots=True)
class Start:
    """Start the node's job, then send `JobStarted` (unless it never starts) and `JobEnded`."""

    node: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask the node's job to end, at once if `kill`."""

    node: str
    kill: bool = False
    reason: Reason = Reason.STOP


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send `TimerFired` in so many seconds, unless the job ended before."""

    node: str
    seconds: float


@dataclass(frozen=True, slots=True)
class EndRun:
    """Every node is final; nothing follows."""

    state: State
    reason: Reason | None


Action = Move | Bind | Start | Stop | SetTimer | EndRun

_FAILING = frozenset({Reason.TIMEOUT, Reason.NO_OUTPUT})
"""Limits that fail the node which they end."""

_UNSURE = frozenset({Reason.STOP, Reason.KILLED})
"""Ends that only tell that somebody ended the job."""


@dataclass(slots=True)
class _Node:
    story: list[State]
    waits_for: int
    on_error: OnError
    time_limit: float | None = None
    ending: Reason | None = None
    """Why it was asked to stop: decides what its end means."""
    paused: bool = False
    """Its program has failed, and somebody looks at what it left."""
    tolerated: bool = False
    """It failed, and its pipeline goes on as if it had not."""

    @property
    def state(self) -> State:
        return self.story[-1]


@dataclass(slots=True)
class Machine:
    """All nodes of one run. `slots` is how many may be between starting and their end at the same time."""

    plan: Plan
    slots: int
    _nodes: dict[str, _Node] = field(init=False)
    _downstream: Mapping[str, tuple[str, ...]] = field(init=False)
    _queue: deque[str] = field(init=False, default_factory=deque)
    _busy: int = field(init=False, default=0)
    _unfinished: int = field(init=False)
    _stopped: bool = field(init=False, default=False)
    _actions: list[Action] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        nodes = self.plan.nodes
        self._nodes = {name: _Node([State.WAITING], len(node.upstream), node.on_error) for name, node in nodes.items()}
        self._downstream = graph.invert({name: node.upstream for name, node in nodes.items()})
        self._unfinished = len(nodes)

    def state(self, node: str) -> State:
        """Where `node` is."""
        return self._nodes[node].state

    def handle(self, stimulus: Stimulus) -> list[Action]:
        """What to do about `stimulus`, in order. Raises BadTransition for one that cannot happen."""
        match stimulus:
            case Begun():
                for name in self.plan.nodes:
                    self._wake(name)
            case NodeBound(name, time_limit):
                self._bound(name, time_limit)
            case NodeReused(name, detail):
                if self.state(name) is State.READY:
                    self._move(name, State.REUSED, None, detail)
                    self._release(name)
            case NodeUnbindable(name, reason, detail):
                if self.state(name) is State.READY:
                    self._fail(name, reason, detail)
            case JobStarted(name):
                self._started(name)
            case JobPaused(name):
                # One that is being stopped ends as that.
                self._nodes[name].paused = self.state(name) is State.RUNNING
            case JobEnded():
                self._ended(stimulus)
            case TimerFired(name):
                self._limit(name, Reason.TIMEOUT)
            case LimitReached(name, reason):
                self._limit(name, reason)
            case StopAsked(kill):
                self._stop_run(kill)
        self._fill_slots()
        actions, self._actions = self._actions, []
        return actions

    def _wake(self, name: str) -> None:
        node = self._nodes[name]
        if node.state is State.WAITING and node.waits_for == 0:
            self._move(name, State.READY)
            self._actions.append(Bind(name))

    def _bound(self, name: str, time_limit: float | None) -> None:
        if self.state(name) is not State.READY:
            return
        self._nodes[name].time_limit = time_limit
        self._move(name, State.QUEUED)
        self._queue.append(name)

    def _fill_slots(self) -> None:
        while self._queue and self._busy < self.slots:
            name = self._queue.popleft()
            if self.state(name) is State.QUEUED:
                self._busy += 1
                self._move(name, State.STARTING)
                self._actions.append(Start(name))

    def _started(self, name: str) -> None:
        node = self._nodes[name]
        if node.state is State.STARTING:
            self._move(name, State.RUNNING)
            if node.time_limit is not None:
                self._actions.append(SetTimer(name, node.time_limit))

    def _limit(self, name: str, reason: Reason) -> None:
        if self.state(name) is State.RUNNING and not self._nodes[name].paused:
            self._stop(name, reason)

    def _ended(self, end: JobEnded) -> None:
        node = self._nodes[end.node]
        self._busy -= 1
        if end.succeeded:
            if node.state is State.STARTING:
                self._move(end.node, State.RUNNING)
            self._move(end.node, State.SUCCEEDED, end.reason, end.detail)
            self._release(end.node)
        elif node.ending is Reason.STOP:
            self._move(end.node, State.STOPPED, Reason.STOP, end.detail)
        elif node.ending in _FAILING and end.reason in _UNSURE:
            self._fail(end.node, node.ending, end.detail)
        else:
            self._fail(end.node, end.reason, end.detail)

    def _fail(self, name: str, reason: Reason, detail: str | None) -> None:
        node = self._nodes[name]
        node.tolerated = node.on_error is OnError.CONTINUE
        self._move(name, State.FAILED, reason, detail)
        match node.on_error:
            case OnError.CONTINUE:
                self._release(name)
            case OnError.STOP_NEXT:
                self._skip_downstream(name)
            case _:
                self._skip_unstarted(Reason.UPSTREAM)
                for other, state in self._states():
                    if state in {State.STARTING, State.RUNNING}:
                        self._stop(other, Reason.STOP)

    def _release(self, name: str) -> None:
        for below in self._downstream[name]:
            self._nodes[below].waits_for -= 1
            self._wake(below)

    def _skip_downstream(self, name: str) -> None:
        stack = list(self._downstream[name])
        while stack:
            below = stack.pop()
            if self.state(below) is State.WAITING:
                self._move(below, State.SKIPPED, Reason.UPSTREAM, f"`{name}` failed")
                stack += self._downstream[below]

    def _skip_unstarted(self, reason: Reason) -> None:
        for name, state in self._states():
            if state in {State.WAITING, State.READY, State.QUEUED}:
                self._move(name, State.SKIPPED, reason)
        self._queue.clear()

    def _stop_run(self, kill: bool) -> None:
        self._stopped = True
        self._skip_unstarted(Reason.STOP)
        for name, state in self._states():
            if state in {State.STARTING, State.RUNNING}:
                self._stop(name, Reason.STOP, kill)
            elif state is State.STOPPING and kill:
                self._actions.append(Stop(name, kill))

    def _stop(self, name: str, reason: Reason, kill: bool = False) -> None:
        if self._nodes[name].paused:
            self._actions.append(Stop(name, kill, reason))
            return
        self._nodes[name].ending = reason
        self._move(name, State.STOPPING, reason)
        self._actions.append(Stop(name, kill, reason))

    def _states(self) -> list[tuple[str, State]]:
        return [(name, node.state) for name, node in self._nodes.items()]

    def _move(self, name: str, state: State, reason: Reason | None = None, detail: str | None = None) -> None:
        """The only door between two states."""
        node = self._nodes[name]
        if state not in TRANSITIONS[node.state]:
            raise BadTransition(name, tuple(node.story), state)
        node.story.append(state)
        self._actions.append(Move(name, state, reason, detail))
        if state in FINAL:
            self._unfinished -= 1
            if self._unfinished == 0:
                self._actions.append(self._end())

    def _end(self) -> EndRun:
        failed = [node for node in self._nodes.values() if node.state is State.FAILED and not node.tolerated]
        if failed:
            return EndRun(State.FAILED, None)
        if self._stopped or any(node.state is State.STOPPED for node in self._nodes.values()):
            return EndRun(State.STOPPED, Reason.STOP)
        return EndRun(State.SUCCEEDED, None)
