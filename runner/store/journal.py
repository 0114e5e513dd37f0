"""The journal of a run: turns of entries, appended, synced and checked. Knows no meaning of an entry.

One line per turn: 16 hexadecimal digits, a blank, a JSON array of entries. The digits are the start of the BLAKE3 hash
of the digits of the line before (nothing for the first) followed by the array, so that no line can change, vanish or
move unnoticed. A turn is written whole or not at all: a last line that was torn by a crash is no turn.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blake3 import blake3

from runner.errors import ExitCode, MlrunError
from runner.store.durable import create, disk_error, disk_errors, write_all
from runner.store.record import Entry

_DIGITS = 16


def timestamp(microseconds: int | None = None) -> str:
    """A moment, given in microseconds since 1970, or else this one; in UTC: ISO 8601 with microseconds and `Z`."""
    moment = datetime.now(UTC) if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _checksum(previous: bytes, body: bytes) -> bytes:
    return blake3(previous + body).hexdigest()[:_DIGITS].encode()


class DamagedJournal(MlrunError):
    """A journal whose acknowledged turns are not what was written; `entries` are those before the damage."""

    def __init__(self, path: Path, what: str, entries: Sequence[Entry] = ()) -> None:
        super().__init__(
            f"the journal `{path}` is damaged: {what}",
            code=ExitCode.STORE,
            hint="restore this file from a backup; other runs are not affected",
        )
        self.entries = tuple(entries)


class Journal:
    """A journal open for appending, by one process at a time: it holds an exclusive flock(2) as long as it is open."""

    def __init__(self, path: Path, fd: int, *, size: int, last: bytes) -> None:
        self._path = path
        self._fd = fd
        self._size = size
        self._last = last
        self._broken = False

    @classmethod
    def create(cls, path: Path) -> "Journal":
        """A journal that did not exist. Its folder has to be synced by the caller. Raises MlrunError."""
        with disk_errors(path.parent):
            fd = create(path)
            fcntl.flock(fd, fcntl.LOCK_EX)
        return cls(path, fd, size=0, last=b"")

    @classmethod
    def take_over(cls, path: Path) -> "tuple[Journal, list[Entry]] | None":
        """An existing journal and its entries, None when a living process holds it; a torn last line is cut off.

        Raises DamagedJournal, and FileNotFoundError for a missing one.
        """
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if not _try_lock(fd, fcntl.LOCK_EX):
                os.close(fd)
                return None
            follower = Follower(path)
            entries = follower.poll()
            os.ftruncate(fd, follower.offset)
            os.lseek(fd, 0, os.SEEK_END)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, size=follower.offset, last=follower.last), entries

    def append(self, entries: Sequence[Entry]) -> list[Entry]:
        """Add one turn, durable when this returns; entries without a `time` get this moment's. Returns them as written.

        Raises MlrunError: DISK when there is no space (the turn is undone and may be tried again), STORE after any
        other failure, which ends this journal: after a failed fsync nobody knows what is on the disk (fsync(2)).
        """
        if not entries:
            return []
        if self._broken:
            raise MlrunError(f"`{self._path}` cannot be written any more", code=ExitCode.STORE)
        now = timestamp()
        turn = [entry if "time" in entry else {**entry, "time": now} for entry in entries]
        body = json.dumps(turn, separators=(",", ":"), ensure_ascii=True).encode("ascii")
        checksum = _checksum(self._last, body)
        line = checksum + b" " + body + b"\n"
        self._write(line)
        self._last = checksum
        return turn

    def _write(self, line: bytes) -> None:
        try:
            write_all(self._fd, line)
        except OSError as error:
            try:
                os.ftruncate(self._fd, self._size)
                os.lseek(self._fd, self._size, os.SEEK_SET)
            except OSError:
                self._broken = True
            raise disk_error(error, self._path.parent, len(line)) from error
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._broken = True
            raise disk_error(error, self._path.parent, len(line)) from error
        self._size += len(line)

    def close(self) -> None:
        """Let the journal go; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Follower:
    """Reads a journal from its start, then only what is added. Writes nothing and takes no lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = 0
        """Bytes of whole, checked turns read so far."""
        self.last = b""
        """The digits of the last of them."""

    def poll(self) -> list[Entry]:
        """The entries since the last call. A torn last line is passed over: it may be whole next time.

        Raises FileNotFoundError, or DamagedJournal for damage anywhere else.
        """
        with self._path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            data = file.read()
        entries: list[Entry] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            turn = self._turn(data[start:end])
            if turn is None:
                if b"\0" in data[start:] and data.find(b"\n", end + 1) < 0:
                    break
                raise DamagedJournal(self._path, f"the turn at byte {self.offset} fails its check", entries)
            entries += turn
            self.offset += end + 1 - start
            start = end + 1
        return entries

    def _turn(self, line: bytes) -> list[Entry] | None:
        checksum, body = line[:_DIGITS], line[_DIGITS + 1 :]
        if line[_DIGITS : _DIGITS + 1] != b" " or checksum != _checksum(self.last, body):
            return None
        self.last = checksum
        turn: list[dict[str, Any]] = json.loads(body)
        return list(turn)


def read(path: Path) -> list[Entry]:
    """All entries of a journal; a torn last line is passed over.

    Raises FileNotFoundError or DamagedJournal.
    """
    return Follower(path).poll()


def is_held(path: Path) -> bool:
    """Whether a living process has the journal open for appending. Raises FileNotFoundError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _try_lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _try_lock(fd: int, kind: int) -> bool:
    """Whether the lock was had; a file system without locks (flock(2): ENOLCK, EOPNOTSUPP) leaves it to the lease."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
