"""A bundle takes everything of a run to another store, and whatever is wrong with it harms nobody."""

import errno
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runner.app.bundle import Bundled, Opened, open_bundle, write_bundle
from runner.app.container import Images
from runner.digest import canonical_json, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.remote.bundle import END, Bundle, encode_header
from runner.remote.lane import Lanes
from runner.remote.meter import Meter
from runner.remote.remote import read_whole
from runner.state import State
from runner.store.record import Reused, Run
from runner.store.removal import Removals
from runner.store.store import Store
from tests.unit.app.test_container import GOOD, ID, Engine
from tests.unit.remote.conftest import PROJECT, Place


def meter() -> Meter:
    return Meter(Lanes(1))


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Place]:
    with Store.open(tmp_path / "mine", create=True) as store:
        yield Place(store)


@pytest.fixture
def yours(tmp_path: Path) -> Iterator[Place]:
    with Store.open(tmp_path / "yours", create=True) as store:
        yield Place(store)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files" / "run.mlrun"


def write(place: Place, run: Run, path: Path, **more: Any) -> Bundled:
    return write_bundle(place.store, run, path, meter(), **more)


def take(place: Place, path: Path, **more: Any) -> Opened:
    return open_bundle(place.store, path, meter(), **more)


def members(path: Path) -> dict[str, bytes]:
    with closing(Bundle(path, str(path))) as one:
        return {name: read_whole(one, name, place.size) for name, place in one.members()}


def rewrite(path: Path, contents: dict[str, bytes]) -> None:
    """A file of the right form with anything in it."""
    parts = [encode_header(name, len(data)) + data + bytes(-len(data) % 512) for name, data in contents.items()]
    path.write_bytes(b"".join(parts) + END)


def test_everything_of_a_run_comes_out_of_its_bundle(mine: Place, yours: Place, path: Path) -> None:
    run, _ = mine.run("model", "deep/b\udcffad", size=3_000_000), mine.run("other")
    done = write(mine, run, path)
    assert (done.along, done.absent, done.size) == ((), 0, path.stat().st_size)
    opened = take(yours, path)
    assert (opened.runs, opened.pulled.new, opened.pulled.refused) == ((run.id,), [run.id], {})
    assert all(yours.store.objects.verify(digest) for digest in mine.named(run))
    here = yours.store.layout.run(run.id).journal.read_bytes()
    assert here == mine.store.layout.run(run.id).journal.read_bytes()
    assert [row["id"] for row in yours.store.runs()] == [run.id]
    assert take(yours, path).pulled.known == [run.id]
    assert [one.name for one in path.parent.iterdir()] == ["run.mlrun"]


def test_the_same_run_gives_the_same_bytes_from_any_store(
    mine: Place, yours: Place, path: Path, tmp_path: Path
) -> None:
    run = mine.run("a", "b", "c")
    write(mine, run, path)
    first = path.read_bytes()
    path.unlink()
    write(mine, run, path)
    assert path.read_bytes() == first
    take(yours, path)
    write(yours, yours.store.run(run.id), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == first


def test_a_file_that_is_there_is_never_replaced(mine: Place, path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(MlrunError, match="there already") as caught:
        write(mine, mine.run(), path)
    assert caught.value.code is ExitCode.OUTPUT and path.read_text() == "mine"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_takes_no_more_keeps_nothing(
    mine: Place, path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    run, before = mine.run("model", size=2_000_000), os.pwrite

    def pwrite(fd: int, data: bytes, at: int) -> int:
        if at > 1_000_000:
            raise OSError(code, os.strerror(code))
        return before(fd, data, at)

    monkeypatch.setattr("runner.remote.bundle.os.pwrite", pwrite)
    with pytest.raises(MlrunError) as caught:
        write(mine, run, path)
    assert caught.value.code is (ExitCode.USAGE if code == errno.EIO else ExitCode.DISK)
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(mine: Place, path: Path) -> None:
    with pytest.raises(MlrunError, match="cannot be written: No such file") as caught:
        write(mine, mine.run(), path / "x")
    assert caught.value.code is ExitCode.USAGE


def test_a_damaged_store_makes_no_bundle(mine: Place, path: Path) -> None:
    run = mine.run("model")
    mine.store.objects.path(next(iter(run.executions.values())).outputs[0].digest).unlink()
    with pytest.raises(MlrunError, match="is missing") as caught:
        write(mine, run, path)
    assert caught.value.code is ExitCode.STORE
    assert list(path.parent.iterdir()) == []


def test_a_run_that_goes_on_makes_no_bundle(mine: Place, path: Path) -> None:
    with mine.store.begin_run(header(mine)) as writer:
        with pytest.raises(MlrunError, match="is running"):
            write(mine, mine.store.run(writer.id), path)
        writer.append([{"type": "run-finished", "state": "succeeded"}])


def header(place: Place, **plan: Any) -> dict[str, Any]:
    run = place.run()
    return {
        name: getattr(run, name)
        for name in ("kind", "name", "project", "title", "tags", "argv", "code", "spec", "executor", "host", "version")
    } | {"plan": {"nodes": [{"name": "train", "step": "train"}]}}


def test_runs_come_along_whose_executions_stand_for_nodes(mine: Place, yours: Place, path: Path) -> None:
    earliest = mine.run("first")
    (old,) = earliest.executions.values()
    runs = [earliest]
    for _ in range(2):
        reused = Reused(old.id, old.counter, runs[-1].id)
        with mine.store.begin_run(header(mine)) as writer:
            told = {"execution": reused.execution, "counter": reused.counter, "run": reused.run}
            moved = {"type": "node-moved", "node": "train", "state": State.REUSED, "reused": told}
            writer.append([moved, {"type": "run-finished", "state": "succeeded"}])
        runs.append(mine.store.run(writer.id))
    done = write(mine, runs[1], path)
    assert done.along == (earliest.id,)
    opened = take(yours, path)
    assert opened.runs == (runs[1].id, earliest.id) and sorted(opened.pulled.new) == sorted(opened.runs)
    assert yours.store.objects.verify(old.outputs[0].digest)


def test_files_that_had_been_given_up_are_told(mine: Place, yours: Place, path: Path) -> None:
    run = mine.run("model")
    Removals(mine.store.layout).append([{"type": "files-dropped", "executions": sorted(run.executions)}])
    mine.store.objects.path(next(iter(run.executions.values())).outputs[0].digest).unlink()
    assert write(mine, run, path).absent == 1
    pulled = take(yours, path).pulled
    assert (pulled.new, pulled.absent) == ([run.id], 1)


def test_names_are_told_and_set_nothing(mine: Place, yours: Place, path: Path) -> None:
    run = mine.run("model", tags=("sunny",))
    opened = (write(mine, run, path), take(yours, path))[1]
    assert opened.names.tags[run.id] == ("sunny",)
    assert not yours.store.refs.aliases() and not yours.store.refs.tags()
    contents = members(path)
    (name,) = [name for name in contents if name.startswith("names/")]
    for forged in (b"[]", b"{", b"[" * 100_000, canonical_json({"aliases": {"x": 1}})):
        del contents[name]
        name = f"names/{hash_bytes(forged)}"
        rewrite(path, contents := contents | {name: forged})
        assert not take(yours, path).names.aliases


@pytest.mark.parametrize("how", ["flipped", "short", "missing", "another", "long"])
@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_wrong_object_refuses_the_run(mine: Place, yours: Place, path: Path, how: str, size: int) -> None:
    run = mine.run("model", "other", size=size)
    write(mine, run, path)
    first, second = next(iter(run.executions.values())).outputs
    contents = members(path)
    name = f"objects/{first.digest[:2]}/{first.digest}"
    data = contents[name]
    wrong = {
        "flipped": bytes([data[0] ^ 1]) + data[1:],
        "short": data[:-1],
        "another": contents[f"objects/{second.digest[:2]}/{second.digest}"],
        "long": data + b"x",
        "missing": b"",
    }[how]
    contents[name] = wrong
    if how == "missing":
        del contents[name]
    rewrite(path, contents)
    pulled = take(yours, path).pulled
    if how == "long":
        assert pulled.new == [run.id] and yours.store.objects.read(first.digest) == data
        return
    assert pulled.new == [] and first.digest in pulled.refused[run.id].message
    assert pulled.refused[run.id].code is ExitCode.STORE
    assert not yours.store.layout.run(run.id).path.exists() and not yours.store.objects.has(first.digest)


def test_a_forged_manifest_or_journal_refuses_the_run(mine: Place, yours: Place, path: Path) -> None:
    run = mine.run("model")
    write(mine, run, path)
    good = members(path)
    (name,) = [name for name in good if name.startswith("runs/")]
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda document: document.update(format=2),
        lambda document: document["objects"].append(["../../etc/passwd", 5]),
        lambda document: document.update(journal=["a" * 64, 10]),
        lambda document: document["objects"].clear(),
        lambda document: document["objects"].append(["a" * 64, 1 << 59]),
    ]
    for change in changes:
        document = json.loads(good[name])
        change(document)
        data = canonical_json(document)
        forged = {key: value for key, value in good.items() if key != name}
        rewrite(path, forged | {f"runs/{PROJECT}/{run.id}.{hash_bytes(data)}": data})
        pulled = take(yours, path).pulled
        unneeded = document["objects"][-1:] == [["a" * 64, 1 << 59]]
        assert (pulled.new == [run.id]) if unneeded else (list(pulled.refused) == [run.id]), document
        if unneeded:
            assert not yours.store.objects.has("a" * 64)  # type: ignore[arg-type]
    assert not list(yours.store.layout.root.parent.glob("etc"))


@pytest.mark.parametrize(
    "more",
    [
        {"extra": b"x"},
        {"objects/00/" + "a" * 64: b"x"},
        {"objects/aa/" + "a" * 63: b"x"},
        {"tombstones/" + "a" * 64: b"{}"},
        {f"runs/{UUID(int=1)}/x": b"{}"},
        {"images/x": b""},
        {"new/x": b""},
    ],
)
def test_a_bundle_with_anything_that_is_not_known_is_refused(
    mine: Place, yours: Place, path: Path, more: dict[str, bytes]
) -> None:
    write(mine, mine.run(), path)
    rewrite(path, members(path) | more)
    with pytest.raises(MlrunError, match="does not know") as caught:
        take(yours, path)
    assert caught.value.code is ExitCode.STORE
    assert not yours.store.runs()


@pytest.mark.parametrize("format", [b"mlrun remote, format 2\n", b"", b"x" * 1000, None])
def test_a_bundle_of_a_newer_format_is_refused(mine: Place, yours: Place, path: Path, format: bytes | None) -> None:
    write(mine, mine.run(), path)
    contents = members(path)
    del contents["format"]
    rewrite(path, contents if format is None else {"format": format, **contents})
    with pytest.raises(MlrunError, match=r"format of a remote store|does not begin with its format") as caught:
        take(yours, path)
    assert caught.value.code is ExitCode.STORE
    assert not yours.store.runs()


def test_a_bundle_that_does_not_begin_with_its_format_is_refused(mine: Place, yours: Place, path: Path) -> None:
    write(mine, mine.run(), path)
    rewrite(path, dict(reversed(members(path).items())))
    with pytest.raises(MlrunError, match="does not begin with its format"):
        take(yours, path)


def test_names_with_other_bytes_than_were_written_are_refused(mine: Place, yours: Place, path: Path) -> None:
    write(mine, mine.run(tags=("sunny",)), path)
    contents = members(path)
    (name,) = [name for name in contents if name.startswith("names/")]
    rewrite(path, contents | {name: contents[name].replace(b"sunny", b"rainy")})
    with pytest.raises(MlrunError, match="has other content than its name says") as caught:
        take(yours, path)
    assert caught.value.code is ExitCode.STORE and not yours.store.runs()


def test_a_bundle_without_runs_is_refused(mine: Place, yours: Place, path: Path) -> None:
    write(mine, mine.run(), path)
    rewrite(path, {name: data for name, data in members(path).items() if not name.startswith("runs/")})
    with pytest.raises(MlrunError, match="holds no run"):
        take(yours, path)


def test_a_file_that_lost_a_part_is_refused_wherever_it_was_cut(mine: Place, yours: Place, path: Path) -> None:
    write(mine, mine.run(), path)
    data = path.read_bytes()
    for cut in [*random.Random(4).sample(range(len(data)), 60), len(data) - 1, len(data) - 512, len(data) - 1024]:
        path.write_bytes(data[:cut])
        with pytest.raises(MlrunError) as caught:
            take(yours, path)
        assert caught.value.code is ExitCode.STORE
    assert not yours.store.runs() and not list(yours.store.layout.runs.iterdir())


def test_noise_in_a_bundle_never_brings_anything_wrong(mine: Place, yours: Place, path: Path) -> None:
    run = mine.run("model")
    write(mine, run, path)
    data, dice = path.read_bytes(), random.Random(5)
    for _ in range(60):
        noisy = bytearray(data)
        for _ in range(dice.randint(1, 4)):
            noisy[dice.randrange(len(noisy))] ^= 1 << dice.randrange(8)
        path.write_bytes(noisy)
        try:
            take(yours, path)
        except MlrunError as error:
            assert error.code is ExitCode.STORE, error.message
    for digest in mine.named(run):
        assert not yours.store.objects.has(digest) or yours.store.objects.verify(digest)
    path.write_bytes(data)
    opened = take(yours, path)
    assert not opened.pulled.refused
    assert all(yours.store.objects.verify(digest) for digest in mine.named(run))


def in_image(place: Place, run: Run) -> Run:
    """The run as if it had run in a container."""
    from dataclasses import replace

    executions = {id: replace(one, identity={"id": ID}) for id, one in run.executions.items()}
    return replace(run, executions=executions)


def test_an_image_goes_along(mine: Place, path: Path, tmp_path: Path) -> None:
    run = in_image(mine, mine.run())
    assert write(mine, run, path, images=Images(Engine(ID), tmp_path)).images == ("image",)
    assert members(path)[f"images/{'a' * 64}.{hash_bytes(GOOD)}"] == GOOD


def test_an_image_that_no_run_of_the_bundle_names_is_left_alone(mine: Place, yours: Place, path: Path) -> None:
    write(mine, mine.run(), path)
    rewrite(path, members(path) | {f"images/{'a' * 64}.{hash_bytes(GOOD)}": GOOD})
    engine = Engine()
    assert take(yours, path, images=Images(engine, path.parent)).images == () and not engine.there


def test_a_missing_image_makes_no_bundle(mine: Place, path: Path, tmp_path: Path) -> None:
    run = in_image(mine, mine.run())
    with pytest.raises(MlrunError, match="not on this machine any more") as caught:
        write(mine, run, path, images=Images(Engine(), tmp_path))
    assert caught.value.code is ExitCode.IMAGE and list(path.parent.iterdir()) == []


def test_an_object_larger_than_memory_is_worth_streams(
    mine: Place, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the size of an object is read at once."""
    run = mine.run("model", size=40_000_000)
    largest = [0]
    append = Bundle._append

    class Watched(io.RawIOBase):
        def __init__(self, source: Any) -> None:
            self.source = source

        def read(self, size: int = -1) -> bytes:
            data: bytes = self.source.read(size)
            largest[0] = max(largest[0], len(data))
            return data

    def watched(self: Bundle, at: int, source: Any, *rest: Any) -> int:
        return append(self, at, Watched(source), *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Bundle, "_append", watched)
    write(mine, run, path)
    assert 0 < largest[0] <= 4 << 20
