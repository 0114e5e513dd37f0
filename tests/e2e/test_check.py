"""`mlrun store check` on a store that real runs have made: whatever is damaged is found, named, and never served."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.digest import Digest, hash_file, is_digest
from runner.errors import MlrunError
from runner.store.catalog import data_of
from runner.store.naming import Refs
from runner.store.removal import Removals
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep.anomaly import Report
from runner.upkeep.check import Wish, check
from runner.upkeep.pack import pack
from runner.upkeep.turn import alone

YAML = """
- step:
    name: grow
    image: busybox
    command: |
      cp seed /valohai/outputs/table.csv
      for i in $(seq {parameter-value:lines}); do echo line $i >> /valohai/outputs/table.csv; done
    parameters:
      - {name: lines, type: integer, default: 1}
- step:
    name: train
    image: busybox
    command: |
      wc -c < /valohai/inputs/data/table.csv > /valohai/outputs/model.pkl
      cp about.json /valohai/outputs/model.pkl.metadata.json
    inputs:
      - {name: data, default: data/table.csv}
"""
ABOUT = '{"valohai.alias":"prod","valohai.model-versions":["model://m/v1"]}'

PASSED_OVER = ("cache/", "claims/", "index.sqlite", ".gitignore", "packed/lock")
"""What may be deleted at any time, and what says nothing."""

Checked = Callable[[Path], Report]


@pytest.fixture(scope="module")
def home(shared: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store that holds something of everything: two packed versions, a trained model, an alias, a pinned run, a
    removal, and something in the trash."""
    folder = tmp_path_factory.mktemp("check")
    project = shared.with_variables(MLRUN_STORE=str(folder / "store"))
    project.write("seed", random.Random(4711).randbytes(30_000).hex() + "\n")
    project.write("data/table.csv", "a,b\n1,2\n")
    project.write("about.json", ABOUT)
    project.commit()
    for lines in ("1", "2"):
        project.succeeds("exec", "grow", "--lines", lines)
    project.succeeds("exec", "train")
    with Store.open(folder / "store", create=True) as store:
        with alone(store.layout) as turn:
            assert pack(store, turn, least=1000).objects == 1
        old = store.find_execution(None, store.executions()[-1]["id"])[1]
        Removals(store.layout).append([{"type": "files-dropped", "executions": ["00000000"]}])
        trash = Trash(store.layout)
        batch = trash.begin("gc", "somebody")
        assert trash.move(batch, store.objects.path(store.objects.put_bytes(b"nobody needs this")))
        with store.refs.changing({"user": "somebody"}) as change:
            change.pin("execution", old.id)
            change.set_alias("passing", data_of(old)[0])
        # The files of the last turn may be behind: here there is none.
        with store.refs.changing({"user": "somebody"}) as change:
            change.remove_alias("passing")
        for path in (store.layout.removed, store.layout.refs / "log"):
            # So that they count as durable.
            os.utime(path, (0, 0))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def damage(home: Path, tmp_path: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Copies the store, does something to one of its files, whose times stay, and gives the copy."""

    def change(name: str, how: Callable[[Path], None]) -> Path:
        copy = tmp_path / "store"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(home / "store", copy, symlinks=True)
        path = copy / name
        before = path.stat()
        path.chmod(0o644)
        how(path)
        if path.exists():
            path.chmod(before.st_mode & 0o7777)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return copy

    return change


def files(home: Path) -> list[str]:
    """Everything in the store that must not change."""
    store = home / "store"
    names = sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.is_file())
    return [name for name in names if not name.startswith(PASSED_OVER)]


def check_all(root: Path, *, writable: bool = True, read_data: bool = True) -> Report:
    with Store.open(root, create=writable) as store:
        return check(store, Wish(read_data=read_data, writable=writable))[0]


def flip(bit: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)

    return change


def test_a_store_that_nobody_damaged_is_whole(home: Path) -> None:
    names = files(home)
    kinds = {name.split("/")[0] for name in names}
    assert kinds >= {"objects", "packed", "runs", "refs", "removed", "trash", "format"}, kinds
    report = check_all(home / "store", writable=False)
    assert not report.damages
    assert report.reading is not None
    assert report.reading.is_full
    assert (report.runs, report.executions) == (3, 3)


def test_one_flipped_bit_in_any_file_is_found_and_never_served(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(1 << 32)
    with capsys.disabled():
        print(f" seed {seed} ", end="")
    rng = random.Random(seed)
    root = tmp_path / "store"
    shutil.copytree(home / "store", root)
    flipped = 0
    for name in files(home):
        path = root / name
        data, before = path.read_bytes(), path.stat()
        path.chmod(0o644)
        # A batch says who removed something, and nothing else depends on it.
        bits = {0, len(data) * 8 - 1, *(rng.randrange(len(data) * 8) for _ in range(3))} if data else set()
        for bit in bits if not name.endswith("/batch") else ():
            flip(bit)(path)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            where = f"bit {bit} of {name} (seed {seed})"
            never_serves_what_is_damaged(root, home)
            try:
                report = check_all(root, writable=False)
                assert names_the_file(report, name), f"{where}: {report.damages}"
            except MlrunError as error:
                assert name == "format", f"{where}: {error}"
            flipped += 1
            path.write_bytes(data)
        path.chmod(before.st_mode & 0o7777)
    assert flipped > 100
    assert not check_all(root).damages


def test_what_was_mended_is_whole_afterwards(home: Path, damage: Callable[[str, Callable[[Path], None]], Path]) -> None:
    mended = 0
    for name in files(home):
        if not (home / "store" / name).stat().st_size or name.endswith("/batch"):
            continue
        if name.startswith(("objects/", "packed/", "trash/")) or name.endswith("/owner"):
            root = damage(name, flip(1))
            report = check_all(root)
            assert names_the_file(report, name), name
            if not any(one.remedy for one in report.damages):
                again = check_all(root)
                assert not again.damages, f"{name}: {again.damages}"
                mended += 1
    assert mended >= 8


def never_serves_what_is_damaged(root: Path, home: Path) -> None:
    """Every object that can be read has the content that its name says; so has every record."""
    try:
        store = Store.open(root, create=False)
    except MlrunError:
        return
    with store:
        for name in files(home):
            digest = name.split("/")[-1]
            if is_digest(digest) and not name.startswith("refs/"):
                try:
                    with store.objects.open(Digest(digest)) as file:
                        content = file.read()
                except MlrunError:
                    continue
                path = root.parent / "read"
                path.write_bytes(content)
                assert hash_file(path) == digest
        for id in os.listdir(home / "store" / "runs"):
            try:
                run = store.run(id)
            except MlrunError:
                continue
            with Store.open(home / "store", create=False) as other:
                assert run.executions == other.run(id).executions


def names_the_file(report: Report, name: str) -> bool:
    """Whether a anomaly is about this file, or about the object that it is a copy or a recipe of."""
    digest = name.split("/")[-1]
    return any(one.place == name or (is_digest(digest) and one.digest == digest) for one in report.damages)


@pytest.mark.parametrize("how", ["truncated", "emptied", "missing"])
def test_what_is_short_empty_or_gone_is_found(home: Path, tmp_path: Path, how: str) -> None:
    check_all(home / "store", read_data=False)
    root = tmp_path / "store"
    shutil.copytree(home / "store", root)
    for name in files(home):
        path = root / name
        data, before = path.read_bytes(), path.stat()
        may_be_gone = name.startswith("trash/") or name.endswith("/owner")
        if (how == "missing" and may_be_gone) or not data or name == "format":
            continue
        path.unlink()
        if how != "missing":
            path.write_bytes(data[: len(data) // 2] if how == "truncated" else b"")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert check_all(root, writable=False).damages, f"{how}: {name}"
        path.write_bytes(data)
        path.chmod(before.st_mode & 0o7777)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_object_that_was_replaced_by_another_valid_one_is_found(home: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(home / "store", root)
    objects = [name for name in files(home) if name.startswith("objects/")]
    for name, other in zip(objects, objects[1:] + objects[:1], strict=True):
        (root / name).unlink()
        shutil.copy2(home / "store" / other, root / name)
        never_serves_what_is_damaged(root, home)
        assert names_the_file(check_all(root, writable=False), name), name
        (root / name).unlink()
        shutil.copy2(home / "store" / name, root / name)


def test_journals_of_two_runs_that_were_swapped_are_found(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "store", tmp_path / "store")
    one, two, *_ = (tmp_path / "store/runs" / id / "journal" for id in sorted(os.listdir(home / "store/runs")))
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    report = check_all(tmp_path / "store")
    assert {anomaly.place for anomaly in report.damages} == {f"runs/{p.parent.name}/journal" for p in (one, two)}
    with Store.open(tmp_path / "store", create=False) as store, pytest.raises(MlrunError, match="tells of the run"):
        store.run(one.parent.name)


def test_turns_that_vanished_from_the_end_of_a_journal_are_found(
    home: Path, damage: Callable[[str, Callable[[Path], None]], Path]
) -> None:
    def cut(path: Path) -> None:
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))

    for id in os.listdir(home / "store/runs"):
        root = damage(f"runs/{id}/journal", cut)
        (anomaly,) = [one for one in check_all(root).damages if one.place.startswith("runs/")]
        assert anomaly.code == "journal-shortened"
    check_all(home / "store", read_data=False)
    for name in ("removed", "refs/log"):
        found = {one.code for one in check_all(damage(name, cut)).damages}
        assert "log-shortened" in found, name


def test_the_command_names_the_execution_quarantines_and_restores(home: Path, tmp_path: Path, shared: Any) -> None:
    shutil.copytree(home / "store", tmp_path / "store")
    project = shared.with_variables(MLRUN_STORE=str(tmp_path / "store"))
    model = next(one for one in project.show("3")["outputs"] if one["name"] == "model.pkl")
    table = project.show("3")["job"]["inputs"][0]["files"][0]
    for digest in (model["digest"], table["digest"]):
        path = tmp_path / "store/objects" / digest[:2] / digest
        path.chmod(0o644)
        flip(9)(path)
    assert project.mlrun("store", "check").code == 0
    found = project.mlrun("store", "check", "--read-data", "--json")
    assert found.code == 30, str(found)
    damage = {one["digest"]: one for one in found.json()["damage"]}
    assert damage.keys() == {model["digest"], table["digest"]}
    lost, saved = damage[model["digest"]], damage[table["digest"]]
    assert {(one["kind"], one["name"]) for one in lost["touched"]} == {
        ("output", "model.pkl"),
        ("alias", "prod"),
        ("model", "m/v1"),
    }
    assert {one["counter"] for one in lost["touched"]} == {0, 3}
    assert "mlrun pull" in lost["remedy"]
    assert "restored from" in saved["done"]
    assert (tmp_path / "store/quarantine" / model["digest"]).exists()
    assert (tmp_path / "store/quarantine" / table["digest"]).exists()
    refused = project.mlrun("outputs", "3", "-d", tmp_path / "out")
    assert refused.code == 30
    assert "mlrun store check" in refused.err
    project.succeeds("outputs", "2", "-d", tmp_path / "others")
    again = project.mlrun("store", "check")
    assert again.code == 30
    assert "a damaged copy is in" in again.out
    assert "output `model.pkl` of execution 3 (train), run 3" in again.out
    project.succeeds("exec", "train")
    project.succeeds("store", "check", "--read-data")


def test_a_store_that_cannot_be_written_is_checked_and_left_alone(
    home: Path, damage: Callable[[str, Callable[[Path], None]], Path]
) -> None:
    name = next(name for name in files(home) if name.startswith("objects/"))
    root = damage(name, flip(3))
    before = sorted(path for path in root.rglob("*"))
    report = check_all(root, writable=False)
    assert names_the_file(report, name)
    assert all("cannot be written" in one.remedy for one in report.damages if one.touched)
    assert sorted(path for path in root.rglob("*")) == before


def test_beside_runs_and_packs_and_gc_the_check_finds_nothing(make: Callable[..., Any], tmp_path: Path) -> None:
    project = make(YAML, {"seed": "0123456789abcdef" * 200, "data/table.csv": "a\n"})
    project = project.with_variables(MLRUN_STORE=str(tmp_path / "own"))
    running: list[Any] = [project.start("exec", "grow", "--lines", str(number)) for number in range(4)]
    codes = []
    while any(one.process.poll() is None for one in running[:4]):
        codes.append(project.mlrun("store", "check", "--read-data"))
        running.append(project.start("gc", "--keep-last", "1", "--yes"))
        running.append(project.start("store", "pack", "--min-size", "1KiB"))
        codes.append(project.mlrun("store", "check", "--read-data"))
    ended = [one.end() for one in running]
    # Who packs does not wait for its turn.
    assert all(done.code == 0 or (done.code == 31 and done.arguments[0] == "store") for done in ended), ended
    assert {done.code for done in codes} == {0}, "\n".join(map(str, codes))


def test_ref_files_are_compared_with_their_log(home: Path) -> None:
    with Store.open(home / "store", create=False) as store:
        refs: Refs = store.refs
        assert refs.alias("prod") is not None
        assert [pin.what for pin in refs.pins()] == ["execution"]
