"""One run while it is driven: its journal first, then the index. Only its numbers and the folders of its logs are for
any thread, all else for that of the loop."""

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runner.crew import Work, nothing
from runner.errors import ExitCode, MlrunError, usage_error
from runner.store.durable import disk_errors, make_folder, sync_folder
from runner.store.history import recorded_run
from runner.store.identity import new_id
from runner.store.inbox import Request, take
from runner.store.index import Index
from runner.store.journal import Journal, read, stamped, timestamp
from runner.store.layout import Layout, RunFolder
from runner.store.lease import current_owner, is_alive, read_owner, write_owner
from runner.store.number import Numbers
from runner.store.record import Entry, Run
from runner.store.story import Story, is_driven
from runner.store.verified import Unlink
from runner.store.withdrawal import under_way

_BEGINS, _ENDS = "execution-created", "execution-finished"
"""Entries that change the row of an execution."""

_PAUSE = 0.5
"""Seconds between two times that the index follows a beginning alone: what is under way, readers find in the journal
as well, as long as that is whole."""


class RunWriter:
    """Tells the store what becomes of a run."""

    def __init__(
        self,
        id: str,
        counter: int,
        folder: RunFolder,
        journal: Journal,
        index: Index,
        project: str,
        unlink: Unlink,
    ) -> None:
        self.id = id
        self.counter = counter
        self.folder = folder
        self._journal = journal
        self._index = index
        self._project = project
        self._unlink = unlink
        self._story = Story()
        self._behind: set[str] = set()
        """Executions of which the index has less than the journal; it follows at a later turn."""
        self._missed: list[set[str]] = []
        """Executions that the index could not follow, as another thread found."""
        self._followed = -math.inf
        self._numbers = Numbers(
            partial(index.new_counter, project, "execution"),
            partial(index.give_back, project, "execution"),
            # One that was built anew knows only of the numbers in journals.
            index.identity,
        )

    @classmethod
    def take_over(cls, layout: Layout, index: Index, run_id: str, unlink: Unlink = os.unlink) -> "RunWriter":
        """A run that nobody drives, held by this process from here on; `resume` has to be called before anything else
        is told. Let go without that, it is as it was.

        Raises MlrunError: LOCKED where somebody drives it, or may do so on another machine; USAGE for a run of another
        store; STORE for a damaged one.
        """
        folder = layout.run(run_id)
        run = recorded_run(folder)
        if run is None:
            raise MlrunError(f"the store has no journal of the run `{run_id}`", code=ExitCode.STORE)
        if folder.imported.exists():
            raise usage_error(
                f"run {run.counter} came from another store, which alone can go on with it",
                hint=f"`mlrun reproduce run:{run.counter}` runs it again here",
            )
        with disk_errors(folder.path):
            taken = Journal.take_over(folder.journal)
        if taken is None:
            raise under_way(run, read_owner(folder.owner))
        journal, entries = taken
        try:
            story = Story()
            for entry in entries:
                story.add(entry)
            run = story.run()
            owner = read_owner(folder.owner)
            if is_driven(run) and (owner is None or is_alive(owner) is not False):
                raise under_way(run, owner)
            if not folder.journal.exists():
                raise usage_error(f"run {run.counter} was removed in this moment")
        except BaseException:
            journal.close()
            raise
        writer = cls(run.id, run.counter, folder, journal, index, run.project.id, unlink)
        writer._story = story
        # Its last owner may have been killed between its journal and the index.
        writer._behind = set(run.executions)
        return writer

    def resume(self, entries: Sequence[Entry]) -> None:
        """Make the first turn of a run that was taken over durable: the last of `entries` is `run-resumed`, by this
        process. What was asked of the owner before is forgotten. Raises MlrunError as `append` does, and LOCKED."""
        # The index first: a run that it takes for ended is not looked at again.
        self._index.reopen(self.id, current_owner())
        with disk_errors(self.folder.path):
            for path in (self.folder.inbox, self.folder.logs):
                make_folder(path)
            take(self.folder.inbox)
        self.append(entries)
        with disk_errors(self.folder.path):
            write_owner(self.folder.owner, current_owner())

    @classmethod
    def begin(cls, layout: Layout, index: Index, header: Mapping[str, Any], unlink: Unlink = os.unlink) -> "RunWriter":
        """A new run. `header` has the fields of `Run` up to `version`, without `id` and `counter`; `unlink` removes
        names of logs.

        The run has a counter before it has a folder, a lease before it has a journal, and is durable on return.
        """
        # Ids sort runs and executions: a clock that was set back must not sort this one behind older ones.
        id, owner = new_id(index.newest_id()), current_owner()
        body = {name: asdict(value) if _is_record(value) else value for name, value in header.items()}
        project = body["project"]["id"]
        counter = index.register_run(id, project, timestamp(), owner)
        folder = layout.run(id)
        with disk_errors(folder.path):
            for path in (folder.path, folder.inbox, folder.logs):
                path.mkdir(mode=0o700)
            write_owner(folder.owner, owner)
            journal = Journal.create(folder.journal)
            sync_folder(folder.path)
            sync_folder(layout.runs)
        writer = cls(id, counter, folder, journal, index, project, unlink)
        run = {**body, "id": id, "counter": counter, "owner": asdict(owner)}
        writer.append([{"type": "run-created", "run": run}])
        return writer

    def run(self) -> Run:
        """The run so far; takes time linear in its nodes."""
        return self._story.run()

    def append(self, entries: Sequence[Entry], then: Work = nothing) -> list[Entry]:
        """Make one turn of the loop durable; gives the entries as written, with their `time`.

        The index follows where an execution or the run begins or ends; not at once where many begin. When it cannot
        (locked, full), the journal stands and the index is brought up to date at a later turn, or by whoever
        reconciles. `then` is called once it has followed, or could not, perhaps from another thread.
        Raises MlrunError as `Journal.append` does, and BrokenJournal for entries that do not follow.
        """
        turn = stamped(entries)
        for entry in turn:
            self._story.add(entry)
        try:
            self._journal.append(turn)
        except MlrunError:
            self._story = Story()
            for entry in read(self.folder.journal):
                self._story.add(entry)
            raise
        of_run = any(entry["type"].startswith("run-") for entry in turn)
        if of_run:
            # A run that the index has for ended is not looked at again: what it could not follow has to be known.
            self._index.catch_up()
        while self._missed:
            self._behind |= self._missed.pop()
        ended = {str(entry["id"]) for entry in turn if entry["type"] == _ENDS}
        self._behind |= {str(entry["id"]) for entry in turn if entry["type"] == _BEGINS}
        if of_run:
            self._behind |= ended
            self._update_index()
            then()
            return turn
        # One that has ended is followed once, whether its beginning was or not.
        self._behind -= ended
        if self._behind and self._is_due():
            ended |= self._behind
            self._behind.clear()
        if ended:
            self._update_soon(ended, then)
        else:
            then()
        return turn

    def _is_due(self) -> bool:
        """Whether the index has not followed a beginning alone for a while; it does so now."""
        now = time.monotonic()
        if now < self._followed + _PAUSE:
            return False
        self._followed = now
        return True

    def new_execution_counter(self) -> int:
        """The next number of the project's executions. Usable from several threads. Raises MlrunError (LOCKED, DISK or
        STORE)."""
        return self._numbers.next()

    def log_folder(self, execution_id: str) -> Path:
        """The folder for the log of an execution while it is written; made here. Raises MlrunError."""
        folder = self.folder.logs / execution_id
        with disk_errors(folder):
            make_folder(folder)
        return folder

    def drop_log(self, execution_id: str) -> None:
        """Remove the folder of a log that the store's objects hold by now. What cannot be removed stays."""
        folder = self.folder.logs / execution_id
        with suppress(OSError):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                for name in os.listdir(fd):
                    self._unlink(name, dir_fd=fd)
            finally:
                os.close(fd)
            folder.rmdir()

    def inbox(self) -> list[Request]:
        """Requests that other processes have left since the last call, oldest first."""
        with disk_errors(self.folder.inbox):
            return take(self.folder.inbox)

    def close(self) -> None:
        """Let the journal go; idempotent. A run that has not ended counts as interrupted once this process is gone."""
        self._journal.close()
        with suppress(MlrunError):
            self._numbers.close()
        self._index.catch_up()

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _update_index(self) -> None:
        with suppress(MlrunError):
            self._index.put(self._story.run(), [self._story.execution(id) for id in self._behind])
            self._behind.clear()

    def _update_soon(self, ids: set[str], then: Work) -> None:
        def followed(taken: bool) -> None:
            if not taken:
                self._missed.append(ids)
            then()

        self._index.put_soon(self._story.header(), [self._story.execution(id) for id in ids], followed)


def _is_record(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, type)
