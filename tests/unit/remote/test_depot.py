"""What a remote store holds and where: made once, read with distrust, destroyed in the right order."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.remote.depot import FORMAT, NOTHING, Depot, object_path
from runner.remote.directory import Directory
from runner.remote.lane import Lanes
from runner.remote.manifest import MOST_BYTES, Manifest, ManifestName
from runner.remote.remote import Item, NotThere
from runner.store.identity import new_id
from runner.store.removal import Purged

PROJECT = new_id()
CONTENT = b"some content"
DIGEST = hash_bytes(CONTENT)
PURGED = Purged(DIGEST, "2026-01-01T00:00:00Z", "me", "asked", ("people",), len(CONTENT))


@pytest.fixture
def depot(remote: Path) -> Iterator[Depot]:
    depot = Depot(Directory(remote, str(remote)))
    depot.prepare()
    yield depot
    depot.close()


def manifest(run: str, **more: Any) -> Manifest:
    return Manifest(PROJECT, run, hash_bytes(run.encode()), 5, **more)


def show(depot: Depot, *manifests: Manifest) -> list[ManifestName]:
    names = [depot.write(one) for one in manifests]
    depot.remote.settle()
    return names


def put(depot: Depot, data: bytes) -> Digest:
    digest = hash_bytes(data)
    depot.upload(digest, BytesIO(data), len(data), lambda count: None)
    depot.remote.settle()
    return digest


def test_it_is_made_once(remote: Path, depot: Depot) -> None:
    assert (remote / "format").read_bytes() == FORMAT
    before = (remote / "format").stat()
    again = Depot(Directory(remote, str(remote)))
    again.prepare()
    again.check()
    assert (remote / "format").stat().st_ino == before.st_ino


@pytest.mark.parametrize("name", ["objects", "runs", ".snapshots"])
def test_what_a_broken_beginning_left_is_gone_on_with(remote: Path, name: str) -> None:
    (remote / name).mkdir(parents=True)
    Depot(Directory(remote, str(remote))).prepare()
    assert (remote / "format").read_bytes() == FORMAT


@pytest.mark.parametrize("text", [b"", b"mlrun remote, format 2\n", FORMAT + b"x", b"\xff" * 5000])
def test_another_format_is_neither_read_nor_written(remote: Path, text: bytes) -> None:
    remote.mkdir()
    (remote / "format").write_bytes(text)
    depot = Depot(Directory(remote, str(remote)))
    for work in (depot.check, depot.prepare):
        with pytest.raises(MlrunError, match="does not name a format") as caught:
            work()
        assert caught.value.code is ExitCode.STORE
    assert [path.name for path in remote.iterdir()] == ["format"]


def test_runs_are_listed_by_project_and_anything_else_is_passed_over(remote: Path, depot: Depot) -> None:
    runs = [new_id(), new_id()]
    names = show(depot, *map(manifest, runs), manifest(runs[0], absent={DIGEST: "dropped"}))
    (remote / "runs" / "notes").mkdir()
    (remote / "runs" / PROJECT / "notes").write_text("x")
    assert depot.projects() == [PROJECT]
    found = depot.names(PROJECT)
    assert {run: {name.path for name in its} for run, its in found.items()} == {
        runs[0]: {names[0].path, names[2].path},
        runs[1]: {names[1].path},
    }
    assert depot.names(new_id()) == {}


def test_a_manifest_that_is_replaced_between_a_list_and_a_look_is_looked_for_again(depot: Depot) -> None:
    run = new_id()
    (old,) = show(depot, manifest(run, absent={DIGEST: "dropped"}))
    listed = depot.names(PROJECT)
    fuller = manifest(run, objects={DIGEST: 5})
    show(depot, fuller)
    depot.remote.remove(old.path)
    assert depot.find(PROJECT, [run], listed, Lanes(2)) == {run: fuller}


def test_a_run_that_went_away_is_nowhere_in_the_end(depot: Depot) -> None:
    run = new_id()
    (name,) = show(depot, manifest(run))
    listed = depot.names(PROJECT)
    depot.remote.remove(name.path)
    assert depot.find(PROJECT, [run], listed, Lanes(2)) == {}


def test_a_listing_that_names_what_is_never_there_ends(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    run, asked = new_id(), []

    def items(folder: str, most: int) -> list[Item]:
        asked.append(folder)
        return [Item(f"{run}.{DIGEST}", 5)]

    monkeypatch.setattr(depot.remote, "items", items)
    found = depot.find(PROJECT, [run], depot.names(PROJECT), Lanes(2))
    assert isinstance(found[run], NotThere)
    assert len(asked) < 10


def test_a_manifest_beyond_all_measure_is_not_even_read(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = show(depot, manifest(new_id()))
    huge = ManifestName(name.project, name.run, name.digest, MOST_BYTES + 1)

    def download(*rest: object) -> Iterator[bytes]:
        raise AssertionError("it was read")

    monkeypatch.setattr(depot.remote, "download", download)
    found = depot.read([huge], Lanes(1))[name.run]
    assert isinstance(found, MlrunError) and "bytes" in found.message


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b"\xff", b"{}"])
def test_a_manifest_that_is_none_refuses_its_run_and_no_other(remote: Path, depot: Depot, data: bytes) -> None:
    good, bad = manifest(new_id()), new_id()
    show(depot, good)
    (remote / "runs" / PROJECT / f"{bad}.{hash_bytes(data)}").write_bytes(data)
    found = depot.find(PROJECT, [good.run, bad], depot.names(PROJECT), Lanes(2))
    assert found[good.run] == good
    error = found[bad]
    assert isinstance(error, MlrunError) and error.code is ExitCode.STORE and bad in error.message


def test_a_content_is_destroyed_after_its_tombstone_is_there(
    depot: Depot, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(depot, CONTENT)
    seen: list[bool] = []
    remove = Directory.remove

    def watched(self: Directory, name: str) -> bool:
        seen.append((remote / "tombstones" / DIGEST).exists())
        return remove(self, name)

    monkeypatch.setattr(Directory, "remove", watched)
    assert depot.bury(PURGED)
    assert not depot.bury(PURGED)
    assert seen == [True, True]
    assert depot.sizes([DIGEST]) == {}
    assert depot.tombstones() == {DIGEST}
    assert depot.tombstone(DIGEST) == PURGED


def test_only_digests_of_some_content_are_tombstones(remote: Path, depot: Depot) -> None:
    (remote / "tombstones").mkdir()
    for name in (DIGEST, NOTHING, "x", DIGEST.upper(), f"{DIGEST}.tmp"):
        (remote / "tombstones" / name).write_bytes(b"{}")
    assert depot.tombstones() == {DIGEST}


@pytest.mark.parametrize(
    "change",
    [{"time": "yesterday"}, {"by": 1}, {"names": "x"}, {"names": [1]}, {"size": -1}, {"size": True}, {"more": 1}],
)
def test_a_tombstone_that_says_what_cannot_be_says_nothing(remote: Path, depot: Depot, change: dict[str, Any]) -> None:
    depot.bury(PURGED)
    path = remote / "tombstones" / DIGEST
    document = json.loads(path.read_bytes()) | change
    path.chmod(0o600)
    path.write_text(json.dumps(document))
    said = depot.tombstone(DIGEST)
    assert (said.digest, said.by, said.reason, said.names, said.size) == (DIGEST, "", "", (), 0)


def test_sizes_are_of_those_that_are_there(depot: Depot) -> None:
    digest = put(depot, CONTENT)
    assert depot.sizes([digest, hash_bytes(b"other")]) == {digest: len(CONTENT)}
    assert b"".join(depot.remote.download(object_path(digest), 0, 99, lambda count: None)) == CONTENT


def test_a_source_is_closed_whatever_becomes_of_it(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    def upload(*rest: object) -> None:
        raise MlrunError("no", code=ExitCode.INPUT)

    monkeypatch.setattr(depot.remote, "upload", upload)
    source = BytesIO(CONTENT)
    with pytest.raises(MlrunError):
        depot.upload(DIGEST, source, len(CONTENT), lambda count: None)
    assert source.closed
