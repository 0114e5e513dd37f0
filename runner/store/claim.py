"""What processes under way rely on though no record names it yet, so that nobody removes it. Knows no run.

A process appends the digest of an object to its own claim *before* it looks whether the object is there. Whoever
removes objects moves them away first, then reads the claims of all living processes and puts back what is claimed: so
either the claim is seen, or the process finds the object gone and writes it again. A claim lives as long as its
process: it holds an exclusive flock(2) on the file.
"""

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from runner.digest import Digest
from runner.store.durable import create, disk_errors, make_folder, write_all
from runner.store.identity import is_id, new_id

_BYTES = 32
"""A digest in a claim, without anything between two of them."""


class Claims:
    """The claims of this process; the file is made with the first. Usable from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._path: Path | None = None
        self._fd = -1

    def claim(self, digests: Iterable[Digest]) -> None:
        """Rely on these objects until `close`, or until this process ends. Raises MlrunError (DISK, STORE)."""
        data = b"".join(map(bytes.fromhex, digests))
        if not data:
            return
        with self._lock, disk_errors(self._folder, len(data)):
            if self._fd < 0:
                self._open()
            write_all(self._fd, data)

    def close(self) -> None:
        """Rely on nothing any more; idempotent."""
        with self._lock:
            if self._path is not None:
                with suppress(OSError):
                    self._path.unlink()
                os.close(self._fd)
                self._path, self._fd = None, -1

    def _open(self) -> None:
        make_folder(self._folder)
        path = self._folder / new_id()
        # Locked under another name first: a claim that can be seen is held, or its process has ended.
        new = path.with_name(f".new-{path.name}")
        fd = create(new)
        fcntl.flock(fd, fcntl.LOCK_EX)
        new.rename(path)
        self._path, self._fd = path, fd


def claimed(folder: Path) -> set[Digest]:
    """What living processes rely on. Raises OSError."""
    found: set[Digest] = set()
    for path in _files(folder):
        with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
            if not _is_left(file.fileno()):
                data = file.read()
                found.update(Digest(data[at : at + _BYTES].hex()) for at in range(0, len(data) - _BYTES + 1, _BYTES))
    return found


def remove_left(folder: Path) -> None:
    """Remove the claims of processes that have ended. Raises OSError."""
    for path in _files(folder):
        with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
            if _is_left(file.fileno()):
                path.unlink()


def _files(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if is_id(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_left(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
