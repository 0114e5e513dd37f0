"""Whatever is wrong at a remote refuses the run that it concerns, and no other."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode
from runner.store.journal import read
from runner.store.reach import FILES
from runner.store.record import Run
from tests.unit.remote.conftest import PROJECT
from tests.unit.remote.scene import RECORDS, breaks, check_honest, forge, overwrite, removed


@pytest.mark.parametrize("size", [100, 3_000_000])
@pytest.mark.parametrize("how", ["flipped", "short", "empty", "missing", "fifo", "link", "folder"])
def test_a_wrong_object_refuses_its_run_and_no_other(mine: Any, yours: Any, remote: Path, how: str, size: int) -> None:
    good, bad = mine.run(), mine.run("model", size=size)
    mine.push(remote, good, bad)
    digest = next(iter(bad.executions.values())).outputs[0].digest
    breaks(remote, digest, how)
    pulled = yours.pull(remote)
    assert pulled.new == [good.id]
    error = pulled.refused[bad.id]
    assert error.code is ExitCode.STORE
    assert all(word in error.message for word in (digest, bad.id, str(remote)))
    assert not yours.store.layout.run(bad.id).path.exists()
    assert not yours.store.objects.has(digest)
    assert set(removed(yours).dropped) == set()


def test_more_than_was_declared_is_never_read(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    breaks(remote, next(iter(run.executions.values())).outputs[0].digest, "long")
    assert yours.pull(remote).new == [run.id]
    check_honest(yours)


@pytest.mark.parametrize("what", ["journal", "spec", "tree", "code"])
@pytest.mark.parametrize("how", ["flipped", "short", "missing"])
def test_a_wrong_part_of_the_record_refuses_its_run(mine: Any, yours: Any, remote: Path, what: str, how: str) -> None:
    run = mine.run()
    mine.push(remote, run)
    journal = hash_bytes(mine.store.layout.run(run.id).journal.read_bytes())
    digest = {
        "journal": journal,
        "spec": run.spec,
        "tree": run.code.snapshot,
        "code": hash_bytes(b"print(1)\n"),
    }[what]
    breaks(remote, digest, how)
    for files in (RECORDS, FILES):
        pulled = yours.pull(remote, files=files)
        assert pulled.new == []
        assert digest in pulled.refused[run.id].message
    assert not yours.store.layout.run(run.id).path.exists()
    assert not yours.store.runs()


def test_a_manifest_that_was_changed_is_refused(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    (path,) = (remote / "runs").rglob("*.*")
    document = json.loads(path.read_bytes())
    document["absent"] = [[document["objects"].pop()[0], "dropped"]]
    overwrite(path, json.dumps(document).encode())
    assert "manifest" in yours.pull(remote).refused[run.id].message


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(run="0" * 36),
        lambda document: document.update(format=2),
        lambda document: document.update(more=1),
        lambda document: document["objects"].clear(),
        lambda document: document["objects"].append(["../../etc/passwd", 5]),
        lambda document: document["objects"].append(["a" * 64, -1]),
        lambda document: document["objects"].append(["a" * 64, True]),
        lambda document: document["objects"].append(["a" * 64, 1 << 70]),
        lambda document: document["objects"].append("a" * 64),
        lambda document: document.update(objects={}),
        lambda document: document.update(journal=["a" * 64, 1 << 50]),
        lambda document: document.update(journal=None),
        lambda document: document["absent"].append(["a" * 64, "eaten"]),
        lambda document: document.update(
            objects=[[digest, size + 1] for digest, size in document["objects"]],
        ),
    ],
)
def test_a_manifest_that_cannot_be_true_is_refused(
    mine: Any, yours: Any, remote: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    good, bad = mine.run(), mine.run()
    mine.push(remote, good, bad)
    forge(remote, bad, change)
    pulled = yours.pull(remote)
    assert (pulled.new, list(pulled.refused)) == ([good.id], [bad.id])
    assert not yours.store.layout.run(bad.id).path.exists()


def test_two_records_of_one_run_are_refused(mine: Any, yours: Any, remote: Path) -> None:
    run, other = mine.run(), mine.run()
    mine.push(remote, run, other)
    (path,) = (remote / "runs").rglob(f"{run.id}.*")
    (second,) = (remote / "runs").rglob(f"{other.id}.*")
    document = json.loads(path.read_bytes())
    document["journal"] = json.loads(second.read_bytes())["journal"]
    data = json.dumps(document).encode()
    path.with_name(f"{run.id}.{hash_bytes(data)}").write_bytes(data)
    pulled = yours.pull(remote)
    assert "two different records" in pulled.refused[run.id].message
    assert pulled.new == [other.id]


def test_another_record_of_a_run_that_is_here_is_refused(mine: Any, remote: Path) -> None:
    run, other = mine.run(), mine.run()
    mine.push(remote, run, other)
    (second,) = (remote / "runs").rglob(f"{other.id}.*")
    forge(remote, run, lambda document: document.update(journal=json.loads(second.read_bytes())["journal"]))
    assert run.id in mine.pull(remote, run.id).refused
    assert run.id in mine.push(remote, run).refused


def with_id(place: Any, like: Run, id: str) -> Run:
    """Another run like one with one execution, whose execution has this id."""
    entries = read(place.store.layout.run(like.id).journal)
    names = ("kind", "name", "title", "tags", "argv", "spec", "plan", "executor", "host", "version")
    with place.store.begin_run({name: getattr(like, name) for name in (*names, "project", "code")}) as writer:
        for entry in entries[1:]:
            writer.append([{**entry, "id": id} if "id" in entry else entry])
    return place.store.run(writer.id)


def test_a_run_that_takes_the_id_of_an_execution_of_another_is_refused(mine: Any, yours: Any, remote: Path) -> None:
    own, good = yours.run(), mine.run()
    (id,) = own.executions
    thief = with_id(mine, good, id)
    mine.push(remote, good, thief)
    pulled = yours.pull(remote)
    assert (pulled.new, list(pulled.refused)) == ([good.id], [thief.id])
    assert f"is one of the run `{own.id}`" in pulled.refused[thief.id].message
    assert yours.store.find_execution(PROJECT, id)[0].id == own.id
    assert pulled.known == [] and yours.pull(remote, good.id).known == [good.id]


def test_of_two_runs_with_one_execution_the_first_is_taken(mine: Any, yours: Any, remote: Path) -> None:
    first = mine.run()
    (id,) = first.executions
    second = with_id(mine, first, id)
    mine.push(remote, first, second)
    pulled = yours.pull(remote)
    assert (pulled.new, list(pulled.refused)) == ([first.id], [second.id])


def test_two_manifests_of_one_record_count_together(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("a", "b")
    mine.push(remote, run)
    (path,) = (remote / "runs").rglob(f"{run.id}.*")
    (execution,) = run.executions.values()
    document = json.loads(path.read_bytes())
    sizes = dict(document["objects"])
    for output in execution.outputs:
        left = {digest: size for digest, size in sizes.items() if digest != output.digest}
        one = document | {"objects": sorted(left.items()), "absent": [[output.digest, "dropped"]]}
        data = json.dumps(one).encode()
        path.with_name(f"{run.id}.{hash_bytes(data)}").write_bytes(data)
    path.unlink()
    pulled = yours.pull(remote)
    assert (pulled.new, pulled.absent) == ([run.id], 0)


def test_names_that_are_no_manifests_are_passed_over(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    folder = remote / "runs" / run.project.id
    for name in ("x", f"{run.id}.", f"{run.id}.xyz", f"..{'a' * 64}", ".new-1-2"):
        (folder / name).write_text("x")
    os.mkfifo(folder / f"{run.id}.{'a' * 64}")
    (folder / f"{run.id}.{'b' * 64}").mkdir()
    assert yours.pull(remote).new == [run.id]


def test_a_run_that_is_too_large_for_the_disk_is_refused_before_it_comes(mine: Any, yours: Any, remote: Path) -> None:
    run, other, last = mine.run(), mine.run(), mine.run()
    mine.push(remote, run, other, last)
    forge(remote, other, lambda document: document.update(objects=[[one[0], 1 << 59] for one in document["objects"]]))
    pulled = yours.pull(remote)
    assert pulled.new == [run.id, last.id]
    assert {id: error.code for id, error in pulled.refused.items()} == {other.id: ExitCode.DISK}
    check_honest(yours)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_made_up_size_of_a_shared_object_refuses_no_other_run(
    mine: Any, yours: Any, remote: Path, change: int
) -> None:
    runs = [mine.run() for _ in range(4)]
    assert len({run.spec for run in runs}) == 1
    mine.push(remote, *runs)

    def lie(document: Any) -> None:
        document.update(objects=[[one, size + change * (one == runs[0].spec)] for one, size in document["objects"]])

    forge(remote, runs[0], lie)
    forge(remote, runs[2], lie)
    pulled = yours.pull(remote)
    assert pulled.new == [runs[1].id, runs[3].id]
    assert sorted(pulled.refused) == sorted([runs[0].id, runs[2].id])
    check_honest(yours)
