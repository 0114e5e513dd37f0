"""Who made, got and reused what, of runs that have ended and of runs that go on."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Any

from runner.digest import hash_bytes
from runner.store.agreement import IndexFile
from runner.store.datum import datum_id
from runner.store.record import Reused
from runner.store.store import Store
from runner.store.trash import Trash
from tests.unit.store.conftest import INPUT, tell

Header = Callable[..., dict[str, Any]]
MODEL = hash_bytes(b"m")


def test_runs_that_go_on_count_like_those_that_have_ended(store: Store, header: Header) -> None:
    with store.begin_run(header()) as ended:
        first = tell(ended)
        ended.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
    reused = asdict(Reused(first, 1, ended.id))
    with store.begin_run(header()) as going:
        second = tell(going)
        going.append([{"type": "node-moved", "node": "b", "state": "reused", "reused": reused}])
        links = store.links()
        assert links.makers_of(MODEL) == [(second, going.id), (first, ended.id)]
        assert links.users_of(INPUT) == [(second, going.id), (first, ended.id)]
        assert links.reusers_of(first) == [going.id]
        assert links.reusers_of(second) == []
        for id, run in ((first, ended.id), (second, going.id)):
            assert links.maker_of(datum_id(id, "model")) == (id, run)
        assert links.maker_of(datum_id(first, "another")) is None
        assert links.maker_of("no id") is None


def test_a_run_that_was_removed_reuses_nothing_and_comes_back_with_what_it_reused(store: Store, header: Header) -> None:
    with store.begin_run(header()) as first:
        id = tell(first)
        first.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
    with store.begin_run(header()) as second:
        reused = asdict(Reused(id, 1, first.id))
        second.append([{"type": "node-moved", "node": "b", "state": "reused", "reused": reused}])
        second.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
    assert store.links().reusers_of(id) == [second.id]
    batch = Trash(store.layout).begin("rm", "me")
    store.remove_run(second.id, batch)
    assert store.links().reusers_of(id) == []
    with closing(sqlite3.connect(store.layout.index)) as index:
        assert index.execute("SELECT count(*) FROM reuses").fetchone() == (0,)
    store.expect_back([second.id])
    Trash(store.layout).restore(batch)
    store.readmit(second.id)
    assert store.links().reusers_of(id) == [second.id]


def test_an_index_that_has_lost_a_reuse_does_not_agree_with_the_journal(store: Store, header: Header) -> None:
    with store.begin_run(header()) as first:
        id = tell(first)
        first.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
    with store.begin_run(header()) as second:
        reused = asdict(Reused(id, 1, first.id))
        second.append([{"type": "node-moved", "node": "b", "state": "reused", "reused": reused}])
        second.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
    run = store.run(second.id)
    store.close()
    index = IndexFile.open(store.layout)
    assert index is not None
    with closing(index):
        assert index.differs(run) is None
        with closing(sqlite3.connect(store.layout.index)) as other, other:
            other.execute("DELETE FROM reuses")
        assert index.differs(run) == "it cannot be found by an execution that it reused"
