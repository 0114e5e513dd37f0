"""Runs that go on: taken over by one process, with what was under way closed, and parked ones that wait."""

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from runner.errors import ExitCode, MlrunError
from runner.state import Reason, State
from runner.store.identity import new_id
from runner.store.imported import Import, write_import
from runner.store.journal import Journal, timestamp
from runner.store.lease import current_owner, read_owner
from runner.store.record import Run
from runner.store.recovery import lost_executions
from runner.store.store import Store
from runner.store.trash import Trash
from runner.store.writer import RunWriter
from runner.upkeep.check import Wish, check

from .conftest import finish, killed, reader, tell, whole_run

Header = Callable[..., dict[str, Any]]


def go_on(store: Store, id: str, *again: str) -> RunWriter:
    writer = store.resume_run(id)
    owner = asdict(current_owner())
    writer.resume(
        [*lost_executions(writer.run()), {"type": "run-resumed", "owner": owner, "again": list(again)}],
    )
    return writer


def lost(store: Store, header: dict[str, Any], work: Callable[[RunWriter], object]) -> str:
    """A run whose process was killed."""
    killed(store, lambda own: void(work(own.begin_run(header))))
    return str(reader(store).runs()[0]["id"])


def void(_: object) -> None:
    pass


def park(writer: RunWriter) -> None:
    tell(writer)
    writer.append([{"type": "node-moved", "node": "b", "state": "awaiting-approval", "point": "node-starting"}])
    writer.append([{"type": "run-parked"}])


def test_a_run_that_was_killed_goes_on_under_its_new_owner(store: Store, header: Header) -> None:
    id = lost(store, header(), lambda writer: tell(writer, "a", end=False))
    with go_on(store, id, "a") as writer:
        run = store.run(id)
        (execution,) = run.executions.values()
        assert (run.state, run.owner, run.nodes["a"].state) == (State.RUNNING, current_owner(), State.WAITING)
        assert (execution.state, execution.reason) == (State.INTERRUPTED, Reason.RUNNER_LOST)
        assert read_owner(writer.folder.owner) == current_owner()
        assert store.reconcile() == ()
        again = tell(writer, "a")
        finish(writer)
    run = store.run(id)
    assert (run.state, run.nodes["a"].executions) == (State.SUCCEEDED, (execution.id, again))


def test_a_run_that_has_ended_goes_on_and_lists_show_that(store: Store, header: Header) -> None:
    writer = store.begin_run(header())
    tell(writer)
    finish(writer, "stopped")
    with go_on(store, writer.id) as more:
        assert [row["state"] for row in reader(store).runs()] == ["running"]
        assert store.ended_runs() == set()
        tell(more, "b")
        assert len(reader(store).executions()) == 2
        finish(more)
    assert [row["state"] for row in reader(store).runs()] == ["succeeded"]
    assert store.ended_runs() == {writer.id}


def test_a_run_that_went_on_and_was_killed_again_is_interrupted(store: Store, header: Header) -> None:
    run = whole_run(store, header())
    killed(store, lambda own: void(go_on(own, run.id, "b")))
    assert reader(store).run(run.id).state is State.INTERRUPTED
    with Store.open(store.layout.root, create=True) as later:
        assert later.reconcile() == (run.id,)
        assert [row["state"] for row in later.runs()] == ["interrupted"]


def test_of_many_who_take_a_run_at_once_one_gets_it(store: Store, header: Header) -> None:
    id = lost(store, header(), tell)
    store.close()
    answers, answer = os.pipe()
    begin, over = os.pipe(), os.pipe()
    children = [race(store, id, begin, over, answer) for _ in range(8)]
    os.close(begin[1])
    told = b""
    while len(told) < len(children):
        told += os.read(answers, 100)
    # Whoever has it holds it until all the others have been told.
    os.close(over[1])
    for child in children:
        os.waitpid(child, 0)
    for fd in (begin[0], over[0], answer, answers):
        os.close(fd)
    assert sorted(told) == sorted(b"1" + b"L" * 7)


def race(store: Store, id: str, begin: tuple[int, int], over: tuple[int, int], answer: int) -> int:
    """A process that takes a run when `begin` is closed, and holds it until `over` is."""
    child = os.fork()
    if child == 0:
        try:
            os.close(begin[1])
            os.close(over[1])
            os.read(begin[0], 1)
            with Store.open(store.layout.root, create=True) as own, go_on(own, id, "a"):
                os.write(answer, b"1")
                os.read(over[0], 1)
        except MlrunError as error:
            os.write(answer, b"L" if error.code is ExitCode.LOCKED else b"?")
        finally:
            os._exit(0)
    return child


def test_a_run_that_somebody_drives_is_not_taken(store: Store, header: Header) -> None:
    with store.begin_run(header()) as writer, pytest.raises(MlrunError, match="run 1 is under way") as raised:
        store.resume_run(writer.id)
    assert raised.value.code is ExitCode.LOCKED


def test_a_run_that_another_machine_may_drive_is_not_taken(store: Store, header: Header) -> None:
    id = lost(store, header(), tell)
    owner = store.layout.run(id).owner
    owner.write_bytes(owner.read_bytes().replace(os.uname().nodename.encode(), b"elsewhere"))
    with pytest.raises(MlrunError, match="`elsewhere` drives it") as raised:
        store.resume_run(id)
    assert raised.value.code is ExitCode.LOCKED


def test_a_run_of_another_store_and_one_that_was_removed_are_not_taken(store: Store, header: Header) -> None:
    run, other = whole_run(store, header()), whole_run(store, header())
    write_import(store.layout.run(run.id).imported, Import("lab", timestamp(), 1, {}))
    with pytest.raises(MlrunError, match="came from another store") as raised:
        store.resume_run(run.id)
    assert raised.value.code is ExitCode.USAGE
    store.remove_run(other.id, Trash(store.layout).begin("rm", "me"))
    with pytest.raises(MlrunError, match="was removed"):
        store.resume_run(other.id)


def test_a_run_that_was_taken_and_let_go_is_as_it_was(store: Store, header: Header) -> None:
    run = whole_run(store, header())
    before = store.layout.run(run.id).journal.read_bytes()
    with store.resume_run(run.id) as writer:
        assert writer.run().state is State.SUCCEEDED
    assert store.layout.run(run.id).journal.read_bytes() == before
    assert store.ended_runs() == {run.id}


def test_what_was_asked_of_the_owner_before_is_forgotten(store: Store, header: Header) -> None:
    id = lost(store, header(), tell)
    (store.layout.run(id).inbox / "x.json").write_text('{"type": "stop"}')
    with go_on(store, id) as writer:
        assert writer.inbox() == []


def test_a_parked_run_waits_and_nobody_ends_it(store: Store, header: Header) -> None:
    id = lost(store, header(), park)
    journal = store.layout.run(id).journal.read_bytes()
    assert store.reconcile() == ()
    run = store.run(id)
    assert (run.state, run.nodes["b"].state, run.nodes["b"].point) == (
        State.WAITING,
        State.AWAITING_APPROVAL,
        "node-starting",
    )
    assert [row["state"] for row in reader(store).runs()] == ["waiting"]
    assert store.layout.run(id).journal.read_bytes() == journal
    assert store.lost_runs() == []


def test_a_parked_run_can_be_taken_while_others_reconcile(store: Store, header: Header) -> None:
    """Who reconciles holds no lock on a run that is none of its business."""
    id = lost(store, header(), park)
    taken = Journal.take_over(store.layout.run(id).journal)
    assert taken is not None
    with taken[0]:
        assert store.reconcile() == ()
    with go_on(store, id):
        assert store.run(id).state is State.RUNNING


def test_a_run_whose_jobs_may_go_on_is_left_open_and_told_of(store: Store, header: Header) -> None:
    id = lost(store, header(executor="docker"), lambda writer: tell(writer, end=False))
    assert store.reconcile() == ()
    assert [run.id for run in store.lost_runs()] == [id]
    assert store.run(id).state is State.INTERRUPTED

    def nothing_goes_on(_: Run) -> bool:
        return False

    assert store.reconcile(nothing_goes_on) == (id,)
    assert store.lost_runs() == []


def test_a_run_of_containers_of_which_none_was_under_way_is_ended(store: Store, header: Header) -> None:
    id = lost(store, header(executor="docker"), tell)
    assert store.reconcile() == (id,)


def test_what_the_index_missed_of_a_killed_run_is_in_it_when_the_run_goes_on(store: Store, header: Header) -> None:
    def die_before_the_index(writer: RunWriter) -> None:
        created = {"type": "execution-created", "id": new_id(), "node": "a", "counter": 1, "job": {"image": "x"}}
        writer._journal.append([created])

    id = lost(store, header(), die_before_the_index)
    with go_on(store, id, "a") as writer:
        finish(writer)
    assert len(reader(store).executions()) == 1


def test_a_check_finds_nothing_wrong_with_runs_that_went_on_or_wait(store: Store, header: Header) -> None:
    ended = whole_run(store, header())
    killed(store, lambda own: void(go_on(own, ended.id, "b")))
    lost(store, header(), park)
    with Store.open(store.layout.root, create=True) as later:
        later.reconcile()
        codes = {anomaly.code for anomaly in check(later, Wish(writable=False))[0].anomalies}
    assert codes.isdisjoint({"journal-damaged", "journal-shortened", "index-differs", "owner-damaged"})
