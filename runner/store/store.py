"""The store as the rest of the program sees it: runs are begun, told and looked up here; objects are beside them.

Reading never writes, not even to the index. A writing command opens the store with `create=True` and reconciles first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError, usage_error
from runner.state import FINAL
from runner.store import admission, recovery, withdrawal
from runner.store.catalog import Catalog
from runner.store.checksum import Checksums
from runner.store.departed import count_removed, find_removed, removed_run
from runner.store.durable import disk_errors
from runner.store.found import Maker
from runner.store.history import Following, is_abandoned, recorded_run, shown_run
from runner.store.inbox import Request, leave
from runner.store.index import Index, Kind
from runner.store.journal import timestamp
from runner.store.layout import Layout
from runner.store.lease import current_owner
from runner.store.link import Links
from runner.store.naming import Refs
from runner.store.objects import Objects
from runner.store.record import Execution, Run
from runner.store.ref import Author
from runner.store.removal import Removals
from runner.store.row import Row, execution_row, run_row
from runner.store.story import is_driven
from runner.store.tag import Tags
from runner.store.trash import Batch
from runner.store.unkept import UnkeptObjects
from runner.store.writer import RunWriter

_LEAST_PREFIX = 4


RUN_PREFIX = "run:"
"""What people write before the number or the id of a run where an execution could be meant, too."""


class Store:
    """The store at one place. Every method raises MlrunError: STORE, LOCKED or DISK."""

    def __init__(self, layout: Layout, *, writable: bool, objects: Objects | None = None) -> None:
        self.layout = layout
        self.objects = objects or Objects(layout, writable=writable)
        self.keeps = not isinstance(objects, UnkeptObjects)
        """Whether what is put among the objects, and what is found out on the way, is for the next command too."""
        self.checksums = Checksums(layout.cache / "checksums", self.objects)
        self.refs = Refs(layout.refs, layout.seen_names)
        self._index = Index(layout, writable=writable)
        self.catalog = Catalog(
            self.refs, self.objects, self._index, self.run, self._readable_open_runs, Removals(layout)
        )

    @classmethod
    def open(cls, root: Path, *, create: bool) -> "Store":
        """The store at `root`. With `create` it is made if need be and may be written; without, it is only read, and
        one that does not exist has no runs."""
        if create:
            return cls(Layout.create_or_open(root), writable=True)
        return cls(Layout.open_existing(root) or Layout(root), writable=False)

    @classmethod
    def look(cls, root: Path) -> "Store":
        """The store at `root`, only to be read, as one that takes what is put among its objects: nothing is kept."""
        layout = Layout.open_existing(root) or Layout(root)
        return cls(layout, writable=False, objects=UnkeptObjects(layout))

    def close(self) -> None:
        """Let the index go, and rely on no object any more; idempotent."""
        self.objects.close()
        self._index.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_run(self, header: Mapping[str, Any]) -> RunWriter:
        """A new run, driven by this process; see `RunWriter.begin`."""
        return RunWriter.begin(self.layout, self._index, header, self.objects.unlink)

    def resume_run(self, run_id: str) -> RunWriter:
        """A run that nobody drives, held by this process from here on; see `RunWriter.take_over`. Of several who ask
        for it at once one gets it. Raises MlrunError (USAGE) for one that was removed."""
        if not self.layout.run(run_id).path.exists() and (gone := removed_run(self.layout, run_id)) is not None:
            raise gone
        return RunWriter.take_over(self.layout, self._index, run_id, self.objects.unlink)

    def reconcile(self, goes_on: recovery.GoesOn = recovery.may_go_on) -> tuple[str, ...]:
        """End what lost its owner; gives the ids of those runs. Every writing command begins with this. Runs that wait
        for approval are left alone, and those that go on without an owner."""
        return recovery.reconcile(self.layout, self._index, goes_on)

    def is_lost(self, run_id: str) -> bool:
        """Whether nobody drives a run any more though its journal does not tell its end. Raises MlrunError."""
        return self._lost(run_id) is not None

    def lost_runs(self) -> list[Run]:
        """The runs that nobody drives any more though no journal tells their end, as recorded, oldest first."""
        lost = []
        for id in self._index.open_runs():
            with suppress(MlrunError):
                run = self._lost(id)
                lost += [run] if run is not None else []
        return lost

    def _lost(self, run_id: str) -> Run | None:
        """The run if nobody drives it any more though its journal does not tell its end."""
        folder = self.layout.run(run_id)
        if not is_abandoned(folder) or folder.imported.exists():
            return None
        run = recorded_run(folder)
        return run if run is not None and is_driven(run) else None

    def rebuild(self, by: Author) -> tuple[MlrunError, ...]:
        """Make the index again from the journals, and the files of names from their log; gives what was wrong with
        damaged ones. What has lost turns goes on with what is left, `by` whoever asks for that."""
        problems = list(self._index.rebuild())
        for mend in (Removals(self.layout).accept, partial(self.refs.rebuild, by)):
            try:
                mend()
            except MlrunError as error:
                if error.message not in {problem.message for problem in problems}:
                    problems.append(error)
        return tuple(problems)

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
        """The whole run, from its journal; `interrupted` when its owner is gone. Raises MlrunError (USAGE) for one that
        was removed."""
        run = shown_run(self.layout.run(run_id))
        if run is None:
            if (gone := removed_run(self.layout, run_id)) is not None:
                raise gone
            raise MlrunError(f"the store has no journal of the run `{run_id}`", code=ExitCode.STORE)
        return run

    def follow(self, run_id: str) -> Following:
        """The executions of a run that goes on, for many looks; see `runner.store.history`."""
        return Following(self.layout.run(run_id))

    def executions(self, project_id: str | None = None, limit: int | None = None) -> list[Row]:
        """Executions as rows (`runner.store.row`) with their tags, newest first, of one project or of all."""
        return self._rows("execution", project_id, limit)

    def runs(self, project_id: str | None = None, limit: int | None = None) -> list[Row]:
        """Runs as rows (`runner.store.row`) with their tags, newest first, of one project or of all."""
        return self._rows("run", project_id, limit)

    def parts(self, kind: Kind, project_id: str | None, names: Sequence[str]) -> list[Row]:
        """All executions or runs, newest first, as rows that hold these parts only, and `id`: takes a fraction of the
        time. Rows of what goes on may hold more."""
        tagged = {*names, "tags", "run"} if "tags" in names and kind == "execution" else {*names}
        # First what goes on: a run that ends in between is in both, and else would be in neither.
        live = self._live_rows(kind, project_id)
        return self._merged(live, self._index.parts(kind, project_id, sorted(tagged)))

    def rows_of(self, kind: Kind, ids: Sequence[str]) -> list[Row]:
        """The rows of executions or runs in the order of their ids here, as far as there are any."""
        found = self._index.rows_of(kind, ids)
        if len(found) < len(ids):
            found = {row["id"]: row for row in self._live_rows(kind, None)} | self._index.rows_of(kind, ids)
        tags = self._tags()
        return [tags.laid_over(found[id]) for id in ids if id in found]

    def tags_of(self, run: Run, execution: Execution | None = None) -> tuple[str, ...]:
        """The tags that a run, or an execution of it, has by now."""
        tags = self._tags()
        if execution is None:
            return tags.of_run(run.id, run.tags)
        return tags.of_execution(execution.id, run.id, run.tags)

    def links(self) -> Links:
        """Who made, got and reused what, for many questions."""
        return Links(self._index, self._readable_open_runs())

    def makers_of(self, digest: Digest) -> list[Maker]:
        """The executions that left this content, with their runs, newest first."""
        return self.links().makers_of(digest)

    def users_of(self, digest: Digest) -> list[Maker]:
        """The executions that got this content as an input, with their runs, newest first."""
        return self.links().users_of(digest)

    def with_key(self, key: Digest) -> list[Maker]:
        """The executions that succeeded with this base key, with their runs, newest first; also of runs that go on."""
        return self._index.with_key(key)

    def of_step(self, project_id: str, step: str, limit: int, before: str | None = None) -> list[Maker]:
        """The newest executions of a step of a project that succeeded, with their runs, newest first; with `before`, an
        id, of those that are older than it."""
        return self._index.of_step(project_id, step, limit, before)

    def remove_run(self, run_id: str, batch: Batch) -> None:
        """Move a run that has ended into a batch of the trash; see `runner.store.withdrawal`."""
        withdrawal.remove(self.layout, self._index, run_id, batch)

    def expect_back(self, run_ids: Iterable[str]) -> None:
        """Removed runs are about to be moved back: called before that, so that nothing is lost by a kill after it."""
        admission.expect_back(self._index, run_ids)

    def readmit(self, run_id: str) -> None:
        """A removed run was moved back: it is in lists again, and counts as removed no more."""
        admission.readmit(self.layout, self._index, run_id)

    def expect_import(self, run_id: str, project_id: str) -> int:
        """Give a run of another store its number here, before anything of it is written. Should this process be killed,
        whoever comes next keeps the run if it has its journal, and else removes what there is of it."""
        return self._index.register_run(run_id, project_id, timestamp(), current_owner())

    def expect_more(self, run_id: str) -> None:
        """The journal of a run of another store is about to grow: called before that, so that whoever comes after a
        kill looks at it again."""
        self._index.reopen(run_id, current_owner())

    def new_execution_counter(self, project_id: str) -> int:
        """The next number of the project's executions."""
        return self._index.new_counter(project_id, "execution")

    def admit(self, run_id: str) -> Run:
        """A run of another store has its journal and its numbers in its place: from here on lists show it."""
        return admission.admit(self.layout, self._index, run_id)

    def unreadable(self, project_id: str | None = None) -> dict[str, MlrunError]:
        """The runs that no list can show though they began, oldest first, and what is wrong with each.

        A run that ended and was damaged later is in its list; naming it tells.
        """
        return {id: run for id, run in self._open_runs(project_id) if isinstance(run, MlrunError)}

    def ended_runs(self) -> set[str]:
        """The ids of the runs that the index knows to have ended and that were not removed."""
        ended = self._index.ended_runs()
        return ended.difference(Removals(self.layout).read().runs)

    def removed_runs(self, project_id: str | None) -> int:
        """How many runs of this project or of all were removed and did not come back."""
        return count_removed(self.layout, project_id)

    def find_run(self, project_id: str | None, text: str) -> Run:
        """The run that a user names: `latest` or `3` in the project (without one, where it is the only one that has
        it), or the beginning of an id.

        Raises MlrunError: USAGE when there is none or more than one, STORE when it cannot be read.
        """
        return self.run(self.find_run_id(project_id, text))

    def find_run_id(self, project_id: str | None, text: str) -> str:
        """Like `find_run`, the id only; so also of a run that cannot be read."""
        return self._find("run", project_id, text)[1]

    def find_execution(self, project_id: str | None, text: str) -> tuple[Run, Execution]:
        """The execution that a user names, with its run: `latest` or `12` in the project (without one, where it is
        the only one that has it), or the beginning of an id.

        Raises MlrunError: USAGE when there is none or more than one, STORE when its run cannot be read.
        """
        id, run_id = self._find("execution", project_id, text)
        run = self.run(run_id)
        if id not in run.executions:
            raise MlrunError(f"the journal of the run `{run_id}` has no execution `{id}`", code=ExitCode.STORE)
        return run, run.executions[id]

    def _rows(self, kind: Kind, project_id: str | None, limit: int | None) -> list[Row]:
        live = self._live_rows(kind, project_id)
        return self._merged(live, self._index.rows(kind, project_id, limit))[:limit]

    def _merged(self, live: list[Row], ended: list[Row]) -> list[Row]:
        """Rows of runs that go on and of those that have ended, with their tags, newest first."""
        tags = self._tags()
        rows = ended
        if live:
            both = {row["id"]: row for row in (*live, *ended)}
            rows = [both[id] for id in sorted(both, reverse=True)]
        return [tags.laid_over(row) for row in rows]

    def _tags(self) -> Tags:
        return Tags(self.refs.tags())

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
        for id in self._index.open_runs(project_id):
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
            found = self._by_counter(kind, project_id, int(text))
            if project_id is not None:
                found = found[:1]
            elif len(found) > 1:
                ids = ", ".join(f"`{id}`" for id, _ in found[:3])
                raise usage_error(
                    f"{len(found)} projects have {'an' if kind == 'execution' else 'a'} {kind} `{text}`",
                    hint=f"go to the project's folder, or name it by its id: {ids}",
                )
        if not found and len(text) >= _LEAST_PREFIX:
            found = self._by_prefix(kind, text.lower())
        if len(found) == 1:
            return found[0]
        raise self._not_found(kind, project_id, text, found)

    def _by_counter(self, kind: Kind, project_id: str | None, counter: int) -> list[tuple[str, str]]:
        live = [_pair(kind, row) for row in self._live_rows(kind, project_id) if row["counter"] == counter]
        return live or self._index.by_counter(kind, project_id, counter)

    def _by_prefix(self, kind: Kind, prefix: str) -> list[tuple[str, str]]:
        live = {_pair(kind, row) for row in self._live_rows(kind, None) if row["id"].startswith(prefix)}
        return sorted(live.union(self._index.by_prefix(kind, prefix)))

    def _not_found(self, kind: Kind, project_id: str | None, text: str, found: list[tuple[str, str]]) -> MlrunError:
        if found:
            return usage_error(
                f"`{text}` could be any of {len(found)} {kind}s",
                hint="write more of the id: " + ", ".join(f"`{id}`" for id, _ in found[:3]),
            )
        if (gone := find_removed(self.layout, kind, project_id, text)) is not None:
            return gone
        latest = self._rows(kind, project_id, 1)
        if not latest:
            removed = self.removed_runs(project_id)
            undo = "all runs were removed; `mlrun gc --undo` brings back what was removed last"
            hint = undo if removed else "nothing has been run in this project yet"
            return usage_error(f"there is no {kind} `{text}`", hint=hint)
        return usage_error(
            f"there is no {kind} `{text}`",
            hint=f"the latest has the number {latest[0]['counter']}; `mlrun list` shows all",
        )


def _pair(kind: Kind, row: Row) -> tuple[str, str]:
    """Id and run id of a row."""
    return row["id"], row["run"] if kind == "execution" else row["id"]
