"""Brings back what the newest batch of the trash holds: files of executions, and whole runs.

Things are back before that is told, and the batch is forgotten last; whoever is killed in between does it again.
"""

import stat
from contextlib import suppress
from dataclasses import dataclass

from runner.errors import MlrunError, usage_error
from runner.store.durable import disk_errors
from runner.store.history import recorded_run, run_folders
from runner.store.reach import FILES, named_by, named_by_execution
from runner.store.record import Execution
from runner.store.removal import Removals
from runner.store.snapshot import Snapshots
from runner.store.store import Store
from runner.store.trash import Batch, Trash
from runner.upkeep.disk import Heap, weigh
from runner.upkeep.sweep import tell_restored
from runner.worker.tree import remove_tree


@dataclass(frozen=True, slots=True)
class Undone:
    """What came back: `heap` is what the batch still held; so many `executions` have their files again, and so many
    `runs` are there again."""

    batch: Batch
    heap: Heap
    executions: int
    runs: int


def undo(store: Store, view: Store) -> Undone:
    """Bring back the newest batch. `store` is open for writing, `view` the same for reading. Only for the holder of the
    turn. Raises MlrunError: USAGE when nothing waits, STORE, DISK."""
    layout = store.layout
    trash = Trash(layout)
    with disk_errors(layout.trash):
        batches = trash.batches()
        if not batches:
            raise usage_error(
                "the trash is empty: there is nothing to undo",
                hint="what was there for a week, or destroyed by `--now`, is gone",
            )
        batch = batches[-1]
        heap = Heap()
        for path in trash.contents(batch):
            status = path.lstat()
            what = weigh(path) if stat.S_ISDIR(status.st_mode) else Heap(1, status.st_size)
            heap.add(what.size, what.files)
        store.expect_back(_runs_in(trash, batch))
        trash.restore(batch)
        runs = _readmit(store, view, trash)
        gone = Removals(layout).read()
        concerned = {id: first for id, first in gone.batches.get(batch.id, {}).items() if id in gone.dropped}
        whole = [id for id, first in concerned.items() if first]
        whole += _whole(view, {id for id, first in concerned.items() if not first})
        tell_restored(layout, whole)
        trash.destroy(batch, remove_tree)
    return Undone(batch, heap, len(whole), runs)


def _runs_in(trash: Trash, batch: Batch) -> list[str]:
    top = trash.folder(batch) / "runs"
    return [path.name for path in trash.contents(batch) if path.parent == top]


def _readmit(store: Store, view: Store, trash: Trash) -> int:
    """Runs that are in their places though they count as removed are removed no more; what they name comes along if it
    waits in other batches. How many."""
    gone = Removals(store.layout).read()
    back = [id for id in sorted(gone.runs) if store.layout.run(id).journal.exists()]
    snapshots = Snapshots(view.objects)
    for id in back:
        with suppress(MlrunError):
            run = recorded_run(store.layout.run(id))
            for named in named_by(run, snapshots.files) if run else ():
                if named.kind not in FILES or named.execution not in gone.dropped:
                    trash.bring_back(named.digest)
        store.readmit(id)
    return len(back)


def _whole(view: Store, executions: set[str]) -> list[str]:
    """Those that have all their files by now, though they had lost some before."""
    found: list[str] = []
    for folder in run_folders(view.layout) if executions else ():
        with suppress(MlrunError):
            run = recorded_run(folder)
            concerned = executions.intersection(run.executions) if run else ()
            found += [id for id in concerned if run and _is_whole(view, run.executions[id])]
    return found


def _is_whole(view: Store, execution: Execution) -> bool:
    return all(view.objects.has(named.digest) for named in named_by_execution(execution) if named.kind in FILES)
