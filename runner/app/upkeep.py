"""Keeps a store small: what may go by the user's policy, and how it goes. Joins what `runner.upkeep` has."""

from dataclasses import dataclass
from datetime import datetime

from runner.app import publication
from runner.errors import ExitCode, MlrunError
from runner.provenance.host import user_name
from runner.settings import Settings
from runner.store.layout import Layout
from runner.store.store import Store
from runner.upkeep import undo as undoing
from runner.upkeep.pack import Report, pack
from runner.upkeep.plan import Plan, Planner
from runner.upkeep.purge import finish_purges
from runner.upkeep.retention import DEFAULT, Policy
from runner.upkeep.sweep import Sweeper, Swept
from runner.upkeep.turn import alone


@dataclass(frozen=True, slots=True)
class Done:
    """A plan that was carried out; `packed` is None where another command was packing."""

    plan: Plan
    swept: Swept
    packed: Report | None


def policy_of(settings: Settings, last: int | None = None, within: float | None = None) -> Policy:
    """What is to be kept: each rule as the caller says, else as the settings do; a careful one without any."""
    last = settings.keep_last if last is None else last
    within = settings.keep_within if within is None else within
    return DEFAULT if last is None and within is None else Policy(last, within)


def plan_removal(settings: Settings, policy: Policy, moment: datetime, project: str | None = None) -> Plan | None:
    """What would go; None where there is no store. Changes nothing. Raises MlrunError (STORE)."""
    if Layout.open_existing(settings.store) is None:
        return None
    with Store.open(settings.store, create=False) as view:
        return Planner(view, moment).plan(policy, project)


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
        publication.catch_up(store, user_name(), store.reconcile())
        finish_purges(store)
        with alone(store.layout):
            planner = Planner(view, moment, lambda: _mend_names(store))
            plan = planner.plan(policy, project)
            swept = Sweeper(store.layout, planner.taker, user_name()).sweep(plan, moment, at_once=at_once)
        return Done(plan, swept, _pack(store))


def undo(settings: Settings) -> undoing.Undone | None:
    """Bring back what was removed last; None where there is no store.

    Raises MlrunError: USAGE when the trash is empty, LOCKED, STORE, DISK.
    """
    if Layout.open_existing(settings.store) is None:
        return None
    with Store.open(settings.store, create=True) as store, Store.open(settings.store, create=False) as view:
        store.reconcile()
        with alone(store.layout):
            return undoing.undo(store, view)


def _mend_names(store: Store) -> None:
    """Whoever changes names brings them up to their log first; nothing else is changed here."""
    with store.refs.changing({"user": user_name()}):
        pass


def _pack(store: Store) -> Report | None:
    try:
        return pack(store, again=False)
    except MlrunError as error:
        if error.code is not ExitCode.LOCKED:
            raise
        return None
