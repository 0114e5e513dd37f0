"""The index: lost, damaged, locked, built again; numbers are given out once."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import database
from runner.store.catalog import data_of, write_listing
from runner.store.durable import disk_errors
from runner.store.identity import new_id
from runner.store.index import Index
from runner.store.lease import current_owner
from runner.store.migration import MIGRATIONS
from runner.store.store import Store
from runner.store.trash import Trash

from .conftest import INPUT, Header, answers, finish, killed, reader, tell, void, whole_run

KEY = hash_bytes(b"all that it is made of")


@pytest.mark.parametrize("harm", ["deleted", "emptied", "garbage", "truncated", "zero-page", "old-version"])
def test_without_its_index_the_store_gives_the_same_answers(store: Store, header: Header, harm: str) -> None:
    for _ in range(3):
        whole_run(store, header(), "a", "b")
    whole_run(store, header(project="p2"))
    live = store.begin_run(header())
    tell(live, end=False)
    killed(store, lambda own: void(tell(own.begin_run(header()), "b", end=False)))
    before = answers(store)
    store.close()
    spoil(store.layout.index, harm)
    with reader(store) as other:
        assert answers(other) == before
    with Store.open(store.layout.root, create=True) as writer:
        assert answers(writer) == before
        assert whole_run(writer, header()).counter == 6
        assert writer.executions("p1", 1)[0]["counter"] == 9
    with reader(store) as other:
        assert other.executions("p1", 1)[0]["counter"] == 9


def spoil(index: Path, harm: str) -> None:
    data = index.read_bytes()
    match harm:
        case "deleted":
            index.unlink()
        case "emptied":
            index.write_bytes(b"")
        case "garbage":
            index.write_bytes(os.urandom(len(data)))
        case "truncated":
            index.write_bytes(data[: len(data) // 3])
        case "zero-page":
            index.write_bytes(b"\0" * 4096 + data[4096:])
        case _:
            with closing(sqlite3.connect(index)) as connection:
                connection.executescript(
                    "".join(f"DROP TABLE {name};" for name in ("runs", "executions", "counters", "data"))
                )
                connection.execute("PRAGMA user_version = 0")


def test_a_damaged_index_is_put_aside_not_thrown_away(store: Store, header: Header) -> None:
    whole_run(store, header())
    store.close()
    store.layout.index.write_bytes(b"garbage" * 1000)
    assert [row["counter"] for row in store.runs()] == [1]
    (aside,) = store.layout.root.glob("index.sqlite.damaged-*")
    assert aside.read_bytes().startswith(b"garbage")


def test_an_index_deleted_under_a_running_process_costs_nothing(store: Store, header: Header) -> None:
    whole_run(store, header())
    store.layout.index.unlink()
    assert whole_run(store, header()).counter == 2
    assert [row["counter"] for row in store.runs()] == [2, 1]


def test_an_index_deleted_during_a_run_does_not_give_a_counter_twice(store: Store, header: Header) -> None:
    writer = store.begin_run(header())
    tell(writer, "a")
    store.layout.index.unlink()
    with Store.open(store.layout.root, create=True) as other:
        whole_run(other, header())
    tell(writer, "b")
    finish(writer)
    assert [row["counter"] for row in store.executions("p1")] == [3, 2, 1]
    assert {row["state"] for row in store.runs("p1")} == {"succeeded"}


def test_an_index_of_a_newer_program_is_refused_by_name(store: Store, header: Header) -> None:
    whole_run(store, header())
    store.close()
    with closing(sqlite3.connect(store.layout.index)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(MlrunError, match="newer version") as caught:
        store.runs()
    assert caught.value.code is ExitCode.STORE
    with reader(store) as other:
        assert len(other.runs()) == 1


def test_rebuild_counts_on_and_tells_of_damaged_journals(store: Store, header: Header) -> None:
    damaged = whole_run(store, header())
    whole_run(store, header())
    journal = store.layout.run(damaged.id).journal
    data = journal.read_bytes()
    journal.write_bytes(data[:30] + b"X" + data[31:])
    (problem,) = store.rebuild({"user": "me"})
    assert str(journal) in problem.message
    assert [row["counter"] for row in store.runs()] == [2]
    with pytest.raises(MlrunError, match="damaged"):
        store.run(damaged.id)
    assert whole_run(store, header()).counter == 3


def test_the_index_may_fail_while_the_journal_goes_on(
    store: Store, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.begin_run(header())

    def fail(*_: object, **__: object) -> None:
        raise MlrunError("locked", code=ExitCode.LOCKED)

    monkeypatch.setattr(Index, "put", fail)
    monkeypatch.setattr(Index, "_put_all", fail)
    tell(writer)
    finish(writer)
    monkeypatch.undo()
    with reader(store) as other:
        assert [row["state"] for row in other.runs()] == ["succeeded"]
        assert [row["state"] for row in other.executions()] == ["succeeded"]


def test_a_locked_index_is_said_to_be_locked(store: Store, header: Header, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    whole_run(store, header())
    store.close()
    with closing(sqlite3.connect(store.layout.index, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MlrunError, match="locked by another process") as caught:
            store.begin_run(header())
        assert caught.value.code is ExitCode.LOCKED


def test_an_index_that_another_process_has_just_filled_is_not_filled_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(sqlite3.Connection):
        """Sees the version that the file had before the other process was done."""

        asked = False

        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if statement == "PRAGMA user_version" and not self.asked:
                self.asked = True
                return super().execute("SELECT 0")
            return super().execute(statement, *values)

    def connect(uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, isolation_level=None, factory=Late)

    assert store._index.new_counter("p", "run") == 1
    monkeypatch.setattr(database, "_connect", connect)
    late = Index(store.layout, writable=True)
    assert late.new_counter("p", "run") == 2
    late.close()


def ask_everything(store: Store) -> None:
    """What readers may ask; each answers, or fails as an error of ours."""
    digest = hash_bytes(b"m")
    questions: list[Callable[[], object]] = [
        lambda: answers(store),
        lambda: store.parts("execution", "p1", ["metrics", "tags", "state"]),
        lambda: store.parts("run", None, ["nodes", "created"]),
        lambda: store.find_run("p1", "2"),
        lambda: store.find_execution("p1", "3"),
        lambda: store.find_execution(None, "01"),
        lambda: store.unreadable(),
        lambda: store.makers_of(digest),
        lambda: store.users_of(digest),
        lambda: store.catalog.find("0123"),
    ]
    for question in questions:
        with suppress(MlrunError):
            question()


def stocked(store: Store, header: Header) -> str:
    for _ in range(3):
        whole_run(store, header(), "a", "b")
    live = store.begin_run(header())
    tell(live, end=False)
    store.close()
    return answers(store)


@pytest.mark.parametrize("seed", range(24))
def test_whatever_bytes_the_index_has_it_is_restored_without_a_traceback(
    store: Store, header: Header, seed: int
) -> None:
    before = stocked(store, header)
    store.close()
    random = Random(seed)
    data = bytearray(store.layout.index.read_bytes())
    for _ in range(random.choice([1, 1, 8, 64])):
        length = random.choice([1, 3, 100, 4096])
        at = random.randrange(len(data))
        data[at : at + length] = random.choice([random.randbytes, bytes])(length)
    if random.random() < 0.3:
        del data[random.randrange(len(data)) :]
    store.layout.index.write_bytes(data)
    with reader(store) as other:
        ask_everything(other)
    ask_everything(store)
    assert store.rebuild({"user": "me"}) == ()
    assert answers(store) == before, f"seed {seed}"
    assert whole_run(store, header()).counter >= 5
    with reader(store) as other:
        assert answers(other) == answers(store)


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "cold"])
def test_an_index_without_its_journal_is_built_again(store: Store, header: Header, hot: bool) -> None:
    before = stocked(store, header)
    store.close()
    if hot:
        # A process dies after it has written some pages of a change; somebody removes the journal that could undo it.
        child = os.fork()
        if child == 0:
            connection = sqlite3.connect(store.layout.index, isolation_level=None)
            connection.execute("PRAGMA cache_size = 1")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE executions SET row = '', seal = NULL, final = 1 - final")
            connection.execute("DELETE FROM runs")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
    store.layout.index.with_name("index.sqlite-journal").unlink()
    ask_everything(store)
    store.rebuild({"user": "me"})
    assert answers(store) == before


def test_a_reader_takes_a_row_that_was_changed_for_damage_and_answers_from_the_journals(
    store: Store, header: Header
) -> None:
    before = stocked(store, header)
    store.close()
    with closing(sqlite3.connect(store.layout.index)) as connection, connection:
        connection.execute("UPDATE executions SET row = replace(row, 'succeeded', 'sucXeeded') WHERE counter = 2")
    with reader(store) as other:
        assert answers(other) == before
    assert answers(store) == before


def test_a_reader_finds_damage_that_came_after_it_had_opened_the_index(store: Store, header: Header) -> None:
    before = stocked(store, header)
    store.close()
    with reader(store) as other:
        assert answers(other) == before
        with store.layout.index.open("r+b") as file:
            file.write(b"\0" * store.layout.index.stat().st_size)
        assert answers(other) == before


@pytest.mark.parametrize("moment", ["under way", "ended"])
def test_everything_is_as_before_when_the_index_is_deleted(store: Store, header: Header, moment: str) -> None:
    removed = whole_run(store, header())
    with disk_errors(store.layout.trash):
        batch = Trash(store.layout).begin("rm", "me")
    store.remove_run(removed.id, batch)
    first = whole_run(store, header(), "a", "b")
    (execution, *_) = store.run(first.id).executions
    datum = data_of(store.run(first.id).executions[execution])[0]
    live = store.begin_run(header())
    tell(live, "a")
    tell(live, "b", end=moment == "ended")
    if moment == "ended":
        finish(live)
    with store.refs.changing({"user": "me"}) as change:
        change.pin("run", first.id)
        change.tag("execution", execution, "good", own=False)
        change.untag("run", live.id, "best", own=True)
        change.set_alias("prod", datum)
        change.make_version(("dataset", "d"), "v1", write_listing(store.objects, [datum]), [datum], {})

    def everything(seen: Store) -> object:
        found = [answers(seen), seen.find_run("p1", "3"), seen.find_execution("p1", "4"), seen.refs.pins()]
        found += [seen.refs.tags(), seen.catalog.datum("prod"), seen.catalog.version("dataset", "d", "v1")]
        found += [sorted(seen.makers_of(datum.digest)), sorted(seen.users_of(INPUT)), seen.catalog.find(datum.id[:8])]
        return found

    before = everything(store)
    assert len(store.users_of(INPUT)) == 4
    store.close()
    store.layout.index.unlink()
    with reader(store) as other:
        assert everything(other) == before
    assert everything(store) == before
    store.rebuild({"user": "me"})
    assert everything(store) == before
    if moment == "under way":
        finish(live)
    assert whole_run(store, header()).counter == 4
    assert store.executions("p1", 1)[0]["counter"] == 6


def test_a_writer_gives_back_what_it_has_no_use_for_unless_it_would_have_to_wait(store: Store, header: Header) -> None:
    for numbers in ([1, 2, 3], [4, 5, 6]):
        with store.begin_run(header()) as writer:
            assert [writer.new_execution_counter() for _ in numbers] == numbers
    with closing(sqlite3.connect(store.layout.index, isolation_level=None)) as other:
        with store.begin_run(header()) as writer:
            assert [writer.new_execution_counter() for _ in range(3)] == [7, 8, 9]
            other.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
        assert time.monotonic() - began < database._BUSY_SECONDS / 2
    assert store.new_execution_counter("p1") == 11


def test_a_run_about_to_begin_keeps_its_number_through_a_rebuild(store: Store) -> None:
    id = new_id()
    assert store._index.register_run(id, "p1", "t", current_owner()) == 1
    store.rebuild({"user": "me"})
    assert list(store._index.open_runs()) == [id]
    assert store._index.new_counter("p1", "run") == 2


def test_a_rebuild_by_an_older_program_is_possible_where_its_index_is_newer(store: Store, header: Header) -> None:
    whole_run(store, header())
    store.close()
    with closing(sqlite3.connect(store.layout.index)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert store.rebuild({"user": "me"}) == ()
    assert [row["counter"] for row in store.runs()] == [1]


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_an_index_of_every_version_before_is_brought_up_to_date(store: Store, header: Header, version: int) -> None:
    before = stocked(store, header)
    store.close()
    store.layout.index.unlink()
    with closing(sqlite3.connect(store.layout.index)) as connection:
        for migration in MIGRATIONS[:version]:
            connection.executescript(migration)
        connection.execute(f"PRAGMA user_version = {version}")
    assert answers(store) == before
    assert list(store.layout.root.glob("*.damaged-*")) == []


def tables_of(store: Store) -> dict[str, list[Any]]:
    """All rows of all tables but the owners, which a rebuild reads from elsewhere."""
    with closing(sqlite3.connect(store.layout.index)) as index:
        names = [name for (name,) in index.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(index.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}


def stock_with_reuse(store: Store, header: Header) -> tuple[str, str, str]:
    """A run of two executions of which one succeeded, and one that reused it: their ids and its id."""
    good, bad = new_id(), new_id()
    with store.begin_run(header("a", "b")) as first:
        for id, node, state in ((good, "a", "succeeded"), (bad, "b", "failed")):
            created = {"type": "execution-created", "id": id, "node": node, "counter": 1, "key": KEY, "job": {}}
            first.append([created, {"type": "execution-finished", "id": id, "state": state}])
        first.append([{"type": "run-finished", "state": "failed"}])
    with store.begin_run(header("a")) as second:
        reused = {"execution": good, "counter": 1, "run": first.id}
        second.append([{"type": "node-moved", "node": "a", "state": "reused", "reused": reused}])
        second.append([{"type": "run-finished", "state": "succeeded"}])
    return first.id, second.id, good


def test_only_what_succeeded_is_found_by_its_key_and_its_step(store: Store, header: Header) -> None:
    first, second, good = stock_with_reuse(store, header)
    assert store.with_key(KEY) == [(good, first)]
    assert store.of_step("p1", "step a", 5) == [(good, first)]
    assert store.of_step("p1", "step b", 5) == store.of_step("p2", "step a", 5) == []
    assert store.links().reusers_of(good) == [second]


def test_an_execution_is_found_by_its_key_while_its_run_goes_on(store: Store, header: Header) -> None:
    with store.begin_run(header("a", "b")) as writer:
        id = new_id()
        writer.append([{"type": "execution-created", "id": id, "node": "a", "counter": 1, "key": KEY, "job": {}}])
        assert store.with_key(KEY) == []
        writer.append([{"type": "execution-finished", "id": id, "state": "succeeded"}])
        assert store.with_key(KEY) == [(id, writer.id)]


@pytest.mark.parametrize("version", [*range(len(MIGRATIONS)), "rebuilt"])
def test_whatever_index_there_was_the_rows_are_those_of_the_journals(
    store: Store, header: Header, version: int | str
) -> None:
    stock_with_reuse(store, header)
    before = tables_of(store)
    assert all(before[name] for name in ("keys", "steps", "reuses"))
    if version == "rebuilt":
        store.rebuild({"user": "me"})
    else:
        store.close()
        store.layout.index.unlink()
        with closing(sqlite3.connect(store.layout.index)) as connection:
            for migration in MIGRATIONS[: int(version)]:
                connection.executescript(migration)
            connection.execute(f"PRAGMA user_version = {version}")
        store.runs()
        store.new_execution_counter("another")
        before["counters"].append(("another", "execution", 1))
    after = tables_of(store)
    assert {name: after[name] for name in before} == {name: sorted(rows, key=repr) for name, rows in before.items()}


def test_a_run_that_is_removed_is_found_by_nothing(store: Store, header: Header) -> None:
    first, second, good = stock_with_reuse(store, header)
    batch = Trash(store.layout).begin("rm", "me")
    store.remove_run(second, batch)
    assert store.links().reusers_of(good) == []
    store.remove_run(first, batch)
    assert store.with_key(KEY) == store.of_step("p1", "step a", 5) == []
    assert not any(rows for name, rows in tables_of(store).items() if name in ("keys", "steps", "reuses"))


def test_a_list_counts_the_nodes_that_were_reused(store: Store, header: Header) -> None:
    stock_with_reuse(store, header)
    assert [row["nodes"] for row in store.runs()] == [{"reused": 1}, {"waiting": 2}]
    assert next(row["executions"] for row in store.runs()) == []
