"""Runs whose owner is gone, and runs whose files are damaged."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import ExitCode, MlrunError
from runner.state import Reason, State
from runner.store import lease as lease_module
from runner.store.identity import new_id
from runner.store.journal import read
from runner.store.store import Store

from .conftest import Header, add_junk, finish, killed, reader, tell, void, whole_run


def test_a_run_whose_owner_was_killed_is_interrupted_for_readers_at_once(store: Store, header: Header) -> None:
    def work(own: Store) -> None:
        writer = own.begin_run(header("a", "b", "c"))
        tell(writer, "a")
        tell(writer, "b", end=False)
        writer.append([{"type": "node-moved", "node": "b", "state": "running"}])

    killed(store, work)
    with reader(store) as other:
        run = other.find_run("p1", "latest")
        assert (run.state, run.reason) == (State.INTERRUPTED, Reason.RUNNER_LOST)
        assert [node.state for node in run.nodes.values()] == ["succeeded", "interrupted", "skipped"]
        assert [row["state"] for row in other.executions()] == ["interrupted", "succeeded"]
        assert other.runs()[0]["state"] == "interrupted"


def test_reconcile_writes_once_what_readers_computed(store: Store, header: Header) -> None:
    killed(store, lambda own: void(tell(own.begin_run(header()), end=False)))
    live = store.begin_run(header())
    before = store.find_run("p1", "1")
    assert store.reconcile() == (before.id,)
    after = store.run(before.id)
    assert after.finished is not None
    ended = {id: replace(one, finished=None) for id, one in after.executions.items()}
    assert replace(after, finished=None, executions=ended) == before
    size = store.layout.run(before.id).journal.stat().st_size
    assert store.reconcile() == ()
    assert store.layout.run(before.id).journal.stat().st_size == size
    assert store.run(live.id).state is State.RUNNING


def test_reconcile_ends_a_journal_with_a_torn_tail(store: Store, header: Header) -> None:
    killed(store, lambda own: void(tell(own.begin_run(header()), end=False)))
    run = store.find_run("p1", "latest")
    with store.layout.run(run.id).journal.open("ab") as file:
        file.write(b'0123456789abcdef [{"type":"execution-fin')
    assert store.reconcile() == (run.id,)
    assert store.run(run.id).state is State.INTERRUPTED
    assert read(store.layout.run(run.id).journal)[-1]["type"] == "run-finished"


def test_many_reconcilers_at_once_end_a_run_once(store: Store, header: Header) -> None:
    killed(store, lambda own: void(tell(own.begin_run(header()), end=False)))
    store.close()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            with Store.open(store.layout.root, create=True) as own:
                own.reconcile()
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    run = store.find_run("p1", "latest")
    ends = [entry for entry in read(store.layout.run(run.id).journal) if entry["type"] == "run-finished"]
    assert len(ends) == 1


def test_an_owner_on_another_host_is_left_alone(store: Store, header: Header, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = store.begin_run(header())
    writer.close()
    monkeypatch.setattr("runner.store.recovery.is_alive", lambda _: None)
    monkeypatch.setattr("runner.store.history.is_alive", lambda _: None)
    assert store.reconcile() == ()
    assert store.run(writer.id).state is State.RUNNING


def test_an_owner_that_holds_its_journal_is_alive_whatever_its_lease_says(
    store: Store, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.begin_run(header())
    monkeypatch.setattr("runner.store.recovery.is_alive", lambda _: False)
    monkeypatch.setattr("runner.store.history.is_alive", lambda _: False)
    assert store.reconcile() == ()
    assert store.run(writer.id).state is State.RUNNING


@pytest.mark.parametrize("made", ["nothing", "folder", "journal", "torn"])
def test_a_run_that_was_killed_before_it_was_acknowledged_is_forgotten(store: Store, header: Header, made: str) -> None:
    id = new_id()

    def work(own: Store) -> None:
        own._index.register_run(id, "p1", "t", lease_module.current_owner())
        folder = own.layout.run(id)
        if made != "nothing":
            folder.inbox.mkdir(parents=True)
        if made in {"journal", "torn"}:
            folder.journal.write_bytes(b"0123" if made == "torn" else b"")

    killed(store, work)
    with reader(store) as other:
        assert other.runs() == []
    assert store.reconcile() == ()
    assert store.runs() == []
    assert not store.layout.run(id).path.exists()
    assert store._index.open_runs() == {}
    assert whole_run(store, header()).counter == 2


def test_a_damaged_journal_does_not_keep_others_from_being_reconciled(store: Store, header: Header) -> None:
    killed(store, lambda own: void(tell(own.begin_run(header()), end=False)))
    damaged = store.find_run("p1", "latest").id
    killed(store, lambda own: void(tell(own.begin_run(header()), end=False)))
    journal = store.layout.run(damaged).journal
    journal.write_bytes(b"X" + journal.read_bytes()[1:])
    assert len(store.reconcile()) == 1
    assert [row["counter"] for row in store.runs()] == [2]
    with pytest.raises(MlrunError, match="damaged"):
        store.run(damaged)


@pytest.mark.parametrize("index", ["kept", "deleted"])
@pytest.mark.parametrize("end", [True, False], ids=["ended", "killed"])
def test_a_damaged_run_is_told_when_it_is_named_and_its_numbers_are_not_given_again(
    store: Store, header: Header, index: str, end: bool
) -> None:
    def work(own: Store) -> None:
        writer = own.begin_run(header())
        tell(writer, end=end)
        # Who reads the index waits until it has followed.
        own.executions()
        if end:
            finish(writer)

    whole_run(store, header())
    killed(store, work)
    run, execution = store.find_execution("p1", "2")
    journal = add_junk(store, run.id)
    data = journal.read_bytes()
    store.close()
    if index == "deleted":
        store.layout.index.unlink()
    with reader(store) as other:
        for name, find in (("2", other.find_run), (run.id, other.find_run), ("2", other.find_execution),
                           (execution.id, other.find_execution)):  # fmt: skip
            with pytest.raises(MlrunError, match="damaged") as caught:
                find("p1", name)
            assert caught.value.code is ExitCode.STORE
            assert str(journal) in caught.value.message
        assert other.find_run("p1", "1").state is State.SUCCEEDED
        if index == "deleted" or not end:
            assert list(other.unreadable("p1")) == [run.id]
            assert [row["counter"] for row in other.runs("p1")] == [1]
        assert other.unreadable("p2") == {}
    assert store.reconcile() == ()
    assert whole_run(store, header()).counter == 3
    assert store.find_execution("p1", "latest")[1].counter == 3
    assert journal.read_bytes() == data


def test_a_run_that_cannot_be_read_at_all_concerns_every_project_until_it_is_mended(
    store: Store, header: Header
) -> None:
    id = whole_run(store, header()).id
    journal = store.layout.run(id).journal
    data = journal.read_bytes()
    journal.write_bytes(b"X" + data[1:])
    store.rebuild({"user": "me"})
    assert list(store.unreadable("p1")) == list(store.unreadable("p2")) == [id]
    with pytest.raises(MlrunError, match="damaged"):
        store.find_run("p1", id)
    journal.write_bytes(data)
    assert store.unreadable() == {}
    assert [row["id"] for row in store.runs("p1")] == [id]
    assert store.runs("p2") == []


def test_a_mended_run_has_its_numbers_back_once_it_is_reconciled(store: Store, header: Header) -> None:
    killed(store, lambda own: void(tell(own.begin_run(header()), end=False)))
    id = store.find_run("p1", "1").id
    journal = store.layout.run(id).journal
    data = journal.read_bytes()
    journal.write_bytes(b"X" + data[1:])
    store.rebuild({"user": "me"})
    journal.write_bytes(data)
    assert store.reconcile() == (id,)
    assert whole_run(store, header()).counter == 2
    assert [row["counter"] for row in store.executions("p1")] == [2, 1]


@pytest.mark.root
def test_a_run_of_another_user_stops_neither_readers_nor_writers(
    foreign_place: Path, as_nobody: Callable[[Callable[[], str]], str], header: Header
) -> None:
    root = foreign_place / "store"
    with Store.open(root, create=True) as own:
        killed(own, lambda other: void(tell(other.begin_run(header()), end=False)))
        hidden = own.find_run("p1", "1").id
    for path in (foreign_place, *foreign_place.rglob("*")):
        os.chown(path, 65534, 65534)
    os.chown(own.layout.run(hidden).path, 0, 0)

    def work() -> str:
        with Store.open(root, create=True) as own:
            assert own.reconcile() == ()
            counter = whole_run(own, header()).counter
            shown = [row["counter"] for row in own.runs("p1")]
            (problem,) = own.unreadable("p1").values()
            with pytest.raises(MlrunError, match="cannot be read: Permission denied"):
                own.find_run("p1", "1")
            return f"{counter} {shown} {problem.code} {hidden in problem.message}"

    assert as_nobody(work) == "2 [2] 30 True"
