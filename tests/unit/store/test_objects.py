"""Objects: written once, whole, durable, named by their content."""

import errno
import os
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import landing
from runner.store.layout import Layout
from runner.store.objects import Objects

from .conftest import files

LARGE = os.urandom(1 << 16) * 80 + b"end"


def store_in_every_way(objects: Objects, tmp_path: Path) -> dict[str, Callable[[bytes], Digest]]:
    def file(data: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(data)
        return path

    def from_fd(data: bytes) -> Digest:
        with file(data).open("rb", buffering=0) as opened:
            return objects.put_file(opened.fileno())[0]

    return {
        "bytes": objects.put_bytes,
        "many": lambda data: objects.put_many([b"other", data, data])[2][0],
        "stream": lambda data: objects.put_stream([data[:5], b"", data[5:]])[0],
        "file": from_fd,
        "adopt": lambda data: objects.adopt(file(data))[0],
    }


WAYS = ("bytes", "many", "stream", "file", "adopt")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
def test_content_comes_back_under_its_hash_read_only(objects: Objects, tmp_path: Path, way: str, data: bytes) -> None:
    digest = store_in_every_way(objects, tmp_path)[way](data)
    assert digest == hash_bytes(data)
    assert objects.has(digest)
    assert objects.size(digest) == len(data)
    assert objects.read(digest) == data
    assert objects.verify(digest)
    assert stat.S_IMODE(objects.path(digest).stat().st_mode) == 0o444
    with objects.open(digest, len(data)) as file:
        assert file.read() == data


@pytest.mark.parametrize("way", WAYS)
def test_storing_again_leaves_the_object_alone_and_no_rest(
    objects: Objects, layout: Layout, tmp_path: Path, way: str
) -> None:
    def identity() -> tuple[int, ...]:
        # Not when it was read last: to compare what is there with what comes may read it.
        found = objects.path(digest).stat()
        return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    digest = store_in_every_way(objects, tmp_path)[way](LARGE)
    before = identity()
    names = files(layout)
    store_in_every_way(Objects(layout), tmp_path)[way](LARGE)
    assert identity() == before
    assert files(layout) == names


@pytest.mark.parametrize("way", WAYS)
def test_an_object_that_was_cut_off_is_written_again(
    objects: Objects, layout: Layout, tmp_path: Path, way: str
) -> None:
    digest = objects.put_bytes(b"content")
    objects.path(digest).chmod(0o644)
    objects.path(digest).write_bytes(b"")
    store_in_every_way(Objects(layout), tmp_path)[way](b"content")
    assert objects.verify(digest)


def test_a_missing_shard_folder_is_made_again(objects: Objects) -> None:
    digest = hash_bytes(b"x")
    objects.path(digest).parent.rmdir()
    assert not objects.has(digest)
    objects.put_bytes(b"x")
    assert objects.verify(digest)


def test_a_missing_object_is_named(objects: Objects, tmp_path: Path) -> None:
    digest = hash_bytes(b"never stored")
    for use in (
        lambda: objects.open(digest),
        lambda: objects.read(digest),
        lambda: objects.size(digest),
        lambda: objects.materialise(digest, tmp_path / "x", writable=True),
        lambda: objects.materialise(digest, tmp_path / "x", writable=False),
    ):
        with pytest.raises(MlrunError, match=digest) as caught:
            use()
        assert caught.value.code is ExitCode.STORE
    assert not objects.verify(digest)


def test_damage_is_never_served_by_read_and_found_by_verify(objects: Objects) -> None:
    digest = objects.put_bytes(b"precious")
    objects.path(digest).chmod(0o644)
    objects.path(digest).write_bytes(b"pretious")
    with pytest.raises(MlrunError, match=f"`{digest}` has other content"):
        objects.read(digest)
    with pytest.raises(MlrunError, match=f"`{digest}` has 8 bytes instead of 9"):
        objects.open(digest, 9)
    assert not objects.verify(digest)


def test_the_bytes_stored_are_the_bytes_hashed_while_the_file_changes(objects: Objects, tmp_path: Path) -> None:
    path = tmp_path / "changing"
    path.write_bytes(b"a" * (12 << 20))
    stop = threading.Event()

    def change() -> None:
        with path.open("r+b", buffering=0) as file:
            while not stop.is_set():
                file.seek(0)
                file.write(os.urandom(1 << 16) * 190)

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for _ in range(5):
            with path.open("rb", buffering=0) as file:
                digest, size = objects.put_file(file.fileno())
            assert objects.verify(digest)
            assert objects.size(digest) == size
    finally:
        stop.set()
        writer.join()


def test_many_writers_of_the_same_content_leave_one_object(layout: Layout, tmp_path: Path) -> None:
    data = [os.urandom(5000) for _ in range(20)]
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            objects = Objects(layout)
            objects.put_many(data)
            os._exit(0 if all(objects.put_stream([one])[1] == 5000 for one in data) else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert files(layout) == sorted(hash_bytes(one) for one in data)
    assert all(Objects(layout).verify(hash_bytes(one)) for one in data)


def test_an_adopted_file_is_moved_and_one_with_another_name_is_copied(objects: Objects, tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(b"moved")
    inode = path.stat().st_ino
    digest, size = objects.adopt(path)
    assert (objects.path(digest).stat().st_ino, size) == (inode, 5)
    assert not path.exists()

    path.write_bytes(b"shared")
    other = tmp_path / "other name"
    other.hardlink_to(path)
    digest, _ = objects.adopt(path)
    other.write_bytes(b"changed")
    assert objects.read(digest) == b"shared"
    assert not path.exists()


def test_a_file_on_another_file_system_is_adopted_by_copy(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "output"
    path.write_bytes(LARGE)
    rename = os.rename

    def refuse(source: Path, target: str) -> None:
        if source == path:
            raise OSError(errno.EXDEV, "other file system")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    digest, size = objects.adopt(path)
    assert objects.read(digest) == LARGE
    assert size == len(LARGE)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_regular_files_are_adopted(objects: Objects, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd"
    match kind:
        case "link":
            path.symlink_to("/etc/passwd")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    with pytest.raises(MlrunError):
        objects.adopt(path)
    assert os.path.lexists(path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("number", "code"), [(errno.EIO, ExitCode.STORE), (errno.ENOSPC, ExitCode.DISK)])
def test_an_object_whose_sync_fails_is_not_there_and_is_synced_once(
    objects: Objects,
    layout: Layout,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    number: int,
    code: ExitCode,
) -> None:
    objects.put_bytes(b"other")
    synced: list[int] = []

    def fail(fd: int) -> None:
        synced.append(fd)
        raise OSError(number, "failed")

    store = store_in_every_way(objects, tmp_path)[way]
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MlrunError) as caught:
        store(LARGE)
    assert caught.value.code is code
    assert len(synced) == 1
    assert files(layout) == [hash_bytes(b"other")]
    monkeypatch.undo()
    assert objects.verify(store(LARGE))


@pytest.mark.parametrize("way", ["bytes", "many", "stream", "file"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_what_is_needed_and_leaves_nothing(
    objects: Objects, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, number: int
) -> None:
    store = store_in_every_way(objects, tmp_path)[way]
    if way == "many":
        objects.put_bytes(b"other")

    def full(fd: int, data: bytes) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr(landing, "write_all", full)
    needed = "5" if way == "stream" else f"{len(LARGE):,}"
    with pytest.raises(MlrunError, match=rf"is full: needs {needed} bytes, has [\d,]+") as caught:
        store(LARGE)
    assert caught.value.code is ExitCode.DISK
    assert set(files(layout)) <= {hash_bytes(b"other")}


def test_a_real_full_disk_is_survived(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "t", place]).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        layout = Layout.create_or_open(place / "store")
        objects = Objects(layout)
        kept = [objects.put_bytes(os.urandom(300_000)) for _ in range(3)]
        ways = store_in_every_way(objects, tmp_path)
        for store in (ways["bytes"], ways["stream"], ways["file"], lambda data: objects.put_many([data])):
            with pytest.raises(MlrunError) as caught:
                store(LARGE)
            assert caught.value.code is ExitCode.DISK
        assert files(layout) == sorted(kept)
        objects.path(kept.pop()).unlink()
        kept.append(objects.put_bytes(os.urandom(200_000)))
        assert all(objects.verify(digest) for digest in kept)
        objects.close()
    finally:
        subprocess.run(["umount", place], check=True)


def test_the_disk_begins_with_a_large_stream_before_it_ends(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[int, int]] = []
    monkeypatch.setattr(landing, "start_writing", lambda _, offset, size: begun.append((offset, size)))
    share, piece = landing._SHARE, b"x" * (3 << 20)
    digest, size = objects.put_stream([piece] * 20)
    assert objects.verify(digest)
    assert size == 20 * len(piece)
    assert [offset for offset, _ in begun] == [0, *(offset + length for offset, length in begun)][:-1]
    assert all(share <= length < share + len(piece) for _, length in begun)
    assert size - sum(length for _, length in begun) < share
