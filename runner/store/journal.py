"""The journal of a run: turns of entries, appended, synced and checked. Knows no meaning of an entry.

One line per turn: 16 hexadecimal digits, a blank, a JSON array of entries. The digits are the start of the BLAKE3 hash
of the digits of the line before (nothing for the first) followed by the array, so that no line can change, vanish or
move unnoticed. A turn is written whole or not at all: a last line that was torn by a crash is no turn.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blake3 import blake3

from runner.errors import ExitCode, MlrunError
from runner.process import try_lock
from runner.store.durable import create, disk_error, disk_errors, make_folder, sync_folder, write_all
from runner.store.record import Entry

_DIGITS = 16
_TAIL = 1 << 16
"""Bytes at the end of a journal that are read first by who needs its last turn only."""
_SECTOR = 512
"""The least that a disk writes at once."""
_PATIENCE = 60.0
_PAUSE = 0.02
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


def timestamp(microseconds: int | None = None) -> str:
    """A moment, given in microseconds since 1970, or else this one; in UTC: ISO 8601 with microseconds and `Z`."""
    moment = datetime.now(UTC) if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def stamped(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of one turn, each with a `time`: those without one get this moment's."""
    if all("time" in entry for entry in entries):
        return list(entries)
    now = timestamp()
    return [entry if "time" in entry else {**entry, "time": now} for entry in entries]


def _checksum(previous: bytes, body: bytes) -> bytes:
    return blake3(previous + body).hexdigest()[:_DIGITS].encode()


class DamagedJournal(MlrunError):
    """A journal whose acknowledged turns are not what was written; `entries` are those before the damage."""

    def __init__(self, path: Path, what: str, entries: Sequence[Entry] = ()) -> None:
        super().__init__(
            f"the journal `{path}` is damaged: {what}",
            code=ExitCode.STORE,
            hint="restore this file from a backup"
            + ("; other runs are not affected" if path.name == "journal" else ", for nothing else tells what it did"),
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
        return cls._take(path, lambda: _from_start(path))

    @classmethod
    def take_end(cls, path: Path) -> "tuple[Journal, list[Entry]] | None":
        """Like `take_over`, with the entries of the last turn only: the time does not grow with the journal.

        That turn is checked against the line before it; whoever reads the whole journal checks all others.
        """
        return cls._take(path, lambda: _last_turn(path) or _from_start(path))

    @classmethod
    def _take(cls, path: Path, read_end: "Callable[[], _End]") -> "tuple[Journal, list[Entry]] | None":
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if not _had(fd, fcntl.LOCK_EX):
                os.close(fd)
                return None
            size, last, entries = read_end()
            os.ftruncate(fd, size)
            os.lseek(fd, 0, os.SEEK_END)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, size=size, last=last), entries

    @property
    def extent(self) -> tuple[int, str]:
        """How many bytes its turns have, and the digits of the last one, empty without any."""
        return self._size, self._last.decode("ascii")

    def append(self, entries: Sequence[Entry]) -> list[Entry]:
        """Add one turn, durable when this returns; entries without a `time` get this moment's. Returns them as written.

        Raises MlrunError: DISK when there is no space (the turn is undone and may be tried again), STORE after any
        other failure, which ends this journal: after a failed fsync nobody knows what is on the disk (fsync(2)).
        """
        if not entries:
            return []
        if self._broken:
            raise MlrunError(f"`{self._path}` cannot be written any more", code=ExitCode.STORE)
        turn = stamped(entries)
        body = _encode(turn).encode("ascii")
        checksum = _checksum(self._last, body)
        line = checksum + b" " + body + b"\n"
        self._write(line)
        self._last = checksum
        return turn

    def extend(self, lines: bytes) -> None:
        """Add whole turns as another journal that began with this one has them; checked by the caller. Durable when
        this returns; raises as `append` does."""
        if self._broken:
            raise MlrunError(f"`{self._path}` cannot be written any more", code=ExitCode.STORE)
        self._write(lines)
        self._last = digits_before(lines, len(lines)).encode("ascii")

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
            # In the moment in which ext4 gives up its own journal an fsync may report a success that is none. From then
            # on every write is refused, also one of nothing.
            os.write(self._fd, b"")
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
            return self.take(file.read())

    def take(self, data: bytes) -> list[Entry]:
        """The entries of the bytes that follow those of the turns so far. Raises DamagedJournal as `poll` does."""
        entries: list[Entry] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            turn = _turn(self.last, data[start:end])
            if turn is None:
                if data.find(b"\n", end + 1) < 0 and _is_torn(data[start:], self.offset):
                    return entries
                raise DamagedJournal(self._path, f"the turn at byte {self.offset} fails its check", entries)
            entries += turn
            self.last = data[start : start + _DIGITS]
            self.offset += end + 1 - start
            start = end + 1
        if _turn(self.last, data[start:-1]) is not None:
            raise DamagedJournal(self._path, f"the turn at byte {self.offset} has lost its newline", entries)
        return entries


def read(path: Path) -> list[Entry]:
    """All entries of a journal; a torn last line is passed over.

    Raises FileNotFoundError or DamagedJournal.
    """
    return Follower(path).poll()


def last_turn(path: Path) -> list[Entry]:
    """The entries of the last turn of a journal; the time does not grow with it. Raises as `read` does."""
    return (_last_turn(path) or _from_start(path))[2]


@contextmanager
def shared(path: Path) -> Iterator[tuple[Journal, list[Entry]]]:
    """A journal that many processes write in turn, made if need be, and the entries of its last turn; ours alone for
    the block. Raises DamagedJournal, MlrunError (LOCKED) after a minute of waiting, STORE and DISK."""
    with disk_errors(path):
        if not path.exists():
            make_folder(path.parent)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            sync_folder(path.parent)
    taken = in_turn(path)
    with taken[0]:
        yield taken


def in_turn(path: Path) -> tuple[Journal, list[Entry]]:
    """A journal that is there, taken over when others that write it let it go, and the entries of its last turn. Raises
    as `shared`."""
    deadline = time.monotonic() + _PATIENCE
    with disk_errors(path):
        while (taken := Journal.take_end(path)) is None:
            if time.monotonic() > deadline:
                raise MlrunError(
                    f"`{path}` was locked by another process for {_PATIENCE:.0f} s",
                    code=ExitCode.LOCKED,
                    hint="wait for other `mlrun` commands to end",
                )
            time.sleep(_PAUSE)
    return taken


def digits_before(data: bytes, end: int) -> str:
    """The digits of the line of a journal that ends there; empty at the start, and where no line ends."""
    if not 0 < end <= len(data) or data[end - 1 : end] != b"\n":
        return ""
    start = data.rfind(b"\n", 0, end - 1) + 1
    return data[start : start + _DIGITS].decode("ascii", "replace")


def whole_turns(path: Path) -> bytes:
    """The bytes of a journal without what a crash tore off at its end, which never was a part of it. Raises MlrunError
    (STORE)."""
    with disk_errors(path):
        follower = Follower(path)
        follower.poll()
        return path.read_bytes()[: follower.offset]


def is_held(path: Path) -> bool:
    """Whether a living process has the journal open for appending. Raises FileNotFoundError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _had(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


_End = tuple[int, bytes, list[Entry]]
"""Bytes of whole turns, the digits of the last one, and entries."""


def _from_start(path: Path) -> _End:
    follower = Follower(path)
    entries = follower.poll()
    return follower.offset, follower.last, entries


def _last_turn(path: Path) -> _End | None:
    """The last turn, checked; None when the end of the file does not show one, for whatever reason."""
    tail = _TAIL
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        while tail < size:
            file.seek(size - tail)
            *lines, torn = file.read(tail).split(b"\n")
            # The first of these may have lost its beginning.
            if len(lines) > 2:
                before, line = lines[-2:]
                turn = None if torn else _turn(before[:_DIGITS], line)
                return None if turn is None else (size, line[:_DIGITS], turn)
            tail *= 8
    return None


def _is_torn(rest: bytes, offset: int) -> bool:
    """Whether a last line that stands at `offset` and fails its check can be what a crash left of a write: sectors of
    zeros, where nothing had reached the disk. Zeros that end within one come from elsewhere."""
    zeros = [(found.start(), found.end()) for found in re.finditer(b"\0+", rest)]
    return bool(zeros) and all(
        (start == 0 or (offset + start) % _SECTOR == 0) and (end == len(rest) or (offset + end) % _SECTOR == 0)
        for start, end in zeros
    )


def _turn(previous: bytes, line: bytes) -> list[Entry] | None:
    """The entries of a line, None when it fails its check; `previous` has the digits of the line before."""
    checksum, body = line[:_DIGITS], line[_DIGITS + 1 :]
    if line[_DIGITS : _DIGITS + 1] != b" " or checksum != _checksum(previous, body):
        return None
    turn: list[dict[str, Any]] = json.loads(body)
    return list(turn)


def _had(fd: int, kind: int) -> bool:
    """Whether the lock was had; a file system without locks (flock(2): ENOLCK, EOPNOTSUPP) leaves it to the lease."""
    try:
        return try_lock(fd, kind)
    except OSError:
        return True
