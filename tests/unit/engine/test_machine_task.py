"""Task nodes, retries and runs that go on, in the machine: what one stimulus does to the others."""

from dataclasses import replace

import pytest

from runner.engine.action import Action, Ask, Bind, Check, EndRun, Move, Purpose, SetTimer, Start, Stop, Tell, Timer
from runner.engine.machine import Machine
from runner.engine.node import Restored
from runner.engine.slots import Capacity
from runner.engine.stimulus import (
    Begun,
    Checked,
    JobEnded,
    JobStarted,
    NodeBound,
    Proposed,
    Rejected,
    StopAsked,
    TaskBound,
    TaskSatisfied,
    TimerFired,
)
from runner.errors import Location
from runner.plan.model import Plan, PlannedNode, Point
from runner.spec.model import Action as Wish
from runner.spec.model import CommandItem, OnChildError, OnError, Step, Task, TaskType
from runner.state import Reason, State

HERE = Location("valohai.yaml", 1, 1)
STEP = Step("s", HERE, "busybox", (CommandItem("true", HERE),))
TASK = Task("t", HERE, "s")


def node(name: str, *above: str, task: Task | None = None, on_error: OnError = OnError.STOP_ALL) -> PlannedNode:
    plain = PlannedNode(name, STEP, {}, {}, {}, upstream=above)
    return replace(plain, kind="task" if task else "execution", task=task, on_error=on_error)


def machine_of(*nodes: PlannedNode, restored: dict[str, Restored] | None = None) -> Machine:
    return Machine(Plan("pipeline", "p", {one.name: one for one in nodes}), Capacity(8), restored=restored or {})


def started(task: Task, *trials: str) -> Machine:
    """A task `t` whose trials run and that has no others; `below` waits for it."""
    machine = machine_of(node("t", task=task), node("below", "t"))
    machine.handle(Begun())
    machine.handle(TaskBound("t"))
    machine.handle(Proposed("t", trials, exhausted=True))
    for trial in trials:
        machine.handle(NodeBound(trial))
    for trial in trials:
        machine.handle(JobStarted(trial))
    return machine


def stops(actions: list[Action]) -> list[tuple[str, Reason]]:
    return [(action.node, action.reason) for action in actions if isinstance(action, Stop)]


GANG = replace(TASK, type=TaskType.DISTRIBUTED, execution_count=3)


def test_a_member_that_is_done_first_stops_no_other() -> None:
    machine = started(GANG, "t.1", "t.2", "t.3")
    assert stops(machine.handle(JobEnded("t.2", True, Reason.EXIT))) == []
    assert (machine.state("t.1"), machine.state("t.3")) == (State.RUNNING, State.RUNNING)
    machine.handle(JobEnded("t.1", True, Reason.EXIT))
    machine.handle(JobEnded("t.3", True, Reason.EXIT))
    assert machine.state("t") is State.SUCCEEDED


@pytest.mark.parametrize("told", list(OnChildError))
def test_a_member_that_fails_stops_all_others_whatever_the_file_says(told: OnChildError) -> None:
    machine = started(replace(GANG, on_child_error=told), "t.1", "t.2", "t.3")
    actions = machine.handle(JobEnded("t.2", False, Reason.EXIT))
    assert stops(actions) == [("t.1", Reason.STOP), ("t.3", Reason.STOP)]


def test_no_member_starts_before_all_are_bound() -> None:
    machine = machine_of(node("t", task=GANG))
    machine.handle(Begun())
    machine.handle(TaskBound("t"))
    machine.handle(Proposed("t", ("t.1", "t.2", "t.3"), exhausted=True))
    assert not [one for name in ("t.1", "t.3") for one in machine.handle(NodeBound(name)) if isinstance(one, Start)]
    last = machine.handle(NodeBound("t.2"))
    assert {one.node for one in last if isinstance(one, Start)} == {"t.1", "t.2", "t.3"}


def test_the_trial_that_was_sought_is_ended_as_such_and_the_others_are_stopped() -> None:
    machine = started(TASK, "t.1", "t.2")
    actions = machine.handle(TaskSatisfied("t.2", "a good one"))
    assert sorted(stops(actions)) == [("t.1", Reason.STOP), ("t.2", Reason.STOP_CONDITION)]
    machine.handle(JobEnded("t.1", False, Reason.STOP))
    actions = machine.handle(JobEnded("t.2", True, Reason.STOP_CONDITION))
    ended = next(one for one in actions if isinstance(one, Move) and one.node == "t")
    assert (ended.state, ended.reason) == (State.SUCCEEDED, Reason.STOP_CONDITION)
    assert "a good one" in (ended.detail or "")
    assert (machine.state("t.1"), machine.state("t.2")) == (State.STOPPED, State.SUCCEEDED)


def test_a_task_is_satisfied_once() -> None:
    machine = started(TASK, "t.1", "t.2", "t.3")
    machine.handle(TaskSatisfied("t.2", "the first"))
    assert machine.handle(TaskSatisfied("t.1", "too late")) == []


def test_each_end_of_a_trial_is_told_once_to_what_chooses() -> None:
    machine = started(TASK, "t.1", "t.2")
    told = [one for one in machine.handle(JobEnded("t.1", False, Reason.EXIT)) if isinstance(one, Tell)]
    assert told == [Tell("t", "t.1", State.FAILED)]


def test_a_task_asks_for_as_many_trials_as_ended() -> None:
    machine = machine_of(node("t", task=replace(TASK, maximum_queued_executions=2)))
    machine.handle(Begun())
    assert Ask("t", 2) in machine.handle(TaskBound("t"))
    assert not [one for one in machine.handle(Proposed("t", ("t.1", "t.2"), exhausted=False)) if isinstance(one, Ask)]
    machine.handle(NodeBound("t.1"))
    machine.handle(JobStarted("t.1"))
    assert Ask("t", 1) in machine.handle(JobEnded("t.1", True, Reason.EXIT))


def test_a_task_without_trials_under_way_is_stopped_at_once() -> None:
    machine = machine_of(node("t", task=TASK))
    machine.handle(Begun())
    machine.handle(TaskBound("t"))
    actions = machine.handle(StopAsked())
    assert machine.state("t") is State.STOPPED
    assert actions[-1] == EndRun(State.STOPPED, Reason.STOP)


@pytest.mark.parametrize(
    ("size", "said"),
    [(50, "2 of 50 trials, 1 stopped"), (3, "2 of 3 trials, 1 stopped"), (None, "3 trials, 1 stopped, 1 not begun")],
)
def test_a_task_that_is_stopped_tells_how_many_of_its_trials_it_began(size: int | None, said: str) -> None:
    machine = machine_of(node("t", task=TASK))
    machine.handle(Begun())
    machine.handle(TaskBound("t", size))
    machine.handle(Proposed("t", ("t.1", "t.2", "t.3"), exhausted=False))
    for trial in ("t.1", "t.2"):
        machine.handle(NodeBound(trial))
        machine.handle(JobStarted(trial))
    machine.handle(JobEnded("t.1", True, Reason.EXIT))
    machine.handle(StopAsked())
    actions = machine.handle(JobEnded("t.2", False, Reason.KILLED))
    assert [one.detail for one in actions if isinstance(one, Move) and one.node == "t"] == [said]


# --- going on


def test_what_is_below_a_failure_that_was_passed_over_runs_when_the_run_goes_on() -> None:
    failed = Restored(State.FAILED, Reason.EXIT, tolerated=True)
    machine = machine_of(node("a", on_error=OnError.CONTINUE), node("b", "a"), restored={"a": failed})
    assert Bind("b") in machine.handle(Begun())


def test_what_is_below_two_that_are_kept_is_begun_once() -> None:
    done = Restored(State.SUCCEEDED)
    machine = machine_of(node("a"), node("b"), node("c", "a", "b"), restored={"a": done, "b": done})
    assert [one for one in machine.handle(Begun()) if isinstance(one, Bind)] == [Bind("c")]


def test_what_is_below_one_that_is_kept_and_one_that_is_not_waits() -> None:
    machine = machine_of(node("a"), node("b"), node("c", "a", "b"), restored={"a": Restored(State.SUCCEEDED)})
    assert [one for one in machine.handle(Begun()) if isinstance(one, Bind)] == [Bind("b")]


def test_trials_that_are_kept_do_not_run_again_and_those_under_way_do() -> None:
    restored = {
        "t": Restored(State.WAITING),
        "t.1": Restored(State.SUCCEEDED, trial_of="t"),
        "t.2": Restored(State.WAITING, trial_of="t"),
    }
    machine = machine_of(node("t", task=TASK), restored=restored)
    assert [one for one in machine.handle(Begun()) if isinstance(one, Bind)] == [Bind("t")]
    assert [one for one in machine.handle(TaskBound("t")) if isinstance(one, Bind)] == [Bind("t.2")]


# --- tried again


def retrying() -> Machine:
    """`a` has failed and waits for its second attempt, `b` runs."""
    machine = machine_of(replace(node("a"), retries=1), node("b"))
    machine.handle(Begun())
    for name in ("a", "b"):
        machine.handle(NodeBound(name))
        machine.handle(JobStarted(name))
    actions = machine.handle(JobEnded("a", False, Reason.EXIT))
    assert [one for one in actions if isinstance(one, SetTimer)] == [SetTimer(Timer("a", 2, Purpose.RETRY), 1.0)]
    return machine


def test_a_run_that_is_stopped_while_a_node_waits_for_its_next_attempt_tells_how_the_last_one_ended() -> None:
    machine = retrying()
    actions = machine.handle(StopAsked())
    assert Move("a", State.FAILED, Reason.EXIT) in actions
    assert machine.handle(TimerFired(Timer("a", 2, Purpose.RETRY))) == []
    assert machine.handle(JobEnded("b", False, Reason.STOP))[-1] == EndRun(State.FAILED, None)


def test_the_timer_of_another_attempt_or_of_another_purpose_begins_nothing() -> None:
    machine = retrying()
    for timer in (Timer("a", 1, Purpose.RETRY), Timer("a", 1, Purpose.LIMIT), Timer("a", 2, Purpose.LIMIT)):
        assert machine.handle(TimerFired(timer)) == []
    assert Bind("a") in machine.handle(TimerFired(Timer("a", 2, Purpose.RETRY)))
    assert machine.handle(TimerFired(Timer("a", 2, Purpose.RETRY))) == []


# --- approvals


def awaiting(when: Point) -> Machine:
    """`a` awaits a decision at this point, `b` runs beside it."""
    ask = Wish((when,), (), ("require-approval",), HERE)
    machine = machine_of(replace(node("a", on_error=OnError.STOP_NEXT), actions=(ask,)), node("b"))
    actions = machine.handle(Begun())
    machine.handle(NodeBound("b"))
    machine.handle(JobStarted("b"))
    if when is not Point.STARTING:
        machine.handle(NodeBound("a"))
        machine.handle(JobStarted("a"))
        actions = machine.handle(JobEnded("a", when is Point.COMPLETE, Reason.EXIT))
    assert Check("a", when) in actions
    machine.handle(Checked("a", when, ("require-approval",)))
    assert machine.state("a") is State.AWAITING_APPROVAL
    return machine


@pytest.mark.parametrize(
    ("when", "state"),
    [(Point.STARTING, State.SKIPPED), (Point.COMPLETE, State.SUCCEEDED), (Point.ERROR, State.FAILED)],
)
def test_a_run_that_is_stopped_while_a_person_is_asked_keeps_what_was_done(when: Point, state: State) -> None:
    machine = awaiting(when)
    machine.handle(StopAsked())
    assert machine.state("a") is state
    assert machine.handle(Rejected("a", "too late")) == []
