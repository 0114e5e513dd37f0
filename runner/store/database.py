"""An SQLite file that can be made again at any time: found damaged, it is put aside and built anew. Knows no tables.

A writer's file is replaced in place. A reader writes nothing: without a usable file it builds the tables in memory.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from runner.errors import ExitCode, MlrunError, no_room
from runner.store.durable import disk_error, disk_errors, refusal, sync_folder
from runner.store.identity import new_id

Values = Sequence[object] | Mapping[str, object]
Build = Callable[[sqlite3.Connection, int], None]
"""Brings tables from the version that is given up to the present one, and fills them; called within a transaction."""

_T = TypeVar("_T")
_BUSY_SECONDS = 60.0
_MOMENT = 1.0
"""Seconds in which whoever only reads, or writes one batch, is done."""
_TRIES = 3
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SIGNS = ("UTF-8", "no such table", "no such column", "already exists", "malformed")
"""Words of errors that have no code of their own: text that is no text, tables that do not fit their version."""
_REFUSED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_WAITING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class Misunderstood(Exception):
    """What stands in a table is not what was written there: the file is damaged though SQLite does not see it."""


class _Replaced(Exception):
    """Another process has put the file aside that is open here."""


class Database:
    """The tables of one file. Usable from several threads, one at a time.

    `guard` is a file that is never replaced: whoever changes the tables shares a lock on it, and whoever puts them
    aside has it alone, so that no change is made in a file that is no longer the one. Methods raise MlrunError:
    STORE, LOCKED or DISK.
    """

    def __init__(self, path: Path, guard: Path, version: int, build: Build, *, writable: bool) -> None:
        self._path = path
        self._guard = guard
        self._version = version
        self._build = build
        self._writable = writable
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def select(self, statement: str, values: Values, understand: Callable[[list[Any]], _T]) -> _T:
        """What `understand` makes of the rows; where it raises Misunderstood, the file is damaged."""
        return self._tried(lambda connection: understand(connection.execute(statement, values).fetchall()))

    def change(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do `work` in one transaction; the write lock is taken at once, so that nobody meets it half-way."""
        return self._tried(lambda connection: self._changed(connection, work))

    def change_unless_locked(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Like `change`, but nothing is done where another process has the tables locked for more than a moment. A file
        that has to be opened first is waited for."""

        def soon(connection: sqlite3.Connection) -> None:
            connection.execute(f"PRAGMA busy_timeout = {1000 * _MOMENT:.0f}")
            try:
                self._changed(connection, work)
            except sqlite3.OperationalError as error:
                if error_code(error) not in _WAITING:
                    raise
            finally:
                connection.execute(f"PRAGMA busy_timeout = {1000 * _BUSY_SECONDS:.0f}")

        self._tried(soon)

    def _changed(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._guarded(fcntl.LOCK_SH):
            if not self._is_current():
                raise _Replaced
            with _transaction(connection):
                return work(connection)

    def identity(self) -> object:
        """Which file has the name now; None for none."""
        return _identity(self._path)

    def rebuild(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Like `change`; where that is impossible because of what the file holds, it is put aside first."""
        try:
            return self.change(work)
        except MlrunError as error:
            if error.code is not ExitCode.STORE:
                raise
        self.close()
        self._put_aside()
        return self.change(work)

    def close(self) -> None:
        """Let the file go; idempotent."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _tried(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._lock:
            for left in reversed(range(_TRIES)):
                try:
                    return work(self._opened())
                except _Replaced:
                    self.close()
                except (Misunderstood, UnicodeDecodeError) as error:
                    # The latter is what Python makes of a message of SQLite that quotes damaged names.
                    self._give_up(sqlite3.DatabaseError(f"it is damaged: {error}"), last=not left)
                except sqlite3.DatabaseError as error:
                    if not self._is_damage(error):
                        raise self._failure(error) from error
                    self._give_up(error, last=not left)
        raise MlrunError(f"the index `{self._path}` was replaced again and again", code=ExitCode.LOCKED)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._writable and not self._is_current():
            self.close()
        if self._connection is None:
            self._connection = self._open_file() if self._writable else self._open_for_reading()
        return self._connection

    def _open_file(self) -> sqlite3.Connection:
        # Asked for before it is opened: a file that is put aside in between is not the current one afterwards.
        self._file = _identity(self._path)
        connection = _connect(self._path.absolute().as_uri())
        try:
            connection.execute("PRAGMA journal_mode = PERSIST").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            self._file = self._file or _identity(self._path)
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_for_reading(self) -> sqlite3.Connection:
        with suppress(sqlite3.DatabaseError):
            connection = _connect(f"{self._path.absolute().as_uri()}?mode=ro")
            try:
                if self._is_usable(connection):
                    return connection
            except BaseException:
                connection.close()
                raise
            connection.close()
        return self._in_memory()

    def _is_usable(self, connection: sqlite3.Connection) -> bool:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return _version(connection) == self._version
        except sqlite3.DatabaseError as error:
            if error_code(error) in _WAITING:
                raise self._failure(error) from error
        except UnicodeDecodeError:
            pass
        return False

    def _in_memory(self) -> sqlite3.Connection:
        connection = _connect(":memory:")
        self._prepare(connection)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Bring the tables to the present version; fresh ones are filled in the same transaction."""
        if _version(connection) == self._version:
            return
        with _transaction(connection):
            version = _version(connection)
            # Another process may have filled it meanwhile, and given out numbers that no journal knows yet.
            if version == self._version:
                return
            if version > self._version:
                raise MlrunError(
                    f"the index `{self._path}` is of a newer version of this program",
                    code=ExitCode.STORE,
                    hint="upgrade `mlrun`, or delete that file: it is built again from the journals",
                )
            self._build(connection, version)
            connection.execute(f"PRAGMA user_version = {self._version}")

    def _give_up(self, error: sqlite3.DatabaseError, *, last: bool) -> None:
        """Go on without the file as it is."""
        if last:
            raise self._failure(error) from error
        self.close()
        if self._writable:
            self._put_aside()
        else:
            self._connection = self._in_memory()

    def _put_aside(self) -> None:
        """The damaged file stays for whoever wants to look at it."""
        with self._guarded(fcntl.LOCK_EX), disk_errors(self._path):
            if not self._is_current():
                return
            name = f"{self._path.name}.damaged-{new_id()}"
            self._path.with_name(f"{self._path.name}-journal").unlink(missing_ok=True)
            self._path.rename(self._path.with_name(name))
            sync_folder(self._path.parent)

    def _is_current(self) -> bool:
        """Whether the file that is open still is the one that has the name."""
        return not self._writable or (self._file is not None and self._file == _identity(self._path))

    def _is_damage(self, error: sqlite3.DatabaseError) -> bool:
        """A reader goes on in memory whatever the file may have, unless it only has to wait."""
        if not self._writable:
            return error_code(error) not in _WAITING
        return error_code(error) in _DAMAGE or any(words in str(error) for words in _SIGNS)

    @contextmanager
    def _guarded(self, kind: int) -> Iterator[None]:
        with disk_errors(self._guard), self._guard.open("rb") as file:
            # Without locks (flock(2): ENOLCK) there is only SQLite's own.
            with suppress(OSError):
                fcntl.flock(file, kind)
            yield

    def _failure(self, error: sqlite3.Error) -> MlrunError:
        if error_code(error) == sqlite3.SQLITE_FULL:
            return no_room(str(self._path))
        if error_code(error) in _WAITING:
            return MlrunError(
                f"the index `{self._path}` was locked by another process for {_BUSY_SECONDS:.0f} s",
                code=ExitCode.LOCKED,
                hint="wait for other `mlrun` commands to end",
            )
        # The guard is asked: closing a descriptor of the file itself would end SQLite's locks on it (fcntl(2)).
        if error_code(error) in _REFUSED and (refused := refusal(self._guard)):
            return disk_error(refused, self._path)
        return MlrunError(
            f"the index `{self._path}` cannot be used: {error}",
            code=ExitCode.STORE,
            hint="if the disk is fine, `mlrun store rebuild` builds it again from the journals",
        )


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def error_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for an error that has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
