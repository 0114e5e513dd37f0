"""Ends runs whose owner is gone. Safe beside a living or a racing owner, and any number of times."""

import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from runner.errors import MlrunError
from runner.state import FINAL, Reason, State
from runner.store.history import recorded_run
from runner.store.index import Index
from runner.store.journal import DamagedJournal, Journal, read
from runner.store.layout import Layout, RunFolder
from runner.store.lease import is_alive, read_owner
from runner.store.record import Entry, Owner, Run
from runner.store.story import BrokenJournal, fold, interrupted, is_driven

GoesOn = Callable[[Run], bool]
"""Whether jobs of a run that lost its owner go on without it, or may do so: then its end is not known yet."""


_OUTLIVING = frozenset({"docker"})
"""Executors whose jobs outlive their runner."""


def may_go_on(run: Run) -> bool:
    """The answer of who cannot look at the machine."""
    return run.executor in _OUTLIVING and bool(open_executions(run))


def reconcile(layout: Layout, index: Index, goes_on: GoesOn) -> tuple[str, ...]:
    """Write the end of every run that lost its owner and does not go on; gives the ids of those that had none.

    A run whose files are damaged or belong to somebody else is left alone: whoever reads it is told.
    """
    ended = []
    for run_id, owner in index.open_runs().items():
        folder = layout.run(run_id)
        # What fails while it writes is no OSError but a MlrunError, and ends the command.
        with suppress(BrokenJournal, DamagedJournal, OSError):
            alive = _is_alive(folder, owner)
            # Whoever had it in hand last is not its owner, where a run was being removed or brought back.
            if alive is None or (alive and is_alive(owner) is False):
                _complete(folder, index)
            elif not alive and _end(folder, run_id, index, goes_on):
                ended.append(run_id)
    return tuple(ended)


def open_executions(run: Run) -> list[str]:
    """The ids of the executions whose end nobody has told."""
    return [id for id, execution in run.executions.items() if execution.state not in FINAL]


def lost_executions(run: Run, followed: Collection[str] = ()) -> list[Entry]:
    """The entries that end what was under way when `run` lost its owner, but for the executions that somebody follows
    from now on."""
    return [
        {"type": "execution-finished", "id": id, "state": State.INTERRUPTED, "reason": Reason.RUNNER_LOST}
        for id in open_executions(run)
        if id not in followed
    ]


def last_entries(run: Run) -> list[Entry]:
    """The entries that turn `run` into `interrupted(run)`."""
    after = interrupted(run)
    lost = Reason.RUNNER_LOST
    entries = lost_executions(run)
    entries += (
        {"type": "node-moved", "node": name, "state": after.nodes[name].state, "reason": lost}
        for name, node in run.nodes.items()
        if node.state not in FINAL
    )
    return [*entries, {"type": "run-finished", "state": after.state, "reason": lost}]


def _is_alive(folder: RunFolder, registered: Owner) -> bool | None:
    """Whether the owner lives; None where nobody here can tell, and for a run of another store."""
    if not folder.journal.exists():
        # It is only about to begin, by the hand of who registered it.
        return is_alive(registered)
    return None if folder.imported.exists() else is_alive(read_owner(folder.owner) or registered)


def _complete(folder: RunFolder, index: Index) -> None:
    """Put the rows of a run that ended though the index does not know; without an end it is left alone."""
    try:
        run = recorded_run(folder)
    except MlrunError:
        return
    if run is not None and run.state in FINAL:
        index.put(run, run.executions.values())


def _end(folder: RunFolder, run_id: str, index: Index, goes_on: GoesOn) -> bool:
    try:
        # Looked at without its lock first: whoever resumes it in this moment shall not find it taken.
        if _is_left(read(folder.journal), goes_on):
            return False
        taken = Journal.take_over(folder.journal)
    except FileNotFoundError:
        _forget(folder, run_id, index)
        return False
    if taken is None:
        return False
    journal, entries = taken
    with journal:
        if not entries:
            _forget(folder, run_id, index)
            return False
        if _is_left(entries, goes_on):
            return False
        run = fold(entries)
        open_end = run.state not in FINAL
        if open_end:
            run = fold([*entries, *journal.append(last_entries(run))])
    index.put(run, run.executions.values())
    return open_end


def _is_left(entries: Sequence[Entry], goes_on: GoesOn) -> bool:
    """Whether a run without an owner is none of our business: it waits for approval, or goes on. Raises
    BrokenJournal."""
    if not entries:
        return False
    run = fold(entries)
    return run.state not in FINAL and (not is_driven(run) or goes_on(run))


def _forget(folder: RunFolder, run_id: str, index: Index) -> None:
    """The run's first entry was never acknowledged: nothing was started and nothing is lost."""
    if folder.path.exists() and not folder.imported.exists():
        shutil.rmtree(folder.path)
    index.forget(run_id)
    if folder.imported.exists():
        # Another process has brought it from elsewhere meanwhile, in one rename.
        _complete(folder, index)
