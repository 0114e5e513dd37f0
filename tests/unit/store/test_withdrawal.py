"""Runs that are removed and brought back: either there or not, whenever somebody is killed."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest

from runner.errors import ExitCode, MlrunError
from runner.store import withdrawal
from runner.store.history import run_folders_in_trash
from runner.store.index import Index
from runner.store.lease import current_owner, write_owner
from runner.store.removal import Removals
from runner.store.store import Store
from runner.store.trash import Batch, Trash

from .conftest import Header, add_junk, answers, finish, killed, reader, tell, void, whole_run


def a_batch(store: Store) -> Batch:
    return Trash(store.layout).begin("rm", "me")


def shown(store: Store) -> tuple[list[int], list[int]]:
    """The numbers of runs and executions, as a reader and a writer see them alike."""
    with reader(store) as other:
        found = [[row["counter"] for row in other.runs()], [row["counter"] for row in other.executions()]]
    assert found == [[row["counter"] for row in store.runs()], [row["counter"] for row in store.executions()]]
    return found[0], found[1]


def test_a_removed_run_is_nowhere_and_its_numbers_are_not_given_out_again(store: Store, header: Header) -> None:
    whole_run(store, header(), "a", "b")
    gone = whole_run(store, header(), "a", "b")
    (execution, *_) = store.run(gone.id).executions
    work = store.work_folder(execution)
    work.mkdir()
    batch = a_batch(store)
    store.remove_run(gone.id, batch)
    assert shown(store) == ([1], [2, 1])
    assert not work.exists()
    moved = {path.relative_to(Trash(store.layout).folder(batch)).parts for path in Trash(store.layout).contents(batch)}
    assert moved == {("runs", gone.id), ("work", execution)}
    assert [folder.path.name for folder in run_folders_in_trash(store.layout)] == [gone.id]
    for find, name in ((store.find_run, "2"), (store.find_run, gone.id), (store.find_execution, execution)):
        with pytest.raises(MlrunError, match="there is no") as caught:
            find("p1", name)
        assert caught.value.code is ExitCode.USAGE
    store.close()
    store.layout.index.unlink()
    store.rebuild({"user": "me"})
    last = whole_run(store, header())
    assert last.counter == 3
    assert store.executions("p1", 1)[0]["counter"] == 5


STEPS: dict[str, tuple[object, str]] = {
    "before it is told": (Removals, "append"),
    "before readers look for it": (Index, "expect"),
    "before it is moved": (Trash, "move"),
    "before the folder is durable": (withdrawal, "sync_folder"),
    "before the index forgets it": (Index, "forget"),
}


def dying(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(owner, name, die)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("index", ["kept", "deleted"])
def test_a_command_killed_while_it_removes_a_run_leaves_it_there_or_removed(
    store: Store, header: Header, step: str, index: str
) -> None:
    whole_run(store, header())
    gone = whole_run(store, header(), "a", "b")
    before = answers(store)
    batch = a_batch(store)

    def work(own: Store) -> None:
        with pytest.MonkeyPatch.context() as patch:
            dying(patch, *STEPS[step])
            own.remove_run(gone.id, batch)

    killed(store, work)
    if index == "deleted":
        store.layout.index.unlink()
    there = store.layout.run(gone.id).journal.exists()
    assert there == (step in list(STEPS)[:3])
    with reader(store) as other:
        assert (answers(other) == before) is there
        if not there:
            with pytest.raises(MlrunError, match="there is no run `2`"):
                other.find_run("p1", "2")
    assert store.reconcile() == ()
    assert (answers(store) == before) is there
    assert shown(store) == (([2, 1], [3, 2, 1]) if there else ([1], [1]))
    assert store._index.open_runs() == {}
    if there:
        store.remove_run(gone.id, batch)
    assert whole_run(store, header()).counter == 3
    assert store.executions("p1", 1)[0]["counter"] == 4


def test_a_run_under_way_is_refused_with_the_process_that_drives_it(store: Store, header: Header) -> None:
    writer = store.begin_run(header())
    tell(writer, end=False)
    with pytest.raises(MlrunError, match=f"run 1 is under way: process {os.getpid()} on") as caught:
        store.remove_run(writer.id, a_batch(store))
    assert caught.value.code is ExitCode.LOCKED
    assert f"mlrun stop {writer.id}" in (caught.value.hint or "")
    assert shown(store) == ([1], [1])
    assert Removals(store.layout).read().runs == {}


def a_left_run(store: Store, header: Header) -> str:
    """A run whose journal has no end and that nobody holds."""
    killed(store, lambda own: void(tell(own.begin_run(header()), end=False)))
    return store.find_run("p1", "latest").id


LEASES: dict[str, Callable[[Any], Any]] = {
    "of another host": lambda owner: replace(owner, host="elsewhere"),
    "half-written": lambda _: b'{"host": "her',
    "empty": lambda _: b"",
    "of a living process": lambda _: current_owner(),
}


@pytest.mark.parametrize("lease", LEASES)
def test_nothing_is_taken_from_an_owner_that_is_not_certainly_dead(store: Store, header: Header, lease: str) -> None:
    id = a_left_run(store, header)
    folder = store.layout.run(id)
    forged = LEASES[lease](store.run(id).owner)
    if isinstance(forged, bytes):
        folder.owner.write_bytes(forged)
        # The index knows who registered the run: it is dead. Without the index nobody knows.
        store.close()
        store.layout.index.unlink()
        store._index.expect([id], replace(current_owner(), host=""))
    else:
        write_owner(folder.owner, forged)
    data = folder.journal.read_bytes()
    assert store.reconcile() == ()
    with pytest.raises(MlrunError, match="is under way") as caught:
        store.remove_run(id, a_batch(store))
    assert caught.value.code is ExitCode.LOCKED
    assert folder.journal.read_bytes() == data


@pytest.mark.parametrize("change", [{"start_time": 1}, {"boot_id": "another"}], ids=["pid reused", "booted since"])
def test_a_dead_owner_is_recognised_though_its_number_lives(
    store: Store, header: Header, change: dict[str, Any]
) -> None:
    id = a_left_run(store, header)
    write_owner(store.layout.run(id).owner, replace(current_owner(), **change))
    assert store.reconcile() == (id,)
    store.remove_run(id, a_batch(store))
    assert shown(store) == ([], [])


def test_a_damaged_run_can_be_removed_and_keeps_the_numbers_that_can_be_read(store: Store, header: Header) -> None:
    id = a_left_run(store, header)
    add_junk(store, id)
    store.rebuild({"user": "me"})
    store.remove_run(id, a_batch(store))
    assert store.unreadable() == {}
    store.rebuild({"user": "me"})
    assert whole_run(store, header()).counter == 2
    assert store.executions("p1", 1)[0]["counter"] == 2


def test_a_damaged_journal_of_removals_does_not_stop_a_rebuild_and_no_number_of_the_trash_is_given_again(
    store: Store, header: Header
) -> None:
    for _ in range(2):
        store.remove_run(whole_run(store, header()).id, a_batch(store))
    lines = store.layout.removed.read_bytes().splitlines(keepends=True)
    store.layout.removed.write_bytes(lines[0] + b"X" + lines[1][1:] + lines[1])
    store.close()
    store.layout.index.unlink()
    (problem,) = store.rebuild({"user": "me"})
    assert "removed" in problem.message
    assert whole_run(store, header()).counter == 3


def test_many_remove_the_same_run_and_it_is_gone_once(store: Store, header: Header) -> None:
    id = whole_run(store, header()).id
    batch = a_batch(store)
    store.close()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            # Whoever meets another one in the middle of it may be refused.
            with suppress(MlrunError), Store.open(store.layout.root, create=True) as own:
                own.remove_run(id, batch)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert shown(store) == ([], [])
    assert [path.name for path in Trash(store.layout).contents(batch)] == [id]


def test_finish_is_told_before_a_run_can_be_removed(store: Store, header: Header) -> None:
    writer = store.begin_run(header())
    writer.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
    with pytest.raises(MlrunError, match="is under way"):
        store.remove_run(writer.id, a_batch(store))
    writer.close()
    store.remove_run(writer.id, a_batch(store))
    assert shown(store) == ([], [])
    finish(store.begin_run(header()))


def test_a_removed_run_leaves_nothing_in_the_index(store: Store, header: Header) -> None:
    def rows() -> dict[str, list[tuple[object, ...]]]:
        with closing(sqlite3.connect(store.layout.index)) as connection:
            tables = ("runs", "executions", "data", "inputs")
            return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}

    whole_run(store, header(), "a", "b")
    before = rows()
    gone = whole_run(store, header(), "a", "b")
    assert all(len(now) > len(then) for now, then in zip(rows().values(), before.values(), strict=True))

    store.remove_run(gone.id, a_batch(store))

    assert rows() == before
