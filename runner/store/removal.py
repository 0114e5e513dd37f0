"""What was removed on purpose, so that nothing that is missing is taken for damage, nor damage for a removal.

One journal (`runner.store.journal`) at the top of the store; an entry is written before what it tells is done, so that
after a crash in between the store says less than it has, never more.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.store.durable import disk_errors, sync_folder
from runner.store.journal import Journal, read
from runner.store.record import Entry

REMOVAL_ENTRY_TYPES = ("files-dropped", "files-restored", "run-removed", "run-restored", "content-purged")

_PATIENCE = 60.0
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Purged:
    """Content that was destroyed for good: when, by whom, why, and what it was called."""

    digest: Digest
    time: str
    by: str
    reason: str
    names: tuple[str, ...]


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
    """Everything that is removed by now. `dropped` has the executions that lost their files, and when."""

    dropped: dict[str, str] = field(default_factory=dict)
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

    def append(self, entries: Sequence[Entry]) -> None:
        """Tell what is about to be removed or restored; durable when this returns."""
        with self._taken() as journal:
            journal.append(entries)

    @contextmanager
    def _taken(self) -> Iterator[Journal]:
        with disk_errors(self._path):
            if not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
                sync_folder(self._path.parent)
            deadline = time.monotonic() + _PATIENCE
            while (taken := Journal.take_over(self._path)) is None:
                if time.monotonic() > deadline:
                    raise MlrunError(
                        f"`{self._path}` was locked by another process for {_PATIENCE:.0f} s",
                        code=ExitCode.LOCKED,
                        hint="wait for other `mlrun` commands to end",
                    )
                time.sleep(_PAUSE)
        with taken[0] as journal:
            yield journal


def fold(entries: Sequence[Entry]) -> Removed:
    """What the entries of a journal of removals come to, later ones over earlier ones."""
    removed = Removed()
    for entry in entries:
        match entry["type"]:
            case "files-dropped":
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
    return Purged(entry["digest"], entry["time"], entry["by"], entry["reason"], tuple(entry["names"]))
