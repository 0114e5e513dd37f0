"""Pulling from a folder: whole runs or records, nothing that is wrong, and no harm by a kill or by company."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.remote.depot import Depot
from runner.remote.directory import Directory
from runner.remote.intake import Intake
from runner.remote.kind import open_remote
from runner.state import State
from runner.store.imported import read_import
from runner.store.reach import FILES, Kind
from runner.store.record import Run, to_json
from runner.store.removal import Purged, Removals
from runner.store.store import Store

RECORDS: frozenset[Kind] = frozenset()


def object_path(remote: Path, digest: str) -> Path:
    return remote / "objects" / digest[:2] / digest


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


def told(run: Run) -> dict[str, Any]:
    """A record without what is another in each store."""
    document = to_json(run)
    for execution in document["executions"].values():
        del execution["counter"], execution["work"]
    del document["counter"]
    return json.loads(json.dumps(document))


def removed(place: Any) -> Any:
    return Removals(place.store.layout.removed).read()


def check_honest(place: Any) -> None:
    """Whatever is in the lists is whole, or told as given up."""
    gone = removed(place)
    for row in place.store.runs():
        run = place.store.run(row["id"])
        for digest, kind in place.named(run).items():
            if kind in FILES and gone.dropped.keys() >= run.executions.keys():
                continue
            assert hash_bytes(place.store.objects.read(digest)) == digest


def test_a_pulled_run_is_the_same_with_numbers_of_this_store(mine: Any, yours: Any, remote: Path) -> None:
    mine.run(), yours.run(), yours.run()
    runs = [mine.run("model", "deep/other") for _ in range(3)]
    mine.push(remote, *runs)
    pulled = yours.pull(remote)
    assert (pulled.new, pulled.refused, pulled.absent) == ([run.id for run in runs], {}, 0)
    for number, run in enumerate(runs, 3):
        here = yours.store.run(run.id)
        assert told(here) == told(run)
        assert (here.counter, [one.counter for one in here.executions.values()]) == (number, [number])
        assert all(yours.store.objects.verify(digest) for digest in mine.named(run))
        assert yours.store.layout.run(run.id).journal.read_bytes() == mine.store.layout.run(run.id).journal.read_bytes()
        found = read_import(yours.store.layout.run(run.id).imported)
        assert found is not None and found.source == str(remote)
    assert [row["counter"] for row in yours.store.runs()] == [5, 4, 3, 2, 1]
    assert yours.store.find_execution(runs[0].project.id, "4")[0].id == runs[1].id
    assert not removed(yours).dropped
    yours.store.rebuild()
    assert [row["counter"] for row in yours.store.runs()] == [5, 4, 3, 2, 1]
    assert yours.run().counter == 6


def test_kept_folders_of_elsewhere_are_not_believed(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    assert [one.work for one in run.executions.values()] == ["/tmp/kept"]
    mine.push(remote, run)
    yours.pull(remote)
    assert [one.work for one in yours.store.run(run.id).executions.values()] == [None]


def test_a_run_that_is_here_is_left_as_it_is(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    assert mine.pull(remote).new == [] and mine.pull(remote, run.id).known == [run.id]
    assert read_import(mine.store.layout.run(run.id).imported) is None
    yours.pull(remote)
    assert (yours.pull(remote).new, yours.pull(remote, run.id).known) == ([], [run.id])


def test_fetch_brings_what_belongs_to_the_record_and_pull_the_rest(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("a", "b")
    mine.push(remote, run)
    assert yours.pull(remote, files=RECORDS).new == [run.id]
    for digest, kind in mine.named(run).items():
        assert yours.store.objects.has(digest) == (kind not in FILES)
    assert set(removed(yours).dropped) == set(run.executions)
    assert yours.pull(remote, files=RECORDS).new == []
    assert yours.pull(remote).restored == [run.id]
    assert all(yours.store.objects.verify(digest) for digest in mine.named(run))
    assert not removed(yours).dropped


def test_outputs_alone_leave_the_execution_without_its_inputs(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    yours.pull(remote, files=FILES - {Kind.INPUT})
    assert not yours.store.objects.has(hash_bytes(b"given"))
    assert set(removed(yours).dropped) == set(run.executions)
    assert yours.pull(remote).restored == [run.id]


def test_pull_brings_back_what_was_given_up_here(mine: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    (execution,) = run.executions.values()
    Removals(mine.store.layout.removed).append([{"type": "files-dropped", "executions": [execution.id]}])
    mine.store.objects.path(execution.outputs[0].digest).unlink()
    pulled = mine.pull(remote)
    assert (pulled.restored, pulled.received) == ([run.id], 1)
    assert mine.store.objects.verify(execution.outputs[0].digest)
    assert not removed(mine).dropped


def test_pull_completes_a_run_that_lost_a_file(mine: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    for digest in mine.named(run):
        mine.store.objects.path(digest).unlink()
    assert mine.pull(remote, run.id).received == len(mine_named := mine_digests(run, remote))
    assert all(mine.store.objects.verify(digest) for digest in mine_named)


def mine_digests(run: Run, remote: Path) -> list[str]:
    (manifest,) = (path for path in (remote / "runs").rglob(f"{run.id}.*"))
    document = json.loads(manifest.read_bytes())
    return [digest for digest, _ in document["objects"]]


def test_what_nobody_has_any_more_is_told_as_given_up(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("a", "b")
    (execution,) = run.executions.values()
    Removals(mine.store.layout.removed).append([{"type": "files-dropped", "executions": [execution.id]}])
    mine.store.objects.path(execution.outputs[1].digest).unlink()
    mine.push(remote, run)
    pulled = yours.pull(remote)
    assert (pulled.new, pulled.absent) == ([run.id], 1)
    assert set(removed(yours).dropped) == {execution.id}
    assert yours.store.objects.verify(execution.outputs[0].digest)


def test_a_run_that_was_removed_here_comes_back_only_by_name(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    yours.pull(remote)
    from runner.store.trash import Trash

    batch = Trash(yours.store.layout).begin("rm", "me")
    yours.store.remove_run(run.id, batch)
    assert yours.pull(remote).new == []
    assert yours.pull(remote, run.id).new == [run.id]
    assert run.id not in removed(yours).runs
    assert [row["id"] for row in yours.store.runs()] == [run.id]


def test_what_was_destroyed_at_the_remote_counts_here(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("people", "model")
    digest = next(iter(run.executions.values())).outputs[0].digest
    mine.push(remote, run)
    Depot(open_remote(str(remote))).bury(Purged(digest, "2026-01-01T00:00:00Z", "me", "asked", ("people",), 5))
    pulled = yours.pull(remote)
    assert (pulled.new, pulled.purged) == ([run.id], [])
    found = removed(yours)
    assert found.purged[digest].reason == "asked" and not found.dropped
    assert mine.pull(remote, run.id).purged == [digest]
    assert mine.store.objects.verify(digest)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"digest":"x","time":"\x1b[2J","by":1}'])
def test_a_tombstone_that_says_nothing_is_one_all_the_same(mine: Any, yours: Any, remote: Path, data: bytes) -> None:
    run = mine.run("people")
    digest = next(iter(run.executions.values())).outputs[0].digest
    mine.push(remote, run)
    (remote / "tombstones").mkdir()
    (remote / "tombstones" / digest).write_bytes(data)
    yours.pull(remote)
    assert not yours.store.objects.has(digest)
    assert removed(yours).purged[digest].reason == ""


# --- what is wrong at the remote


def breaks(remote: Path, digest: str, how: str) -> None:
    path = object_path(remote, digest)
    match how:
        case "flipped":
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            overwrite(path, bytes(data))
        case "short":
            overwrite(path, path.read_bytes()[:-1])
        case "empty":
            overwrite(path, b"")
        case "long":
            overwrite(path, path.read_bytes() + b"x")
        case "missing":
            path.unlink()
        case "fifo":
            path.unlink()
            os.mkfifo(path)
        case "link":
            path.rename(path.with_name("elsewhere"))
            path.symlink_to(path.with_name("elsewhere"))
        case "folder":
            path.unlink()
            path.mkdir()


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


def forge(remote: Path, run: Run, change: Callable[[dict[str, Any]], None]) -> None:
    """Somebody who may write there puts another manifest in the place of a run's, under the right name."""
    (path,) = (remote / "runs").rglob(f"{run.id}.*")
    document = json.loads(path.read_bytes())
    change(document)
    data = json.dumps(document).encode()
    path.rename(path.with_name("old"))
    path.with_name(f"{run.id}.{hash_bytes(data)}").write_bytes(data)


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


def test_nobody_can_forbid_empty_files(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("model", size=0)
    mine.push(remote, run)
    nothing = hash_bytes(b"")
    (remote / "tombstones").mkdir()
    (remote / "tombstones" / nothing).write_bytes(b"{}")
    forged = Purged(nothing, "2026-01-01T00:00:00.000000Z", "me", "", ())
    with pytest.raises(MlrunError, match="an empty file"):
        Depot(open_remote(str(remote))).bury(forged)
    assert yours.pull(remote).new == [run.id]
    assert not removed(yours).purged
    assert yours.store.objects.put_bytes(b"") == nothing


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


def test_what_does_not_fit_beside_the_runs_before_it_is_left_there(
    mine: Any, yours: Any, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [mine.run(size=50_000) for _ in range(3)]
    mine.push(remote, *runs)
    monkeypatch.setattr(Intake, "room", lambda _: 120_000)
    pulled = yours.pull(remote)
    assert pulled.new == [run.id for run in runs[:2]]
    assert list(pulled.refused) == [runs[2].id]
    assert yours.pull(remote).new == [runs[2].id]


def test_there_has_to_be_a_remote(yours: Any, remote: Path) -> None:
    with pytest.raises(MlrunError, match="there is no remote store"):
        yours.pull(remote)
    assert not remote.exists()


# --- large objects


def large(mine: Any, remote: Path) -> tuple[str, bytes]:
    run = mine.run("model", size=9_000_000)
    mine.push(remote, run)
    digest = next(iter(run.executions.values())).outputs[0].digest
    return digest, mine.store.objects.read(digest)


@pytest.mark.parametrize("left", [b"", b"good", b"wrong", b"too long"])
def test_what_a_broken_pull_left_is_gone_on_with_and_never_believed(
    mine: Any, yours: Any, remote: Path, left: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, data = large(mine, remote)
    parts = yours.store.layout.cache / "parts"
    parts.mkdir()
    begun = {b"good": data[:5_000_000], b"wrong": bytes(5_000_000), b"too long": data + b"x"}.get(left, b"")
    (parts / digest).write_bytes(begun)
    asked: list[int] = []
    download = Directory.download

    def watched(self: Directory, name: str, offset: int, *rest: Any) -> Any:
        if digest in name:
            asked.append(offset)
        return download(self, name, offset, *rest)

    monkeypatch.setattr(Directory, "download", watched)
    yours.pull(remote)
    assert yours.store.objects.read(digest) == data
    assert asked == {b"": [0], b"good": [5_000_000], b"wrong": [5_000_000, 0], b"too long": [9_000_000]}[left]
    assert not list(parts.iterdir())


# --- kills and company


PULL = """
import os, signal, sys
from runner.remote import admission
from runner.remote.depot import Depot
from runner.remote.kind import open_remote
from runner.remote.lane import Lanes
from runner.remote.meter import Meter
from runner.remote.pull import pull
from runner.store.reach import FILES
from runner.store.store import Store

root, remote, project, at, step = sys.argv[1:]
count = [0]

def die(*rest):
    os.kill(os.getpid(), signal.SIGKILL)

def show(meter):
    count[0] += 1
    if count[0] == int(at):
        die()

if step:
    setattr(admission, step, die)
from pathlib import Path
with Store.open(Path(root), create=True) as store:
    store.reconcile()
    found = pull(store, Depot(open_remote(remote)), {project: None}, Meter(Lanes(3), show), FILES)
    assert not found.refused, found.refused
"""


def start_pull(root: Path, remote: Path, project: str, at: int = 0, step: str = "") -> "subprocess.Popen[bytes]":
    """Pull in a process of its own, which dies at its `at`th piece, or instead of a step of an admission."""
    words = [sys.executable, "-c", PULL, str(root), str(remote), project, str(at), step]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL)


def test_a_pull_that_is_killed_anywhere_loses_nothing_and_goes_on(
    places: Any, mine: Any, remote: Path, tmp_path: Path
) -> None:
    runs = [mine.run("a", "b", size=size) for size in (10, 3_000_000, 10)]
    mine.push(remote, *runs)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    for round, at in enumerate(sorted(random.Random(seed).sample(range(1, 60), 8))):
        root = tmp_path / f"killed-{round}"
        Store.open(root, create=True).close()
        assert start_pull(root, remote, runs[0].project.id, at).wait() in {0, -signal.SIGKILL}
        killed = places(root.name)
        check_honest(killed)
        killed.store.reconcile()
        assert not killed.pull(remote).refused
        assert {row["id"] for row in killed.store.runs()} == {run.id for run in runs}
        check_honest(killed)


def test_a_kill_between_the_steps_of_an_admission_needs_no_repair(
    places: Any, mine: Any, remote: Path, tmp_path: Path
) -> None:
    run = mine.run()
    mine.push(remote, run)
    steps = ["write_import", "_write", "_name", "sync_folder", "Removals"]
    for step in steps:
        root = tmp_path / f"at-{step}"
        Store.open(root, create=True).close()

        assert start_pull(root, remote, run.project.id, step=step).wait() == -signal.SIGKILL
        again = places(root.name)
        check_honest(again)
        again.store.reconcile()
        check_honest(again)
        again.pull(remote)
        assert [(row["id"], row["state"]) for row in again.store.runs()] == [(run.id, State.SUCCEEDED)]
        check_honest(again)


def test_four_processes_pull_the_same_runs_at_once(places: Any, mine: Any, remote: Path, tmp_path: Path) -> None:
    runs = [mine.run("a", "b", size=size) for size in (10, 10, 6_000_000, 10, 10)]
    mine.push(remote, *runs)
    root = tmp_path / "shared"
    Store.open(root, create=True).close()

    children = [start_pull(root, remote, runs[0].project.id) for _ in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    shared = places("shared")
    assert {row["id"] for row in shared.store.runs()} == {run.id for run in runs}
    counters = [row["counter"] for row in shared.store.runs()]
    assert len(set(counters)) == len(counters)
    assert not removed(shared).dropped
    assert not list(shared.store.layout.runs.glob(".new-*"))
    check_honest(shared)


def test_nothing_that_is_on_its_way_can_be_removed(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    from runner.store.claim import claimed

    seen: list[set[str]] = []

    class Watching(Intake):
        def take(self, wanted: Any) -> Any:
            wrong = super().take(wanted)
            seen.append(set(wanted) - claimed(yours.store.layout.claims))
            return wrong

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.remote.pull.Intake", Watching)
        yours.pull(remote)
    assert seen and not any(seen)
