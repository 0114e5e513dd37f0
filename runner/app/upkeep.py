"""Keeps a store small: what may go by the user's policy, and how it goes. Joins what `runner.upkeep` has."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from runner.errors import ExitCode, MlrunError
from runner.provenance.host import user_name
from runner.settings import Settings
from runner.store.layout import Layout
from runner.store.record import Run
from runner.store.removal import Removals
from runner.store.store import Store
from runner.upkeep.plan import Plan, Planner
from runner.upkeep.retention import DEFAULT, Policy
from runner.upkeep.sweep import Sweeper, Swept
from runner.upkeep.turn import alone

if TYPE_CHECKING:
    from runner.upkeep.pack import Report
    from runner.upkeep.undo import Undone

# What most calls do not need is imported where it is used: the start of the program is a large part of a removal.


@dataclass(frozen=True, slots=True)
class Done:
    """A plan that was carried out; `packed` is None where another command was packing."""

    plan: Plan
    swept: Swept
    packed: "Report | None"


def policy_of(settings: Settings, last: int | None = None, within: float | None = None) -> Policy:
    """What is to be kept: each rule as the caller says, else as the settings do; a careful one without any."""
    last = settings.keep_last if last is None else last
    within = settings.keep_within if within is None else within
    return DEFAULT if last is None and within is None else Policy(last, within)


def plan_removal(
    settings: Settings,
    policy: Policy,
    moment: datetime,
    project: str | None = None,
    watch: Callable[[Run], object] | None = None,
) -> Plan | None:
    """What would go; None without a store. Changes nothing. `watch` gets every run. Raises MlrunError (STORE)."""
    if Layout.open_existing(settings.store) is None:
        return None
    with Store.open(settings.store, create=False) as view:
        return Planner(view, moment, watch=watch).plan(policy, project)


def remove(
    settings: Settings, policy: Policy, moment: datetime, project: str | None = None, *, at_once: bool = False
) -> Done | None:
    """Remove what may go, and pack what stays; None where there is no store.

    Raises MlrunError: LOCKED when others remove things for too long, STORE, DISK.
    """
    if Layout.open_existing(settings.store) is None:
        return None
    with Store.open(settings.store, create=True) as store, Store.open(settings.store, create=False) as view:
        # Runs that lost their runner are ended first, and what they wanted to be called is set.
        _end_lost_runs(store)
        _finish_purges(store)
        with alone(store.layout):
            planner = Planner(view, moment, store.refs.mend)
            Removals(store.layout).remember()
            plan = planner.plan(policy, project)
            sweeper = Sweeper(store.layout, planner.taker, user_name())
            swept = sweeper.sweep(plan, moment, at_once=at_once)
        sweeper.end(swept)
        return Done(plan, swept, _pack(store))


def undo(settings: Settings) -> "Undone | None":
    """Bring back what was removed last; None where there is no store.

    Raises MlrunError: USAGE when the trash is empty, LOCKED, STORE, DISK.
    """
    from runner.upkeep.undo import undo

    if Layout.open_existing(settings.store) is None:
        return None
    with Store.open(settings.store, create=True) as store, Store.open(settings.store, create=False) as view:
        store.reconcile()
        with alone(store.layout):
            return undo(store, view)


def _end_lost_runs(store: Store) -> None:
    if ended := store.reconcile():
        from runner.app import publication

        publication.catch_up(store, user_name(), ended)


def _finish_purges(store: Store) -> None:
    try:
        if not Removals(store.layout).read().purged:
            return
    except MlrunError:
        # A damaged journal is told by the check; nothing may be destroyed by what it says.
        return
    from runner.upkeep.purge import finish_purges

    finish_purges(store)


def _pack(store: Store) -> "Report | None":
    from runner.upkeep.pack import pack

    try:
        with alone(store.layout, patience=0) as turn:
            return pack(store, turn, again=False)
    except MlrunError as error:
        if error.code is not ExitCode.LOCKED:
            raise
        return None
