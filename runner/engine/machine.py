"""The states of all nodes of a run: stimulus in, actions out. Pure: no clock, no disk, no thread.

Every move of a node passes through `Machine._move`, which checks the transition table. Work per stimulus is
proportional to the edges it touches, so that a graph of n nodes and e edges is scheduled in O(n + e).

A trial of a task node is a node of its own, which nothing waits for but its task. A node has one job at a time; each
attempt at it is another.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.engine.action import (
    Action,
    Add,
    Adopt,
    Ask,
    AskApproval,
    Bind,
    Check,
    Conclude,
    Decide,
    EndRun,
    Move,
    Park,
    Purpose,
    SetTimer,
    Start,
    Stop,
    Tell,
    Timer,
)
from runner.engine.group import Group
from runner.engine.node import End, Node, Restored, verdict
from runner.engine.slots import Capacity, Claim, Slots
from runner.engine.stimulus import (
    Approved,
    Begun,
    Checked,
    Hopeless,
    JobEnded,
    JobPaused,
    JobStarted,
    LimitReached,
    NodeBound,
    NodeGathered,
    NodeReused,
    NodeUnbindable,
    Proposed,
    Rejected,
    Stimulus,
    StopAsked,
    TaskBound,
    TaskSatisfied,
    TimerFired,
)
from runner.plan.model import Plan, PlannedNode, Point
from runner.spec.model import OnError
from runner.state import DONE, FINAL, TRANSITIONS, BadTransition, Reason, State

LONGEST_DELAY = 60.0
"""Seconds to which the wait before a node is tried again grows at most."""

_ONE_PLACE = Claim()
_WORKING = frozenset({State.STARTING, State.RUNNING})
_ACTIVE = frozenset({State.READY, State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING})
"""States that end without anybody's doing."""


@dataclass(slots=True)
class Machine:
    """All nodes of one run.

    `capacity` is what its jobs share out, `claims` what each of them takes, one place where nothing is said; trials
    claim what their task node does. A failed node waits `delay` seconds before it is tried again, twice as long each
    further time. Where it `parks` there is nobody to wait for once only approvals are missing. `restored` are the nodes
    of a run that goes on.
    """

    plan: Plan
    capacity: Capacity
    claims: Mapping[str, Claim] = field(default_factory=dict)
    delay: float = 1.0
    parks: bool = False
    restored: Mapping[str, Restored] = field(default_factory=dict)
    _nodes: dict[str, Node] = field(init=False, default_factory=dict)
    _downstream: Mapping[str, tuple[str, ...]] = field(init=False)
    _slots: Slots = field(init=False)
    _gangs: dict[str, set[str]] = field(init=False, default_factory=dict)
    """The bound members of task nodes whose trials start together."""
    _ended: deque[tuple[str, Reason | None]] = field(init=False, default_factory=deque)
    """Trials whose task has not heard yet that they ended."""
    _stopping: dict[str, None] = field(init=False, default_factory=dict)
    """Task nodes that were just asked to stop, and may have no trial under way."""
    _turns: int = field(init=False, default=0)
    _unfinished: int = field(init=False, default=0)
    _active: int = field(init=False, default=0)
    _retrying: set[str] = field(init=False, default_factory=set)
    _awaiting: set[str] = field(init=False, default_factory=set)
    _halted: EndRun | None = field(init=False, default=None)
    """How the run ends, whatever its nodes do."""
    _over: bool = field(init=False, default=False)
    """Nothing is begun any more."""
    _told: bool = field(init=False, default=False)
    """That every node is final."""
    _actions: list[Action] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        nodes = self.plan.nodes
        self._slots = Slots(self.capacity)
        for name, node in nodes.items():
            self._nodes[name] = self._new(node)
        self._downstream = self.plan.downstream()
        self._unfinished = len(nodes)

    def state(self, node: str) -> State:
        """Where `node` is."""
        return self._nodes[node].state

    def fails(self, node: str) -> bool:
        """Whether the failure of `node`, or of the task whose trial it is, is one of the run."""
        of = self._nodes[self._nodes[node].trial_of or node]
        return of.state is State.FAILED and not of.tolerated

    def handle(self, stimulus: Stimulus) -> list[Action]:
        """What to do about `stimulus`, in order. Raises BadTransition for one that cannot happen."""
        match stimulus:
            case Begun():
                self._begin()
            case Checked():
                self._checked(stimulus)
            case Approved(name, by) | Rejected(name, by):
                self._decided(name, isinstance(stimulus, Approved), by)
            case NodeBound(name, time_limit):
                self._bound(name, time_limit)
            case TaskBound(name, size):
                self._task_bound(name, size)
            case Proposed():
                self._proposed(stimulus)
            case NodeReused(name, detail):
                if self.state(name) is State.READY:
                    self._complete(name, End(State.REUSED, None, detail))
            case NodeGathered(name, detail):
                if self.state(name) is State.READY:
                    self._complete(name, End(State.SUCCEEDED, None, detail))
            case NodeUnbindable(name, reason, detail):
                if self.state(name) is State.READY:
                    self._close(name)
                    self._fail(name, End(State.FAILED, reason, detail))
            case JobStarted(name):
                self._started(name)
            case JobPaused(name):
                # One that is being stopped ends as that.
                self._nodes[name].paused = self.state(name) is State.RUNNING
            case JobEnded():
                self._job_ended(stimulus)
            case TimerFired(timer):
                self._timer_fired(timer)
            case LimitReached(name, reason):
                self._limit(name, reason)
            case Hopeless(name):
                self._limit(name, Reason.PRUNED)
            case TaskSatisfied(trial, detail):
                self._satisfied(trial, detail)
            case StopAsked(kill):
                self._stop_run(kill)
        self._settle()
        actions, self._actions = self._actions, []
        return actions

    # Beginning -----------------------------------------------------------------------------------------------------

    def _new(self, node: PlannedNode, trial_of: str | None = None) -> Node:
        is_trial = trial_of is not None
        group = Group.of(node, self.capacity.places) if node.kind == "task" and not is_trial else None
        return Node(
            story=[State.WAITING],
            waits_for=0 if is_trial else len(node.upstream),
            on_error=node.on_error,
            retries=0 if group else node.retries,
            trial_of=trial_of,
            group=group,
            watched=frozenset() if is_trial else frozenset(when for action in node.actions for when in action.when),
        )

    def _begin(self) -> None:
        for name, restored in self.restored.items():
            self._restore(name, restored)
        for name in self.plan.nodes:
            self._wake(name)

    def _restore(self, name: str, restored: Restored) -> None:
        if (task := restored.trial_of) is not None:
            group = self._nodes[task].group
            if group is None:
                raise BadTransition(task, tuple(self._nodes[task].story), State.RUNNING)
            self._nodes[name] = self._new(self.plan.nodes[task], trial_of=task)
            self._unfinished += 1
            group.add(name, restored.state, restored.reason)
        node = self._nodes[name]
        if restored.state in FINAL:
            node.tolerated = restored.tolerated
            self._enter(name, restored.state)
            if node.trial_of is None and (restored.state in DONE or restored.tolerated):
                # Nobody below is woken before all are restored.
                for below in self._downstream[name]:
                    self._nodes[below].waits_for -= 1
        elif restored.state is State.AWAITING_APPROVAL and restored.point is not None:
            node.point = restored.point
            node.held = End(restored.becomes, restored.reason, restored.detail) if restored.becomes else None
            self._enter(name, State.AWAITING_APPROVAL)
            self._actions.append(AskApproval(name, restored.point))
        elif restored.state is State.RUNNING and node.group is None:
            self._slots.occupy(name, self._claim(name))
            self._enter(name, State.RUNNING)
            self._actions.append(Adopt(name))

    def _wake(self, name: str) -> None:
        node = self._nodes[name]
        if node.state is State.WAITING and node.waits_for == 0 and not self._over:
            self._reach(name, Point.STARTING)

    # Points of a node's life, its actions and approvals ------------------------------------------------------------

    def _reach(self, name: str, point: Point) -> None:
        node = self._nodes[name]
        node.point = point
        if point in node.watched:
            self._actions.append(Check(name, point))
        else:
            self._pass(name)

    def _checked(self, checked: Checked) -> None:
        node, name = self._nodes[checked.node], checked.node
        if node.state in FINAL or node.point is not checked.point:
            return
        if "error-pipeline" in checked.then or "stop-pipeline" in checked.then:
            failed = "error-pipeline" in checked.then
            detail = f"`{name}`: {checked.detail}" if checked.detail else f"an action of `{name}`"
            if node.held is not None:
                self._become(name, node.held)
            self._halt(EndRun(State.FAILED if failed else State.STOPPED, Reason.ACTION, detail))
        elif "require-approval" in checked.then:
            reason = node.held.reason if node.held else None
            said = (node.held.detail if node.held else None) or checked.detail
            self._move(name, State.AWAITING_APPROVAL, reason, said, checked.point)
            self._actions.append(AskApproval(name, checked.point))
        else:
            self._pass(name)

    def _pass(self, name: str) -> None:
        """The node goes on from its point."""
        node = self._nodes[name]
        point, node.point = node.point, None
        if point is Point.STARTING:
            self._ready(name)
        elif node.held is not None and point is Point.COMPLETE:
            self._become(name, node.held)
            self._release(name)
        elif node.held is not None:
            self._give_up(name, node.held)

    def _decided(self, name: str, approved: bool, by: str) -> None:
        node = self._nodes.get(name)
        if node is None or node.state is not State.AWAITING_APPROVAL or node.point is None:
            return
        point = node.point
        self._actions.append(Decide(name, point, approved, by))
        if approved and point is Point.ERROR and node.held is not None:
            node.point, node.tolerated = None, True
            self._become(name, node.held)
            self._release(name)
        elif approved or point is Point.ERROR:
            self._pass(name)
        else:
            self._move(name, State.STOPPED, Reason.REJECTED, f"by {by}")
            self._halt(EndRun(State.STOPPED, Reason.REJECTED, f"`{name}` was rejected by {by}"))

    # One node ------------------------------------------------------------------------------------------------------

    def _ready(self, name: str) -> None:
        self._turns += 1
        self._nodes[name].turn = self._turns
        self._move(name, State.READY)
        self._actions.append(Bind(name))

    def _bound(self, name: str, time_limit: float | None) -> None:
        node = self._nodes[name]
        if node.state is not State.READY:
            return
        node.time_limit = time_limit
        self._move(name, State.QUEUED)
        group = self._nodes[node.trial_of].group if node.trial_of else None
        if node.trial_of is None or group is None or group.together is None:
            self._slots.add(name, self._claim(name), node.turn)
            return
        self._gangs.setdefault(node.trial_of, set()).add(name)
        self._gather(node.trial_of)

    def _gather(self, task: str) -> None:
        """The members of a task that run together wait for their places once every one of them is bound."""
        group, bound = self._nodes[task].group, self._gangs.get(task)
        if group is None or not bound:
            return
        members = [trial for trial, state in group.trials.items() if state not in FINAL]
        if bound.issuperset(members):
            self._gangs[task] = set()
            turn = min((self._nodes[member].turn for member in members), default=0)
            self._slots.add_together({member: self._claim(member) for member in members}, turn)

    def _claim(self, name: str) -> Claim:
        return self.claims.get(self._nodes[name].trial_of or name, _ONE_PLACE)

    def _started(self, name: str) -> None:
        node = self._nodes[name]
        if node.state is State.STARTING:
            self._move(name, State.RUNNING)
            if node.time_limit is not None:
                self._actions.append(SetTimer(Timer(name, node.attempt, Purpose.LIMIT), node.time_limit))

    def _timer_fired(self, timer: Timer) -> None:
        node = self._nodes[timer.node]
        if timer.attempt != node.attempt:
            return
        if timer.purpose is Purpose.LIMIT:
            self._limit(timer.node, Reason.TIMEOUT)
        elif timer.node in self._retrying and node.state is State.WAITING:
            self._retrying.discard(timer.node)
            self._ready(timer.node)

    def _limit(self, name: str, reason: Reason) -> None:
        if self.state(name) is State.RUNNING and not self._nodes[name].paused:
            self._stop(name, reason)

    def _job_ended(self, ended: JobEnded) -> None:
        name = ended.node
        node = self._nodes[name]
        self._slots.free(name)
        end = verdict(node.ending, ended)
        if ended.succeeded and node.state is State.STARTING:
            self._move(name, State.RUNNING)
        self._actions.append(Conclude(name, end.state, end.reason, end.detail))
        if end.state is State.SUCCEEDED:
            self._complete(name, end)
        elif end.state is State.FAILED:
            self._fail(name, end, tried=True)
        else:
            self._become(name, end)

    def _complete(self, name: str, end: End) -> None:
        self._nodes[name].held = end
        self._reach(name, Point.COMPLETE)

    def _fail(self, name: str, end: End, *, tried: bool = False) -> None:
        node = self._nodes[name]
        node.held = end
        if tried and node.retries > 0 and not self._over and not self._is_closed(node):
            self._retry(name, end)
        else:
            self._reach(name, Point.ERROR)

    def _is_closed(self, node: Node) -> bool:
        """Whether it is a trial of a task that begins none any more, or whose trials only run together."""
        group = self._nodes[node.trial_of].group if node.trial_of else None
        return group is not None and (group.closed or group.together is not None)

    def _retry(self, name: str, end: End) -> None:
        node = self._nodes[name]
        node.retries -= 1
        seconds = min(self.delay * 2 ** (node.attempt - 1), max(self.delay, LONGEST_DELAY))
        node.attempt += 1
        node.ending, node.paused = None, False
        said = f"{end.detail or end.reason}; attempt {node.attempt} of {node.attempt + node.retries} in {seconds:g} s"
        self._retrying.add(name)
        self._move(name, State.WAITING, Reason.RETRY, said)
        self._actions.append(SetTimer(Timer(name, node.attempt, Purpose.RETRY), seconds))

    def _give_up(self, name: str, end: End) -> None:
        """The node has failed for good: what that does to others is for its `on-error` to say."""
        node = self._nodes[name]
        node.tolerated = node.trial_of is None and node.on_error is OnError.CONTINUE
        self._become(name, end)
        if node.trial_of is not None:
            return
        match node.on_error:
            case OnError.CONTINUE:
                self._release(name)
            case OnError.STOP_NEXT:
                self._skip_downstream(name)
            case _:
                self._stop_all(Reason.UPSTREAM)

    def _release(self, name: str) -> None:
        if self._nodes[name].trial_of is not None:
            return
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

    # Task nodes ----------------------------------------------------------------------------------------------------

    def _task_bound(self, name: str, size: int | None) -> None:
        node = self._nodes[name]
        if node.state is not State.READY or node.group is None:
            return
        self._move(name, State.RUNNING)
        node.group.bound, node.group.size = True, size
        for trial, state in list(node.group.trials.items()):
            if state not in FINAL and self.state(trial) is State.WAITING:
                self._ready(trial)
        self._ask(name)

    def _ask(self, name: str) -> None:
        group = self._nodes[name].group
        if group is not None and not self._over and self.state(name) is State.RUNNING and group.room > 0:
            self._actions.append(Ask(name, group.room))

    def _proposed(self, proposed: Proposed) -> None:
        name, group = proposed.node, self._nodes[proposed.node].group
        if group is None or self.state(name) is not State.RUNNING:
            return
        group.exhausted = proposed.exhausted or (not proposed.trials and group.alive == 0)
        if proposed.trials:
            self._actions.append(Add(name, proposed.trials))
        for trial in proposed.trials:
            self._nodes[trial] = self._new(self.plan.nodes[name], trial_of=name)
            self._unfinished += 1
            group.add(trial)
        for trial in proposed.trials:
            self._ready(trial)
        self._end_task(name)

    def _satisfied(self, trial: str, detail: str) -> None:
        name = self._nodes[trial].trial_of or ""
        group = self._nodes[name].group
        if group is not None and self.state(name) is State.RUNNING and not group.closed:
            group.satisfied = detail
            # What it has by now is what was sought: it ends as one that succeeded.
            self._limit(trial, Reason.STOP_CONDITION)
            self._close(name)

    def _close(self, name: str) -> None:
        """No further trial of the task begins, and those under way are stopped."""
        group = self._nodes[name].group
        if group is None or group.closed:
            return
        group.closed = True
        for trial in list(group.trials):
            self._end_early(trial, Reason.STOP_CONDITION if group.satisfied else Reason.TRIAL)

    def _trial_ended(self, trial: str, reason: Reason | None) -> None:
        name = self._nodes[trial].trial_of or ""
        group, state = self._nodes[name].group, self.state(trial)
        if group is None:
            return
        group.end(trial, state, reason)
        self._actions.append(Tell(name, trial, state))
        if group.is_hurt or (group.together is not None and state not in DONE):
            self._close(name)
        else:
            self._gather(name)
        self._ask(name)
        self._end_task(name)

    def _end_task(self, name: str) -> None:
        node = self._nodes[name]
        group = node.group
        if group is None or not group.is_over or node.state not in {State.RUNNING, State.STOPPING}:
            return
        if node.point is not None:
            return
        detail = group.sentence()
        if node.ending is Reason.STOP:
            self._become(name, End(State.STOPPED, Reason.STOP, detail))
        elif group.has_failed:
            self._fail(name, End(State.FAILED, Reason.TRIAL, detail))
        else:
            reason = Reason.STOP_CONDITION if group.satisfied else None
            self._complete(name, End(State.SUCCEEDED, reason, detail))

    # The whole run -------------------------------------------------------------------------------------------------

    def _stop_run(self, kill: bool) -> None:
        if self._halted is None:
            self._halted = EndRun(State.STOPPED, Reason.STOP)
        self._stop_all(Reason.STOP, kill)

    def _halt(self, end: EndRun) -> None:
        if self._halted is None:
            self._halted = end
        self._stop_all(end.reason or Reason.STOP)

    def _stop_all(self, reason: Reason, kill: bool = False) -> None:
        """Begin nothing more, and stop what runs; those that never started are skipped for that reason."""
        self._over = True
        for name, node in list(self._nodes.items()):
            if node.state is State.STOPPING and kill and node.group is None:
                self._actions.append(Stop(name, kill))
            else:
                self._end_early(name, reason, kill)

    def _end_early(self, name: str, reason: Reason, kill: bool = False) -> None:
        """The run, or the task, goes on without this node."""
        node = self._nodes[name]
        if name in self._retrying and node.held is not None:
            self._retrying.discard(name)
            self._become(name, node.held)
        elif node.state is State.AWAITING_APPROVAL and node.held is not None:
            self._become(name, node.held)
        elif node.state in {State.WAITING, State.READY, State.QUEUED, State.AWAITING_APPROVAL}:
            self._slots.remove([name])
            self._move(name, State.SKIPPED, reason)
        elif node.state in _WORKING and node.group is not None:
            # It ends with its trials, each of which is ended by itself.
            node.ending = Reason.STOP
            node.group.closed = True
            self._stopping[name] = None
            self._move(name, State.STOPPING, Reason.STOP)
        elif node.state in _WORKING:
            self._stop(name, Reason.STOP, kill, why=reason)

    def _stop(self, name: str, reason: Reason, kill: bool = False, why: Reason | None = None) -> None:
        """Ask the job to end for a reason; `why` is the one to tell, if it is another."""
        if self._nodes[name].paused:
            self._actions.append(Stop(name, kill, reason))
            return
        self._nodes[name].ending = reason
        self._move(name, State.STOPPING, why or reason)
        self._actions.append(Stop(name, kill, reason))

    def _settle(self) -> None:
        """What follows from all that was decided: tasks hear of their trials, places are given away, the run ends."""
        while self._ended:
            self._trial_ended(*self._ended.popleft())
        while self._stopping:
            name = next(iter(self._stopping))
            del self._stopping[name]
            self._end_task(name)
        if not self._over:
            for name in self._slots.take():
                self._move(name, State.STARTING)
                self._actions.append(Start(name))
        if self._unfinished == 0 and not self._told:
            self._told = True
            self._actions.append(self._end())
        elif self.parks and self._awaiting and not self._active and not self._retrying:
            self._actions.append(Park())

    def _become(self, name: str, end: End) -> None:
        self._move(name, end.state, end.reason, end.detail)

    def _move(
        self,
        name: str,
        state: State,
        reason: Reason | None = None,
        detail: str | None = None,
        point: Point | None = None,
    ) -> None:
        """The only door between two states."""
        node = self._nodes[name]
        if state not in TRANSITIONS[node.state]:
            raise BadTransition(name, tuple(node.story), state)
        self._actions.append(Move(name, state, reason, detail, point))
        self._enter(name, state)
        if state in FINAL and node.trial_of is not None:
            self._ended.append((name, reason))

    def _enter(self, name: str, state: State) -> None:
        """The node is in a state from now on."""
        node = self._nodes[name]
        self._active += (state in _ACTIVE) - (node.state in _ACTIVE)
        self._unfinished -= state in FINAL
        self._awaiting.discard(name)
        if state is State.AWAITING_APPROVAL:
            self._awaiting.add(name)
        node.story.append(state)

    def _end(self) -> EndRun:
        if self._halted is not None and self._halted.reason is not Reason.STOP:
            return self._halted
        if any(map(self.fails, self.plan.nodes)):
            return EndRun(State.FAILED, None)
        if self._halted is not None:
            return self._halted
        if any(self.state(name) is State.STOPPED for name in self.plan.nodes):
            return EndRun(State.STOPPED, Reason.STOP)
        return EndRun(State.SUCCEEDED, None)
