"""Nodes in the loop for which earlier executions stand, and nodes that wait for one that is under way elsewhere."""

import threading
from collections.abc import Callable, Mapping

import pytest

from runner.engine.action import EndRun
from runner.engine.callback import Bound, GivenUp, Stand, Ticket
from runner.errors import ExitCode, MlrunError
from runner.events import NodeChanged
from runner.job import Job
from runner.plan.bind import Left
from runner.plan.model import PlannedNode
from runner.state import Reason, State
from runner.store.record import Reused
from runner.worker.report import Finished, JobListener
from runner.worker.stopper import Stopper
from tests.patience import PATIENCE, wait_for

from .test_loop import Journal, finished, job_of, loop_of, plan_of, succeed, until_stopped


def stand_of(name: str, counter: int = 7) -> Stand:
    return Stand(Reused(f"earlier-{name}", counter, "run"), Left(metrics={"from": name}), f"execution {counter} stands")


def never(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
    raise AssertionError(f"`{job.id}` runs")


def test_a_chain_of_a_thousand_known_nodes_is_one_turn_of_the_journal() -> None:
    names = [f"n{number}" for number in range(1000)]
    plan = plan_of(**{name: tuple(names[at - 1 : at]) if at else () for at, name in enumerate(names)})
    journal = Journal()
    loop, events = loop_of(plan, journal, never, known={name: stand_of(name) for name in names})

    assert loop.run() == EndRun(State.SUCCEEDED, None)
    (turn,) = journal.turns
    assert [entry["node"] for entry in turn if entry.get("state") == "reused"] == names
    assert turn[-1]["type"] == "run-finished"
    assert journal.counter == 0
    assert [event.execution for event in events if isinstance(event, NodeChanged) and event.state == "reused"] == [
        7
    ] * 1000


def test_a_reused_node_is_recorded_with_the_execution_that_stands_for_it() -> None:
    journal = Journal()
    loop, _ = loop_of(plan_of(a=()), journal, never, bind=lambda node, upstream, ticket: stand_of(node.name, 3))

    assert loop.run().state is State.SUCCEEDED
    moves = [entry for turn in journal.turns for entry in turn if entry["type"] == "node-moved"]
    assert [move["state"] for move in moves] == ["ready", "reused"]
    assert "reused" not in moves[0]
    standing = {"execution": "earlier-a", "counter": 3, "run": "run", "accepted": False, "taken": False}
    assert moves[1]["reused"] == standing
    assert moves[1]["detail"] == "execution 3 stands"
    assert "execution-created" not in journal.types()


@pytest.mark.parametrize("known", [True, False], ids=["known before", "found when bound"])
def test_a_node_below_a_reused_one_is_bound_with_what_the_earlier_execution_left(known: bool) -> None:
    bound: dict[str, Mapping[str, Left]] = {}

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound | Stand:
        bound[node.name] = upstream
        return stand_of("a") if node.name == "a" else Bound(job_of(node), ticket.number())

    journal = Journal()
    changes = {"known": {"a": stand_of("a")}} if known else {}
    loop, _ = loop_of(plan_of(a=(), b=("a",)), journal, succeed, bind=bind, **changes)

    assert loop.run().state is State.SUCCEEDED
    assert bound["b"]["a"].metrics == {"from": "a"}
    assert ("a" in bound) is not known
    assert journal.states("b")[-1] == "succeeded"


def test_a_node_that_runs_is_recorded_with_its_key() -> None:
    journal = Journal()
    loop, _ = loop_of(plan_of(a=()), journal, bind=lambda node, upstream, ticket: Bound(job_of(node), 1, "ab" * 32))
    loop.run()

    (created,) = [entry for turn in journal.turns for entry in turn if entry["type"] == "execution-created"]
    assert created["key"] == "ab" * 32


def test_who_waits_for_a_piece_of_work_is_told_only_once_its_end_is_recorded() -> None:
    journal = Journal()
    told: list[list[str]] = []

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound:
        return Bound(job_of(node), ticket.number(), settle=lambda: told.append(journal.types()))

    loop, _ = loop_of(plan_of(a=()), journal, bind=bind)
    loop.run()
    assert told and all("execution-finished" in types for types in told)


def waiting_forever(waits: threading.Event, over: threading.Event) -> Callable[..., Bound | Stand]:
    """A binder that waits for the same work elsewhere, which never ends."""

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound | Stand:
        if node.name != "waits":
            return Bound(job_of(node), ticket.number())
        waits.set()
        try:
            while True:
                ticket.wait(0.01)
        finally:
            over.set()

    return bind


def test_a_stop_ends_a_run_that_waits_for_the_same_work_elsewhere() -> None:
    waits, over = threading.Event(), threading.Event()
    journal = Journal()
    loop, _ = loop_of(plan_of(waits=(), below=("waits",)), journal, never, bind=waiting_forever(waits, over))
    threading.Thread(target=lambda: (waits.wait(PATIENCE), loop.stop())).start()

    assert loop.run() == EndRun(State.STOPPED, Reason.STOP)
    assert journal.states("waits") == ["ready", "skipped"]
    assert over.wait(PATIENCE)
    assert journal.counter == 0


def test_a_request_of_another_process_ends_a_run_that_waits_for_the_same_work_elsewhere() -> None:
    waits, over = threading.Event(), threading.Event()
    journal = Journal()

    def ask() -> None:
        waits.wait(PATIENCE)
        journal.requests.append({"type": "stop"})

    loop, _ = loop_of(plan_of(waits=()), journal, never, bind=waiting_forever(waits, over))
    threading.Thread(target=ask).start()

    assert loop.run().state is State.STOPPED
    assert over.wait(PATIENCE)


def test_a_node_that_waits_is_given_up_when_another_fails_and_all_are_to_stop() -> None:
    waits, over = threading.Event(), threading.Event()

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        listener.started()
        waits.wait(PATIENCE)
        return finished(1)

    journal = Journal()
    loop, _ = loop_of(plan_of(fails=(), waits=()), journal, work, bind=waiting_forever(waits, over))

    assert loop.run().state is State.FAILED
    assert over.wait(PATIENCE)
    assert journal.states("waits") == ["ready", "skipped"]


def test_work_that_is_bound_after_its_run_was_stopped_is_let_go() -> None:
    stopped, settled = threading.Event(), threading.Event()

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound:
        number = ticket.number()
        loop.stop()
        stopped.wait(PATIENCE)
        return Bound(job_of(node), number, settle=settled.set)

    loop, _ = loop_of(plan_of(a=()), Journal(), never, bind=bind)
    assert loop.run().state is State.STOPPED
    assert not settled.is_set()
    stopped.set()
    assert settled.wait(PATIENCE)


def test_work_that_waits_for_a_place_is_let_go_when_its_run_stops() -> None:
    settled: list[str] = []

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound:
        return Bound(job_of(node), ticket.number(), settle=lambda: settled.append(node.name))

    journal = Journal()
    loop, _ = loop_of(plan_of(a=(), b=()), journal, until_stopped, bind=bind, places=1)

    def ask() -> None:
        wait_for(lambda: {*journal.states("a")[-1:], *journal.states("b")[-1:]} == {"queued", "running"}, "waiting job")
        loop.stop()

    threading.Thread(target=ask).start()
    loop.run()
    assert set(settled) == {"a", "b"}


def test_a_store_that_cannot_be_written_lets_all_work_go() -> None:
    settled = threading.Event()
    journal = Journal(fails_at="queued")
    loop, _ = loop_of(
        plan_of(a=()), journal, never, bind=lambda node, upstream, ticket: Bound(job_of(node), 1, settle=settled.set)
    )
    with pytest.raises(MlrunError) as caught:
        loop.run()
    assert caught.value.code is ExitCode.DISK
    assert settled.is_set()


def test_a_ticket_that_was_given_up_wastes_no_number() -> None:
    drawn: list[int] = []
    ticket = Ticket(lambda: drawn.append(1) or 1)
    assert ticket.number() == 1
    ticket.give_up()
    with pytest.raises(GivenUp):
        ticket.number()
    assert len(drawn) == 1
