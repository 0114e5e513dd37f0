"""Runs of other stores: their numbers here, kept through everything."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import ExitCode, MlrunError
from runner.state import Reason, State
from runner.store.imported import Import, read_import, write_import
from runner.store.layout import RunFolder
from runner.store.store import Store
from runner.store.trash import Trash

from .conftest import Header, answers, killed, reader, tell, void, whole_run

TIME = "2026-01-02T03:04:05.000000Z"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """The store of a colleague."""
    with Store.open(tmp_path / "other", create=True) as store:
        yield store


def bring(store: Store, other: Store, id: str, *, placed: bool = True) -> None:
    """What a fetch does, up to the moment when the run is in its place."""
    run = other.run(id)
    counter = store.expect_import(id, run.project.id)
    executions = {one: store.new_execution_counter(run.project.id) for one in run.executions}
    folder = RunFolder(store.layout.runs / f".new-{id}")
    folder.path.mkdir()
    write_import(folder.imported, Import("ssh://there/store", TIME, counter, executions))
    shutil.copy(other.layout.run(id).journal, folder.journal)
    if placed:
        folder.path.rename(store.layout.run(id).path)


def test_an_imported_run_has_the_numbers_of_this_store_everywhere(store: Store, other: Store, header: Header) -> None:
    for _ in range(3):
        theirs = whole_run(other, header(), "a", "b")
    whole_run(store, header())
    bring(store, other, theirs.id)
    assert store.admit(theirs.id).counter == 2
    # Newest first: they were here before ours was.
    assert [row["counter"] for row in store.runs()] == [1, 2]
    assert [row["counter"] for row in store.executions()] == [1, 3, 2]
    assert store.runs()[1]["executions"] == [2, 3]
    run, execution = store.find_execution("p1", "3")
    assert (run.id, run.counter, execution.counter) == (theirs.id, 2, 3)
    assert store.find_run("p1", "2").id == theirs.id
    before = answers(store)
    store.close()
    store.layout.index.unlink()
    with reader(store) as seen:
        assert answers(seen) == before
    assert answers(store) == before
    store.rebuild({"user": "me"})
    assert answers(store) == before
    assert whole_run(store, header()).counter == 3
    assert store.executions("p1", 1)[0]["counter"] == 4


@pytest.mark.parametrize("placed", [True, False])
def test_an_import_that_was_killed_is_whole_or_leaves_nothing(
    store: Store, other: Store, header: Header, placed: bool
) -> None:
    theirs = whole_run(other, header(), "a")
    other.close()
    killed(store, lambda own: bring(own, Store.open(other.layout.root, create=False), theirs.id, placed=placed))
    with reader(store) as seen:
        assert [row["counter"] for row in seen.runs()] == ([1] if placed else [])
    assert store.reconcile() == ()
    assert [row["counter"] for row in store.runs()] == ([1] if placed else [])
    assert store.layout.run(theirs.id).path.exists() is placed
    assert store._index.open_runs() == {}
    assert whole_run(store, header()).counter == 2


def test_an_imported_run_without_an_end_was_interrupted_and_is_never_written(
    store: Store, other: Store, header: Header
) -> None:
    killed(other, lambda own: void(tell(own.begin_run(header()), end=False)))
    theirs = other.find_run("p1", "latest").id
    bring(store, other, theirs)
    store.admit(theirs)
    data = store.layout.run(theirs).journal.read_bytes()
    assert store.reconcile() == ()
    run = store.find_run("p1", "1")
    assert (run.state, run.reason) == (State.INTERRUPTED, Reason.RUNNER_LOST)
    assert store.layout.run(theirs).journal.read_bytes() == data
    store.remove_run(theirs, Trash(store.layout).begin("rm", "me"))
    assert store.runs() == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"from": 1, "counter": "x"}', b'{"executions": 3}'])
def test_a_damaged_import_concerns_its_run_only(store: Store, other: Store, header: Header, content: bytes) -> None:
    theirs = whole_run(other, header())
    whole_run(store, header())
    bring(store, other, theirs.id)
    store.admit(theirs.id)
    store.layout.run(theirs.id).imported.write_bytes(content)
    with pytest.raises(MlrunError, match="is damaged") as caught:
        store.run(theirs.id)
    assert caught.value.code is ExitCode.STORE
    (problem,) = store.rebuild({"user": "me"})
    assert "import" in problem.message
    assert [row["counter"] for row in store.runs()] == [1]
    assert list(store.unreadable()) == [theirs.id]


def test_a_run_of_this_store_has_no_import(tmp_path: Path) -> None:
    assert read_import(tmp_path / "import") is None
    assert read_import(tmp_path / "import" / "deeper") is None
