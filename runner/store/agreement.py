"""What the file of the index says, to be compared with the journals. Opens it for reading only; mends nothing."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from runner.errors import ExitCode, MlrunError
from runner.store.column import (
    DATUM_COLUMNS,
    EXECUTION_COLUMNS,
    INPUT_COLUMNS,
    KEY_COLUMNS,
    REUSE_COLUMNS,
    RUN_COLUMNS,
    STEP_COLUMNS,
    datum_columns,
    execution_columns,
    input_columns,
    key_columns,
    reuse_columns,
    run_columns,
    step_columns,
)
from runner.store.database import error_code
from runner.store.layout import Layout
from runner.store.migration import MIGRATIONS
from runner.store.record import Run
from runner.store.row import Row

_BUSY_SECONDS = 10.0
_UNDER_WAY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
"""Somebody writes, or was killed while writing: the next command that writes puts it right."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the index has about a run: `row` is None until the run has begun; executions by id."""

    project: str
    counter: int
    final: bool
    row: Row | None
    executions: dict[str, Row]


class IndexFile:
    """The index file of one store, open for reading. Methods raise MlrunError: STORE for damage, LOCKED."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, layout: Layout) -> "IndexFile | None":
        """The index; None when there is none, or one of another version, which is built again by the next writer."""
        if not layout.index.exists():
            return None
        uri = f"{layout.index.absolute().as_uri()}?mode=ro"
        with _failures():
            connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
            except BaseException:
                connection.close()
                raise
        if version != len(MIGRATIONS):
            connection.close()
            return None
        return cls(connection)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def problem(self) -> str | None:
        """What SQLite's own check finds wrong with the file; None if nothing."""
        with _failures():
            (word,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        return None if word == "ok" else str(word)

    def run(self, id: str) -> Indexed | None:
        """What is said about a run and its executions."""
        with _failures():
            found = self._connection.execute(
                "SELECT project, counter, final, row FROM runs WHERE id = ?", (id,)
            ).fetchone()
            rows = self._connection.execute("SELECT id, row FROM executions WHERE run = ?", (id,)).fetchall()
        if found is None:
            return None
        project, counter, final, row = found
        with _understood():
            executions = {execution: json.loads(text) for execution, text in rows}
            return Indexed(project, counter, bool(final), None if row is None else json.loads(row), executions)

    def differs(self, run: Run) -> str | None:
        """How what is said about a run that has ended differs from what its journal makes; None if it does not."""
        with _failures():
            if self._row("runs", RUN_COLUMNS, run.id) != run_columns(run, final=True):
                return "its row differs"
            ids = self._connection.execute("SELECT id FROM executions WHERE run = ?", (run.id,)).fetchall()
            if {id for (id,) in ids} != run.executions.keys():
                return f"it has {len(ids)} executions there and {len(run.executions)} in the journal"
            if not all(self._has("reuses", REUSE_COLUMNS, row) for row in reuse_columns(run)):
                return "it cannot be found by an execution that it reused"
            for one in run.executions.values():
                if self._row("executions", EXECUTION_COLUMNS, one.id) != execution_columns(run, one, final=True):
                    return f"the row of execution {one.counter} differs"
                if not all(self._row("data", DATUM_COLUMNS, row[0]) == row for row in datum_columns(one)):
                    return f"an output of execution {one.counter} cannot be found by it"
                if not all(self._has("inputs", INPUT_COLUMNS, row) for row in input_columns(one)):
                    return f"an input of execution {one.counter} cannot be found by it"
                if not all(self._has("keys", KEY_COLUMNS, row) for row in key_columns(one)):
                    return f"execution {one.counter} cannot be found by its key"
                if not all(self._has("steps", STEP_COLUMNS, row) for row in step_columns(run, one)):
                    return f"execution {one.counter} cannot be found by its step"
        return None

    def _row(self, table: str, columns: Sequence[str], id: object) -> tuple[object, ...] | None:
        statement = f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?"
        found: tuple[object, ...] | None = self._connection.execute(statement, (id,)).fetchone()
        return found

    def _has(self, table: str, columns: Sequence[str], row: Sequence[object]) -> bool:
        marks = " AND ".join(f"{column} = ?" for column in columns)
        return self._connection.execute(f"SELECT 1 FROM {table} WHERE {marks}", row).fetchone() is not None

    def begun_runs(self) -> list[tuple[str, str, int]]:
        """Id, project and number of every run that has begun, oldest first."""
        with _failures():
            return self._connection.execute(
                "SELECT id, project, counter FROM runs WHERE row IS NOT NULL ORDER BY id"
            ).fetchall()

    def counters(self) -> dict[tuple[str, str], int]:
        """The highest number given out, by project and kind (`run` or `execution`)."""
        with _failures():
            found = self._connection.execute("SELECT project, kind, last FROM counters").fetchall()
        return {(project, kind): last for project, kind, last in found}


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = ExitCode.LOCKED if error_code(error) in _UNDER_WAY else ExitCode.STORE
        raise MlrunError(str(error), code=code) from error


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise MlrunError(f"a row cannot be understood: {error}", code=ExitCode.STORE) from error
