"""Objects: written once, whole, durable, named by their content."""

import errno
import fcntl
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import objects as objects_module
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.tree import TreeEntry
from runner.store.volume import Volume

LARGE = os.urandom(1 << 16) * 80 + b"end"


def files(layout: Layout) -> list[str]:
    return sorted(path.name for path in layout.objects.rglob("*") if path.is_file())


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
    digest = store_in_every_way(objects, tmp_path)[way](LARGE)
    before = objects.path(digest).stat()
    names = files(layout)
    store_in_every_way(Objects(layout), tmp_path)[way](LARGE)
    assert objects.path(digest).stat() == before
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


def test_a_writable_copy_shares_nothing_with_the_object(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(LARGE)
    objects.materialise(digest, tmp_path / "copy", writable=True)
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert (tmp_path / "copy").stat().st_ino != objects.path(digest).stat().st_ino
    (tmp_path / "copy").write_bytes(b"changed")
    assert objects.verify(digest)


def test_a_read_only_file_costs_no_copy(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(LARGE)
    objects.materialise(digest, tmp_path / "shown", writable=False)
    shown = (tmp_path / "shown").stat()
    assert (tmp_path / "shown").read_bytes() == LARGE
    assert stat.S_IMODE(shown.st_mode) == 0o444
    assert shown.st_ino == objects.path(digest).stat().st_ino or objects._copier.cloner.may_work()


def test_not_even_the_first_read_only_file_is_copied_where_links_can_be_made(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(target: int, request: int, source: int) -> int:
        raise OSError(errno.EOPNOTSUPP, "no reflinks here")

    digest = objects.put_bytes(LARGE)
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    monkeypatch.setattr(os, "sendfile", lambda *_: pytest.fail("it was copied"))
    objects.materialise(digest, tmp_path / "shown", writable=False)
    assert (tmp_path / "shown").stat().st_ino == objects.path(digest).stat().st_ino


@pytest.mark.parametrize("reason", [errno.EMLINK, errno.EXDEV, errno.EPERM])
def test_where_no_link_can_be_made_a_copy_is(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(reason, "no link")

    digest = objects.put_bytes(b"x")
    monkeypatch.setattr(os, "link", refuse)
    objects.materialise(digest, tmp_path / "copy", writable=False)
    assert (tmp_path / "copy").read_bytes() == b"x"
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o444


def test_a_reflink_is_used_where_there_is_one(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(target: int, request: int, source: int) -> int:
        assert request == 0x40049409
        os.write(target, b"cloned")
        return 0

    digest = objects.put_bytes(b"x")
    monkeypatch.setattr(fcntl, "ioctl", clone)
    for name, writable in (("a", True), ("b", False)):
        objects.materialise(digest, tmp_path / name, writable=writable)
        assert (tmp_path / name).read_bytes() == b"cloned"


def test_nothing_that_exists_is_overwritten(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(b"x")
    (tmp_path / "mine").write_text("mine")
    for writable in (True, False):
        with pytest.raises(MlrunError):
            objects.materialise(digest, tmp_path / "mine", writable=writable)
    assert (tmp_path / "mine").read_text() == "mine"


def tree(objects: Objects) -> list[TreeEntry]:
    digests = [objects.put_bytes(data) for data in (b"one", b"#!/bin/sh\n", LARGE)]
    return [
        TreeEntry("z", "100644", digests[0], 3),
        TreeEntry("a/deep/er/run.sh", "100755", digests[1], 10),
        TreeEntry("a-b/x", "100644", digests[0], 3),
        TreeEntry("a/large", "100644", digests[2], len(LARGE)),
        TreeEntry("a/\udcff\n", "100644", digests[0], 3),
        TreeEntry("link", "120000", "/etc/passwd", 11),
    ]


def test_a_tree_is_copied_with_modes_links_odd_names_and_one_time(objects: Objects, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.mkdir()
    before = os.umask(0o077)
    try:
        objects.copy_tree(objects.read_tree(objects.put_tree(tree(objects))), target, 10**18)
    finally:
        os.umask(before)
    found = sorted(os.path.relpath(path, target) for path in target.rglob("*") if path.is_symlink() or path.is_file())
    assert found == sorted(entry.path for entry in tree(objects))
    assert (target / "a/large").read_bytes() == LARGE
    assert (target / "link").readlink() == Path("/etc/passwd")
    assert stat.S_IMODE((target / "a/deep/er/run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "z").stat().st_mode) == 0o644
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o755
    assert {path.lstat().st_mtime_ns for path in (target, *target.rglob("*"))} == {10**18}
    (target / "z").write_text("writable")
    assert objects.verify(Digest(tree(objects)[0].content))


def test_a_tree_with_more_folders_than_descriptors_is_copied(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(b"x")
    (tmp_path / "copy").mkdir()
    entries = [TreeEntry(f"folder {number}/x", "100644", digest, 1) for number in range(1500)]
    objects.copy_tree(entries, tmp_path / "copy", 0)
    assert len(list((tmp_path / "copy").rglob("x"))) == 1500


def test_a_hostile_tree_cannot_write_through_a_link(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "outside").mkdir()
    entries = [
        TreeEntry("a", "120000", str(tmp_path / "outside"), 9),
        TreeEntry("a/x", "100644", objects.put_bytes(b"x"), 1),
    ]
    with pytest.raises(MlrunError):
        objects.copy_tree(entries, tmp_path / "copy", 0)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_tree_whose_content_is_missing_or_cut_off_names_the_object(objects: Objects, tmp_path: Path) -> None:
    for name, entry in (
        ("one", TreeEntry("x", "100644", hash_bytes(b"missing"), 7)),
        ("two", TreeEntry("x", "100644", objects.put_bytes(b"short"), 7)),
    ):
        (tmp_path / name).mkdir()
        with pytest.raises(MlrunError, match=entry.content):
            objects.copy_tree([entry], tmp_path / name, 0)


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

    monkeypatch.setattr(objects_module, "write_all", full)
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
    monkeypatch.setattr(objects_module, "sync_folder", synced.append)
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
    monkeypatch.setattr(objects_module, "sync_folder", synced.append)
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

    monkeypatch.setattr(objects_module, "sync_folder", fail)
    with pytest.raises(MlrunError) as caught, objects.gathering() as together:
        together.put_bytes(b"x")
    assert caught.value.code is ExitCode.STORE
    monkeypatch.undo()
    synced: list[Path] = []
    monkeypatch.setattr(objects_module, "sync_folder", synced.append)
    digest = objects.put_bytes(b"x")
    assert synced == [objects.path(digest).parent]


@pytest.fixture
def together(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Many small files are synced together, on every disk; gives what is done with disk and names, in order."""
    calls: list[str] = []
    rename, fsync = os.rename, os.fsync

    def note(source: Path, target: str) -> None:
        rename(source, target)
        if Path(target).is_relative_to(objects.root):
            calls.append("rename")

    def sync(fd: int) -> None:
        fsync(fd)
        calls.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")

    monkeypatch.setattr(os, "rename", note)
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Volume, "pays", lambda *_: True)
    monkeypatch.setattr(Volume, "sync", lambda _: calls.append("volume"))
    monkeypatch.setattr(objects_module, "check_written", lambda _: calls.append("check"))
    return calls


def small_files(folder: Path, count: int = 100) -> dict[Path, bytes]:
    contents = {folder / f"small {number}": str(number).encode() for number in range(count)}
    for path, content in contents.items():
        path.write_bytes(content)
    return contents


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
        monkeypatch.setattr(objects_module, "check_written", fail)
    with pytest.raises(MlrunError) as caught:
        objects.put_many(items())
    assert caught.value.code is ExitCode.STORE
    assert files(layout) == [kept]


def test_the_disk_begins_with_a_large_stream_before_it_ends(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[int, int]] = []
    monkeypatch.setattr(objects_module, "start_writing", lambda _, offset, size: begun.append((offset, size)))
    share, piece = objects_module._SHARE, b"x" * (3 << 20)
    digest, size = objects.put_stream([piece] * 20)
    assert objects.verify(digest)
    assert size == 20 * len(piece)
    assert [offset for offset, _ in begun] == [0, *(offset + length for offset, length in begun)][:-1]
    assert all(share <= length < share + len(piece) for _, length in begun)
    assert size - sum(length for _, length in begun) < share


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

    monkeypatch.setattr(objects_module, "check_written", check)
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
