"""What was removed on purpose, so that nothing that is missing is taken for damage, nor damage for a removal.

One journal (`runner.store.journal`) at the top of the store; an entry is written before what it tells is done, so that
after a crash in between the store says less than it has, never more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.store import extent
from runner.store.durable import disk_errors
from runner.store.extent import Extent
from runner.store.history import readable_run, run_folders_in_trash
from runner.store.journal import DamagedJournal, read, shared
from runner.store.layout import Layout
from runner.store.record import Entry, Run

REMOVAL_ENTRY_TYPES = ("files-dropped", "files-restored", "run-removed", "run-restored", "content-purged")


@dataclass(frozen=True, slots=True)
class Purged:
    """Content that was destroyed for good: when, by whom, why, what it was called, and how many
    bytes it had, 0 if nobody told. `parts` are objects that held parts of it and nothing else of anybody's."""

    digest: Digest
    time: str
    by: str
    reason: str
    names: tuple[str, ...]
    size: int = 0
    parts: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovedRun:
    """A run whose record is gone: its numbers are never given out again. `executions` is the highest of theirs, 0
    without any."""

    id: str
    project: str
    counter: int
    executions: int
    time: str


@dataclass(slots=True)
class Removed:
    """Everything that is removed by now. `dropped` has the executions that lost their files, and when; `batches` tells
    by batch of the trash whose files went into it, and whether that execution had all of them until then."""

    dropped: dict[str, str] = field(default_factory=dict)
    batches: dict[str, dict[str, bool]] = field(default_factory=dict)
    runs: dict[str, RemovedRun] = field(default_factory=dict)
    purged: dict[Digest, Purged] = field(default_factory=dict)


class Removals:
    """The journal of one store. Every method raises MlrunError (STORE, DISK, LOCKED)."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._path = layout.removed
        self._seen = layout.seen_removals

    def read(self) -> Removed:
        """What is removed by now; takes no lock."""
        with disk_errors(self._path):
            try:
                return fold(read(self._path))
            except (FileNotFoundError, NotADirectoryError):
                return Removed()

    def read_on(self) -> tuple[Removed, MlrunError | None]:
        """Like `read`, up to the first damage, and what is wrong with the file."""
        try:
            return self.read(), None
        except DamagedJournal as error:
            return fold(error.entries), error

    def append(self, entries: Sequence[Entry]) -> None:
        """Tell what is about to be removed or restored; durable when this returns."""
        with shared(self._path) as (journal, _):
            before = Extent(*journal.extent)
            journal.append(entries)
            extent.follow(journal, before, self._path, self._seen)

    def has_lost_turns(self) -> bool:
        """Whether the journal lacks what it once told: then nobody knows all that was removed."""
        return extent.is_cut(self._path, self._seen)

    def check_whole(self) -> None:
        """Raise MlrunError (STORE) when the journal has lost turns."""
        if self.has_lost_turns():
            raise MlrunError(
                f"the journal of removals `{self._path}` has lost what it once told",
                code=ExitCode.STORE,
                hint="restore it from a backup, or let `mlrun store rebuild` go on with what is left",
            )

    def remember(self) -> None:
        """Keep how long the journal is, so that a loss is noticed, unless it has lost turns already."""
        now = Extent.of(extent.bytes_of(self._path))
        if now.size and extent.load(self._seen) != now and not self.has_lost_turns():
            with shared(self._path) as (journal, _):
                extent.settle(journal, self._path, self._seen)

    def accept(self) -> None:
        """Go on with what is left of a journal that has lost turns, with the runs that wait in the trash as removed:
        raises MlrunError (STORE) that once, and does nothing to a whole one."""
        try:
            self.check_whole()
        except MlrunError:
            known = self.read().runs
            entries = [
                run_removed(folder.path.name, readable_run(folder))
                for folder in run_folders_in_trash(self._layout)
                if folder.path.name not in known and not self._layout.run(folder.path.name).journal.exists()
            ]
            with shared(self._path) as (journal, _):
                journal.append(entries)
                extent.settle(journal, self._path, self._seen)
            raise


def run_removed(run_id: str, run: Run | None) -> Entry:
    """The entry of a run that is removed, None where nothing of it can be read."""
    return {
        "type": "run-removed",
        "run": run_id,
        "project": "" if run is None else run.project.id,
        "counter": 0 if run is None else run.counter,
        "executions": 0 if run is None else highest_execution(run),
    }


def highest_execution(run: Run) -> int:
    """The highest number of its executions, 0 without any."""
    return max((one.counter for one in run.executions.values()), default=0)


def fold(entries: Sequence[Entry]) -> Removed:
    """What the entries of a journal of removals come to, later ones over earlier ones."""
    removed = Removed()
    for entry in entries:
        match entry["type"]:
            case "files-dropped":
                batch = removed.batches.setdefault(entry.get("batch", ""), {})
                batch.update((id, id not in removed.dropped) for id in entry["executions"])
                removed.dropped.update(dict.fromkeys(entry["executions"], entry["time"]))
            case "files-restored":
                for id in entry["executions"]:
                    removed.dropped.pop(id, None)
            case "run-removed":
                removed.runs[entry["run"]] = _removed_run(entry)
            case "run-restored":
                removed.runs.pop(entry["run"], None)
            case "content-purged":
                removed.purged[entry["digest"]] = _purged(entry)
    return removed


def _removed_run(entry: Entry) -> RemovedRun:
    facts: dict[str, Any] = {key: entry[key] for key in ("project", "counter", "executions", "time")}
    return RemovedRun(entry["run"], **facts)


def _purged(entry: Entry) -> Purged:
    facts: dict[str, Any] = {key: entry[key] for key in ("digest", "time", "by", "reason")}
    return Purged(**facts, names=tuple(entry["names"]), size=entry.get("size", 0), parts=tuple(entry.get("parts", ())))
