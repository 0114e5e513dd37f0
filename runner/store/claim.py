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
from runner.process import is_held
from runner.store.durable import NEW, create, disk_errors, make_folder, write_all
from runner.store.identity import is_id, new_id

_BYTES = 32
"""A digest in a claim, without anything between two of them."""


class Claims:
    """The claims of this process; the file is made with the first. Usable from several threads.

    A forked process has claims of its own. Until it ends, those that it inherited hold as well.
    """

    _pid: int
    _lock: Lock
    _path: Path | None
    _fd: int
    _claimed: set[Digest]

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begin()

    def claim(self, digests: Iterable[Digest]) -> None:
        """Rely on these objects until `close`, or until this process ends. Raises MlrunError (DISK, STORE)."""
        if self._pid != os.getpid():
            self._begin()
        fresh = [digest for digest in digests if digest not in self._claimed]
        if not fresh:
            return
        data = b"".join(map(bytes.fromhex, fresh))
        with self._lock, disk_errors(self._folder, len(data)):
            if self._fd < 0:
                self._open()
            self._append(data)
            # Not before it is written: another thread would rely on it.
            self._claimed.update(fresh)

    def close(self) -> None:
        """Rely on nothing any more; idempotent."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            if self._path is not None:
                with suppress(OSError):
                    self._path.unlink()
                os.close(self._fd)
                self._path, self._fd = None, -1
            self._claimed.clear()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = Lock()
        self._path = None
        self._fd = -1
        self._claimed = set()

    def _append(self, data: bytes) -> None:
        try:
            write_all(self._fd, data)
        except OSError:
            # Half a digest would make nonsense of all that follow.
            os.ftruncate(self._fd, len(self._claimed) * _BYTES)
            raise

    def _open(self) -> None:
        make_folder(self._folder)
        path = self._folder / new_id()
        # Locked under another name first: a claim that can be seen is held, or its process has ended.
        new = path.with_name(f"{NEW}{path.name}")
        fd = create(new)
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
            fcntl.flock(fd, fcntl.LOCK_EX)
            new.rename(path)
        except BaseException:
            os.close(fd)
            new.unlink(missing_ok=True)
            raise
        self._path, self._fd = path, fd


def claimed(folder: Path) -> set[Digest]:
    """What living processes rely on. Raises OSError."""
    found: set[Digest] = set()
    for path in _files(folder):
        with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
            if is_held(file.fileno()):
                data = file.read()
                found.update(Digest(data[at : at + _BYTES].hex()) for at in range(0, len(data) - _BYTES + 1, _BYTES))
    return found


def remove_left(folder: Path) -> None:
    """Remove the claims of processes that have ended. Raises OSError."""
    for path in _files(folder):
        with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
            if not is_held(file.fileno()):
                path.unlink()


def _files(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if is_id(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
