"""Runs that come into their place from elsewhere: in lists from the moment their folder is there, and only then."""

import pytest

from runner.errors import ExitCode, MlrunError
from runner.store.removal import Removals
from runner.store.store import Store
from runner.store.trash import Batch, Trash

from .conftest import Header, add_junk, answers, killed, reader, whole_run


@pytest.fixture
def batch(store: Store) -> Batch:
    return Trash(store.layout).begin("rm", "me")


def test_a_run_that_is_brought_back_is_as_it_was(store: Store, header: Header, batch: Batch) -> None:
    gone = whole_run(store, header(), "a", "b")
    whole_run(store, header())
    before = answers(store)
    store.remove_run(gone.id, batch)
    store.expect_back([gone.id])
    Trash(store.layout).restore(batch)
    store.readmit(gone.id)
    assert answers(store) == before
    assert Removals(store.layout).read().runs == {}
    with reader(store) as other:
        assert answers(other) == before


@pytest.mark.parametrize("step", ["expected", "moved"])
def test_a_command_killed_while_it_brings_a_run_back_leaves_it_removed_or_there(
    store: Store, header: Header, batch: Batch, step: str
) -> None:
    gone = whole_run(store, header(), "a", "b")
    before = answers(store)
    store.remove_run(gone.id, batch)

    def work(own: Store) -> None:
        own.expect_back([gone.id])
        if step == "moved":
            Trash(own.layout).restore(batch)

    killed(store, work)
    with reader(store) as other:
        assert (answers(other) == before) is (step == "moved")
    store.reconcile()
    assert (answers(store) == before) is (step == "moved")
    assert store._index.open_runs() == {}


def test_a_run_is_looked_for_from_the_moment_it_is_expected_and_shown_once_it_is_there(
    store: Store, header: Header, batch: Batch
) -> None:
    gone = whole_run(store, header())
    store.remove_run(gone.id, batch)
    store.expect_back([gone.id])
    with reader(store) as other:
        assert other.runs() == []
        Trash(store.layout).restore(batch)
        assert [row["id"] for row in other.runs()] == [gone.id]
    assert gone.id in Removals(store.layout).read().runs


def test_a_run_is_told_to_be_back_once_however_often_it_is_admitted_again(
    store: Store, header: Header, batch: Batch
) -> None:
    gone = whole_run(store, header())
    store.remove_run(gone.id, batch)
    Trash(store.layout).restore(batch)
    store.readmit(gone.id)
    before, told = answers(store), store.layout.removed.read_bytes()
    store.readmit(gone.id)
    assert answers(store) == before
    assert store.layout.removed.read_bytes() == told


def test_a_run_that_was_never_removed_is_not_told_to_be_back(store: Store, header: Header) -> None:
    run = whole_run(store, header())
    store.readmit(run.id)
    assert not store.layout.removed.exists()
    assert [row["id"] for row in store.runs()] == [run.id]


def test_without_a_journal_nothing_is_admitted_and_it_stays_removed(store: Store, header: Header, batch: Batch) -> None:
    gone = whole_run(store, header())
    store.remove_run(gone.id, batch)
    with pytest.raises(MlrunError, match="no journal of the run") as caught:
        store.readmit(gone.id)
    assert caught.value.code is ExitCode.STORE
    assert store.runs() == []
    assert gone.id in Removals(store.layout).read().runs


def test_a_damaged_run_that_comes_back_counts_as_removed_until_it_can_be_read(
    store: Store, header: Header, batch: Batch
) -> None:
    gone = whole_run(store, header())
    add_junk(store, gone.id)
    store.remove_run(gone.id, batch)
    Trash(store.layout).restore(batch)
    with pytest.raises(MlrunError, match="is damaged") as caught:
        store.readmit(gone.id)
    assert caught.value.code is ExitCode.STORE
    assert gone.id in Removals(store.layout).read().runs
