"""File systems of our own, in a mount namespace of our own: nothing of them outlives the process, however it ends."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NEW_MOUNTS, _NEW_USER = 0x20000, 0x10000000
_libc = ctypes.CDLL(None, use_errno=True)


class Impossible(Exception):
    """Something cannot be had on this machine; the text is the reason."""


def private_mounts() -> None:
    """From now on mounts of this process and its children are seen by nobody else. Raises `Impossible`.

    An ordinary user becomes root of a user namespace, where a tmpfs may be mounted but no image.
    """
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(_NEW_MOUNTS | (_NEW_USER if uid else 0)) != 0:
        raise Impossible(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    run("mount", "--make-rprivate", "/")


def run(*command: str | Path) -> None:
    """Run a program. Raises `Impossible` with its last words where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=administrator())
    if done.returncode:
        raise Impossible(f"`{' '.join(map(str, command))}`: {done.stderr.strip() or done.returncode}")


def need_images() -> None:
    """Raises `Impossible` where images of file systems cannot be made and mounted."""
    if os.geteuid() != 0:
        raise Impossible("only root can mount images")
    for program in ("mkfs.xfs", "mkfs.ext4"):
        if not shutil.which(program, path=administrator()["PATH"]):
            raise Impossible(f"`{program}` is not installed")
    if not Path("/dev/loop-control").exists():
        raise Impossible("there are no loop devices")


def make_image(path: Path, kind: str, size: int) -> None:
    """An image of `size` bytes with an empty file system."""
    with path.open("wb") as file:
        file.truncate(size)
    options = {"ext4": ["-q", "-F", "-m", "0"], "xfs": ["-q", "-f", "-m", "reflink=1"]}[kind]
    run(f"mkfs.{kind}", *options, path)


@contextmanager
def mounted(image: Path, place: Path, options: str = "loop") -> Iterator[Path]:
    """An image mounted at `place` for a while; its loop device goes with the mount."""
    place.mkdir(exist_ok=True)
    run("mount", "-o", options, image, place)
    try:
        yield place
    finally:
        unmount(place)


@contextmanager
def small(options: str) -> Iterator[Path]:
    """A tmpfs with such limits (`size=…`, `nr_inodes=…`)."""
    place = Path(tempfile.mkdtemp(prefix="mlrun-fault-"))
    run("mount", "-t", "tmpfs", "-o", f"{options},mode=0700", "tmpfs", place)
    try:
        yield place
    finally:
        unmount(place)
        place.rmdir()


def unmount(place: Path) -> None:
    """End a mount, also one that a process under way still looks at."""
    with suppress(Impossible):
        run("umount", place)
        return
    run("umount", "--lazy", place)


def administrator() -> dict[str, str]:
    """The caller's variables; PATH with the folders of an administrator."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
