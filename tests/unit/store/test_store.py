"""Runs: begun, told, found again, and ended when their owner is gone."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.state import Reason, State
from runner.store import index as index_module
from runner.store import lease as lease_module
from runner.store.identity import new_id
from runner.store.index import Index
from runner.store.journal import read
from runner.store.store import Store
from runner.store.writer import RunWriter

Header = Callable[..., dict[str, Any]]


def tell(writer: RunWriter, node: str = "a", *, end: bool = True, **parameters: Any) -> str:
    """One execution of a node."""
    id = new_id()
    job = {"image": "busybox", "parameters": parameters, "inputs": [{"name": "data", "files": [{}, {}]}]}
    counter = writer.new_execution_counter()
    writer.append(
        [
            {"type": "node-moved", "node": node, "state": "starting"},
            {"type": "execution-created", "id": id, "node": node, "counter": counter, "job": job},
        ]
    )
    writer.append([{"type": "execution-started", "id": id, "executor": "sandbox", "identity": {"id": "x"}}])
    if end:
        output = {"name": "model", "digest": hash_bytes(b"m"), "size": 10}
        writer.append(
            [
                {
                    "type": "execution-finished",
                    "id": id,
                    "state": "succeeded",
                    "reason": "exit",
                    "exit_code": 0,
                    "outputs": [output],
                    "metrics": {"loss": float("nan"), "acc": 0.5},
                },
                {"type": "node-moved", "node": node, "state": "succeeded"},
            ]
        )
    return id


def finish(writer: RunWriter, state: str = "succeeded") -> None:
    writer.append([{"type": "run-finished", "state": state, "duration": 1.0}])
    writer.close()


def whole_run(store: Store, header: dict[str, Any], *nodes: str) -> RunWriter:
    writer = store.begin_run(header)
    for node in nodes or ("a",):
        tell(writer, node, C=0.5)
    finish(writer)
    return writer


def killed(store: Store, work: Callable[[Store], None]) -> None:
    """Do `work` in a process that is killed at its end."""
    store.close()
    child = os.fork()
    if child == 0:
        try:
            with Store.open(store.layout.root, create=True) as own:
                work(own)
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def answers(store: Store) -> str:
    """Everything that readers can ask for."""
    rows = [store.executions(), store.executions("p1"), store.executions("p2"), store.executions("p1", 2)]
    rows += [store.runs(), store.runs("p1"), store.runs("p2"), store.runs("p1", 1)]
    return json.dumps(rows)


def reader(store: Store) -> Store:
    return Store.open(store.layout.root, create=False)


def test_a_run_is_recorded_with_its_counter_its_owner_and_its_header(store: Store, header: Header) -> None:
    writer = store.begin_run(header())
    run = store.run(writer.id)
    assert (run.id, run.counter, run.state, run.name) == (writer.id, 1, State.RUNNING, "Train")
    assert run.owner == lease_module.current_owner()
    assert run.code.not_captured == ("x: a pipe",)
    assert list(run.nodes) == ["a", "b"]
    assert run == writer.run()


def test_runs_and_executions_have_counters_of_their_own_per_project(store: Store, header: Header) -> None:
    first = whole_run(store, header(), "a", "b")
    second = whole_run(store, header(), "a")
    other = whole_run(store, header(project="p2"), "a")
    assert (first.counter, second.counter, other.counter) == (1, 2, 1)
    assert [row["counter"] for row in store.executions("p1")] == [3, 2, 1]
    assert [row["counter"] for row in store.executions("p2")] == [1]
    assert [row["counter"] for row in store.runs("p1")] == [2, 1]


def test_rows_tell_what_lists_need(store: Store, header: Header) -> None:
    whole_run(store, header(title="try"))
    (row,) = store.executions("p1")
    assert str(row["metrics"].pop("loss")) == "nan"
    wanted = {
        "counter": 1,
        "run_counter": 1,
        "kind": "pipeline",
        "name": "Train",
        "project_name": "iris",
        "title": "try",
        "tags": ["best"],
        "commit": "c0ffee",
        "dirty": True,
        "node": "a",
        "step": "step a",
        "state": "succeeded",
        "exit_code": 0,
        "image": "busybox",
        "executor": "sandbox",
        "parameters": {"C": 0.5},
        "inputs": {"data": 2},
        "metrics": {"acc": 0.5},
        "outputs": 1,
        "output_bytes": 10,
    }
    assert {key: row[key] for key in wanted} == wanted
    (run,) = store.runs("p1")
    assert (run["nodes"], run["executions"], run["state"]) == ({"succeeded": 1, "waiting": 1}, [1], "succeeded")


def test_a_run_under_way_is_told_from_its_journal_by_any_process(store: Store, header: Header) -> None:
    writer = store.begin_run(header())
    id = tell(writer, end=False)
    with reader(store) as other:
        (row,) = other.executions("p1")
        assert (row["id"], row["state"]) == (id, "running")
        assert other.runs()[0]["state"] == "running"
        assert other.find_execution("p1", "1")[1].id == id
        assert other.find_execution("p1", "latest")[1].id == id
        assert other.find_run("p1", "1").id == writer.id


def test_a_reader_writes_nothing_even_without_a_store(tmp_path: Path) -> None:
    with Store.open(tmp_path / "none", create=False) as store:
        assert store.executions() == store.runs("p") == []
        with pytest.raises(MlrunError, match="there is no run `latest`"):
            store.find_run("p", "latest")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_leaves_every_file_as_it_is(store: Store, header: Header) -> None:
    whole_run(store, header())
    killed(store, lambda own: finish(own.begin_run(header())))
    killed(store, lambda own: void(tell(own.begin_run(header()), end=False)))

    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in store.layout.root.rglob("*")}

    before = state()
    with reader(store) as other:
        answers(other)
        other.find_execution("p1", "latest")
    assert state() == before


def void(_: object) -> None:
    pass


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


@pytest.mark.root
def test_an_ordinary_user_has_a_store_of_his_own(
    foreign_place: Path, as_nobody: Callable[[Callable[[], str]], str], header: Header
) -> None:
    os.chown(foreign_place, 65534, 65534)

    def work() -> str:
        with Store.open(foreign_place / "store", create=True) as own:
            digest = own.objects.put_bytes(b"x")
            own.objects.materialise(digest, foreign_place / "shown", writable=False)
            whole_run(own, header())
            own.reconcile()
            return own.find_run("p1", "latest").state

    assert as_nobody(work) == "succeeded"


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
    (problem,) = store.rebuild()
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
    monkeypatch.setattr(Index, "put_executions", fail)
    tell(writer)
    finish(writer)
    monkeypatch.undo()
    with reader(store) as other:
        assert [row["state"] for row in other.runs()] == ["succeeded"]
        assert [row["state"] for row in other.executions()] == ["succeeded"]


def test_a_locked_index_is_said_to_be_locked(store: Store, header: Header, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_BUSY_SECONDS", 0.05)
    whole_run(store, header())
    store.close()
    with closing(sqlite3.connect(store.layout.index, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MlrunError, match="locked by another process") as caught:
            store.begin_run(header())
        assert caught.value.code is ExitCode.LOCKED


def test_processes_never_get_the_same_counter(store: Store) -> None:
    store.close()
    children = []
    for _ in range(4):
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            with Store.open(store.layout.root, create=True) as own:
                mine = [own._index().new_counter("p", "execution") for _ in range(50)]
            os.write(send, json.dumps(mine).encode())
            os._exit(0)
        os.close(send)
        children.append((child, receive))
    numbers: list[int] = []
    for child, receive in children:
        with open(receive) as file:
            numbers += json.load(file)
        os.waitpid(child, 0)
    assert sorted(numbers) == list(range(1, 201))


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
        own._index().register_run(id, "p1", "t", lease_module.current_owner())
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
    assert store._index().open_runs() == {}
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


def add_junk(store: Store, run_id: str) -> Path:
    journal = store.layout.run(run_id).journal
    with journal.open("ab") as file:
        file.write(b"junk\n")
    return journal


@pytest.mark.parametrize("index", ["kept", "deleted"])
@pytest.mark.parametrize("end", [True, False], ids=["ended", "killed"])
def test_a_damaged_run_is_told_when_it_is_named_and_its_numbers_are_not_given_again(
    store: Store, header: Header, index: str, end: bool
) -> None:
    def work(own: Store) -> None:
        writer = own.begin_run(header())
        tell(writer, end=end)
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
    store.rebuild()
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
    store.rebuild()
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


def test_an_index_that_another_process_has_just_filled_is_not_filled_again(store: Store) -> None:
    class Late(sqlite3.Connection):
        """Sees the version that the file had before the other process was done."""

        asked = False

        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if statement == "PRAGMA user_version" and not self.asked:
                self.asked = True
                return super().execute("SELECT 0")
            return super().execute(statement, *values)

    assert store._index().new_counter("p", "run") == 1
    with closing(sqlite3.connect(store.layout.index, isolation_level=None, factory=Late)) as connection:
        late = Index(connection, store.layout.index)
        late._prepare(store.layout)
        assert late.new_counter("p", "run") == 2


def test_requests_reach_the_owner(store: Store, header: Header) -> None:
    writer = store.begin_run(header())
    with reader(store) as other:
        other.request(writer.id, {"type": "stop"})
    assert writer.inbox() == [{"type": "stop"}]
    assert writer.inbox() == []
    finish(writer)
    with pytest.raises(MlrunError, match="has ended: it is succeeded") as caught:
        store.request(writer.id, {"type": "stop"})
    assert caught.value.code is ExitCode.USAGE


def test_a_log_folder_is_made_for_an_execution(store: Store, header: Header) -> None:
    writer = store.begin_run(header())
    id = new_id()
    assert writer.log_folder(id).is_dir()
    assert writer.log_folder(id) == store.layout.run(writer.id).logs / id


def test_an_execution_is_found_by_counter_latest_and_prefix(store: Store, header: Header) -> None:
    whole_run(store, header(), "a", "b")
    time.sleep(0.002)
    whole_run(store, header(project="p2"))
    rows = {row["counter"]: row for row in store.executions("p1")}
    for text in ("2", "latest", rows[2]["id"], rows[2]["id"][:-1], rows[2]["id"].upper()):
        run, execution = store.find_execution("p1", text)
        assert (execution.id, run.id) == (rows[2]["id"], rows[2]["run"])
    assert store.find_execution(None, rows[1]["id"])[1].node == "a"
    assert store.find_run("p1", "1").id == store.find_run(None, rows[1]["run"]).id


@pytest.mark.parametrize(
    ("project", "text", "message", "hint"),
    [
        ("p1", "9", "there is no execution `9`", "the latest has the number 2"),
        ("p1", "", "there is no execution ``", "the latest has the number 2"),
        ("p1", "zzzzzz", "there is no execution", "the latest"),
        ("p1", "²", "there is no execution", "the latest"),
        ("none", "latest", "there is no execution `latest`", "nothing has been run"),
        (None, "1", "`1` needs a project", "go to the project's folder"),
    ],
)
def test_what_is_not_there_is_said_with_a_hint(
    store: Store, header: Header, project: str | None, text: str, message: str, hint: str
) -> None:
    whole_run(store, header(), "a", "b")
    with pytest.raises(MlrunError) as caught:
        store.find_execution(project, text)
    assert caught.value.code is ExitCode.USAGE
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_an_ambiguous_beginning_lists_the_ids(store: Store, header: Header) -> None:
    whole_run(store, header(), "a", "b")
    first, second = (row["id"] for row in store.executions())
    with pytest.raises(MlrunError, match="could be any of 2 executions") as caught:
        store.find_execution(
            "p1", first[: next(at for at, (one, two) in enumerate(zip(first, second, strict=True)) if one != two)]
        )
    assert first in (caught.value.hint or "")
    assert second in (caught.value.hint or "")


def test_a_turn_that_finds_the_disk_full_may_be_told_again(
    store: Store, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.begin_run(header())
    write = os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "full")

    entry = {"type": "node-moved", "node": "a", "state": "ready"}
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(MlrunError) as caught:
        writer.append([entry])
    assert caught.value.code is ExitCode.DISK
    assert writer.run().nodes["a"].state is State.WAITING
    monkeypatch.setattr(os, "write", write)
    writer.append([entry])
    assert store.run(writer.id).nodes["a"].state is State.READY
