"""A run that went on after it was brought: the longer journal counts, here and there, and nothing else does."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from runner.digest import hash_bytes
from runner.engine.entry import execution_created, execution_started, job_from_json
from runner.errors import ExitCode
from runner.job import Identity
from runner.state import State
from runner.store.identity import new_id
from runner.store.imported import read_import
from runner.store.lease import current_owner
from runner.store.record import LogRef, OutputFile, Run
from runner.store.store import Store
from tests.unit.remote.scene import RECORDS, check_honest, object_path, overwrite, removed, replace_journal
from tests.unit.remote.test_pull import told
from tests.unit.remote.test_pull_kill import start_pull

FAILED = {"state": "failed", "reason": "exit"}
DONE = {"state": "succeeded", "reason": "exit"}


def failed(place: Any) -> Run:
    """A run whose one execution failed."""
    run: Run = place.run(state="failed")
    return run


def go_on(place: Any, run: Run, end: dict[str, str] = DONE) -> Run:
    """The same after another attempt, which leaves a file."""
    objects = place.store.objects
    with place.store.resume_run(run.id) as writer:
        writer.resume([{"type": "run-resumed", "owner": asdict(current_owner()), "again": ["train"]}])
        first = next(iter(run.executions.values()))
        job = job_from_json(new_id(), first.job)
        writer.append([execution_created("train", writer.new_execution_counter(), job)])
        writer.append([execution_started(job, "process", Identity("python", {"platform": "linux"}))])
        data = b"of " + job.id.encode()
        log = LogRef(*(objects.put_bytes(word + job.id.encode()) for word in (b"out", b"err", b"index")))
        output = OutputFile("model", objects.put_bytes(data), len(data))
        last = {"type": "execution-finished", "id": job.id, "exit_code": 0, "log": asdict(log)}
        writer.append([last | {"outputs": [asdict(output)]} | end, {"type": "node-moved", "node": "train"} | end])
        writer.append([{"type": "run-finished"} | end])
    longer: Run = place.store.run(run.id)
    return longer


def journal(place: Any, run: Run) -> bytes:
    data: bytes = place.store.layout.run(run.id).journal.read_bytes()
    return data


def manifests(remote: Path, run: Run) -> list[Path]:
    return list((remote / "runs").rglob(f"{run.id}.*"))


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "remote")


@pytest.fixture
def ssh(ssh_host: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(ssh_host.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return str(ssh_host.address("/remote"))


@pytest.fixture
def s3(s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.address)
    for name, value in s3_server.keys.items():
        monkeypatch.setenv(name, value)
    return f"s3://lab/{uuid4()}"


@pytest.fixture(params=["directory", "ssh", "s3"])
def anywhere(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.getfixturevalue(request.param)


def test_a_run_that_went_on_is_pushed_and_pulled_again(mine: Any, yours: Any, anywhere: str) -> None:
    yours.run()
    run = failed(mine)
    assert mine.push(anywhere, run).refused == {}
    assert yours.pull(anywhere).new == [run.id]
    run = go_on(mine, run)
    pushed = mine.push(anywhere, run)
    assert (pushed.runs, pushed.known, pushed.refused) == ([run.id], [], {})
    assert mine.push(anywhere, run).known == [run.id]
    before = yours.store.run(run.id)
    pulled = yours.pull(anywhere)
    assert (pulled.renewed, pulled.new, pulled.known, pulled.refused) == ([run.id], [], [], {})
    here = yours.store.run(run.id)
    assert journal(yours, run) == journal(mine, run) and told(here) == told(run)
    assert (here.counter, here.state) == (before.counter, State.SUCCEEDED)
    assert [one.counter for one in here.executions.values()] == [2, 3]
    assert [row["counter"] for row in yours.store.executions()] == [3, 2, 1]
    assert [row["state"] for row in yours.store.runs()] == ["succeeded", "succeeded"]
    assert all(yours.store.objects.verify(digest) for digest in mine.named(run))
    assert yours.pull(anywhere, run.id).known == [run.id]
    yours.store.rebuild({"user": "me"})
    assert [row["counter"] for row in yours.store.executions()] == [3, 2, 1]
    assert yours.run().counter == 3


def test_the_newer_manifest_takes_the_place_of_the_older_one(mine: Any, remote: Path) -> None:
    run = failed(mine)
    mine.push(remote, run)
    (older,) = manifests(remote, run)
    run = go_on(mine, run)
    mine.push(remote, run)
    (newer,) = manifests(remote, run)
    assert newer.name != older.name
    assert object_path(remote, hash_bytes(journal(mine, run))).read_bytes() == journal(mine, run)


def test_what_a_killed_push_left_beside_the_newer_manifest_does_no_harm(mine: Any, yours: Any, remote: Path) -> None:
    run = failed(mine)
    mine.push(remote, run)
    (older,) = manifests(remote, run)
    data = older.read_bytes()
    run = go_on(mine, run)
    mine.push(remote, run)
    older.write_bytes(data)
    assert yours.pull(remote).new == [run.id]
    assert journal(yours, run) == journal(mine, run)
    assert mine.push(remote, run).known == [run.id]


@pytest.mark.parametrize("again", [False, True])
def test_a_longer_record_there_is_not_replaced_by_a_shorter_one(
    mine: Any, yours: Any, remote: Path, again: bool
) -> None:
    run = failed(mine)
    mine.push(remote, run)
    yours.pull(remote)
    older = yours.store.run(run.id)
    run = go_on(mine, run)
    mine.push(remote, run)
    before = manifests(remote, run)
    pushed = yours.push(remote, older, again=again)
    assert (pushed.known, pushed.refused) == ([run.id], {})
    assert manifests(remote, run) == before


def test_a_longer_record_there_that_is_damaged_is_mended_by_a_shorter_one_only_if_asked(
    mine: Any, yours: Any, remote: Path
) -> None:
    run = failed(mine)
    mine.push(remote, run)
    yours.pull(remote)
    older = yours.store.run(run.id)
    run = go_on(mine, run)
    mine.push(remote, run)
    overwrite(object_path(remote, hash_bytes(journal(mine, run))), b"x" * len(journal(mine, run)))
    assert run.id in yours.push(remote, older).refused
    assert yours.push(remote, older, again=True).refused == {}
    assert mine.push(remote, run).refused == {}


def test_a_longer_record_here_is_kept(mine: Any, yours: Any, remote: Path, tmp_path: Path) -> None:
    run = failed(mine)
    mine.push(remote, run)
    longer = go_on(mine, run)
    mine.push(tmp_path / "other", longer)
    yours.pull(tmp_path / "other")
    for place in (mine, yours):
        before = journal(place, run)
        pulled = place.pull(remote, run.id)
        assert (pulled.known, pulled.renewed, pulled.refused) == ([run.id], [], {})
        assert journal(place, run) == before
    assert not removed(mine).dropped


def test_a_run_of_this_store_is_told_on_by_nobody_else(mine: Any, yours: Any, remote: Path) -> None:
    run = failed(mine)
    short = journal(mine, run)
    run = go_on(mine, run)
    mine.push(remote, run)
    mine.store.layout.run(run.id).journal.write_bytes(short)
    error = mine.pull(remote, run.id).refused[run.id]
    assert error.code is ExitCode.STORE and "began here" in error.message
    assert journal(mine, run) == short


@pytest.mark.parametrize("of", ["half a turn", "nothing", "another run"])
def test_what_only_looks_like_a_beginning_is_another_record(mine: Any, yours: Any, remote: Path, of: str) -> None:
    run, other = failed(mine), failed(mine)
    mine.push(remote, run)
    yours.pull(remote)
    before = journal(yours, run)
    forged = {"half a turn": before[:-1], "nothing": b"", "another run": journal(mine, other)}[of]
    replace_journal(remote, run, forged)
    assert run.id in yours.pull(remote, run.id).refused
    assert "is not the one here" in mine.push(remote, run).refused[run.id].message
    assert journal(yours, run) == before


def test_a_longer_record_that_is_wrong_changes_nothing_here(mine: Any, yours: Any, remote: Path) -> None:
    run = failed(mine)
    mine.push(remote, run)
    yours.pull(remote)
    before = journal(yours, run)
    replace_journal(remote, run, before + b"0123456789abcdef []\n")
    assert run.id in yours.pull(remote, run.id).refused
    run = go_on(mine, run)
    replace_journal(remote, run, journal(mine, run))
    assert "lacks the object" in yours.pull(remote, run.id).refused[run.id].message
    assert journal(yours, run) == before
    mine.push(remote, run, again=True)
    assert yours.pull(remote).renewed == [run.id]


def test_the_whole_run_is_by_the_remote_that_told_how_it_went_on(
    mine: Any, yours: Any, remote: Path, tmp_path: Path
) -> None:
    run = failed(mine)
    mine.push(remote, run)
    yours.pull(remote)
    mine.push(tmp_path / "other", go_on(mine, run))
    yours.pull(tmp_path / "other")
    found = read_import(yours.store.layout.run(run.id).imported)
    assert found is not None and found.source == str(tmp_path / "other")


def test_of_a_fetched_record_the_new_files_are_told_as_lacking(mine: Any, yours: Any, remote: Path) -> None:
    run = failed(mine)
    mine.push(remote, run)
    yours.pull(remote, files=RECORDS)
    run = go_on(mine, run)
    mine.push(remote, run)
    assert yours.pull(remote, files=RECORDS).renewed == [run.id]
    assert set(removed(yours).dropped) == set(run.executions)
    assert yours.pull(remote).restored == [run.id]
    assert not removed(yours).dropped


def test_a_run_that_went_on_twice_is_taken_as_it_is_in_the_end(mine: Any, yours: Any, remote: Path) -> None:
    run = failed(mine)
    mine.push(remote, run)
    yours.pull(remote)
    run = go_on(mine, go_on(mine, run, FAILED))
    mine.push(remote, run)
    assert yours.pull(remote).renewed == [run.id]
    assert len(yours.store.run(run.id).executions) == 3


@pytest.mark.parametrize("step", ["in_turn", "write_import"])
def test_a_pull_that_is_killed_before_it_adds_turns_leaves_the_run_as_it_was(
    mine: Any, places: Callable[[str], Any], remote: Path, tmp_path: Path, step: str
) -> None:
    run = failed(mine)
    mine.push(remote, run)
    killed = places("killed")
    killed.pull(remote)
    before = journal(killed, run)
    run = go_on(mine, run)
    mine.push(remote, run)
    assert start_pull(tmp_path / "killed", remote, run.project.id, step=step).wait() == -signal.SIGKILL
    assert journal(killed, run) == before
    check_honest(killed)
    with Store.open(tmp_path / "killed", create=True) as store:
        store.reconcile()
        assert store.run(run.id).state is State.FAILED
    assert killed.pull(remote).renewed == [run.id]


def test_turns_that_were_added_in_part_are_gone_on_with(mine: Any, yours: Any, remote: Path) -> None:
    run = failed(mine)
    mine.push(remote, run)
    yours.pull(remote)
    size = len(journal(yours, run))
    run = go_on(mine, run)
    mine.push(remote, run)
    whole = journal(mine, run)
    yours.store.expect_more(run.id)
    cut = whole.index(b"\n", size) + 10
    yours.store.layout.run(run.id).journal.write_bytes(whole[:cut])
    assert yours.store.run(run.id).state is State.INTERRUPTED
    yours.store.reconcile()
    assert yours.pull(remote).renewed == [run.id]
    assert journal(yours, run) == whole
    assert [row["state"] for row in yours.store.runs()] == ["succeeded"]


def test_two_records_that_went_on_in_different_ways_are_refused(
    mine: Any, yours: Any, remote: Path, tmp_path: Path
) -> None:
    run = failed(mine)
    short = journal(mine, run)
    mine.push(remote, go_on(mine, run))
    yours.pull(remote)
    mine.store.layout.run(run.id).journal.write_bytes(short)
    mine.push(tmp_path / "other", go_on(mine, go_on(mine, mine.store.run(run.id), FAILED)))
    before = journal(yours, run)
    pulled = yours.pull(tmp_path / "other", run.id)
    assert "is not the one here" in pulled.refused[run.id].message
    assert journal(yours, run) == before
    assert "is not the one here" in mine.push(remote, mine.store.run(run.id)).refused[run.id].message


def test_what_an_older_record_there_does_not_name_is_not_asked_of_it(mine: Any, yours: Any, remote: Path) -> None:
    run = failed(mine)
    mine.push(remote, run)
    run = go_on(mine, run)
    *_, last = run.executions.values()
    digest = last.outputs[0].digest
    object_path(mine.store.layout.root, digest).unlink()
    assert mine.pull(remote, run.id).refused == {}


def test_who_is_killed_after_the_turns_were_added_has_brought_them(
    mine: Any, yours: Any, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = failed(mine)
    mine.push(remote, run)
    yours.pull(remote)
    mine.push(remote, go_on(mine, run))

    def die(store: Store, run_id: str) -> Run:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "admit", die)
    with pytest.raises(KeyboardInterrupt):
        yours.pull(remote)
    assert [row["state"] for row in yours.store.runs()] == ["succeeded"]
    yours.store.reconcile()
    assert [row["counter"] for row in yours.store.executions()] == [2, 1]


def test_a_run_that_went_on_without_leaving_anything_is_pushed_again(mine: Any, remote: Path) -> None:
    run = failed(mine)
    mine.push(remote, run)
    with mine.store.resume_run(run.id) as writer:
        writer.resume([{"type": "run-resumed", "owner": asdict(current_owner()), "again": []}])
        writer.append([{"type": "run-finished"} | FAILED])
    pushed = mine.push(remote, mine.store.run(run.id))
    assert (pushed.runs, pushed.known) == ([run.id], [])
