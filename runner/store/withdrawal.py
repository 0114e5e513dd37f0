"""Takes whole runs out of the store. After a kill anywhere a run is either there or removed.

The entry in `removed` comes first: it keeps the numbers of the run. Then the index is told to look for the journal, so
that readers see the run as long as its folder is in its place and not a moment longer. Then the folder is moved.
"""

from contextlib import suppress

from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.state import FINAL
from runner.store.departed import removed_run
from runner.store.durable import disk_errors, sync_folder
from runner.store.history import readable_run
from runner.store.index import Index
from runner.store.journal import is_held
from runner.store.layout import Layout
from runner.store.lease import current_owner, is_alive, read_owner
from runner.store.record import Owner, Run
from runner.store.removal import Removals, run_removed
from runner.store.trash import Batch, Trash


def check_ended(layout: Layout, run_id: str) -> None:
    """Raise MlrunError: LOCKED while somebody drives the run, or may do so where nobody here can tell; USAGE when it
    is removed already."""
    folder = layout.run(run_id)
    if not folder.path.exists() and (gone := removed_run(layout, run_id)) is not None:
        raise gone
    run = readable_run(folder)
    with disk_errors(folder.path):
        held = folder.journal.exists() and is_held(folder.journal)
        owner = read_owner(folder.owner)
    # The end of a run is its last word, whoever wrote it; without it only a dead owner is certain.
    ended = (run is not None and run.state in FINAL) or folder.imported.exists()
    if not held and (ended or (owner is not None and is_alive(owner) is False)):
        return
    raise under_way(run or run_id, owner)


def under_way(run: Run | str, owner: Owner | None) -> MlrunError:
    """That somebody drives a run, given by its id where it cannot be read."""
    named, id = (f"run {run.counter}", run.id) if isinstance(run, Run) else (f"the run `{run}`", run)
    driver = "" if owner is None else f": process {owner.pid} on `{printable(owner.host)}` drives it"
    return MlrunError(f"{named} is under way{driver}", code=ExitCode.LOCKED, hint=f"`mlrun stop {id}` stops it")


def remove(layout: Layout, index: Index, run_id: str, batch: Batch) -> None:
    """Move a run that has ended, with its work folders, into a batch of the trash. Its objects stay.

    Raises MlrunError: LOCKED for a run under way, STORE, DISK.
    """
    check_ended(layout, run_id)
    run = readable_run(layout.run(run_id))
    Removals(layout).append([run_removed(run_id, run)])
    index.expect([run_id], current_owner())
    trash = Trash(layout)
    with disk_errors(layout.root):
        trash.move(batch, layout.run(run_id).path)
        sync_folder(layout.runs)
        for execution in run.executions if run is not None else ():
            trash.move(batch, layout.work_folder(execution))
        _sync_batch(layout, batch)
    index.forget(run_id, run)


def _sync_batch(layout: Layout, batch: Batch) -> None:
    top = Trash(layout).folder(batch)
    for folder in (top, top / "runs", top / "work", layout.work):
        with suppress(FileNotFoundError):
            sync_folder(folder)
