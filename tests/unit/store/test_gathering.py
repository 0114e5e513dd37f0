"""Many objects at once: synced together, and none acknowledged that is not on the disk."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import landing
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.volume import Volume

from .conftest import files


@pytest.fixture
def together(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Many small files are synced together, on every disk; gives what is done with disk and names, in order."""
    calls: list[str] = []
    rename, fsync = os.rename, os.fsync

    def note(source: Path, target: str) -> None:
        rename(source, target)
        if Path(target).is_relative_to(layout.objects):
            calls.append("rename")

    def sync(fd: int) -> None:
        fsync(fd)
        calls.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")

    monkeypatch.setattr(os, "rename", note)
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Volume, "pays", lambda *_: True)
    monkeypatch.setattr(Volume, "sync", lambda _: calls.append("volume"))
    monkeypatch.setattr(landing, "check_written", lambda _: calls.append("check"))
    return calls


def small_files(folder: Path, count: int = 100) -> dict[Path, bytes]:
    contents = {folder / f"small {number}": str(number).encode() for number in range(count)}
    for path, content in contents.items():
        path.write_bytes(content)
    return contents


def test_a_batch_is_walked_once_and_bounded(objects: Objects) -> None:
    open_files: list[int] = []

    def items() -> Iterator[bytes]:
        for number in range(300):
            open_files.append(len(os.listdir("/proc/self/fd")))
            yield b"%d" % number

    stored = objects.put_many(items())
    assert [size for _, size in stored] == [len(b"%d" % number) for number in range(300)]
    assert max(open_files) - open_files[0] < 64
    assert objects.put_many([]) == []


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_gathered_is_durable_when_the_block_ends_also_by_an_exception(
    objects: Objects, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(landing, "sync_folder", synced.append)
    contents = [str(number).encode() for number in range(600)]
    for content in contents:
        (tmp_path / hash_bytes(content)).write_bytes(content)
    paths = {digest: tmp_path / digest for digest in map(hash_bytes, contents)}

    def gather() -> None:
        with objects.gathering() as together:
            for digest, path in paths.items():
                assert together.adopt(path)[0] == digest
            assert synced == []
            if fails:
                raise ZeroDivisionError

    if fails:
        with pytest.raises(ZeroDivisionError):
            gather()
    else:
        gather()
    assert sorted(synced) == sorted({objects.path(digest).parent for digest in paths})
    assert all(objects.verify(digest) for digest in paths)
    synced.clear()
    objects.put_bytes(contents[0])
    assert synced == []


def test_others_are_not_kept_waiting_for_a_gathering(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(landing, "sync_folder", synced.append)
    with objects.gathering() as together:
        with open(__file__, "rb") as file:
            together.put_file(file.fileno())
        digest = objects.put_bytes(b"of another job")
        assert synced == [objects.path(digest).parent]
        same = hash_bytes(Path(__file__).read_bytes())
        with open(__file__, "rb") as file:
            objects.put_file(file.fileno())
        assert synced[1:] == [objects.path(same).parent]


def test_a_folder_that_cannot_be_synced_acknowledges_nothing_of_a_gathering(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(landing, "sync_folder", fail)
    with pytest.raises(MlrunError) as caught, objects.gathering() as together:
        together.put_bytes(b"x")
    assert caught.value.code is ExitCode.STORE
    monkeypatch.undo()
    synced: list[Path] = []
    monkeypatch.setattr(landing, "sync_folder", synced.append)
    digest = objects.put_bytes(b"x")
    assert synced == [objects.path(digest).parent]


def test_many_small_files_are_on_the_disk_before_the_first_gets_its_name(
    objects: Objects, tmp_path: Path, together: list[str]
) -> None:
    contents = small_files(tmp_path)
    with objects.gathering() as gathering:
        for path in contents:
            gathering.adopt(path)
        assert together == []
    assert together[:201] == ["volume", *["check", "rename"] * 100]
    assert set(together[201:]) == {"folder"}
    assert all(objects.read(hash_bytes(content)) == content for content in contents.values())
    assert not any(path.exists() for path in contents)


def test_many_pieces_are_on_the_disk_before_the_first_gets_its_name(
    objects: Objects, layout: Layout, together: list[str]
) -> None:
    stored = objects.put_many(str(number % 100).encode() for number in range(300))
    assert together[:201] == ["volume", *["check", "rename"] * 100]
    assert set(together[201:]) == {"folder"}
    assert [objects.read(digest) for digest, _ in stored] == [str(number % 100).encode() for number in range(300)]
    assert files(layout) == sorted({digest for digest, _ in stored})


@pytest.mark.parametrize("count", [3, 100])
def test_many_pieces_are_synced_one_by_one_if_they_are_few_or_it_does_not_pay(
    objects: Objects, together: list[str], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(Volume, "pays", lambda *_: count == 3)
    stored = objects.put_many(str(number).encode() for number in range(count))
    assert together.count("file") == count == together.count("rename")
    assert {"volume", "check"}.isdisjoint(together)
    assert all(objects.verify(digest) for digest, _ in stored)


@pytest.mark.parametrize("losing", ["volume", "file", "items"])
def test_nothing_is_left_of_many_pieces_that_cannot_be_stored(
    objects: Objects, layout: Layout, together: list[str], monkeypatch: pytest.MonkeyPatch, losing: str
) -> None:
    kept = objects.put_bytes(b"kept")

    def fail(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def items() -> Iterator[bytes]:
        for number in range(100):
            yield str(number).encode()
        if losing == "items":
            raise MlrunError("no more", code=ExitCode.STORE)

    if losing == "volume":
        monkeypatch.setattr(Volume, "sync", fail)
    if losing == "file":
        monkeypatch.setattr(landing, "check_written", fail)
    with pytest.raises(MlrunError) as caught:
        objects.put_many(items())
    assert caught.value.code is ExitCode.STORE
    assert files(layout) == [kept]


@pytest.mark.parametrize("count", [3, 100])
def test_small_files_are_synced_one_by_one_if_they_are_few_or_it_does_not_pay(
    objects: Objects, tmp_path: Path, together: list[str], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(Volume, "pays", lambda *_: count == 3)
    contents = small_files(tmp_path, count)
    with objects.gathering() as gathering:
        for path in contents:
            gathering.adopt(path)
    assert together.count("file") == count == together.count("rename")
    assert {"volume", "check"}.isdisjoint(together)
    assert all(objects.verify(hash_bytes(content)) for content in contents.values())


def test_nothing_becomes_an_object_when_the_disk_loses_writes(
    objects: Objects, layout: Layout, tmp_path: Path, together: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Volume) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Volume, "sync", fail)
    contents = small_files(tmp_path)
    before = files(layout)
    with pytest.raises(MlrunError) as caught, objects.gathering() as gathering:
        for path in contents:
            gathering.adopt(path)
    assert caught.value.code is ExitCode.STORE
    assert {path: path.read_bytes() for path in contents} == contents
    assert files(layout) == before


def test_a_small_file_whose_writes_were_lost_stays_where_it_is(
    objects: Objects, tmp_path: Path, together: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = small_files(tmp_path)
    bad = tmp_path / "small 50"

    def check(fd: int) -> None:
        if os.path.samestat(os.fstat(fd), bad.stat()):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(landing, "check_written", check)
    with pytest.raises(MlrunError) as caught, objects.gathering() as gathering:
        for path in contents:
            gathering.adopt(path)
    assert caught.value.code is ExitCode.STORE
    for path, content in contents.items():
        assert path.exists() is not objects.has(hash_bytes(content))
    assert bad.exists()
    assert objects.verify(hash_bytes(b"49"))


def test_equal_small_files_become_one_object(objects: Objects, tmp_path: Path, together: list[str]) -> None:
    contents = small_files(tmp_path)
    for path in contents:
        path.write_bytes(b"the same")
    with objects.gathering() as gathering:
        assert len({gathering.adopt(path) for path in contents}) == 1
    assert together.count("rename") == 1
    assert objects.read(hash_bytes(b"the same")) == b"the same"
    assert not any(path.exists() for path in contents)


def test_small_files_on_another_file_system_are_copied_when_a_gathering_ends(
    objects: Objects, tmp_path: Path, together: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = small_files(tmp_path)
    rename = os.rename

    def refuse(source: Path, target: str) -> None:
        if source in contents:
            raise OSError(errno.EXDEV, "other file system")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with objects.gathering() as gathering:
        for path in contents:
            gathering.adopt(path)
    assert together.count("file") == len(contents)
    assert all(objects.read(hash_bytes(content)) == content for content in contents.values())
    assert not any(path.exists() for path in contents)
