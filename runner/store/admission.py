"""Runs whose folders come into their place from elsewhere: from the trash, or from another store.

The index is told before the folder is there, so that readers see the run from that moment on, and whoever comes after a
kill finds it. Afterwards it gets the run's rows.
"""

from collections.abc import Iterable

from runner.errors import ExitCode, MlrunError
from runner.store.history import recorded_run
from runner.store.index import Index
from runner.store.layout import Layout
from runner.store.lease import current_owner
from runner.store.record import Run
from runner.store.removal import Removals


def expect_back(index: Index, run_ids: Iterable[str]) -> None:
    """Let readers look for the journals of runs that are about to be moved back: whoever is killed after the move has
    brought them back all the same."""
    index.expect(run_ids, current_owner())


def readmit(layout: Layout, index: Index, run_id: str) -> None:
    """Put a run whose folder is in its place again into the index, and tell that it is not removed."""
    admit(layout, index, run_id)
    removals = Removals(layout)
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
