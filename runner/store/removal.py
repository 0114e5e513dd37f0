"""What was removed on purpose, so that nothing that is missing is taken for damage, nor damage for a removal.

One journal (`runner.store.journal`) at the top of the store; an entry is written before what it tells is done, so that
after a crash in between the store says less than it has, never more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.digest import Digest
from runner.errors import MlrunError
from runner.store.durable import disk_errors
from runner.store.journal import DamagedJournal, read, shared
from runner.store.record import Entry

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
    """The journal at `path`. Every method raises MlrunError (STORE, DISK, LOCKED)."""

    def __init__(self, path: Path) -> None:
        self._path = path

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
            journal.append(entries)


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
