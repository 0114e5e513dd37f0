"""The machine of node states, without clock, disk or thread."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.action import Action, Bind, EndRun, Move, Purpose, SetTimer, Start, Stop, Timer
from runner.engine.machine import Machine
from runner.engine.slots import Capacity
from runner.engine.stimulus import (
    Begun,
    JobEnded,
    JobStarted,
    LimitReached,
    NodeBound,
    NodeReused,
    NodeUnbindable,
    StopAsked,
    TimerFired,
)
from runner.errors import Location
from runner.plan.model import Plan, PlannedNode
from runner.spec.model import CommandItem, OnError, Step
from runner.state import DONE, FINAL, TRANSITIONS, BadTransition, Reason, State

HERE = Location("valohai.yaml", 1, 1)
STEP = Step("s", HERE, "busybox", (CommandItem("true", HERE),))


def plan_of(upstream: dict[str, tuple[str, ...]], **on_error: OnError) -> Plan:
    nodes = {
        name: replace(
            PlannedNode(name, STEP, {}, {}, {}, upstream=above), on_error=on_error.get(name, OnError.STOP_ALL)
        )
        for name, above in upstream.items()
    }
    return Plan("pipeline", "p", nodes)


def moves(actions: list[Action]) -> list[Move]:
    return [action for action in actions if isinstance(action, Move)]


def advance(machine: Machine, actions: list[Action], **fates: str) -> list[Action]:
    """Answer every action as a loop would, `fates` naming nodes that fail or hang, until nothing more happens."""
    seen: list[Action] = []
    queue = list(actions)
    while queue:
        action = queue.pop(0)
        seen.append(action)
        match action:
            case Bind(name):
                queue += machine.handle(NodeBound(name))
            case Start(name):
                queue += machine.handle(JobStarted(name))
                fate = fates.get(name, "succeed")
                if fate != "hang":
                    queue += machine.handle(JobEnded(name, fate == "succeed", Reason.EXIT))
            case Stop(name):
                queue += machine.handle(JobEnded(name, False, Reason.EXIT))
            case _:
                pass
    return seen


def states(machine: Machine, plan: Plan) -> dict[str, State]:
    return {name: machine.state(name) for name in plan.nodes}


CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
FORK = {"a": (), "b": ("a",), "c": ("a",), "d": ("b",), "e": ("c",)}


def test_a_chain_runs_in_order_and_succeeds() -> None:
    machine = Machine(plan_of(CHAIN), Capacity(4))
    seen = advance(machine, machine.handle(Begun()))
    assert [action.node for action in seen if isinstance(action, Start)] == ["a", "b", "c"]
    assert seen[-1] == EndRun(State.SUCCEEDED, None)


def test_independent_branches_run_at_the_same_time() -> None:
    machine = Machine(plan_of(FORK), Capacity(2))
    advance(machine, machine.handle(Begun()), b="hang", c="hang")
    assert (machine.state("b"), machine.state("c")) == (State.RUNNING, State.RUNNING)


def test_no_more_nodes_run_than_there_are_slots() -> None:
    machine = Machine(plan_of(FORK), Capacity(1))
    advance(machine, machine.handle(Begun()), b="hang")
    assert (machine.state("b"), machine.state("c")) == (State.RUNNING, State.QUEUED)


def test_a_node_is_skipped_when_its_upstream_fails() -> None:
    plan = plan_of(CHAIN)
    machine = Machine(plan, Capacity(4))
    seen = advance(machine, machine.handle(Begun()), a="fail")
    assert states(machine, plan) == {"a": State.FAILED, "b": State.SKIPPED, "c": State.SKIPPED}
    assert seen[-1] == EndRun(State.FAILED, None)


def test_stop_all_stops_what_runs_and_skips_the_rest() -> None:
    plan = plan_of(FORK)
    machine = Machine(plan, Capacity(4))
    advance(machine, machine.handle(Begun()), b="fail", c="hang")
    assert states(machine, plan) == {
        "a": State.SUCCEEDED,
        "b": State.FAILED,
        "c": State.STOPPED,
        "d": State.SKIPPED,
        "e": State.SKIPPED,
    }


def test_stop_next_skips_only_what_is_downstream() -> None:
    plan = plan_of(FORK, b=OnError.STOP_NEXT)
    machine = Machine(plan, Capacity(1))
    seen = advance(machine, machine.handle(Begun()), b="fail")
    assert states(machine, plan) | {} == {
        "a": State.SUCCEEDED,
        "b": State.FAILED,
        "c": State.SUCCEEDED,
        "d": State.SKIPPED,
        "e": State.SUCCEEDED,
    }
    assert seen[-1] == EndRun(State.FAILED, None)


@pytest.mark.parametrize("last", ["b", "d"])
def test_continue_goes_on_as_if_the_node_had_succeeded(last: str) -> None:
    plan = plan_of(FORK, **{last: OnError.CONTINUE})
    machine = Machine(plan, Capacity(4))
    seen = advance(machine, machine.handle(Begun()), **{last: "fail"})
    assert machine.state(last) is State.FAILED
    assert machine.state("d") is (State.FAILED if last == "d" else State.SUCCEEDED)
    assert seen[-1] == EndRun(State.SUCCEEDED, None)


def test_a_node_whose_inputs_are_missing_fails_without_starting() -> None:
    machine = Machine(plan_of(CHAIN), Capacity(1))
    machine.handle(Begun())
    actions = machine.handle(NodeUnbindable("a", Reason.INPUT, "no such file"))
    assert moves(actions)[0] == Move("a", State.FAILED, Reason.INPUT, "no such file")
    assert not any(isinstance(action, Start) for action in actions)


def test_a_time_limit_stops_the_node_and_is_its_reason() -> None:
    machine = Machine(plan_of({"a": ()}), Capacity(1))
    machine.handle(Begun())
    machine.handle(NodeBound("a", time_limit=5.0))
    assert SetTimer(Timer("a", 1, Purpose.LIMIT), 5.0) in machine.handle(JobStarted("a"))
    assert Stop("a", reason=Reason.TIMEOUT) in machine.handle(TimerFired(Timer("a", 1, Purpose.LIMIT)))
    assert Move("a", State.FAILED, Reason.TIMEOUT) in machine.handle(JobEnded("a", False, Reason.KILLED))


@pytest.mark.parametrize("reason", [Reason.NO_OUTPUT, Reason.STOP_CONDITION])
def test_a_limit_that_the_worker_sees_stops_the_node_once(reason: Reason) -> None:
    machine = Machine(plan_of({"a": ()}), Capacity(1))
    advance(machine, machine.handle(Begun()), a="hang")

    assert Stop("a", reason=reason) in machine.handle(LimitReached("a", reason))
    assert machine.handle(LimitReached("a", reason)) == []


def test_a_stop_condition_ends_a_node_with_success_and_what_follows_runs() -> None:
    machine = Machine(plan_of(CHAIN), Capacity(1))
    advance(machine, machine.handle(Begun()), a="hang")
    machine.handle(LimitReached("a", Reason.STOP_CONDITION))
    actions = machine.handle(JobEnded("a", True, Reason.STOP_CONDITION, "it holds"))

    assert moves(actions)[0] == Move("a", State.SUCCEEDED, Reason.STOP_CONDITION, "it holds")
    assert any(isinstance(action, Bind) for action in actions)


@pytest.mark.parametrize(
    ("asked", "told", "reason"),
    [
        (Reason.NO_OUTPUT, Reason.NO_OUTPUT, Reason.NO_OUTPUT),
        (Reason.NO_OUTPUT, Reason.KILLED, Reason.NO_OUTPUT),
        (Reason.NO_OUTPUT, Reason.OOM, Reason.OOM),
        (Reason.STOP_CONDITION, Reason.EXIT, Reason.EXIT),
        (Reason.STOP_CONDITION, Reason.OUTPUT, Reason.OUTPUT),
    ],
)
def test_a_node_that_a_limit_met_too_late_fails_for_its_own_reason(asked: Reason, told: Reason, reason: Reason) -> None:
    machine = Machine(plan_of({"a": ()}), Capacity(1))
    advance(machine, machine.handle(Begun()), a="hang")
    machine.handle(LimitReached("a", asked))

    assert moves(machine.handle(JobEnded("a", False, told))) == [Move("a", State.FAILED, reason)]


def test_a_timer_that_fires_after_the_end_means_nothing() -> None:
    machine = Machine(plan_of({"a": ()}), Capacity(1))
    advance(machine, machine.handle(Begun()))
    assert machine.handle(TimerFired(Timer("a", 1, Purpose.LIMIT))) == []


def test_a_job_that_ends_well_while_it_is_stopped_has_succeeded() -> None:
    machine = Machine(plan_of({"a": ()}), Capacity(1))
    advance(machine, machine.handle(Begun()), a="hang")
    machine.handle(StopAsked())
    actions = machine.handle(JobEnded("a", True, Reason.EXIT))
    assert moves(actions) == [Move("a", State.SUCCEEDED, Reason.EXIT)]
    assert actions[-1] == EndRun(State.STOPPED, Reason.STOP)


def test_a_second_request_to_stop_kills() -> None:
    machine = Machine(plan_of({"a": ()}), Capacity(1))
    advance(machine, machine.handle(Begun()), a="hang")
    assert Stop("a", kill=False) in machine.handle(StopAsked())
    assert machine.handle(StopAsked(kill=True)) == [Stop("a", kill=True)]


def test_a_node_bound_after_the_run_was_stopped_never_starts() -> None:
    plan = plan_of(CHAIN)
    machine = Machine(plan, Capacity(1))
    machine.handle(Begun())
    assert machine.handle(StopAsked())[-1] == EndRun(State.STOPPED, Reason.STOP)
    assert machine.handle(NodeBound("a")) == []


def test_a_reused_node_releases_what_is_downstream() -> None:
    plan = plan_of({"a": (), "b": ("a",)})
    machine = Machine(plan, Capacity(1))
    machine.handle(Begun())

    assert machine.handle(NodeReused("a", "execution 3 stands for it")) == [
        Move("a", State.REUSED, None, "execution 3 stands for it"),
        Move("b", State.READY),
        Bind("b"),
    ]


def test_a_run_of_which_all_is_reused_succeeds_and_takes_no_slot() -> None:
    plan = plan_of({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")})
    machine = Machine(plan, Capacity(1))
    seen: list[Action] = []
    queue = machine.handle(Begun())
    while queue:
        action = queue.pop(0)
        seen.append(action)
        if isinstance(action, Bind):
            queue += machine.handle(NodeReused(action.node, "it stands"))

    assert set(states(machine, plan).values()) == {State.REUSED}
    assert seen[-1] == EndRun(State.SUCCEEDED, None)
    assert not [action for action in seen if isinstance(action, Start)]


def test_a_node_that_turns_out_to_be_reused_after_the_run_was_stopped_stays_skipped() -> None:
    plan = plan_of({"a": (), "b": ("a",)})
    machine = Machine(plan, Capacity(1))
    machine.handle(Begun())
    machine.handle(StopAsked())

    assert machine.handle(NodeReused("a", "late")) == []
    assert states(machine, plan) == {"a": State.SKIPPED, "b": State.SKIPPED}


def test_a_failure_below_a_reused_node_skips_and_stops_by_its_own_on_error() -> None:
    plan = plan_of({"a": (), "bad": ("a",), "below": ("bad",), "other": ("a",)}, bad=OnError.STOP_NEXT)
    machine = Machine(plan, Capacity(2))
    machine.handle(Begun())
    advance(machine, machine.handle(NodeReused("a", "it stands")), bad="fail")

    assert states(machine, plan) == {
        "a": State.REUSED,
        "bad": State.FAILED,
        "below": State.SKIPPED,
        "other": State.SUCCEEDED,
    }


def test_a_node_is_reused_only_while_its_turn_is_open() -> None:
    assert [state for state, after in TRANSITIONS.items() if State.REUSED in after] == [
        State.AWAITING_APPROVAL,
        State.READY,
    ]
    assert State.REUSED in FINAL and State.REUSED in DONE and not TRANSITIONS[State.REUSED]


def test_an_impossible_move_tells_the_story_that_led_there() -> None:
    machine = Machine(plan_of({"a": ()}), Capacity(1))
    advance(machine, machine.handle(Begun()))
    with pytest.raises(BadTransition, match="waiting → ready → queued → starting → running → succeeded"):
        machine.handle(JobEnded("a", True, Reason.EXIT))


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    size = draw(st.integers(1, 12))
    return {f"n{i}": tuple(f"n{j}" for j in range(i) if draw(st.booleans()) and j > i - 4) for i in range(size)}


@given(graphs(), st.integers(1, 3), st.data())
def test_every_run_ends_with_every_node_final_whatever_happens(
    upstream: dict[str, tuple[str, ...]], slots: int, data: st.DataObject
) -> None:
    plan = plan_of(upstream, **{name: data.draw(st.sampled_from(list(OnError))) for name in upstream})
    machine = Machine(plan, Capacity(slots))
    pending: list[Action] = machine.handle(Begun())
    ended: list[EndRun] = []
    running: set[str] = set()
    for _ in range(400):
        if not pending and not running:
            break
        if data.draw(st.integers(0, 30)) == 0:
            pending += machine.handle(StopAsked(kill=data.draw(st.booleans())))
            continue
        if pending:
            action = pending.pop(0)
            match action:
                case Bind(name):
                    answers = [NodeBound(name), NodeReused(name, "it stands")] * 2
                    pending += machine.handle(
                        data.draw(st.sampled_from([*answers, NodeUnbindable(name, Reason.INPUT, "gone")]))
                    )
                case Start(name):
                    running.add(name)
                    assert len(running) <= slots
                    pending += machine.handle(JobStarted(name))
                case EndRun():
                    ended.append(action)
                case _:
                    pass
        else:
            name = data.draw(st.sampled_from(sorted(running)))
            running.discard(name)
            pending += machine.handle(JobEnded(name, data.draw(st.booleans()), Reason.EXIT))
    else:
        while running or pending:
            pending = [action for action in pending if isinstance(action, EndRun | Start)]
            for action in pending:
                if isinstance(action, Start):
                    running.add(action.node)
                else:
                    ended.append(action)
            pending = machine.handle(StopAsked(kill=True))
            for name in sorted(running):
                running.discard(name)
                pending += machine.handle(JobEnded(name, False, Reason.KILLED))
    assert len(ended) == 1
    assert set(states(machine, plan).values()) <= FINAL


def test_ten_thousand_nodes_are_scheduled_in_linear_time() -> None:
    """A quadratic machine would need minutes here, and the suite's own limit would stop it."""
    wide = {"root": ()} | {f"n{i}": ("root",) for i in range(10_000)} | {"end": tuple(f"n{i}" for i in range(10_000))}
    machine = Machine(plan_of(wide), Capacity(100))
    queue = machine.handle(Begun())
    for action in queue:
        match action:
            case Bind(name):
                queue += machine.handle(NodeBound(name))
            case Start(name):
                queue += machine.handle(JobStarted(name)) + machine.handle(JobEnded(name, True, Reason.EXIT))
            case _:
                pass
    assert queue[-1] == EndRun(State.SUCCEEDED, None)
