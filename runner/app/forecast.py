"""What a run would do, node by node, as far as it can be known before it starts: for which nodes an earlier execution
stands, which run and why, and how long that took before.

A node below one that runs depends on what that writes: if it comes out the same, the node is reused after all. Inputs
on other machines are asked for when a node's turn comes, not here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from runner.app.binding import Drafter
from runner.app.reuse import Reuser
from runner.engine.loop import Stand
from runner.errors import MlrunError
from runner.plan.address import scheme
from runner.plan.model import Plan, PlannedNode
from runner.reuse.decide import Miss, Unreusable
from runner.store.store import Store

_HERE = frozenset({"", "file", "datum", "dataset", "model"})
"""Schemes of sources that no other machine has to be asked for."""
_RECENT = 5
"""Earlier executions whose times are looked at."""


@dataclass(frozen=True, slots=True)
class Stands:
    """An earlier execution stands for the node."""

    stand: Stand


@dataclass(frozen=True, slots=True)
class Runs:
    """It runs, for what is in the way of an earlier one."""

    miss: Miss


@dataclass(frozen=True, slots=True)
class Depends:
    """It is reused if what these nodes write comes out as it was."""

    upstream: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asks:
    """It is reused if what is at these addresses is what it was; nobody asks before its turn."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fails:
    """Its inputs or values are not to be had."""

    error: MlrunError


Fate = Stands | Runs | Depends | Asks | Fails


def forecast(plan: Plan, drafter: Drafter, reuser: Reuser) -> dict[str, Fate]:
    """The fate of every node, in the order of the plan."""
    fates: dict[str, Fate] = {}
    for node in plan.nodes.values():
        fates[node.name] = _fate(node, fates, drafter, reuser)
    return fates


def known(fates: Mapping[str, Fate]) -> dict[str, Stand]:
    """The nodes for which another is sure to stand."""
    return {name: fate.stand for name, fate in fates.items() if isinstance(fate, Stands)}


def _fate(node: PlannedNode, fates: Mapping[str, Fate], drafter: Drafter, reuser: Reuser) -> Fate:
    if (never := reuser.never(node)) is not None:
        return Runs(Miss((Unreusable(never),)))
    if above := tuple(name for name in node.upstream if not isinstance(fates[name], Stands)):
        return Depends(above)
    if far := tuple(dict.fromkeys(_elsewhere(node))):
        return Asks(far)
    upstream = {name: stand.left for name, stand in known({one: fates[one] for one in node.upstream}).items()}
    try:
        job = drafter(node, upstream)
        decision = reuser.seek(node.name, job)
    except MlrunError as error:
        return Fails(error)
    return Runs(decision) if isinstance(decision, Miss) else Stands(reuser.stand_for(job, decision.execution))


def _elsewhere(node: PlannedNode) -> Iterable[str]:
    return (one.uri for sources in node.inputs.values() for one in sources if scheme(one.uri) not in _HERE)


@dataclass(frozen=True, slots=True)
class Cost:
    """What nodes that run are likely to take, by what they took before: seconds of wall clock, bytes of outputs; None
    for a node of which nothing is known."""

    seconds: float
    output_bytes: int


def cost_of(store: Store, project: str, step: str) -> Cost | None:
    """The median of the newest executions of a step."""
    makers = store.of_step(project, step, _RECENT)
    rows = store.rows_of("execution", [id for id, _ in makers])
    took = [row["duration"] for row in rows if row["duration"] is not None]
    if not took:
        return None
    return Cost(median(took), int(median(row["output_bytes"] for row in rows)))


def total_seconds(plan: Plan, fates: Mapping[str, Fate], costs: Mapping[str, Cost | None], slots: int) -> float | None:
    """How long a run takes with so many slots, at least: the longest path, or all of it shared out. None if a node that
    runs has never been timed."""
    ends: dict[str, float] = {}
    work = 0.0
    for node in plan.nodes.values():
        seconds = 0.0
        if not isinstance(fates[node.name], Stands):
            cost = costs.get(node.step.name)
            if cost is None:
                return None
            seconds = cost.seconds
        work += seconds
        ends[node.name] = seconds + max((ends[name] for name in node.upstream), default=0.0)
    return max([work / slots, *ends.values()])
