"""One run while it is driven: its journal first, then the index. Used by the thread of the loop only."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from runner.errors import MlrunError
from runner.store.durable import disk_errors, make_folder, sync_folder
from runner.store.identity import new_id
from runner.store.inbox import Request, take
from runner.store.index import Index
from runner.store.journal import Journal, read, timestamp
from runner.store.layout import Layout, RunFolder
from runner.store.lease import current_owner, write_owner
from runner.store.record import Entry, Run
from runner.store.story import Story
from runner.store.verified import Unlink

_TELLING = frozenset({"execution-created", "execution-finished"})
"""Entries that change the row of an execution."""


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

    def append(self, entries: Sequence[Entry]) -> list[Entry]:
        """Make one turn of the loop durable; gives the entries as written, with their `time`.

        The index follows where an execution or the run begins or ends. When it cannot (locked, full), the journal
        stands and the index is brought up to date at the next such turn, or by whoever reconciles.
        Raises MlrunError as `Journal.append` does, and BrokenJournal for entries that do not follow.
        """
        now = timestamp()
        turn = [entry if "time" in entry else {**entry, "time": now} for entry in entries]
        for entry in turn:
            self._story.add(entry)
        try:
            self._journal.append(turn)
        except MlrunError:
            self._story = Story()
            for entry in read(self.folder.journal):
                self._story.add(entry)
            raise
        told = {str(entry["id"]) for entry in turn if entry["type"] in _TELLING}
        self._behind |= told
        whole = any(entry["type"].startswith("run-") for entry in turn)
        if told or whole:
            self._update_index(whole=whole)
        return turn

    def new_execution_counter(self) -> int:
        """The next number of the project's executions. Raises MlrunError (LOCKED, DISK or STORE)."""
        return self._index.new_counter(self._project, "execution")

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

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _update_index(self, *, whole: bool) -> None:
        executions = [self._story.execution(id) for id in self._behind]
        with suppress(MlrunError):
            if whole:
                self._index.put(self._story.run(), executions)
            else:
                self._index.put_executions(self._story.header(), executions)
            self._behind.clear()


def _is_record(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, type)
