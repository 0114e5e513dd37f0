"""A file system that is synced as a whole, where that proves as much as an fsync of each file. Knows no format.

syncfs(2) waits until the data of all files and what the file system notes about them are on the disk; one call is much
faster than an fsync(2) for each of thousands of files. It proves nothing before Linux 5.8, which does not report lost
writes through it, nor where the file system leaves the work to a server; there `Volume` is never quiet.
"""

import ctypes
import os
from pathlib import Path
from typing import Self

from runner.store.filesystem import BTRFS, EXT4, XFS, number_of

_libc = ctypes.CDLL(None, use_errno=True)

_FIRST_KERNEL = (5, 8)
_PROVEN = frozenset({EXT4, XFS, BTRFS})
_WAIT_BEFORE, _WRITE = 1, 2
"""SYNC_FILE_RANGE_WAIT_BEFORE and SYNC_FILE_RANGE_WRITE of sync_file_range(2)."""
_WORTH = 1 << 20
"""About as many bytes as a disk writes in the time of one fsync, while others keep it busy."""
_MEMORY = Path("/proc/meminfo")


class Volume:
    """The file system of a folder. To be closed, or used in a `with` block, which begins before what it has to prove:
    a write that is lost from then on makes `sync` fail."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def pays(self, files: int, size: int) -> bool:
        """Whether one sync is as good as an fsync of each of some files of `size` bytes in all, and likely faster:
        it waits for what others write, too."""
        return self._is_proven() and _unwritten() <= size + files * _WORTH

    def holds(self, fd: int) -> bool:
        """Whether an open file lies on it. Raises OSError."""
        return os.fstat(fd).st_dev == os.fstat(self._fd).st_dev

    def sync(self) -> None:
        """Make everything that was written durable, except that names may still be changed. Raises OSError."""
        _check(_libc.syncfs(self._fd))

    def _is_proven(self) -> bool:
        return _kernel() >= _FIRST_KERNEL and number_of(self._fd) in _PROVEN


def check_written(fd: int) -> None:
    """Raise the OSError of a write to this open file that was lost, as fsync(2) would; for after `Volume.sync`."""
    _check(_libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), _WAIT_BEFORE))


def start_writing(fd: int, offset: int, size: int) -> None:
    """Let the disk begin with `size` bytes of an open file, so that an fsync(2) later has less to wait for. Proves
    nothing and raises nothing: that fsync tells what was lost."""
    _libc.sync_file_range(fd, ctypes.c_int64(offset), ctypes.c_int64(size), _WRITE)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _kernel() -> tuple[int, ...]:
    words = os.uname().release.split("-")[0].split(".")
    return tuple(int(word) for word in words[:2] if word.isdigit())


def _unwritten() -> float:
    """How many bytes wait to be written, on all disks of the machine; infinitely many if nobody says."""
    try:
        lines = [line.split() for line in _MEMORY.read_text().splitlines()]
        found = {words[0]: int(words[1]) << 10 for words in lines}
        return found["Dirty:"] + found["Writeback:"]
    except (OSError, ValueError, KeyError, IndexError):
        return float("inf")
