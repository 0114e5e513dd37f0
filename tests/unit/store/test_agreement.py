"""The index file as it is compared with the journals: read only, and never mended by looking."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from runner.errors import ExitCode, MlrunError
from runner.store.agreement import IndexFile
from runner.store.identity import new_id
from runner.store.store import Store


@pytest.fixture
def run(store: Store, header: Callable[..., dict[str, Any]]) -> Any:
    with store.begin_run(header()) as writer:
        writer.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
        return writer.run()


def test_without_an_index_there_is_nothing_to_compare(store: Store) -> None:
    assert IndexFile.open(store.layout) is None
    assert not store.layout.index.exists()


def test_the_rows_of_a_run_are_those_that_its_journal_makes(store: Store, run: Any) -> None:
    index = IndexFile.open(store.layout)
    assert index is not None
    with closing(index):
        assert index.problem() is None
        indexed = index.run(run.id)
        assert indexed is not None
        assert indexed.final
        assert index.differs(run) is None
        assert index.differs(replace(run, title="another")) == "its row differs"
        assert index.begun_runs() == [(run.id, run.project.id, 1)]
        assert index.counters() == {(run.project.id, "run"): 1}
        assert index.run("another") is None


def test_damage_is_told_and_a_busy_index_is_not_damage(store: Store, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close()
    with closing(sqlite3.connect(store.layout.index)) as other:
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("runner.store.agreement._BUSY_SECONDS", 0.0)
        with pytest.raises(MlrunError) as busy:
            IndexFile.open(store.layout)
        assert busy.value.code is ExitCode.LOCKED
    data = store.layout.index.read_bytes()
    store.layout.index.write_bytes(b"?" + data[1:])
    with pytest.raises(MlrunError) as damaged:
        IndexFile.open(store.layout)
    assert damaged.value.code is ExitCode.STORE
    assert store.layout.index.read_bytes()[0:1] == b"?"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("keys", "execution 1 cannot be found by its key"),
        ("steps", "execution 1 cannot be found by its step"),
        ("reuses", "it cannot be found by an execution that it reused"),
    ],
)
@pytest.mark.parametrize("harm", ["lost", "changed"])
def test_a_wrong_row_of_what_finds_earlier_work_is_told(
    store: Store, header: Callable[..., dict[str, Any]], table: str, said: str, harm: str
) -> None:
    with store.begin_run(header("a", "b")) as writer:
        id = new_id()
        created = {"type": "execution-created", "id": id, "node": "a", "counter": 1, "key": "ab" * 32, "job": {}}
        writer.append([created, {"type": "execution-finished", "id": id, "state": "succeeded"}])
        reused = {"execution": id, "counter": 1, "run": writer.id}
        writer.append([{"type": "node-moved", "node": "b", "state": "reused", "reused": reused}])
        writer.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
        run = writer.run()
    store.close()
    column = {"keys": "base", "steps": "step", "reuses": "execution"}[table]
    with closing(sqlite3.connect(store.layout.index)) as other:
        lost = f"DELETE FROM {table}"
        other.execute(
            lost if harm == "lost" else f"UPDATE {table} SET {column} = '00000000-0000-7000-8000-000000000000'"
        )
        other.commit()
    index = IndexFile.open(store.layout)
    assert index is not None
    with closing(index):
        assert index.differs(run) == said
