"""Reads runs from their journals. Writes nothing; knows no index."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial

from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.store.durable import disk_errors
from runner.store.identity import is_id
from runner.store.imported import Counters, numbered, read_import
from runner.store.journal import DamagedJournal, Follower, is_held, read
from runner.store.layout import Layout, RunFolder
from runner.store.lease import is_alive, read_owner
from runner.store.record import Execution, Run
from runner.store.story import BrokenJournal, Story, fold, interrupted


def recorded_run(folder: RunFolder) -> Run | None:
    """The run as its journal tells, with the numbers of this store if it came from another one; None when there is no
    journal yet (or never was more than a torn first line).

    Raises DamagedJournal, or MlrunError (STORE) when it cannot be read.
    """
    with _reading(folder):
        try:
            entries = read(folder.journal)
        except (FileNotFoundError, NotADirectoryError):
            return None
    if not entries:
        return None
    try:
        run = fold(entries)
    except BrokenJournal as error:
        raise DamagedJournal(folder.journal, str(error), entries) from error
    if run.id != folder.path.name:
        raise DamagedJournal(folder.journal, f"it tells of the run `{printable(run.id)}`")
    return laid_over(folder, run)


def laid_over(folder: RunFolder, run: Run) -> Run:
    """A run that came from another store with the numbers that it has here. Raises MlrunError (STORE)."""
    try:
        with _reading(folder):
            told = read_import(folder.imported)
    except ValueError as error:
        raise MlrunError(
            f"`{folder.imported}` is damaged: {error}",
            code=ExitCode.STORE,
            hint="remove the run with `mlrun rm` and fetch it again; other runs are not affected",
        ) from error
    return run if told is None else numbered(run, told, cache(partial(_counters, folder)))


def _counters(folder: RunFolder, run_id: str) -> Counters | None:
    """The numbers here of a run whose folder lies beside `folder`; None where it does not, or cannot be read."""
    beside = RunFolder(folder.path.with_name(run_id))
    try:
        if (told := read_import(beside.imported)) is not None:
            return told.counter, told.executions
        run = fold(read(beside.journal))
    except (OSError, ValueError, MlrunError):
        return None
    return run.counter, {one.id: one.counter for one in run.executions.values()}


def run_before_damage(error: MlrunError) -> Run | None:
    """What can be believed of a run that `recorded_run` refused; None without even its first entry."""
    story = Story()
    with suppress(BrokenJournal):
        for entry in error.entries if isinstance(error, DamagedJournal) else ():
            story.add(entry)
    try:
        return story.run()
    except BrokenJournal:
        return None


def readable_run(folder: RunFolder) -> Run | None:
    """The run as far as it can be read."""
    try:
        return recorded_run(folder)
    except MlrunError as error:
        return run_before_damage(error)


def shown_run(folder: RunFolder) -> Run | None:
    """The run as readers see it: `interrupted` when nobody drives it any more, though its journal has no end."""
    # The owner is asked before the journal is read: one that ends in between has told the end by then.
    gone = is_abandoned(folder)
    run = recorded_run(folder)
    return interrupted(run) if run is not None and gone else run


class Following:
    """The executions of a run of this store that goes on: to look again costs what has been added since, not the whole
    journal."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._follower = Follower(folder.journal)
        self._story = Story()

    def execution(self, id: str) -> Execution | None:
        """An execution as the journal tells by now; None where it does not know it. Raises DamagedJournal, or
        MlrunError (STORE) when it cannot be read."""
        with _reading(self._folder):
            entries = self._follower.poll()
        try:
            for entry in entries:
                self._story.add(entry)
        except BrokenJournal as error:
            raise DamagedJournal(self._folder.journal, str(error)) from error
        return self._story.execution(id) if id in self._story else None


def is_abandoned(folder: RunFolder) -> bool:
    """Whether nobody drives the run any more: its owner is dead by its lease, and nobody holds the journal; or it came
    from another store, as it was there.

    Raises MlrunError (STORE) when it may not be read.
    """
    with _reading(folder):
        if folder.imported.exists():
            return True
        owner = read_owner(folder.owner)
        if owner is None or is_alive(owner) is not False:
            return False
        try:
            return not is_held(folder.journal)
        except FileNotFoundError:
            return True


def run_folders(layout: Layout) -> Iterator[RunFolder]:
    """Every run's folder, oldest first."""
    with disk_errors(layout.runs):
        try:
            names = sorted(entry.name for entry in layout.runs.iterdir())
        except FileNotFoundError:
            return
    for name in names:
        if is_id(name):
            yield layout.run(name)


def run_folders_in_trash(layout: Layout) -> Iterator[RunFolder]:
    """The folder of every run that was removed and can be brought back."""
    for path in layout.trash.glob("*/runs/*"):
        if is_id(path.name):
            yield RunFolder(path)


def unreadable_runs(layout: Layout) -> Iterator[tuple[str, MlrunError]]:
    """The id of every run that cannot be read, oldest first, and what is wrong with it. Reads all journals."""
    for folder in run_folders(layout):
        try:
            shown_run(folder)
        except MlrunError as error:
            yield folder.path.name, error


@contextmanager
def _reading(folder: RunFolder) -> Iterator[None]:
    """Turn an OSError into a MlrunError that concerns this run only."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        where = error.filename if isinstance(error.filename, str) else str(folder.journal)
        raise MlrunError(
            f"`{where}` cannot be read: {reason}",
            code=ExitCode.STORE,
            hint=f"look at the owner and the mode of `{folder.path}`; other runs are not affected",
        ) from error
