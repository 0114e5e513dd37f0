"""The SQLite index over the journals: counters, and rows for lists and look-ups. It can be deleted at any time.

A row of a run that has not ended may be behind the run's journal; readers take such runs from the journal itself.
Nothing here may be the only place where something is known.
"""

import fcntl
import json
import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.store.datum import datum_id
from runner.store.durable import disk_errors, sync_folder
from runner.store.history import recorded_run, run_before_damage, run_folders
from runner.store.identity import new_id
from runner.store.layout import Layout
from runner.store.lease import owner_from
from runner.store.record import Execution, Owner, Run
from runner.store.row import Row, execution_row, is_final, run_row

Kind = Literal["run", "execution"]

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE counters (
        project TEXT NOT NULL, kind TEXT NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (project, kind)
    ) WITHOUT ROWID;
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, project TEXT NOT NULL, counter INTEGER NOT NULL, final INTEGER NOT NULL,
        created TEXT NOT NULL, owner TEXT NOT NULL, row TEXT
    );
    CREATE TABLE executions (
        id TEXT PRIMARY KEY, run TEXT NOT NULL, project TEXT NOT NULL, counter INTEGER NOT NULL,
        final INTEGER NOT NULL, created TEXT NOT NULL, row TEXT NOT NULL
    );
    CREATE INDEX runs_open ON runs (id) WHERE final = 0;
    CREATE INDEX runs_counter ON runs (project, counter);
    CREATE INDEX executions_counter ON executions (project, counter);
    CREATE INDEX executions_run ON executions (run);
    """,
    """
    CREATE TABLE data (id BLOB PRIMARY KEY, digest TEXT NOT NULL, execution TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX data_digest ON data (digest)
    """,
)
"""Appended to, never edited; `user_version` counts how many have been applied."""

_NO_PROJECT = ""
"""Of a run that cannot be read at all: it concerns every project."""
_NO_OWNER = Owner(host="", boot_id="", pid=0, start_time=0)
_BUSY_SECONDS = 60.0


class Index:
    """One connection to the index. Usable from several threads, one at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._lock = RLock()
        self._file: tuple[int, int] | None = None

    @classmethod
    def open(cls, layout: Layout) -> "Index":
        """The index for reading and writing; a missing or damaged one is built from the journals.

        Raises MlrunError (STORE, LOCKED or DISK).
        """
        try:
            return cls._open_for_writing(layout)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise _failure(error, layout.index) from error
        with _exclusively(layout):
            try:
                return cls._open_for_writing(layout)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise _failure(error, layout.index) from error
            _put_aside(layout)
            try:
                return cls._open_for_writing(layout)
            except sqlite3.DatabaseError as error:
                raise _failure(error, layout.index) from error

    @classmethod
    def open_for_reading(cls, layout: Layout) -> "Index":
        """The index for reading; without a usable file it is built in memory. Writes nothing."""
        try:
            connection = _connect(f"{layout.index.absolute().as_uri()}?mode=ro")
            try:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                connection.execute("SELECT id FROM runs WHERE final = 0").fetchall()
                if version == len(MIGRATIONS):
                    return cls(connection, layout.index)
            except sqlite3.DatabaseError:
                connection.close()
                raise
            connection.close()
        except sqlite3.DatabaseError:
            pass
        index = cls(_connect(":memory:"), layout.index)
        index._prepare(layout)
        return index

    @classmethod
    def _open_for_writing(cls, layout: Layout) -> "Index":
        connection = _connect(layout.index.absolute().as_uri())
        try:
            connection.execute("PRAGMA journal_mode = PERSIST").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            index = cls(connection, layout.index)
            index._prepare(layout)
            status = os.stat(layout.index)
            index._file = status.st_dev, status.st_ino
        except BaseException:
            connection.close()
            raise
        return index

    def _prepare(self, layout: Layout) -> None:
        """Bring the tables to the present version; a fresh index is filled in the same transaction."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == len(MIGRATIONS):
            return
        with self._writing():
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            # Another process may have filled it meanwhile, and given out numbers that no journal knows yet.
            if version == len(MIGRATIONS):
                return
            if version > len(MIGRATIONS):
                raise MlrunError(
                    f"the index `{self._path}` is of a newer version of this program",
                    code=ExitCode.STORE,
                    hint="upgrade `mlrun`, or delete that file: it is built again from the journals",
                )
            for migration in MIGRATIONS[version:]:
                for statement in migration.split(";"):
                    self._connection.execute(statement)
            self._fill(layout)
            self._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def rebuild(self, layout: Layout) -> tuple[MlrunError, ...]:
        """Build all rows and counters again from the journals; gives what was wrong with damaged ones."""
        with self._failures(), self._writing():
            return self._fill(layout)

    def _fill(self, layout: Layout) -> tuple[MlrunError, ...]:
        problems = []
        for table in ("counters", "runs", "executions", "data"):
            self._connection.execute(f"DELETE FROM {table}")
        for folder in run_folders(layout):
            try:
                run = recorded_run(folder)
            except MlrunError as error:
                problems.append(error)
                self._put_unreadable(folder.path.name, run_before_damage(error))
                continue
            if run is not None:
                self._put(run, run.executions.values(), final=is_final(run))
        return tuple(problems)

    def close(self) -> None:
        """Let the connection go; idempotent."""
        self._connection.close()

    def is_current(self) -> bool:
        """Whether the file that is open still is the one that has the name."""
        try:
            here = os.stat(self._path)
        except OSError:
            return False
        return self._file == (here.st_dev, here.st_ino)

    def new_counter(self, project: str, kind: Kind) -> int:
        """The next number of the project's runs or executions; no two processes get the same."""
        with self._failures(), self._writing():
            return self._next(project, kind)

    def register_run(self, id: str, project: str, created: str, owner: Owner) -> int:
        """Give a run its counter and say that it is about to begin, in one transaction."""
        with self._failures(), self._writing():
            counter = self._next(project, "run")
            self._connection.execute(
                "INSERT INTO runs (id, project, counter, final, created, owner) VALUES (?, ?, ?, 0, ?, ?)",
                (id, project, counter, created, json.dumps(asdict(owner))),
            )
            return counter

    def put(self, run: Run, executions: Iterable[Execution]) -> None:
        """Bring the rows of a run and of some of its executions up to date."""
        with self._failures(), self._writing():
            self._put(run, executions, final=is_final(run))

    def put_executions(self, run: Run, executions: Iterable[Execution]) -> None:
        """Bring some executions of a run that goes on up to date."""
        with self._failures(), self._writing():
            self._put_executions(run, executions, final=False)

    def forget(self, run_id: str) -> None:
        """Take out a run and its executions."""
        with self._failures(), self._writing():
            self._connection.execute("DELETE FROM executions WHERE run = ?", (run_id,))
            self._connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))

    def open_runs(self, project: str | None = None) -> dict[str, Owner]:
        """The runs whose end is not in the index, oldest first, of one project or of all.

        Runs that nobody could read when the index was built are among them, whatever their project may be.
        """
        found = self._select(
            "SELECT id, owner FROM runs WHERE final = 0 AND (:of IS NULL OR project IN (:of, :none)) ORDER BY id",
            {"of": project, "none": _NO_PROJECT},
        )
        return {id: owner_from(json.loads(owner)) for id, owner in found}

    def rows(self, kind: Kind, project: str | None, limit: int | None = None) -> list[Row]:
        """The newest rows of runs that have ended, newest first, of one project or of all."""
        source = "runs" if kind == "run" else "executions"
        found = self._select(
            f"SELECT row FROM {source} WHERE final = 1{_of(project)} ORDER BY id DESC LIMIT :limit",
            {"of": project, "limit": -1 if limit is None else limit},
        )
        rows: list[Row] = json.loads(f"[{','.join(row for (row,) in found)}]")
        return rows

    def by_counter(self, kind: Kind, project: str, counter: int) -> list[tuple[str, str]]:
        """Id and run id of what has the counter in runs that have begun, newest first."""
        columns, source = ("id, id", "runs") if kind == "run" else ("id, run", "executions")
        return self._select(
            f"SELECT {columns} FROM {source} WHERE row IS NOT NULL AND project = ? AND counter = ? ORDER BY id DESC",
            (project, counter),
        )

    def by_prefix(self, kind: Kind, prefix: str) -> list[tuple[str, str]]:
        """Id and run id of whatever begins with `prefix` in runs of any project that have begun; at most 10."""
        columns, source = ("id, id", "runs") if kind == "run" else ("id, run", "executions")
        return self._select(
            f"SELECT {columns} FROM {source} WHERE row IS NOT NULL AND id >= ? AND id < ? ORDER BY id LIMIT 10",
            (prefix, prefix + "g"),
        )

    def data_by_prefix(self, prefix: str) -> list[tuple[str, str]]:
        """Execution and run of the data whose id begins with these hexadecimal digits, by id; at most 10."""
        return self._select(
            "SELECT d.execution, e.run FROM data d JOIN executions e ON e.id = d.execution "
            "WHERE d.id BETWEEN ? AND ? ORDER BY d.id LIMIT 10",
            (bytes.fromhex(prefix.ljust(32, "0")), bytes.fromhex(prefix.ljust(32, "f"))),
        )

    def data_by_digest(self, digest: Digest) -> list[tuple[str, str]]:
        """Execution and run of the newest datum with this content."""
        return self._select(
            "SELECT d.execution, e.run FROM data d JOIN executions e ON e.id = d.execution "
            "WHERE d.digest = ? ORDER BY d.execution DESC LIMIT 1",
            (digest,),
        )

    def _put_unreadable(self, id: str, run: Run | None) -> None:
        """Keep the numbers of a run that cannot be read to its end; it stays open, so that readers come upon it."""
        if run is not None:
            self._put(run, run.executions.values(), final=False)
            return
        self._connection.execute(
            "INSERT INTO runs (id, project, counter, final, created, owner, row) VALUES (?, ?, 0, 0, '', ?, '{}')",
            (id, _NO_PROJECT, json.dumps(asdict(_NO_OWNER))),
        )

    def _put(self, run: Run, executions: Iterable[Execution], *, final: bool) -> None:
        self._raise_counter(run.project.id, "run", run.counter)
        self._connection.execute(
            "INSERT INTO runs (id, project, counter, final, created, owner, row) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET project = excluded.project, counter = excluded.counter, "
            "final = excluded.final, created = excluded.created, owner = excluded.owner, row = excluded.row",
            (
                run.id,
                run.project.id,
                run.counter,
                final,
                run.created,
                json.dumps(asdict(run.owner)),
                json.dumps(run_row(run)),
            ),
        )
        self._put_executions(run, executions, final=final)
        self._connection.execute("UPDATE executions SET final = ? WHERE run = ?", (final, run.id))

    def _put_executions(self, run: Run, executions: Iterable[Execution], *, final: bool) -> None:
        told = list(executions)
        if told:
            self._raise_counter(run.project.id, "execution", max(one.counter for one in told))
        self._connection.executemany(
            "INSERT OR REPLACE INTO executions (id, run, project, counter, final, created, row) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (one.id, run.id, run.project.id, one.counter, final, one.created, json.dumps(execution_row(run, one)))
                for one in told
            ],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO data (id, digest, execution) VALUES (?, ?, ?)",
            (
                (uuid.UUID(datum_id(one.id, file.name)).bytes, file.digest, one.id)
                for one in told
                for file in one.outputs
            ),
        )

    def _next(self, project: str, kind: Kind) -> int:
        (counter,) = self._connection.execute(
            "INSERT INTO counters (project, kind, last) VALUES (?, ?, 1) "
            "ON CONFLICT (project, kind) DO UPDATE SET last = last + 1 RETURNING last",
            (project, kind),
        ).fetchone()
        return int(counter)

    def _raise_counter(self, project: str, kind: Kind, counter: int) -> None:
        self._connection.execute(
            "INSERT INTO counters (project, kind, last) VALUES (?, ?, ?) "
            "ON CONFLICT (project, kind) DO UPDATE SET last = max(last, excluded.last)",
            (project, kind, counter),
        )

    def _select(self, statement: str, values: Sequence[object] | Mapping[str, object]) -> list[Any]:
        with self._failures(), self._lock:
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; the write lock is taken at once, so that nobody meets it half-way."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _failure(error, self._path) from error


def _of(project: str | None) -> str:
    return "" if project is None else " AND project = :of"


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _failure(error: sqlite3.Error, path: Path) -> MlrunError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return MlrunError(
            f"the disk of `{path}` is full", code=ExitCode.DISK, hint="free some space there and run the command again"
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return MlrunError(
            f"the index `{path}` was locked by another process for {_BUSY_SECONDS:.0f} s",
            code=ExitCode.LOCKED,
            hint="wait for other `mlrun` commands to end",
        )
    return MlrunError(
        f"the index `{path}` cannot be used: {error}",
        code=ExitCode.STORE,
        hint="if the disk is fine, delete that file: it is built again from the journals",
    )


@contextmanager
def _exclusively(layout: Layout) -> Iterator[None]:
    """Only one process at a time may put a damaged index aside."""
    with disk_errors(layout.root), layout.format.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _put_aside(layout: Layout) -> None:
    """The damaged file stays for whoever wants to look at it."""
    name = f"{layout.index.name}.damaged-{new_id()}"
    layout.index.with_name(f"{layout.index.name}-journal").unlink(missing_ok=True)
    layout.index.rename(layout.index.with_name(name))
    sync_folder(layout.root)
