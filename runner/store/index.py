"""The SQLite index over the journals: counters, and rows for lists and look-ups. It can be deleted at any time.

A row of a run that has not ended may be behind the run's journal; readers take such runs from the journal itself.
Nothing here may be the only place where something is known.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, Literal, TypeVar

from runner.digest import Digest
from runner.errors import MlrunError
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
from runner.store.database import Database, Values
from runner.store.follower import Follower, Then
from runner.store.found import Maker, as_makers, in_parts, owners, unsealed
from runner.store.history import readable_run, recorded_run, run_before_damage, run_folders, run_folders_in_trash
from runner.store.layout import Layout
from runner.store.lease import read_owner
from runner.store.migration import MIGRATIONS
from runner.store.record import Execution, Owner, Run
from runner.store.removal import Removals, highest_execution
from runner.store.row import Row, is_final

Kind = Literal["run", "execution"]
_NO_PROJECT = ""
"""Of a run that cannot be read at all: it concerns every project."""
_NO_OWNER = Owner(host="", boot_id="", pid=0, start_time=0)
_LARGEST = 2**63 - 1
"""Integer of SQLite."""
_AFTER_ALL = "g"
"""Comes after every id."""
_AT_ONCE = 500
"""Ids in one statement."""


T = TypeVar("T")


class Index:
    """The index of one store; opened when it is needed. Usable from several threads, one at a time.

    A missing or damaged one is built from the journals: in place where it may be written, else in memory. Methods raise
    MlrunError: STORE, LOCKED or DISK.
    """

    def __init__(self, layout: Layout, *, writable: bool) -> None:
        self._layout = layout
        build = self._build
        self._database = Database(layout.index, layout.format, len(MIGRATIONS), build, writable=writable)
        self._follower = Follower(self._put_all)

    def close(self) -> None:
        """Let the file go; idempotent."""
        self.catch_up()
        self._database.close()

    def rebuild(self) -> tuple[MlrunError, ...]:
        """Build all rows and counters again from the journals; gives what was wrong with damaged ones.

        No number is given out twice: neither those of runs that were removed nor those of runs about to begin.
        """
        return self._database.rebuild(self._fill)

    def new_counter(self, project: str, kind: Kind, many: int = 1) -> int:
        """The next number of the project's runs or executions, of `many` the first; no two processes get the same."""
        return self._database.change(lambda tables: _next(tables, project, kind, many))

    def give_back(self, project: str, kind: Kind, first: int, many: int) -> None:
        """Let the numbers from `first` on, which were drawn last and are used by nobody, be drawn again; where others
        have drawn since, or have the index locked for more than a moment, they are missing for ever."""
        statement = "UPDATE counters SET last = last - ? WHERE project = ? AND kind = ? AND last = ?"
        values = (many, project, kind, first + many - 1)
        self._database.change_unless_locked(lambda tables: tables.execute(statement, values))

    def identity(self) -> object:
        """Which file it is; another one after it was lost and built anew."""
        return self._database.identity()

    def newest_id(self) -> str:
        """The greatest id of a run or an execution; empty without any."""
        return self._select(
            "SELECT max(id) FROM (SELECT max(id) AS id FROM runs UNION ALL SELECT max(id) FROM executions)",
            (),
            lambda found: str(found[0][0] or ""),
        )

    def register_run(self, id: str, project: str, created: str, owner: Owner) -> int:
        """Give a run its counter and say that it is about to begin, in one transaction."""

        def register(tables: sqlite3.Connection) -> int:
            counter = _next(tables, project, "run")
            _expect(tables, id, project, counter, created, owner)
            return counter

        return self._database.change(register)

    def expect(self, ids: Iterable[str], owner: Owner) -> None:
        """Say that runs are about to appear or to vanish by the hand of `owner`: until they are put or forgotten,
        readers look for their journals."""

        def take_out(tables: sqlite3.Connection) -> None:
            for id in ids:
                tables.execute("DELETE FROM executions WHERE run = ?", (id,))
                tables.execute("DELETE FROM runs WHERE id = ?", (id,))
                _expect(tables, id, _NO_PROJECT, 0, "", owner)

        self._database.change(take_out)

    def put(self, run: Run, executions: Iterable[Execution]) -> None:
        """Bring the rows of a run and of some of its executions up to date."""
        self.catch_up()
        self._database.change(lambda tables: _put(tables, run, executions, final=is_final(run)))

    def reopen(self, run_id: str, owner: Owner) -> None:
        """Say that a run goes on, driven by `owner`: its rows count as behind its journal from here on."""

        def reopen(tables: sqlite3.Connection) -> None:
            owned = json.dumps(asdict(owner))
            tables.execute("UPDATE runs SET final = 0, owner = ? WHERE id = ?", (owned, run_id))
            tables.execute("UPDATE executions SET final = 0 WHERE run = ?", (run_id,))

        self._database.change(reopen)

    def put_soon(self, run: Run, executions: Sequence[Execution], then: Then) -> None:
        """Bring some executions of a run that goes on up to date, soon and in the order in which it is asked for; this
        process reads nothing older meanwhile. `then` is told whether that was possible, perhaps on another thread."""
        self._follower.tell((run, executions), then)

    def catch_up(self) -> None:
        """Wait until all that was asked for soon was done, or could not be."""
        self._follower.rest()

    def _put_all(self, told: Sequence[tuple[Run, Sequence[Execution]]]) -> None:
        runs: dict[str, Run] = {}
        latest: dict[str, dict[str, Execution]] = {}
        for run, executions in told:
            runs[run.id] = run
            latest.setdefault(run.id, {}).update((one.id, one) for one in executions)

        def put(tables: sqlite3.Connection) -> None:
            for id, run in runs.items():
                _put_executions(tables, run, latest[id].values(), final=False)

        self._database.change(put)

    def _select(self, statement: str, values: Values, understand: Callable[[list[Any]], T]) -> T:
        self.catch_up()
        return self._database.select(statement, values, understand)

    def forget(self, run_id: str, run: Run | None = None) -> None:
        """Take out a run with its executions, and what these are found by as far as the caller knows them: the rest
        stands there until the index is built again, and leads to nothing."""

        def take_out(tables: sqlite3.Connection) -> None:
            if run is not None:
                _take_out_ways(tables, run)
            tables.execute("DELETE FROM reuses WHERE run = ?", (run_id,))
            tables.execute("DELETE FROM executions WHERE run = ?", (run_id,))
            tables.execute("DELETE FROM runs WHERE id = ?", (run_id,))

        self._database.change(take_out)

    def open_runs(self, project: str | None = None) -> dict[str, Owner]:
        """The runs whose end is not in the index, oldest first, of one project or of all.

        Runs that nobody could read when the index was built are among them, whatever their project may be.
        """
        return self._select(
            "SELECT id, owner FROM runs WHERE final = 0 AND (:of IS NULL OR project IN (:of, :none)) ORDER BY id",
            {"of": project, "none": _NO_PROJECT},
            owners,
        )

    def ended_runs(self) -> set[str]:
        """The ids of the runs whose end is in the index."""
        return self._select("SELECT id FROM runs WHERE final = 1", {}, lambda found: {id for (id,) in found})

    def rows(self, kind: Kind, project: str | None, limit: int | None = None) -> list[Row]:
        """The newest rows of runs that have ended, newest first, of one project or of all."""
        return self._select(
            f"SELECT row, seal FROM {_table(kind)} WHERE final = 1{_of(project)} ORDER BY id DESC LIMIT :limit",
            {"of": project, "limit": -1 if limit is None else limit},
            unsealed,
        )

    def parts(self, kind: Kind, project: str | None, names: Sequence[str]) -> list[Row]:
        """Like `rows` for all of them, but only these parts of each; a fraction of the time."""
        paths = ", ".join(f"'$.{name}'" for name in names)
        # SQLite knows no NaN: a row that holds one is read whole.
        return self._select(
            f"SELECT CASE WHEN json_valid(row) THEN json_extract(row, {paths}, '$.id') ELSE row END "
            f"FROM {_table(kind)} WHERE final = 1{_of(project)} ORDER BY id DESC",
            {"of": project},
            lambda found: in_parts(found, names),
        )

    def rows_of(self, kind: Kind, ids: Iterable[str]) -> dict[str, Row]:
        """The rows of runs that have ended with these ids, as far as there are any."""
        found: list[Row] = []
        left = iter(ids)
        while some := list(islice(left, _AT_ONCE)):
            marks = ", ".join("?" * len(some))
            found += self._select(
                f"SELECT row, seal FROM {_table(kind)} WHERE final = 1 AND id IN ({marks})", some, unsealed
            )
        return {row["id"]: row for row in found}

    def by_counter(self, kind: Kind, project: str | None, counter: int) -> list[Maker]:
        """Id and run id of what has the counter in runs of a project, or of any, that have begun, newest first."""
        if counter > _LARGEST:
            return []
        projects = "SELECT project FROM counters" if project is None else "?"
        return self._makers(
            f"SELECT {_columns(kind)} FROM {_table(kind)} WHERE row IS NOT NULL AND project IN ({projects}) "
            "AND counter = ? ORDER BY id DESC",
            (counter,) if project is None else (project, counter),
        )

    def by_prefix(self, kind: Kind, prefix: str) -> list[Maker]:
        """Id and run id of whatever begins with `prefix` in runs of any project that have begun; at most 10."""
        return self._makers(
            f"SELECT {_columns(kind)} FROM {_table(kind)} WHERE row IS NOT NULL AND id >= ? AND id < ? "
            "ORDER BY id LIMIT 10",
            (prefix, prefix + "g"),
        )

    def data_by_prefix(self, prefix: str) -> list[Maker]:
        """Execution and run of the data whose id begins with these hexadecimal digits, by id; at most 10."""
        return self._makers(
            "SELECT d.execution, e.run FROM data d JOIN executions e ON e.id = d.execution "
            "WHERE d.id BETWEEN ? AND ? ORDER BY d.id LIMIT 10",
            (bytes.fromhex(prefix.ljust(32, "0")), bytes.fromhex(prefix.ljust(32, "f"))),
        )

    def digests_by_prefix(self, prefix: str) -> list[Digest]:
        """The contents that executions left or got whose digest begins with these hexadecimal digits; at most 10."""
        first, last = prefix.ljust(64, "0"), prefix.ljust(64, "f")
        return self._select(
            "SELECT digest FROM data WHERE digest BETWEEN ? AND ? "
            "UNION SELECT lower(hex(digest)) FROM inputs WHERE digest BETWEEN ? AND ? ORDER BY 1 LIMIT 10",
            (first, last, bytes.fromhex(first), bytes.fromhex(last)),
            lambda found: [Digest(digest) for (digest,) in found],
        )

    def makers_of(self, digest: Digest, limit: int | None = None) -> list[Maker]:
        """The newest executions that left this content, newest first."""
        return self._makers(
            "SELECT DISTINCT d.execution, e.run FROM data d JOIN executions e ON e.id = d.execution "
            "WHERE d.digest = ? ORDER BY d.execution DESC LIMIT ?",
            (digest, -1 if limit is None else limit),
        )

    def users_of(self, digest: Digest) -> list[Maker]:
        """The executions that got this content as an input, newest first."""
        return self._makers(
            "SELECT i.execution, e.run FROM inputs i JOIN executions e ON e.id = i.execution "
            "WHERE i.digest = ? ORDER BY i.execution DESC",
            (bytes.fromhex(digest),),
        )

    def with_key(self, key: Digest) -> list[Maker]:
        """The executions that succeeded with this base key, newest first."""
        return self._makers(
            "SELECT k.execution, e.run FROM keys k JOIN executions e ON e.id = k.execution "
            "WHERE k.base = ? ORDER BY k.execution DESC",
            (bytes.fromhex(key),),
        )

    def reusers_of(self, execution: str) -> list[str]:
        """The ids of the runs in which an execution stands for a node, newest first."""
        return self._select(
            "SELECT u.run FROM reuses u JOIN runs r ON r.id = u.run WHERE u.execution = ? ORDER BY u.run DESC",
            (execution,),
            lambda found: [str(id) for (id,) in found],
        )

    def of_step(self, project: str, step: str, limit: int, before: str | None = None) -> list[Maker]:
        """The newest executions of a step that succeeded, newest first; with `before`, of those with a smaller id.

        Where the project has none, those of other projects that stood for nodes of its runs.
        """
        values = {"project": project, "step": step, "before": before or _AFTER_ALL, "limit": limit}
        own = self._makers(
            "SELECT s.execution, e.run FROM steps s JOIN executions e ON e.id = s.execution "
            "WHERE s.project = :project AND s.step = :step AND s.execution < :before "
            "ORDER BY s.execution DESC LIMIT :limit",
            values,
        )
        return own or self._makers(
            "SELECT DISTINCT u.execution, e.run FROM runs r JOIN reuses u ON u.run = r.id "
            "JOIN executions e ON e.id = u.execution "
            "JOIN steps s ON s.project = e.project AND s.step = :step AND s.execution = u.execution "
            "WHERE r.project = :project AND u.execution < :before ORDER BY u.execution DESC LIMIT :limit",
            values,
        )

    def _makers(self, statement: str, values: Sequence[object] | Mapping[str, object]) -> list[Maker]:
        return self._select(statement, values, as_makers)

    def _build(self, tables: sqlite3.Connection, version: int) -> None:
        for migration in MIGRATIONS[version:]:
            for statement in migration.split(";"):
                tables.execute(statement)
        self._fill(tables)

    def _fill(self, tables: sqlite3.Connection) -> tuple[MlrunError, ...]:
        problems = []
        for table in ("executions", "data", "inputs", "keys", "steps", "reuses"):
            tables.execute(f"DELETE FROM {table}")
        # What has no row yet is about to begin, and no journal may know of it.
        tables.execute("DELETE FROM runs WHERE row IS NOT NULL")
        for folder in run_folders(self._layout):
            try:
                run = recorded_run(folder)
                if run is not None:
                    _put(tables, run, run.executions.values(), final=is_final(run))
                else:
                    _expect(tables, folder.path.name, _NO_PROJECT, 0, "", read_owner(folder.owner) or _NO_OWNER)
            except MlrunError as error:
                problems.append(error)
                _put_unreadable(tables, folder.path.name, run_before_damage(error))
        return (*problems, *_keep_removed(tables, self._layout))


def _keep_removed(tables: sqlite3.Connection, layout: Layout) -> Iterator[MlrunError]:
    """The numbers of runs that were removed are not given out again, also when their journal is lost as long as they
    wait in the trash."""
    removed, error = Removals(layout).read_on()
    for gone in removed.runs.values():
        _raise_counter(tables, gone.project, "run", gone.counter)
        _raise_counter(tables, gone.project, "execution", gone.executions)
    for folder in run_folders_in_trash(layout):
        run = readable_run(folder)
        if run is not None and run.id not in removed.runs:
            _raise_counter(tables, run.project.id, "run", run.counter)
            _raise_counter(tables, run.project.id, "execution", highest_execution(run))
    if error is not None:
        yield error


def _expect(tables: sqlite3.Connection, id: str, project: str, counter: int, created: str, owner: Owner) -> None:
    tables.execute(
        "INSERT OR IGNORE INTO runs (id, project, counter, final, created, owner) VALUES (?, ?, ?, 0, ?, ?)",
        (id, project, counter, created, json.dumps(asdict(owner))),
    )


def _put_unreadable(tables: sqlite3.Connection, id: str, run: Run | None) -> None:
    """Keep the numbers of a run that cannot be read to its end; it stays open, so that readers come upon it."""
    if run is not None:
        _put(tables, run, run.executions.values(), final=False)
        return
    tables.execute(
        "INSERT OR REPLACE INTO runs (id, project, counter, final, created, owner, row) VALUES (?, ?, 0, 0, '', ?, ?)",
        (id, _NO_PROJECT, json.dumps(asdict(_NO_OWNER)), "{}"),
    )


def _put(tables: sqlite3.Connection, run: Run, executions: Iterable[Execution], *, final: bool) -> None:
    _raise_counter(tables, run.project.id, "run", run.counter)
    _insert(tables, "REPLACE", "runs", RUN_COLUMNS, [run_columns(run, final=final)])
    _put_executions(tables, run, executions, final=final)
    _insert(tables, "IGNORE", "reuses", REUSE_COLUMNS, reuse_columns(run))
    tables.execute("UPDATE executions SET final = ? WHERE run = ?", (final, run.id))


def _put_executions(tables: sqlite3.Connection, run: Run, executions: Iterable[Execution], *, final: bool) -> None:
    told = list(executions)
    if told:
        _raise_counter(tables, run.project.id, "execution", max(one.counter for one in told))
    columns = (execution_columns(run, one, final=final) for one in told)
    _insert(tables, "REPLACE", "executions", EXECUTION_COLUMNS, columns)
    _insert(tables, "REPLACE", "data", DATUM_COLUMNS, (row for one in told for row in datum_columns(one)))
    _insert(tables, "IGNORE", "inputs", INPUT_COLUMNS, (row for one in told for row in input_columns(one)))
    _insert(tables, "IGNORE", "keys", KEY_COLUMNS, (row for one in told for row in key_columns(one)))
    _insert(tables, "IGNORE", "steps", STEP_COLUMNS, (row for one in told for row in step_columns(run, one)))


def _insert(
    tables: sqlite3.Connection, clash: str, table: str, columns: Sequence[str], rows: Iterable[tuple[object, ...]]
) -> None:
    marks = ", ".join("?" * len(columns))
    tables.executemany(f"INSERT OR {clash} INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)


def _take_out_ways(tables: sqlite3.Connection, run: Run) -> None:
    """Take out what the executions of a run are found by, each row by its whole key: these tables have no other."""
    for one in run.executions.values():
        tables.executemany("DELETE FROM data WHERE id = ?", ((id,) for id, *_ in datum_columns(one)))
        tables.executemany("DELETE FROM inputs WHERE digest = ? AND execution = ?", input_columns(one))
        tables.executemany("DELETE FROM keys WHERE base = ? AND execution = ?", key_columns(one))
        tables.executemany("DELETE FROM steps WHERE project = ? AND step = ? AND execution = ?", step_columns(run, one))


def _next(tables: sqlite3.Connection, project: str, kind: Kind, many: int = 1) -> int:
    (last,) = tables.execute(
        "INSERT INTO counters (project, kind, last) VALUES (?, ?, ?) "
        "ON CONFLICT (project, kind) DO UPDATE SET last = last + excluded.last RETURNING last",
        (project, kind, many),
    ).fetchone()
    return int(last) - many + 1


def _raise_counter(tables: sqlite3.Connection, project: str, kind: Kind, counter: int) -> None:
    tables.execute(
        "INSERT INTO counters (project, kind, last) VALUES (?, ?, ?) "
        "ON CONFLICT (project, kind) DO UPDATE SET last = max(last, excluded.last)",
        (project, kind, counter),
    )


def _table(kind: Kind) -> str:
    return "runs" if kind == "run" else "executions"


def _columns(kind: Kind) -> str:
    return "id, id" if kind == "run" else "id, run"


def _of(project: str | None) -> str:
    return "" if project is None else " AND project = :of"
