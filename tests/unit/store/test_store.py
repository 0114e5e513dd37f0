"""Runs: begun, told, and found again."""

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import pytest

from runner.errors import ExitCode, MlrunError
from runner.state import State
from runner.store import lease as lease_module
from runner.store.follower import Then
from runner.store.identity import new_id
from runner.store.record import Execution, Run
from runner.store.store import Store
from tests.patience import PATIENCE

from .conftest import Header, answers, finish, killed, reader, tell, void, whole_run


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
        (None, "9", "there is no execution `9`", "the latest has the number 2"),
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


def test_a_number_is_enough_outside_a_project_while_one_alone_has_it(store: Store, header: Header) -> None:
    first = whole_run(store, header(), "a", "b")
    assert store.find_run(None, "1").id == first.id
    assert store.find_execution(None, "2")[1].node == "b"

    whole_run(store, header(project="p2"))
    assert store.find_execution(None, "2")[1].node == "b"
    with pytest.raises(MlrunError, match="2 projects have an execution `1`") as caught:
        store.find_execution(None, "1")
    assert all(row["id"] in (caught.value.hint or "") for row in store.executions() if row["counter"] == 1)


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


def test_the_index_follows_an_execution_that_has_ended_once_if_its_beginning_could_wait(
    store: Store, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, put_soon = store.begin_run(header()), store._index.put_soon
    states: list[State] = []

    def put(run: Run, executions: Sequence[Execution], then: Then) -> None:
        states.extend(one.state for one in executions)
        put_soon(run, executions, then)

    monkeypatch.setattr(store._index, "put_soon", put)
    writer._followed = math.inf
    tell(writer)
    finish(writer)
    assert states == [State.SUCCEEDED]


def test_what_the_index_could_not_follow_in_time_is_in_it_with_the_end_of_the_run(
    store: Store, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.begin_run(header())
    ending, catch_up = Event(), store._index.catch_up

    def refuse(items: object) -> None:
        assert ending.wait(PATIENCE)
        raise MlrunError("locked", code=ExitCode.LOCKED)

    def wait() -> None:
        ending.set()
        catch_up()

    monkeypatch.setattr(store._index._follower, "_take", refuse)
    tell(writer)
    monkeypatch.setattr(store._index, "catch_up", wait)
    finish(writer)
    assert [row["state"] for row in store.executions("p1")] == ["succeeded"]
