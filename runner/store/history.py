"""Reads runs from their journals. Writes nothing; knows no index."""

from collections.abc import Iterator

from runner.store.durable import disk_errors
from runner.store.identity import is_id
from runner.store.journal import DamagedJournal, is_held, read
from runner.store.layout import Layout, RunFolder
from runner.store.lease import is_alive, read_owner
from runner.store.record import BrokenJournal, Run, fold, interrupted


def recorded_run(folder: RunFolder) -> Run | None:
    """The run exactly as its journal tells; None when there is none yet (or never was more than a torn first line).

    Raises DamagedJournal, or MlrunError (STORE) when it cannot be read.
    """
    with disk_errors(folder.path):
        try:
            entries = read(folder.journal)
        except (FileNotFoundError, NotADirectoryError):
            return None
    if not entries:
        return None
    try:
        return fold(entries)
    except BrokenJournal as error:
        raise DamagedJournal(folder.journal, str(error)) from error


def shown_run(folder: RunFolder) -> Run | None:
    """The run as readers see it: `interrupted` when nobody drives it any more, though its journal has no end."""
    # The owner is asked before the journal is read: one that ends in between has told the end by then.
    gone = is_abandoned(folder)
    run = recorded_run(folder)
    return interrupted(run) if run is not None and gone else run


def is_abandoned(folder: RunFolder) -> bool:
    """Whether the owner is certainly gone: dead by its lease, and nobody holds the journal."""
    with disk_errors(folder.path):
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
