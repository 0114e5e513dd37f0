"""The store as the rest of the program sees it: runs are begun, told and looked up here; objects are beside them.

Reading never writes, not even to the index. A writing command opens the store with `create=True` and reconciles first.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.errors import ExitCode, MlrunError, usage_error
from runner.state import FINAL
from runner.store import recovery
from runner.store.catalog import Catalog
from runner.store.checksum import Checksums
from runner.store.durable import disk_errors
from runner.store.history import shown_run
from runner.store.inbox import Request, leave
from runner.store.index import Index, Kind
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.record import Execution, Run
from runner.store.ref import Refs
from runner.store.row import Row, execution_row, run_row
from runner.store.writer import RunWriter

_LEAST_PREFIX = 4


class Store:
    """The store at one place. Every method raises MlrunError: STORE, LOCKED or DISK."""

    def __init__(self, layout: Layout, *, writable: bool) -> None:
        self.layout = layout
        self.objects = Objects(layout.objects, layout.scratch)
        self.checksums = Checksums(layout.cache / "checksums", self.objects)
        self.refs = Refs(layout.refs)
        self.catalog = Catalog(self.refs, self.objects, self._index, self.run, self._readable_open_runs)
        self._writable = writable
        self._open_index: Index | None = None

    @classmethod
    def open(cls, root: Path, *, create: bool) -> "Store":
        """The store at `root`. With `create` it is made if need be and may be written; without, it is only read, and
        one that does not exist has no runs."""
        if create:
            return cls(Layout.create_or_open(root), writable=True)
        return cls(Layout.open_existing(root) or Layout(root), writable=False)

    def close(self) -> None:
        """Let the index go; idempotent."""
        if self._open_index is not None:
            self._open_index.close()
            self._open_index = None

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_run(self, header: Mapping[str, Any]) -> RunWriter:
        """A new run, driven by this process; see `RunWriter.begin`."""
        return RunWriter.begin(self.layout, self._index, header)

    def reconcile(self) -> tuple[str, ...]:
        """End what lost its owner; gives the ids of those runs. Every writing command begins with this."""
        return recovery.reconcile(self.layout, self._index())

    def rebuild(self) -> tuple[MlrunError, ...]:
        """Make the index again from the journals; gives what was wrong with damaged ones."""
        return self._index().rebuild(self.layout)

    def request(self, run_id: str, request: Request) -> None:
        """Ask the process that drives a run for something. Raises MlrunError (USAGE) when nobody drives it any more."""
        run = self.run(run_id)
        if run.state in FINAL:
            raise usage_error(f"run {run.counter} has ended: it is {run.state}")
        with disk_errors(self.layout.run(run_id).inbox):
            leave(self.layout.run(run_id).inbox, request)

    def work_folder(self, execution_id: str) -> Path:
        """Where an execution works; on the file system of the objects."""
        return self.layout.work_folder(execution_id)

    def run(self, run_id: str) -> Run:
        """The whole run, from its journal; `interrupted` when its owner is gone."""
        run = shown_run(self.layout.run(run_id))
        if run is None:
            raise MlrunError(f"the store has no journal of the run `{run_id}`", code=ExitCode.STORE)
        return run

    def executions(self, project_id: str | None = None, limit: int | None = None) -> list[Row]:
        """Executions as rows (`runner.store.row`), newest first, of one project or of all."""
        return self._rows("execution", project_id, limit)

    def runs(self, project_id: str | None = None, limit: int | None = None) -> list[Row]:
        """Runs as rows (`runner.store.row`), newest first, of one project or of all."""
        return self._rows("run", project_id, limit)

    def unreadable(self, project_id: str | None = None) -> dict[str, MlrunError]:
        """The runs that no list can show though they began, oldest first, and what is wrong with each.

        A run that ended and was damaged later is in its list; naming it tells.
        """
        return {id: run for id, run in self._open_runs(project_id) if isinstance(run, MlrunError)}

    def find_run(self, project_id: str | None, text: str) -> Run:
        """The run that a user names: `latest` or `3` in the project, or the beginning of an id.

        Raises MlrunError: USAGE when there is none or more than one, STORE when it cannot be read.
        """
        return self.run(self._find("run", project_id, text)[1])

    def find_execution(self, project_id: str | None, text: str) -> tuple[Run, Execution]:
        """The execution that a user names, with its run: `latest` or `12` in the project, or the beginning of
        an id. Raises MlrunError: USAGE when there is none or more than one, STORE when its run cannot be read."""
        id, run_id = self._find("execution", project_id, text)
        run = self.run(run_id)
        if id not in run.executions:
            raise MlrunError(f"the journal of the run `{run_id}` has no execution `{id}`", code=ExitCode.STORE)
        return run, run.executions[id]

    def _index(self) -> Index:
        if self._open_index is not None and self._writable and not self._open_index.is_current():
            self.close()
        if self._open_index is None:
            self._open_index = Index.open(self.layout) if self._writable else Index.open_for_reading(self.layout)
        return self._open_index

    def _rows(self, kind: Kind, project_id: str | None, limit: int | None) -> list[Row]:
        live = self._live_rows(kind, project_id)
        ended = self._index().rows(kind, project_id, limit)
        return sorted([*live, *ended], key=lambda row: str(row["id"]), reverse=True)[:limit]

    def _live_rows(self, kind: Kind, project_id: str | None) -> list[Row]:
        """Rows of runs whose end is not in the index, from their journals."""
        rows: list[Row] = []
        for _, run in self._open_runs(project_id):
            if isinstance(run, Run):
                executions = run.executions.values()
                rows += [run_row(run)] if kind == "run" else (execution_row(run, one) for one in executions)
        return rows

    def _open_runs(self, project_id: str | None) -> Iterator[tuple[str, Run | MlrunError]]:
        """The runs whose end is not in the index, from their journals, or why one cannot be read."""
        for id in self._index().open_runs(project_id):
            try:
                run = shown_run(self.layout.run(id))
            except MlrunError as error:
                yield id, error
                continue
            # A run without a journal is about to begin, or never did.
            if run is not None and project_id in {None, run.project.id}:
                yield id, run

    def _readable_open_runs(self) -> Iterator[Run]:
        return (run for _, run in self._open_runs(None) if isinstance(run, Run))

    def _find(self, kind: Kind, project_id: str | None, text: str) -> tuple[str, str]:
        """Id and run id."""
        found: list[tuple[str, str]] = []
        if text == "latest":
            found = [_pair(kind, row) for row in self._rows(kind, project_id, 1)]
        elif text.isascii() and text.isdecimal():
            if project_id is not None:
                found = self._by_counter(kind, project_id, int(text))[:1]
            elif len(text) < _LEAST_PREFIX:
                hint = "go to the project's folder, or name it by its id"
                raise usage_error(f"`{text}` needs a project", hint=hint)
        if not found and len(text) >= _LEAST_PREFIX:
            found = self._by_prefix(kind, text.lower())
        if len(found) == 1:
            return found[0]
        raise self._not_found(kind, project_id, text, found)

    def _by_counter(self, kind: Kind, project_id: str, counter: int) -> list[tuple[str, str]]:
        live = [_pair(kind, row) for row in self._live_rows(kind, project_id) if row["counter"] == counter]
        return live or self._index().by_counter(kind, project_id, counter)

    def _by_prefix(self, kind: Kind, prefix: str) -> list[tuple[str, str]]:
        live = {_pair(kind, row) for row in self._live_rows(kind, None) if row["id"].startswith(prefix)}
        return sorted(live.union(self._index().by_prefix(kind, prefix)))

    def _not_found(self, kind: Kind, project_id: str | None, text: str, found: list[tuple[str, str]]) -> MlrunError:
        if found:
            return usage_error(
                f"`{text}` could be any of {len(found)} {kind}s",
                hint="write more of the id: " + ", ".join(f"`{id}`" for id, _ in found[:3]),
            )
        latest = self._rows(kind, project_id, 1)
        if not latest:
            return usage_error(f"there is no {kind} `{text}`", hint="nothing has been run in this project yet")
        return usage_error(
            f"there is no {kind} `{text}`",
            hint=f"the latest has the number {latest[0]['counter']}; `mlrun list` shows all",
        )


def _pair(kind: Kind, row: Row) -> tuple[str, str]:
    """Id and run id of a row."""
    return row["id"], row["run"] if kind == "execution" else row["id"]
