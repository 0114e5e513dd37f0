"""Takes whole runs out of the store, and puts them back. After a kill anywhere a run is either there or removed.

The entry in `removed` comes first: it keeps the numbers of the run. Then the index is told to look for the journal, so
that readers see the run as long as its folder is in its place and not a moment longer. Then the folder is moved.
"""

from collections.abc import Iterable
from contextlib import suppress

from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.state import FINAL
from runner.store.durable import disk_errors, sync_folder
from runner.store.history import recorded_run, run_before_damage
from runner.store.index import Index
from runner.store.journal import is_held
from runner.store.layout import Layout
from runner.store.lease import current_owner, is_alive, read_owner
from runner.store.record import Entry, Run
from runner.store.removal import Removals
from runner.store.trash import Batch, Trash


def check_ended(layout: Layout, run_id: str) -> None:
    """Raise MlrunError (LOCKED) while somebody drives the run, or may do so where nobody here can tell."""
    folder = layout.run(run_id)
    run = _readable(layout, run_id)
    with disk_errors(folder.path):
        held = folder.journal.exists() and is_held(folder.journal)
        owner = read_owner(folder.owner)
    # The end of a run is its last word, whoever wrote it; without it only a dead owner is certain.
    ended = (run is not None and run.state in FINAL) or folder.imported.exists()
    if not held and (ended or (owner is not None and is_alive(owner) is False)):
        return
    named = f"run {run.counter}" if run is not None else f"the run `{run_id}`"
    driver = "" if owner is None else f": process {owner.pid} on `{printable(owner.host)}` drives it"
    raise MlrunError(f"{named} is under way{driver}", code=ExitCode.LOCKED, hint=f"`mlrun stop {run_id}` stops it")


def remove(layout: Layout, index: Index, run_id: str, batch: Batch) -> None:
    """Move a run that has ended, with its work folders, into a batch of the trash. Its objects stay.

    Raises MlrunError: LOCKED for a run under way, STORE, DISK.
    """
    check_ended(layout, run_id)
    run = _readable(layout, run_id)
    Removals(layout.removed).append([_removal(run_id, run)])
    index.expect([run_id], current_owner())
    trash = Trash(layout)
    with disk_errors(layout.root):
        trash.move(batch, layout.run(run_id).path)
        sync_folder(layout.runs)
        for execution in run.executions if run is not None else ():
            trash.move(batch, layout.work_folder(execution))
        _sync_batch(layout, batch)
    index.forget(run_id, run.executions.values() if run is not None else ())


def expect_back(index: Index, run_ids: Iterable[str]) -> None:
    """Let readers look for the journals of runs that are about to be moved back: whoever is killed after the move has
    brought them back all the same."""
    index.expect(run_ids, current_owner())


def readmit(layout: Layout, index: Index, run_id: str) -> None:
    """Put a run whose folder is in its place again into the index, and tell that it is not removed."""
    admit(layout, index, run_id)
    removals = Removals(layout.removed)
    if run_id in removals.read().runs:
        removals.append([{"type": "run-restored", "run": run_id}])


def admit(layout: Layout, index: Index, run_id: str) -> Run:
    """Put a run whose folder has come into its place into the index. Raises MlrunError (STORE) when it has no journal,
    or one that cannot be read."""
    run = recorded_run(layout.run(run_id))
    if run is None:
        raise MlrunError(f"the store has no journal of the run `{run_id}`", code=ExitCode.STORE)
    index.put(run, run.executions.values())
    return run


def _readable(layout: Layout, run_id: str) -> Run | None:
    """The run as far as it can be read."""
    try:
        return recorded_run(layout.run(run_id))
    except MlrunError as error:
        return run_before_damage(error)


def _removal(run_id: str, run: Run | None) -> Entry:
    highest = max((one.counter for one in run.executions.values()), default=0) if run is not None else 0
    return {
        "type": "run-removed",
        "run": run_id,
        "project": "" if run is None else run.project.id,
        "counter": 0 if run is None else run.counter,
        "executions": highest,
    }


def _sync_batch(layout: Layout, batch: Batch) -> None:
    top = Trash(layout).folder(batch)
    for folder in (top, top / "runs", top / "work", layout.work):
        with suppress(FileNotFoundError):
            sync_folder(folder)
