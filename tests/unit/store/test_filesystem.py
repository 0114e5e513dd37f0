"""Where a store can live, and what is said where it cannot."""

import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import ExitCode, MlrunError
from runner.store import filesystem
from runner.store.filesystem import FileSystem, look, probe
from runner.store.layout import Layout
from runner.store.store import Store

NETWORK = {"nfs": 0x6969, "cifs": 0xFF534D42, "smb2": 0xFE534D42, "9p": 0x01021997, "ceph": 0x00C36400,
           "lustre": 0x0BD00BD0, "gpfs": 0x47504653, "afs": 0x5346414F}  # fmt: skip
FUSE = 0x65735546


def lie_on(monkeypatch: pytest.MonkeyPatch, number: int, kind: str = "") -> None:
    monkeypatch.setattr(filesystem, "number_of", lambda fd: number)
    monkeypatch.setattr(filesystem, "_mounted_kind", lambda fd: kind)


def test_the_file_system_of_a_folder_is_told_also_before_it_is_made(tmp_path: Path) -> None:
    assert look(tmp_path / "not" / "yet") == look(tmp_path)
    assert look(Path("/proc")) == FileSystem("proc", False)


@pytest.mark.parametrize("kind", NETWORK)
def test_a_store_on_a_network_file_system_is_refused_and_nothing_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    lie_on(monkeypatch, NETWORK[kind])
    with pytest.raises(MlrunError, match=rf"lies on a network file system \({kind}\)") as caught:
        Layout.create_or_open(tmp_path / "store")
    assert caught.value.code is ExitCode.STORE
    assert "MLRUN_STORE" in str(caught.value.hint)
    assert "mlrun push" in str(caught.value.hint)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("kind", "refused"),
    [("fuse.sshfs", True), ("fuse.rclone", True), ("fuse.s3fs", True), ("fuse.glusterfs", True),
     ("fuse.fuse-overlayfs", False), ("fuseblk", False), ("virtiofs", False), ("fuse.what-nobody-knows", False),
     ("", False)],
)  # fmt: skip
def test_of_file_systems_in_user_space_only_those_that_lie_elsewhere_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, refused: bool
) -> None:
    lie_on(monkeypatch, FUSE, kind)
    if refused:
        with pytest.raises(MlrunError, match=kind):
            Layout.create_or_open(tmp_path / "store")
    else:
        Layout.create_or_open(tmp_path / "store")


def test_a_store_that_was_moved_to_a_network_can_be_read_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path / "store", create=True) as store:
        digest = store.objects.put_bytes(b"content")
    lie_on(monkeypatch, NETWORK["nfs"])
    with Store.open(tmp_path / "store", create=False) as store:
        assert store.objects.read(digest) == b"content"
    with pytest.raises(MlrunError, match="network file system"):
        Store.open(tmp_path / "store", create=True)


def test_what_works_here_is_found_and_leaves_nothing(tmp_path: Path) -> None:
    assert probe(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_where_locks_are_only_for_show_no_store_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with pytest.raises(MlrunError, match=r"locks \(flock\) do not work") as caught:
        Layout.create_or_open(tmp_path / "store")
    assert caught.value.code is ExitCode.STORE
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_there_are_no_locks_no_store_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(MlrunError, match=os.strerror(number)):
        Layout.create_or_open(tmp_path / "store")


def test_where_the_sync_of_a_folder_fails_no_store_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(filesystem, "sync_folder", refuse)
    with pytest.raises(MlrunError, match="cannot be made durable"):
        Layout.create_or_open(tmp_path / "store")


def test_hard_links_are_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refuse)
    with Store.open(tmp_path / "store", create=True) as store:
        digest = store.objects.put_bytes(b"content")
        store.objects.materialise(digest, tmp_path / "shown", writable=False)
    assert (tmp_path / "shown").read_bytes() == b"content"


@pytest.fixture(params=["fuse-overlayfs", "sshfs"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A real file system in user space, once under its own name and once under that of one on the network."""
    if shutil.which("fuse-overlayfs") is None or os.geteuid() != 0:
        pytest.skip("fuse-overlayfs is not installed, or this is not root")
    lower, upper, work, top = (tmp_path / name for name in ("lower", "upper", "work", "top"))
    for folder in (lower, upper, work, top):
        folder.mkdir()
    name = [] if request.param == "fuse-overlayfs" else ["-o", f"subtype={request.param}"]
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    done = subprocess.run(["fuse-overlayfs", "-o", options, *name, top], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system in user space can be mounted here: {done.stderr.strip()}")
    try:
        yield request.param, top
    finally:
        subprocess.run(["umount", top], check=True)


def test_a_real_file_system_in_user_space(mounted: tuple[str, Path], tmp_path: Path) -> None:
    name, top = mounted
    found = look(top)
    if name == "sshfs" and found.kind != "fuse.sshfs":
        pytest.skip(f"it cannot be mounted under another name: {found.kind}")
    if found.is_network:
        with pytest.raises(MlrunError, match=r"fuse\.sshfs"):
            Layout.create_or_open(top / "store")
        return
    assert found == FileSystem("fuse.fuse-overlayfs", False)
    with Store.open(top / "store", create=True) as store:
        digest = store.objects.put_bytes(b"content" * 100_000)
        store.objects.materialise(digest, top / "shown", writable=False)
        assert (top / "shown").read_bytes() == store.objects.read(digest)
        (tmp_path / "from another place").write_bytes(b"other")
        assert store.objects.read(store.objects.adopt(tmp_path / "from another place")[0]) == b"other"
