"""Removes whole runs from the user's store, unless something needs them. Joins `runner.upkeep` and the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.app import publication
from runner.errors import ExitCode, MlrunError
from runner.provenance.host import user_name
from runner.settings import Settings
from runner.store import withdrawal
from runner.store.durable import disk_errors
from runner.store.record import Run
from runner.store.removal import Removals
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep.tie import ties
from runner.upkeep.turn import alone


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A run that is removed; `run` is None where its journal could not be read. `ties` is what still points to it."""

    id: str
    run: Run | None
    ties: Sequence[str]


def withdraw(settings: Settings, ids: Sequence[str], *, force: bool) -> list[Withdrawn]:
    """Remove runs: all of these or, where one may not be removed, none.

    With `force` also those that something points to, and those that cannot be read. Raises MlrunError: LOCKED for a run
    under way, POLICY for one that is tied, STORE, DISK.
    """
    with Store.open(settings.store, create=True) as store:
        # Runs that lost their runner are ended first, and what they wanted to be called is set.
        publication.catch_up(store, user_name(), store.reconcile())
        with alone(store.layout):
            Removals(store.layout).check_whole()
            chosen = [_checked(store, id, ids, force=force) for id in ids]
            with disk_errors(store.layout.trash):
                batch = Trash(store.layout).begin("rm", user_name())
            for one in chosen:
                store.remove_run(one.id, batch)
    return chosen


def _checked(store: Store, id: str, ids: Sequence[str], *, force: bool) -> Withdrawn:
    withdrawal.check_ended(store.layout, id)
    try:
        run = store.run(id)
    except MlrunError:
        if not force:
            raise
        return Withdrawn(id, None, ())
    found = list(ties(store, run, ids))
    if found and not force:
        raise MlrunError(
            f"run {run.counter} is needed: {found[0]}" + (f", and {len(found) - 1} more" if len(found) > 1 else ""),
            code=ExitCode.POLICY,
            hint="`mlrun pin --remove`, `mlrun alias --remove` take a tie away, and runs that need it can go with it; "
            "`--force` removes it all the same",
        )
    return Withdrawn(id, run, found)


def spared(withdrawn: Sequence[Withdrawn]) -> Mapping[str, int]:
    """The files of removed runs, which stay in the store until it is swept: digest to bytes."""
    runs = [one.run for one in withdrawn if one.run is not None]
    return {file.digest: file.size for run in runs for one in run.executions.values() for file in one.outputs}
