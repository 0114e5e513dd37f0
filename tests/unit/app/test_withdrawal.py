"""Removing runs: all that were asked for or none, never one under way, and one that is tied by force only."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.app.withdrawal import Withdrawn, spared, withdraw
from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.settings import Settings
from runner.store.identity import new_id
from runner.store.record import Code, ProjectRef
from runner.store.store import Store
from runner.store.trash import Trash
from runner.store.writer import RunWriter

MakeRun = Callable[[], RunWriter]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "store")


@pytest.fixture
def begin(store: Store) -> MakeRun:
    """Begins a run of one execution, which left the file `model` of 3 bytes."""

    def make() -> RunWriter:
        writer = store.begin_run(
            {
                "kind": "exec",
                "name": "train",
                "project": ProjectRef("p1", "iris", "/iris", "valohai.yaml"),
                "title": None,
                "tags": (),
                "argv": (),
                "code": Code(hash_bytes(b"tree")),
                "spec": hash_bytes(b"spec"),
                "plan": {"nodes": [{"name": "train", "step": "train"}]},
                "executor": "fake",
                "host": {},
                "version": "1",
            }
        )
        id, counter = new_id(), writer.new_execution_counter()
        job = {"step": "train", "inputs": []}
        writer.append([{"type": "execution-created", "id": id, "node": "train", "counter": counter, "job": job}])
        outputs = [{"name": "model", "digest": store.objects.put_bytes(b"abc"), "size": 3}]
        writer.append([{"type": "execution-finished", "id": id, "state": "succeeded", "outputs": outputs}])
        return writer

    return make


def end(writer: RunWriter) -> str:
    writer.append([{"type": "run-finished", "state": "succeeded"}])
    writer.close()
    return writer.id


def shown(store: Store) -> list[str]:
    return [row["id"] for row in store.runs()]


def test_runs_are_removed_together_into_one_batch(store: Store, settings: Settings, begin: MakeRun) -> None:
    ids = [end(begin()) for _ in range(3)]
    gone = withdraw(settings, ids[:2], force=False)
    assert [one.id for one in gone] == ids[:2]
    assert shown(store) == ids[2:]
    (batch,) = Trash(store.layout).batches()
    assert batch.why == "rm"
    assert spared(gone) == {hash_bytes(b"abc"): 3}
    assert store.objects.has(hash_bytes(b"abc"))


@pytest.mark.parametrize("force", [False, True])
def test_where_one_is_under_way_none_is_removed(store: Store, settings: Settings, begin: MakeRun, force: bool) -> None:
    ended, live = end(begin()), begin()
    with pytest.raises(MlrunError) as caught:
        withdraw(settings, [ended, live.id], force=force)
    assert caught.value.code is ExitCode.LOCKED
    assert sorted(shown(store)) == [ended, live.id]
    assert Trash(store.layout).batches() == []
    end(live)


def test_where_one_is_tied_none_is_removed_until_it_is_forced(store: Store, settings: Settings, begin: MakeRun) -> None:
    ids = [end(begin()) for _ in range(2)]
    with store.refs.changing({"user": "me"}) as change:
        change.pin("run", ids[1])
    with pytest.raises(MlrunError, match="run 2 is needed: it is pinned") as caught:
        withdraw(settings, ids, force=False)
    assert caught.value.code is ExitCode.POLICY
    assert sorted(shown(store)) == ids
    assert [one.ties for one in withdraw(settings, ids, force=True)] == [[], ["it is pinned"]]
    assert shown(store) == []


def test_a_run_that_cannot_be_read_goes_by_force_only(store: Store, settings: Settings, begin: MakeRun) -> None:
    id = end(begin())
    with store.layout.run(id).journal.open("ab") as file:
        file.write(b"junk\n")
    with pytest.raises(MlrunError) as caught:
        withdraw(settings, [id], force=False)
    assert caught.value.code is ExitCode.STORE
    assert withdraw(settings, [id], force=True) == [Withdrawn(id, None, ())]
    assert shown(store) == []
    assert spared([Withdrawn(id, None, ())]) == {}


def test_who_comes_too_late_is_told_that_the_run_was_removed(store: Store, settings: Settings, begin: MakeRun) -> None:
    id = end(begin())
    withdraw(settings, [id], force=False)
    for force in (False, True):
        with pytest.raises(MlrunError, match="run 1 was removed on 20") as caught:
            withdraw(settings, [id], force=force)
        assert caught.value.code is ExitCode.USAGE
        assert caught.value.hint is not None and "`mlrun gc --undo` brings it back" in caught.value.hint
