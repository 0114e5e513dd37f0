"""Which files of the store were found to hold what their name says, so that content is not hashed at every use.

A note is about a file, and counts as long as its device, inode, size, mtime and ctime are what they were: whatever
changes the bytes moves the ctime, which no program can set. A link that is made or removed moves it too; `keeping`
renews the note. Notes lie in one SQLite file per boot below the store's `cache/`. They are never synced: another boot
starts without any. What they do not tell is hashed once more, so nothing fails for want of them.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import NamedTuple, Protocol, TypeVar

from runner.digest import Digest
from runner.process import boot_id

HASHED = 1 << 16
"""Below so many bytes content is hashed at every use: that takes no longer than to look for a note."""

_PREFIX = "verified-"
_REST = 50_000_000
"""Nanoseconds: several ticks of the coarsest kernel clock that stamps files."""
_COARSE_REST = 2_000_000_000
"""The same where a file system keeps whole seconds."""
_SECOND = 1_000_000_000
_PATIENCE = 10.0
_TABLE = """
CREATE TABLE IF NOT EXISTS verified (
  device INTEGER, inode INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER, digest BLOB,
  PRIMARY KEY (device, inode)
) WITHOUT ROWID"""
_FIND = "SELECT size, mtime, ctime, digest FROM verified WHERE device = ? AND inode = ?"
_DAMAGED = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH})
"""What SQLite says about a file that is none of its own, or of another make."""

T = TypeVar("T")


class Unlink(Protocol):
    """Removes a name in an open folder, as `os.unlink` does; a folder of links to objects is best removed so that they
    stay verified (`Verified.unlink`). Raises OSError."""

    def __call__(self, name: str, /, *, dir_fd: int) -> None: ...


_abandoned: list[sqlite3.Connection] = []
"""Connections that a forked process has inherited: not even closing them is allowed (sqlite.org/howtocorrupt.html)."""


class Stamp(NamedTuple):
    """What must stay the same; times in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime: int
    ctime: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """The stamp of a file, its numbers as SQLite has them: signed."""
        return cls(
            _signed(status.st_dev),
            _signed(status.st_ino),
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )

    def is_at_rest(self) -> bool:
        """Whether a change from now on moves the ctime: not within the same tick of the clock."""
        rest = _REST if self.ctime % _SECOND else _COARSE_REST
        return self.ctime < time.time_ns() - rest


class Verified:
    """The notes of one store. Usable from several threads and processes; no method raises for want of a disk.

    Without `writable` the notes of writers are read, and own ones are kept in memory.
    """

    _pid: int
    _lock: AbstractContextManager[object]
    _database: sqlite3.Connection | None
    _useless: bool

    def __init__(self, folder: Path, *, writable: bool) -> None:
        self._folder = folder
        self._writable = writable
        self._own: dict[Stamp, Digest] = {}
        """Notes that no file takes."""
        self._reset()

    def knows(self, digest: Digest, fd: int) -> bool:
        """Whether the open file was found to hold the content of this digest."""
        with self._locked():
            noted, other = self._find(Stamp.of(os.fstat(fd)))
            if noted == digest or other != digest:
                return noted == digest
            # Another process may have made a link of it in this moment, and be about to note the ctime.
            begun = self._begin()
            try:
                return self._find(Stamp.of(os.fstat(fd)))[0] == digest
            finally:
                self._end(begun)

    def note(self, notes: Iterable[tuple[Digest, os.stat_result]]) -> None:
        """These files, just written, hold the content of these digests. Small ones are left out."""
        self._note([(digest, Stamp.of(status)) for digest, status in notes if status.st_size >= HASHED])

    def note_found(self, digest: Digest, before: os.stat_result, after: os.stat_result, *, small: bool = False) -> None:
        """A file with this status before and after it was read holds this content; `small` ones are noted, too, if
        what they stand for is not.

        A change within the tick of the clock that stamped it last would not show: such a file is hashed again.
        """
        stamp = Stamp.of(after)
        if stamp == Stamp.of(before) and stamp.is_at_rest() and (small or stamp.size >= HASHED):
            self._note([(digest, stamp)])

    @contextmanager
    def keeping(self, fd: int) -> Iterator[None]:
        """For a block that makes or removes a name of the open file and nothing else: what was noted stays noted."""
        with self._locked():
            begun = self._begin()
            try:
                before = Stamp.of(os.fstat(fd))
                digest, _ = self._find(before)
                yield
                after = Stamp.of(os.fstat(fd))
                if digest is not None and after[:-1] == before[:-1]:
                    self._insert(digest, after)
            finally:
                self._end(begun)

    def unlink(self, name: str, /, *, dir_fd: int) -> None:
        """Remove a name in an open folder that may be a link of a noted file. Raises OSError."""
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if status.st_nlink == 1 or status.st_size < HASHED or not stat.S_ISREG(status.st_mode):
            os.unlink(name, dir_fd=dir_fd)
            return
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            with self.keeping(fd):
                os.unlink(name, dir_fd=dir_fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let the file go; idempotent. The notes stay usable: it is opened again."""
        with self._locked():
            if self._database is not None:
                self._database.close()
                self._database = None

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = RLock()
        self._database = None
        self._useless = False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._pid != os.getpid():
            if self._database is not None:
                _abandoned.append(self._database)
            self._reset()
        with self._lock:
            yield

    def _note(self, stamps: Sequence[tuple[Digest, Stamp]]) -> None:
        if not stamps:
            return
        with self._locked():
            begun = self._begin()
            try:
                for digest, stamp in stamps:
                    self._insert(digest, stamp)
            finally:
                self._end(begun)

    def _find(self, stamp: Stamp) -> tuple[Digest | None, Digest | None]:
        """What the file with this stamp was found to hold, and what it held before something moved its ctime."""
        if stamp in self._own:
            return self._own[stamp], None
        row = self._try(lambda database: database.execute(_FIND, stamp[:2]).fetchone())
        if row is None or not isinstance(row[3], bytes):
            return None, None
        digest = Digest(row[3].hex())
        if row[:3] == stamp[2:]:
            return digest, None
        return None, digest if row[:2] == stamp[2:4] else None

    def _insert(self, digest: Digest, stamp: Stamp) -> None:
        values = (*stamp, bytes.fromhex(digest))
        command = "INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?, ?, ?)"
        if not self._writable or self._try(lambda database: database.execute(command, values)) is None:
            self._own[stamp] = digest

    def _begin(self) -> bool:
        """Whether the file is ours alone until `_end`."""
        return self._writable and self._try(lambda database: database.execute("BEGIN IMMEDIATE")) is not None

    def _end(self, begun: bool) -> None:
        if begun:
            self._try(lambda database: database.execute("COMMIT") if database.in_transaction else None)

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` does with the file; None when there is none or it cannot be used."""
        for _ in range(2):
            try:
                if self._database is None and not self._useless:
                    self._database = self._open()
                return None if self._database is None else work(self._database)
            except sqlite3.Error as error:
                self._give_up(error)
        return None

    def _give_up(self, error: sqlite3.Error) -> None:
        """A damaged file is thrown away; one that others keep busy is used again later, any other not."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB) & 0xFF
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None
        if code in _DAMAGED and self._writable:
            with suppress(OSError):
                self._path().unlink()
        else:
            self._useless = True

    def _path(self) -> Path:
        return self._folder / f"{_PREFIX}{boot_id()}.sqlite"

    def _open(self) -> sqlite3.Connection | None:
        """A reader opens only what is there."""
        path = self._path()
        if not self._writable:
            if not path.exists():
                return None
            address = f"{path.absolute().as_uri()}?mode=ro"
            return sqlite3.connect(address, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if not path.exists():
                self._remove_others()
        database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = MEMORY")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(_TABLE)
        return database

    def _remove_others(self) -> None:
        """The notes of other boots tell nothing any more."""
        own = self._path()
        for path in self._folder.glob(f"{_PREFIX}*"):
            if not path.name.startswith(own.name):
                path.unlink(missing_ok=True)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
