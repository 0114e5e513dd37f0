"""What file system a folder lies on, and whether a store can live there: one that other machines reach cannot.

Leases name processes of this machine, and locks, links and time stamps of network file systems hold only so far. So
stores on them are refused for writing. What nobody knows beforehand is tried out once, when a store is made.
"""

import ctypes
import errno
import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.process import try_lock
from runner.store.clone import Cloner
from runner.store.durable import create, sync_folder, temporary_name, write_all

_libc = ctypes.CDLL(None, use_errno=True)

EXT4, XFS, BTRFS = 0xEF53, 0x58465342, 0x9123683E
"""As statfs(2) calls them; ext2 and ext3 have the number of ext4."""
_FUSE = 0x65735546
_STATFS_SIZE = 512
_WORD = (1 << 32) - 1

_NETWORK_NUMBERS = {
    0x6969: "nfs",
    0x517B: "smb",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x01021997: "9p",
    0x5346414F: "afs",
    0x6B414653: "afs",
    0x00C36400: "ceph",
    0x0BD00BD0: "lustre",
    0x47504653: "gpfs",
    0x73757245: "coda",
    0x7461636F: "ocfs2",
    0x01161970: "gfs2",
    0x19830326: "beegfs",
    0x20030528: "orangefs",
    0xAAD7AAEA: "panfs",
    0x564C: "ncp",
    0x786F4256: "vboxsf",
    0xBACBACBC: "vmhgfs",
}
_LOCAL_NUMBERS = {
    EXT4: "ext4",
    XFS: "xfs",
    BTRFS: "btrfs",
    0x01021994: "tmpfs",
    0x794C7630: "overlay",
    0x2FC12FC1: "zfs",
    0xF2F52010: "f2fs",
    0xCA451A4E: "bcachefs",
    0x2011BAB0: "exfat",
    0x4D44: "vfat",
    0x7366746E: "ntfs3",
    0x858458F6: "ramfs",
}
_NETWORK_FUSE = frozenset(
    {
        *("sshfs", "rclone", "s3fs", "s3ql", "s3backer", "goofys", "geesefs", "mountpoint-s3", "gcsfuse", "gcsf"),
        *("blobfuse", "blobfuse2", "cloudfuse", "juicefs", "seaweedfs", "weed", "glusterfs", "ceph", "ceph-fuse"),
        *("mfs", "moosefs", "lizardfs", "saunafs", "beegfs", "orangefs", "cvmfs2", "davfs", "davfs2", "curlftpfs"),
        *("smbnetfs", "fuse-nfs", "nfs", "cifs", "9p", "hdfs", "fuse_dfs", "alluxio-fuse", "onedriver", "dropbox"),
        *("google-drive-ocamlfuse", "ipfs", "prl_fsd", "vmhgfs-fuse", "vmware-vmblock", "xrootdfs", "dbxfs"),
    }
)
"""File systems in user space whose files lie elsewhere, by what mountinfo says behind `fuse.`."""
_NO_LOCKS = "locks (flock) do not work"


@dataclass(frozen=True, slots=True)
class FileSystem:
    """Of a folder: `kind` is its name, as far as it can be told; `is_network` if its files lie on another machine."""

    kind: str
    is_network: bool


def number_of(fd: int) -> int:
    """What statfs(2) says of an open file's file system; 0 when it says nothing."""
    status = ctypes.create_string_buffer(_STATFS_SIZE)
    if _libc.fstatfs(fd, status) != 0:
        return 0
    return ctypes.c_long.from_buffer(status).value & _WORD


def look(folder: Path) -> FileSystem:
    """The file system that a folder lies on, or will when it is made. Raises OSError."""
    fd = os.open(_existing(folder), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        number = number_of(fd)
        if number in _NETWORK_NUMBERS:
            return FileSystem(_NETWORK_NUMBERS[number], True)
        if number in _LOCAL_NUMBERS:
            return FileSystem(_LOCAL_NUMBERS[number], False)
        kind = _mounted_kind(fd) or ("fuse" if number == _FUSE else f"unknown ({number:#x})")
    finally:
        os.close(fd)
    return FileSystem(kind, number == _FUSE and kind.partition(".")[2].lower() in _NETWORK_FUSE)


def check_local(root: Path) -> None:
    """Refuse a store on a network file system. Raises MlrunError (STORE) and OSError."""
    found = look(root)
    if found.is_network:
        raise MlrunError(
            f"the store `{root}` lies on a network file system ({found.kind}), where nothing written is safe",
            code=ExitCode.STORE,
            hint="set `MLRUN_STORE` to a folder on a local disk; `mlrun push` and `mlrun pull` share runs",
        )


def check_able(root: Path) -> None:
    """Refuse a store where the file system does not do what one needs, tried out in the folder `root`. Raises
    MlrunError (STORE) and OSError."""
    problem = probe(root)
    if problem is not None:
        raise MlrunError(
            f"no store can be made in `{root}` ({look(root).kind}): {problem}",
            code=ExitCode.STORE,
            hint="set `MLRUN_STORE` to a folder on a local disk",
        )


def probe(folder: Path) -> str | None:
    """Why no store can live in `folder`, None if one can: found out by trying what it does, with two small files that
    are removed. Raises OSError for want of rights or space."""
    one, other = folder / temporary_name(), folder / temporary_name()
    try:
        fd = create(one)
        try:
            write_all(fd, b"x")
            os.fsync(fd)
            return _locks(one, fd) or _names(one, other, folder)
        finally:
            os.close(fd)
    finally:
        for path in (one, other):
            path.unlink(missing_ok=True)


def can_clone(folder: Path) -> bool | None:
    """Whether reflinks can be made where a folder is, or will be; tried with files that have no name. None where that
    cannot be tried."""
    try:
        one, other = (os.open(_existing(folder), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600) for _ in range(2))
    except OSError:
        return None
    try:
        os.write(one, b"x")
        return Cloner().clone(one, other)
    except OSError:
        return None
    finally:
        os.close(one)
        os.close(other)


def _locks(path: Path, fd: int) -> str | None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        second = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return _NO_LOCKS if try_lock(second, fcntl.LOCK_EX) else None
        finally:
            os.close(second)
    except OSError as error:
        return f"{_NO_LOCKS}: {os.strerror(error.errno or errno.EIO)}"


def _names(one: Path, other: Path, folder: Path) -> str | None:
    with suppress(FileExistsError):
        os.close(create(one))
        return "a file that must be new (O_EXCL) may be another's"
    os.close(create(other))
    try:
        one.rename(other)
    except OSError as error:
        return f"a file cannot take the place of another: {os.strerror(error.errno or errno.EIO)}"
    if other.read_bytes() != b"x":
        return "a file that took the place of another has not its content"
    try:
        sync_folder(folder)
    except OSError as error:
        return f"names cannot be made durable (fsync of a folder): {os.strerror(error.errno or errno.EIO)}"
    return None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists. Raises OSError."""
    for place in (folder, *folder.absolute().parents):
        if place.is_dir():
            return place
    return Path("/")


def _mounted_kind(fd: int) -> str:
    """The kind of the mount that an open file lies on, by proc(5); empty if that cannot be told."""
    try:
        notes = Path(f"/proc/self/fdinfo/{fd}").read_text("ascii")
        mount = next(line.split()[1] for line in notes.splitlines() if line.startswith("mnt_id:"))
        for line in Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "replace").splitlines():
            words = line.split(" ")
            if words[0] == mount:
                return words[words.index("-") + 1]
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    return ""
