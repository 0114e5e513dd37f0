"""Gives a run of another store its place in this one, with numbers of its own here. Knows no remote.

The folder is made whole beside its place and gets its name by one rename: of several processes that bring the same run,
one wins, and none ever shows a part of it. What was added to a run's journal since then is added here, under the lock
of the journal: after a kill it has some of the turns that the other store wrote, and whoever brings it again adds the
rest.
"""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress

from runner.errors import ExitCode, MlrunError
from runner.store.durable import NEW, create, disk_errors, sync_folder, temporary_name, write_all
from runner.store.imported import Import, read_import, write_import
from runner.store.journal import in_turn, timestamp
from runner.store.layout import Layout, RunFolder
from runner.store.record import Run
from runner.store.removal import Removals
from runner.store.store import Store

_DAY = 24 * 3600


def clashes(store: Store, runs: Sequence[Run]) -> dict[str, str]:
    """What is wrong with runs that have an execution of the id of another run's, in whose place it would be found; by
    their ids. Raises MlrunError."""
    ids = [id for run in runs for id in run.executions]
    owners: dict[str, str] = {row["id"]: row["run"] for row in store.rows_of("execution", ids)}
    wrong: dict[str, str] = {}
    for run in runs:
        for id in run.executions:
            if owners.setdefault(id, run.id) != run.id:
                wrong[run.id] = f"its execution `{id}` is one of the run `{owners[id]}`"
    return wrong


def admit(store: Store, run: Run, journal: bytes, source: str) -> None:
    """Keep a run, of which everything that it names is here or told as removed; `journal` has been checked, `source` is
    where it came from. Durable on return; a run that is here already stays as it is. Raises MlrunError."""
    layout = store.layout
    counter = store.expect_import(run.id, run.project.id)
    executions = {id: store.new_execution_counter(run.project.id) for id in run.executions}
    new = RunFolder(layout.runs / temporary_name())
    with disk_errors(layout.runs, len(journal)):
        new.path.mkdir(mode=0o700)
        try:
            write_import(new.imported, Import(source, timestamp(), counter, executions))
            _write(new, journal)
            _name(new, layout.run(run.id))
            sync_folder(layout.runs)
        finally:
            shutil.rmtree(new.path, ignore_errors=True)
    removals = Removals(layout)
    if run.id in removals.read().runs:
        removals.append([{"type": "run-restored", "run": run.id}])
    store.admit(run.id)


def renew(store: Store, run: Run, journal: bytes, source: str) -> None:
    """Let the record of a run of another store that is here be `journal`, if that begins with it: what is here stays
    as it is where it is as long by now. The rest is as for `admit`. Raises MlrunError."""
    folder = store.layout.run(run.id)
    here, _ = in_turn(folder.journal)
    with here, disk_errors(folder.path, len(journal)):
        size, _ = here.extent
        told = _told(folder)
        if told is None or size >= len(journal) or folder.journal.read_bytes() != journal[:size]:
            return
        store.expect_more(run.id)
        new = [id for id in run.executions if id not in told.executions]
        numbers = {id: store.new_execution_counter(run.project.id) for id in new}
        # All of the record is by this source from now on, which may be trusted less.
        write_import(folder.imported, Import(source, timestamp(), told.counter, {**told.executions, **numbers}))
        here.extend(journal[size:])
    store.admit(run.id)


def _told(folder: RunFolder) -> Import | None:
    """What numbers the run has. Raises MlrunError (STORE) for a damaged file."""
    try:
        return read_import(folder.imported)
    except ValueError as error:
        raise MlrunError(f"`{folder.imported}` is damaged: {error}", code=ExitCode.STORE) from error


def sweep(layout: Layout) -> None:
    """Remove what was left by processes that were killed while they admitted a run, more than a day ago."""
    with suppress(OSError):
        for path in layout.runs.glob(f"{NEW}*"):
            if path.stat(follow_symlinks=False).st_mtime < time.time() - _DAY:
                shutil.rmtree(path, ignore_errors=True)


def _name(new: RunFolder, place: RunFolder) -> None:
    try:
        new.path.rename(place.path)
    except OSError:
        # A folder that is not empty is not replaced: another process was first.
        if not place.journal.exists():
            raise


def _write(new: RunFolder, journal: bytes) -> None:
    fd = create(new.journal)
    try:
        write_all(fd, journal)
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(new.path)
