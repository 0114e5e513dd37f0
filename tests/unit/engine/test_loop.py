"""The loop: durable turns, threads and time, with a worker that does as it is told."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.engine.action import EndRun
from runner.engine.callback import Bound, Callbacks, Stand, Ticket, publish_nothing
from runner.engine.loop import Loop, Terms
from runner.engine.slots import Capacity
from runner.errors import ExitCode, Location, MlrunError
from runner.events import Event, NodeChanged
from runner.job import Identity, Job, Outcome, Script
from runner.plan.bind import Left
from runner.plan.model import Plan, PlannedNode
from runner.spec.model import CommandItem, OnError, Step
from runner.state import Reason, State
from runner.store.record import LogRef
from runner.worker.report import Finished, JobListener
from runner.worker.stopper import Stopper
from tests.patience import wait_for

HERE = Location("valohai.yaml", 1, 1)
EMPTY = hash_bytes(b"")
STEP = Step("s", HERE, "image", (CommandItem("true", HERE),))


@dataclass
class Journal:
    """A recorder that keeps turns, and can be told to fail or to have a request."""

    turns: list[list[Mapping[str, Any]]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    fails_at: str | None = None
    """The state whose record finds the disk full."""
    dropped: list[str] = field(default_factory=list)
    counter: int = 0

    def append(self, entries: Sequence[Mapping[str, Any]], then: Callable[[], None]) -> None:
        if self.fails_at is not None and self.fails_at in [entry.get("state") for entry in entries]:
            raise MlrunError("the disk is full", code=ExitCode.DISK)
        self.turns.append(list(entries))
        then()

    def new_execution_counter(self) -> int:
        self.counter += 1
        return self.counter

    def inbox(self) -> list[dict[str, Any]]:
        taken, self.requests = self.requests, []
        return taken

    def drop_log(self, execution_id: str) -> None:
        self.dropped.append(execution_id)

    def types(self) -> list[str]:
        return [entry["type"] for turn in self.turns for entry in turn]

    def states(self, node: str) -> list[str]:
        return [
            entry["state"] for turn in self.turns for entry in turn if entry.get("node") == node and "state" in entry
        ]


def finished(code: int = 0, **changes: Any) -> Finished:
    outcome = Outcome(Reason.EXIT, code)
    exit = ExitCode.OK if code == 0 else ExitCode.STEP_FAILED
    whole = Finished(outcome, exit, None, None, (), None, {"n": 1}, None, (), 0.5, None, None)
    return replace(whole, **changes)


def plan_of(**upstream: tuple[str, ...]) -> Plan:
    nodes = {name: PlannedNode(name, STEP, {}, {}, {}, upstream=above) for name, above in upstream.items()}
    return Plan("pipeline", "p", nodes)


def job_of(node: PlannedNode, time_limit: float | None = None) -> Job:
    return Job(f"id-{node.name}", "s", "image", Script(("true",)), "0" * 64, {}, (), {}, time_limit=time_limit)


def bind_at_once(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound | Stand:
    return Bound(job_of(node), ticket.number())


Work = Callable[[Job, Stopper, JobListener], Finished]


def succeed(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
    listener.started()
    return finished()


def until_stopped(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
    listener.started()
    while stopper.asked is None:
        time.sleep(0.005)
    return finished(143, outcome=Outcome(Reason.KILLED, 143), asked=stopper.asked)


def loop_of(plan: Plan, journal: Journal, work: Work = succeed, **changes: Any) -> tuple[Loop, list[Event]]:
    events: list[Event] = []
    calls = Callbacks(
        bind=changes.pop("bind", bind_at_once),
        work=work,
        leave=lambda job, done: Left(metrics=done.metrics),
        publish=changes.pop("publish", publish_nothing),
        known=changes.pop("known", {}),
    )
    settings: dict[str, Any] = {
        "terms": Terms(Capacity(changes.pop("places", 2)), grace=1.0),
        "recorder": journal,
        "identities": {"image": Identity("sha256:1", {})},
        "executor": "fake",
        "emit": events.append,
    }
    return Loop(plan, calls, **(settings | changes)), events


def test_a_chain_is_recorded_move_by_move() -> None:
    journal = Journal()
    loop, events = loop_of(plan_of(a=(), b=("a",)), journal)
    assert loop.run() == EndRun(State.SUCCEEDED, None)
    assert journal.states("a") == ["ready", "queued", "starting", "running", "succeeded"]
    assert journal.types().count("execution-finished") == 2
    assert (journal.types()[-1], journal.turns[-1][-1]["exit_code"]) == ("run-finished", 0)
    assert [event.state for event in events if isinstance(event, NodeChanged) and event.node == "b"][-1] == "succeeded"


def test_nothing_is_told_or_started_before_it_is_durable() -> None:
    journal = Journal()
    seen: list[int] = []

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        seen.append(journal.types().count("execution-created"))
        return succeed(job, stopper, listener)

    def emit(event: Event) -> None:
        if isinstance(event, NodeChanged):
            assert event.state in journal.states(event.node)

    loop, _ = loop_of(plan_of(a=()), journal, work, emit=emit)
    loop.run()
    assert seen == [1]


def test_downstream_nodes_are_bound_with_what_their_upstreams_left() -> None:
    bound: dict[str, Mapping[str, Left]] = {}

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound:
        bound[node.name] = upstream
        return Bound(job_of(node), ticket.number())

    loop, _ = loop_of(plan_of(a=(), b=("a",)), Journal(), bind=bind)
    loop.run()
    assert bound["b"]["a"].metrics == {"n": 1}


def test_independent_nodes_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=60)

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        both.wait()
        return succeed(job, stopper, listener)

    loop, _ = loop_of(plan_of(a=(), b=()), Journal(), work)
    assert loop.run().state is State.SUCCEEDED


def test_inputs_that_are_not_to_be_had_fail_the_node_with_their_exit_code() -> None:
    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound:
        raise MlrunError("no such file", code=ExitCode.INPUT, hint="look again", location=HERE)

    journal = Journal()
    loop, events = loop_of(plan_of(a=(), b=("a",)), journal, bind=bind)
    assert loop.run().state is State.FAILED
    assert loop.exit is ExitCode.INPUT
    failed = next(event for event in events if isinstance(event, NodeChanged) and event.state is State.FAILED)
    assert (failed.reason, failed.detail) == (Reason.INPUT, "valohai.yaml:1:1: no such file (look again)")
    assert "execution-created" not in journal.types()


def test_the_exit_code_of_the_first_failure_is_recorded_with_the_end() -> None:
    refused = threading.Event()

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound:
        if node.name == "b":
            raise MlrunError("no such file", code=ExitCode.INPUT)
        return bind_at_once(node, upstream, ticket)

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        listener.started()
        assert refused.wait(60)
        return finished(4)

    def listen(event: Event) -> None:
        if isinstance(event, NodeChanged) and event.state is State.FAILED:
            refused.set()

    journal = Journal()
    plan = plan_of(a=(), b=())
    plan = replace(plan, nodes={name: replace(node, on_error=OnError.STOP_NEXT) for name, node in plan.nodes.items()})
    loop, _ = loop_of(plan, journal, work, bind=bind, emit=listen)
    assert loop.run() == EndRun(State.FAILED, None)
    assert [journal.states(name)[-1] for name in "ab"] == ["failed", "failed"]
    assert journal.turns[-1][-1]["exit_code"] == loop.exit == ExitCode.INPUT


def test_a_stop_from_a_signal_handler_ends_the_run() -> None:
    loop, _ = loop_of(plan_of(a=(), b=("a",)), Journal(), until_stopped)
    threading.Timer(0.05, loop.stop).start()
    assert loop.run() == EndRun(State.STOPPED, Reason.STOP)


def test_the_first_signal_decides_the_exit_code_of_a_stopped_run() -> None:
    journal = Journal()

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        listener.started()
        loop.stop(signal=2)
        loop.stop(kill=True, signal=15)
        return until_stopped(job, stopper, listener)

    loop, _ = loop_of(plan_of(a=()), journal, work)
    assert loop.run() == EndRun(State.STOPPED, Reason.STOP)
    assert journal.turns[-1][-1]["exit_code"] == loop.exit == 130


def test_a_request_in_the_inbox_ends_the_run() -> None:
    journal = Journal(requests=[{"type": "stop"}])
    loop, _ = loop_of(plan_of(a=()), journal, until_stopped)
    assert loop.run().state is State.STOPPED
    assert journal.states("a")[-2:] == ["stopping", "stopped"]
    assert journal.turns[-1][-1]["exit_code"] == loop.exit == ExitCode.STEP_FAILED


def test_a_time_limit_stops_the_node_and_is_its_reason() -> None:
    journal = Journal()
    loop, events = loop_of(
        plan_of(a=()), journal, until_stopped, bind=lambda node, upstream, ticket: Bound(job_of(node, 0.05), 1)
    )
    assert loop.run().state is State.FAILED
    assert [event.reason for event in events if isinstance(event, NodeChanged)][-1] is Reason.TIMEOUT


def test_a_store_that_cannot_be_written_ends_everything_that_runs(
    new_threads: Callable[[], list[threading.Thread]],
) -> None:
    stopped: list[bool] = []

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        done = until_stopped(job, stopper, listener)
        stopped.append(True)
        return done

    loop, _ = loop_of(plan_of(a=(), b=()), Journal(fails_at="running"), work)
    with pytest.raises(MlrunError, match="the disk is full"):
        loop.run()
    assert all(stopped)
    wait_for(lambda: not new_threads(), "end of the work")


def test_a_bug_in_a_worker_comes_out_of_the_loop() -> None:
    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        raise ZeroDivisionError("a bug")

    loop, _ = loop_of(plan_of(a=()), Journal(), work)
    with pytest.raises(ZeroDivisionError):
        loop.run()


@pytest.mark.parametrize("log", [LogRef(EMPTY, EMPTY, EMPTY), None])
def test_the_log_folder_goes_only_once_the_record_names_the_log(log: LogRef | None) -> None:
    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        return replace(succeed(job, stopper, listener), log=log)

    journal = Journal()
    loop, _ = loop_of(plan_of(a=()), journal, work)
    loop.run()
    assert journal.dropped == (["id-a"] if log else [])
