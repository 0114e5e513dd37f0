"""Pushing to a folder: what arrives, what does not, and what a remote shows meanwhile."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.remote.depot import Depot
from runner.remote.directory import Directory
from runner.remote.kind import open_remote
from runner.remote.lane import Lanes
from runner.remote.meter import Meter
from runner.remote.push import push
from runner.remote.remote import Halted
from runner.store.removal import Purged, Removals
from tests.unit.remote.scene import overwrite


def files(remote: Path) -> dict[str, bytes]:
    return {str(path.relative_to(remote)): path.read_bytes() for path in remote.rglob("*") if path.is_file()}


def manifests(remote: Path) -> dict[str, Any]:
    return {name: json.loads(data) for name, data in files(remote).items() if name.startswith("runs/")}


def test_a_remote_has_all_that_the_run_names_under_the_name_of_its_content(mine: Any, remote: Path) -> None:
    run = mine.run("model", "deep/other")
    pushed = mine.push(remote, run)
    assert (pushed.runs, pushed.known, pushed.refused, pushed.absent) == ([run.id], [], {}, 0)
    found = files(remote)
    objects = {name: data for name, data in found.items() if name.startswith("objects/")}
    assert all(name == f"objects/{hash_bytes(data)[:2]}/{hash_bytes(data)}" for name, data in objects.items())
    journal = mine.store.layout.run(run.id).journal.read_bytes()
    assert {name[-64:] for name in objects} == {*mine.named(run), hash_bytes(journal)}
    (name,) = manifests(remote)
    assert name == f"runs/{run.project.id}/{run.id}.{hash_bytes(found[name])}"
    assert found["format"] == b"mlrun remote, format 1\n"


def test_what_is_there_is_not_sent_again(mine: Any, remote: Path) -> None:
    run = mine.run()
    before = mine.push(remote, run)
    stamps = {path: path.stat().st_mtime_ns for path in remote.rglob("*") if path.is_file()}
    again = mine.push(remote, run)
    assert (again.runs, again.known, again.sent) == ([run.id], [run.id], 0)
    assert {path: path.stat().st_mtime_ns for path in remote.rglob("*") if path.is_file()} == stamps
    second = mine.push(remote, run, mine.run())
    # The code, its tree, the YAML file, the metrics and the input are the same.
    assert (second.there, second.sent) == (5, before.sent - 5)


@pytest.mark.parametrize("harm", ["all", "one", "short"])
def test_what_a_remote_has_lost_is_sent_again(mine: Any, remote: Path, harm: str) -> None:
    run, whole = mine.run(), mine.run("another")
    mine.push(remote, run, whole)
    before = files(remote)
    lost = [remote / name for name in before if name.startswith("objects/")]
    if harm == "all":
        shutil.rmtree(remote / "objects")
    else:
        (victim,) = [path for path in lost if path.name == run.executions[next(iter(run.executions))].outputs[0].digest]
        lost = [victim]
        overwrite(victim, victim.read_bytes()[:-1]) if harm == "short" else victim.unlink()
    again = mine.push(remote, run, whole)
    assert (again.refused, again.sent) == ({}, len(lost))
    assert files(remote) == before


def test_everything_is_sent_again_if_somebody_asks_for_it(mine: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    whole = files(remote)
    for path in (remote / "objects").rglob("*"):
        if path.is_file():
            overwrite(path, b"!" * path.stat().st_size)
    (manifest,) = (remote / "runs").rglob("*.*")
    overwrite(manifest, b"{}")
    assert mine.push(remote, run).refused[run.id].code is ExitCode.STORE
    assert not mine.push(remote, run, again=True).refused
    assert files(remote) == whole


def test_the_manifest_comes_last_and_is_not_there_without_its_objects(
    mine: Any, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = mine.run("a", "b", "c")
    told: list[str] = []
    upload, settle = Directory.upload, Directory.settle

    def watched(self: Directory, name: str, *rest: Any) -> None:
        told.append(name.partition("/")[0])
        upload(self, name, *rest)

    def settled(self: Directory) -> None:
        settle(self)
        told.append("settled")

    monkeypatch.setattr(Directory, "upload", watched)
    monkeypatch.setattr(Directory, "settle", settled)
    mine.push(remote, run)
    short = [word for at, word in enumerate(told) if at == 0 or told[at - 1] != word]
    assert short == ["format", "settled", "objects", "settled", "runs", "settled"]


def test_a_push_that_broke_off_is_gone_on_with(mine: Any, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = mine.run(*map(str, range(40)), size=2 << 20)
    upload, count = Directory.upload, [0]

    def breaking(self: Directory, *rest: Any) -> None:
        count[0] += 1
        if count[0] > 20:
            raise MlrunError("the cable was pulled", code=ExitCode.INPUT)
        upload(self, *rest)

    with monkeypatch.context() as patch, pytest.raises(MlrunError, match="cable"):
        patch.setattr(Directory, "upload", breaking)
        mine.push(remote, run)
    assert not manifests(remote)
    assert not list((remote / "new").iterdir())
    there = sum(len(data) > 1 << 20 for data in files(remote).values())
    pushed = mine.push(remote, run)
    assert there > 8
    assert pushed.there >= there
    assert pushed.sent + pushed.there == len(mine.named(run)) + 1


def test_a_run_with_a_damaged_file_is_refused_and_the_others_go(mine: Any, remote: Path) -> None:
    good, bad = mine.run(), mine.run()
    (execution,) = bad.executions.values()
    path = mine.store.objects.path(execution.outputs[0].digest)
    overwrite(path, b"!" * path.stat().st_size)
    pushed = mine.push(remote, bad, good)
    assert pushed.runs == [good.id]
    assert execution.outputs[0].digest in pushed.refused[bad.id].message
    assert [one["run"] for one in manifests(remote).values()] == [good.id]


def test_a_run_that_lost_a_file_is_refused(mine: Any, remote: Path) -> None:
    run = mine.run()
    (execution,) = run.executions.values()
    mine.store.objects.path(execution.outputs[0].digest).unlink()
    error = mine.push(remote, run).refused[run.id]
    assert error.code is ExitCode.STORE
    assert execution.outputs[0].digest in error.message
    assert not manifests(remote)


def test_what_was_given_up_before_is_told_and_no_damage(mine: Any, remote: Path) -> None:
    run = mine.run("a", "b")
    (execution,) = run.executions.values()
    digest = execution.outputs[1].digest
    Removals(mine.store.layout).append([{"type": "files-dropped", "executions": [execution.id]}])
    mine.store.objects.path(digest).unlink()
    pushed = mine.push(remote, run)
    assert (pushed.runs, pushed.absent) == ([run.id], 1)
    (manifest,) = manifests(remote).values()
    assert manifest["absent"] == [[digest, "dropped"]]


def test_what_somebody_else_has_brought_counts_for_who_lost_it(mine: Any, remote: Path) -> None:
    run = mine.run("a", "b")
    mine.push(remote, run)
    (before,) = manifests(remote)
    (execution,) = run.executions.values()
    Removals(mine.store.layout).append([{"type": "files-dropped", "executions": [execution.id]}])
    mine.store.objects.path(execution.outputs[1].digest).unlink()
    assert mine.push(remote, run).known == [run.id]
    assert mine.push(remote, run, again=True).absent == 0
    assert list(manifests(remote)) == [before]


def test_a_fuller_manifest_takes_the_place_of_one_with_gaps(mine: Any, remote: Path) -> None:
    run = mine.run("a", "b")
    (execution,) = run.executions.values()
    path = mine.store.objects.path(execution.outputs[1].digest)
    removals = Removals(mine.store.layout)
    data = path.read_bytes()
    removals.append([{"type": "files-dropped", "executions": [execution.id]}])
    path.unlink()
    mine.push(remote, run)
    mine.store.objects.put_bytes(data)
    removals.append([{"type": "files-restored", "executions": [execution.id]}])
    pushed = mine.push(remote, run)
    assert (pushed.sent, pushed.absent) == (1, 0)
    (manifest,) = manifests(remote).values()
    assert manifest["absent"] == []


def test_code_that_is_missing_is_damage_whatever_was_given_up(mine: Any, remote: Path) -> None:
    run = mine.run()
    (execution,) = run.executions.values()
    Removals(mine.store.layout).append([{"type": "files-dropped", "executions": [execution.id]}])
    mine.store.objects.path(hash_bytes(b"print(1)\n")).unlink()
    assert run.id in mine.push(remote, run).refused


def test_a_run_under_way_stays_here(mine: Any, remote: Path) -> None:
    run = mine.run(end=False)
    assert mine.push(remote, run).refused[run.id].code is ExitCode.USAGE
    assert not manifests(remote)


def test_content_with_a_tombstone_is_never_brought_back(mine: Any, remote: Path) -> None:
    run = mine.run("people", "model")
    digest = next(iter(run.executions.values())).outputs[0].digest
    mine.push(remote, mine.run())
    depot = Depot(open_remote(str(remote)))
    depot.bury(Purged(digest, "2026-01-01T00:00:00.000000Z", "me", "asked", ("people",), 5))
    pushed = mine.push(remote, run)
    assert pushed.runs == [run.id]
    assert not depot.sizes([digest])
    (manifest,) = (one for one in manifests(remote).values() if one["run"] == run.id)
    assert manifest["absent"] == [[digest, "purged"]]


def test_a_purge_during_a_push_wins(mine: Any, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = mine.run("people", "model")
    digest = next(iter(run.executions.values())).outputs[0].digest
    mine.push(remote, mine.run())
    settle = Directory.settle

    def purge_then_settle(self: Directory) -> None:
        monkeypatch.setattr(Directory, "settle", settle)
        Depot(open_remote(str(remote))).bury(Purged(digest, "2026-01-01T00:00:00Z", "me", "asked", ()))
        settle(self)

    monkeypatch.setattr(Directory, "settle", purge_then_settle)
    assert mine.push(remote, run).runs == [run.id]
    assert not (remote / "objects" / digest[:2] / digest).exists()
    assert all(digest not in json.dumps(one["objects"]) for one in manifests(remote).values())


def test_two_pushes_at_once_make_one_whole_remote(places: Any, remote: Path, tmp_path: Path) -> None:
    mine = places("mine")
    runs = [mine.run(*map(str, range(30))) for _ in range(5)]
    shutil.copytree(tmp_path / "mine", tmp_path / "copy")
    failures: list[BaseException] = []

    def go(name: str) -> None:
        try:
            pushed = places(name).push(remote, *runs)
            assert sorted(pushed.runs) == sorted(run.id for run in runs)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=go, args=[name]) for name in ("mine", "copy")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(manifests(remote)) == 5
    for run in runs:
        assert all((remote / "objects" / digest[:2] / digest).exists() for digest in mine.named(run))
    assert places("new").pull(remote).new == sorted(run.id for run in runs)


def test_a_folder_of_something_else_is_no_remote(mine: Any, remote: Path) -> None:
    remote.mkdir()
    (remote / "thesis.tex").write_text("x")
    with pytest.raises(MlrunError, match="is no remote store"):
        mine.push(remote, mine.run())
    assert [path.name for path in remote.iterdir()] == ["thesis.tex"]


def test_a_store_is_no_remote(mine: Any, yours: Any) -> None:
    with pytest.raises(MlrunError, match="format"):
        mine.push(yours.store.layout.root, mine.run())
    with pytest.raises(MlrunError, match="format"):
        mine.pull(yours.store.layout.root)


def test_work_that_is_given_up_ends_between_two_pieces(mine: Any, remote: Path) -> None:
    run = mine.run("big", size=50_000_000)
    lanes, seen = Lanes(2), [0]

    def show(meter: Meter) -> None:
        seen.append(meter.bytes_done)
        if meter.bytes_done > 20_000_000:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Halted)):
        push(mine.store, Depot(open_remote(str(remote))), [run], Meter(lanes, show), again=False)
    assert 20_000_000 < seen[-1] < 50_000_000
    assert not manifests(remote)
    assert all(path.stat().st_size < 1 << 20 for path in (remote / "new").iterdir())
