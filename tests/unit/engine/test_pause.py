"""A node whose program has failed and whose place is open for a person: nothing changes how it ended."""

from runner.engine.action import Conclude, EndRun, Move, Purpose, Stop, Timer
from runner.engine.machine import Machine
from runner.engine.slots import Capacity
from runner.engine.stimulus import (
    Begun,
    JobEnded,
    JobPaused,
    JobStarted,
    LimitReached,
    NodeBound,
    StopAsked,
    TimerFired,
)
from runner.errors import Location
from runner.plan.model import Plan, PlannedNode
from runner.spec.model import CommandItem, Step
from runner.state import Reason, State

HERE = Location("valohai.yaml", 1, 1)
STEP = Step("s", HERE, "busybox", (CommandItem("true", HERE),))


def running() -> Machine:
    machine = Machine(Plan("exec", "s", {"s": PlannedNode("s", STEP, {}, {}, {})}), Capacity(1))
    for stimulus in (Begun(), NodeBound("s", 1.0), JobStarted("s")):
        machine.handle(stimulus)
    assert machine.state("s") is State.RUNNING
    return machine


def test_a_limit_means_nothing_in_a_pause() -> None:
    machine = running()
    machine.handle(JobPaused("s"))

    assert machine.handle(TimerFired(Timer("s", 1, Purpose.LIMIT))) == []
    assert machine.handle(LimitReached("s", Reason.NO_OUTPUT)) == []
    assert machine.state("s") is State.RUNNING


def test_a_request_to_stop_ends_the_pause_and_not_the_outcome() -> None:
    machine = running()
    machine.handle(JobPaused("s"))

    assert machine.handle(StopAsked()) == [Stop("s", kill=False, reason=Reason.STOP)]
    assert machine.handle(StopAsked(kill=True)) == [Stop("s", kill=True, reason=Reason.STOP)]
    assert machine.handle(JobEnded("s", succeeded=False, reason=Reason.EXIT, detail="exit 5")) == [
        Conclude("s", State.FAILED, Reason.EXIT, "exit 5"),
        Move("s", State.FAILED, Reason.EXIT, "exit 5"),
        EndRun(State.FAILED, None),
    ]


def test_a_pause_of_what_is_being_stopped_already_ends_as_stopped() -> None:
    machine = running()
    machine.handle(StopAsked())
    machine.handle(JobPaused("s"))

    (_, move, _) = machine.handle(JobEnded("s", succeeded=False, reason=Reason.EXIT))

    assert move == Move("s", State.STOPPED, Reason.STOP, None)
