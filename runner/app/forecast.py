"""What a run would do, node by node, as far as it can be known before it starts: for which nodes an earlier execution
stands, which run and why, and how long that took before.

A node below one that runs depends on what that writes: if it comes out the same, the node is reused after all, unless
something else is in the way, which is looked for as if it did. Other machines are asked for inputs and images when a
node's turn comes, not here.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from runner.app.binding import Drafter
from runner.app.ground import Ground
from runner.app.input import make_fetcher
from runner.app.request import Request
from runner.app.reuse import Reuser, left_by
from runner.engine.callback import Stand
from runner.errors import MlrunError
from runner.job import Job
from runner.plan.address import public, scheme
from runner.plan.bind import Left
from runner.plan.model import Plan, PlannedNode
from runner.reuse.decide import Decision, Hit, Miss, Unreusable
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
    """It is reused if what these nodes write comes out as it was. With `besides` that would not do: it is in the way,
    too."""

    upstream: tuple[str, ...]
    besides: Miss | None = None


@dataclass(frozen=True, slots=True)
class Asks:
    """It is reused if what is at these addresses is what it was; nobody asks before its turn."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fails:
    """Its inputs or values are not to be had."""

    error: MlrunError


Fate = Stands | Runs | Depends | Asks | Fails

Asker = Callable[[PlannedNode], Iterable[str]]
"""What other machines have to be asked for before a node is known, as addresses that may be shown."""


def make_asker(request: Request, ground: Ground) -> Asker:
    """What looks for inputs that lie elsewhere, by the user's map of addresses, and for images that are not here."""
    substitutes = make_fetcher(request.place.root, ground.store).substitutes

    def ask(node: PlannedNode) -> Iterator[str]:
        if node.step.image not in ground.images:
            yield f"image {node.step.image}"
        for one in (source for sources in node.inputs.values() for source in sources):
            address = substitutes.find(one.uri) or one.uri
            if scheme(address) not in _HERE:
                yield public(address)

    return ask


def forecast(
    plan: Plan,
    drafter: Drafter,
    reuser: Reuser,
    asker: Asker,
    *,
    only: Collection[str] | None = None,
    explain: bool = True,
) -> dict[str, Fate]:
    """The fate of every node, in the order of the plan, or of those in `only`, with which all above them are.

    Without `explain` nobody looks for the causes of what runs.
    """
    seek = reuser.seek if explain else partial(_seek_stand, reuser)
    fates: dict[str, Fate] = {}
    renaming: set[str] = set()
    supposed: dict[str, Left] = {}
    for node in plan.nodes.values():
        if only is None or node.name in only:
            fate = fates[node.name] = _fate(node, fates, renaming, drafter, reuser, asker, seek)
            if isinstance(fate, Stands) and (
                not renaming.isdisjoint(node.upstream) or reuser.moves_names(fate.stand.reused)
            ):
                renaming.add(node.name)
            if explain:
                fates[node.name] = _suppose(node, fate, supposed, renaming, drafter, reuser, asker)
    return fates


def _seek_stand(reuser: Reuser, node: str, job: Job) -> Stand | Miss:
    return reuser.stand(node, job) or Miss(())


def known(fates: Mapping[str, Fate]) -> dict[str, Stand]:
    """The nodes for which another is sure to stand."""
    return {name: fate.stand for name, fate in fates.items() if isinstance(fate, Stands)}


_Seek = Callable[[str, Job], Stand | Decision]


def _fate(
    node: PlannedNode,
    fates: Mapping[str, Fate],
    renaming: Collection[str],
    drafter: Drafter,
    reuser: Reuser,
    asker: Asker,
    seek: _Seek,
) -> Fate:
    """`renaming` are the nodes at or above which names will mean something else than they do now."""
    if (never := reuser.never(node)) is not None:
        return Runs(Miss((Unreusable(never),)))
    if above := tuple(name for name in node.upstream if not isinstance(fates[name], Stands)):
        return Depends(above)
    if any(node.inputs.values()) and (above := tuple(name for name in node.upstream if name in renaming)):
        return Depends(above)
    if far := tuple(dict.fromkeys(asker(node))):
        return Asks(far)
    upstream = {name: stand.left for name, stand in known({one: fates[one] for one in node.upstream}).items()}
    try:
        job = drafter(node, upstream)
        found = seek(node.name, job)
    except MlrunError as error:
        return Fails(error)
    if isinstance(found, Miss):
        return Runs(found)
    return Stands(found if isinstance(found, Stand) else reuser.stand_for(job, found))


def _suppose(
    node: PlannedNode,
    fate: Fate,
    supposed: dict[str, Left],
    renaming: Collection[str],
    drafter: Drafter,
    reuser: Reuser,
    asker: Asker,
) -> Fate:
    """The fate with what else is in the way if all above comes out as it was: `supposed` has what that left, and gets
    what this node would."""
    if isinstance(fate, Stands):
        supposed[node.name] = fate.stand.left
        return fate
    is_known = all(name in supposed and name not in renaming for name in node.upstream)
    if not isinstance(fate, Runs | Depends) or not is_known or any(asker(node)):
        return fate
    try:
        job = drafter(node, {name: supposed[name] for name in node.upstream})
        found = reuser.seek(node.name, job) if isinstance(fate, Depends) else fate.miss
        like = found.execution if isinstance(found, Hit) else found.nearest or reuser.like(node.name, job)
    except MlrunError:
        return fate
    if like is not None:
        supposed[node.name] = left_by(job, like)
    return Depends(fate.upstream, found) if isinstance(fate, Depends) and isinstance(found, Miss) else fate


# What it costs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step is likely to take, by what it took before: seconds of wall clock, bytes of memory at its peak (None
    where nobody measured it) and of outputs."""

    seconds: float
    memory: int | None
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is likely to take if every node runs of which nothing else is known: how many nodes there are and for
    how many others stand; seconds, bytes of memory at the same time, bytes of outputs, each None where a node that
    runs was never measured."""

    nodes: int
    reused: int
    seconds: float | None
    memory: int | None
    output_bytes: int | None


def estimate(store: Store, project: str, plan: Plan, fates: Mapping[str, Fate], slots: int) -> Estimate:
    """What the nodes with these fates are likely to take, with so many of them at the same time. Raises MlrunError."""
    running = [plan.nodes[name] for name, fate in fates.items() if not isinstance(fate, Stands)]
    costs = costs_of(store, project, {node.step.name for node in running})
    told = [cost for node in running if (cost := costs.get(node.step.name)) is not None]
    is_known = len(told) == len(running)
    peaks = [cost.memory for cost in told if cost.memory is not None]
    return Estimate(
        nodes=len(fates),
        reused=len(fates) - len(running),
        seconds=_total_seconds(plan, fates, costs, slots) if is_known else None,
        memory=sum(heapq.nlargest(slots, peaks)) if len(peaks) == len(running) else None,
        output_bytes=sum(cost.output_bytes for cost in told) if is_known else None,
    )


def costs_of(store: Store, project: str, steps: Iterable[str]) -> dict[str, Cost]:
    """The medians of the newest executions of each step that was ever timed. Raises MlrunError."""
    ids = {step: [id for id, _ in store.of_step(project, step, _RECENT)] for step in steps}
    rows = {row["id"]: row for row in store.rows_of("execution", [id for of_one in ids.values() for id in of_one])}
    found = {step: [rows[id] for id in of_one if id in rows] for step, of_one in ids.items()}
    return {step: cost for step, of_one in found.items() if (cost := _cost(of_one)) is not None}


def _cost(rows: list[dict[str, object]]) -> Cost | None:
    took = [row["duration"] for row in rows if isinstance(row["duration"], int | float)]
    if not took:
        return None
    # Not at the top: it brings fractions and decimals along, and a run that reuses everything asks for no median.
    from statistics import median

    peaks = [peak for row in rows if isinstance(peak := row.get("peak_memory"), int)]
    sizes = [size for row in rows if isinstance(size := row["output_bytes"], int)]
    return Cost(median(took), int(median(peaks)) if peaks else None, int(median(sizes)))


def _total_seconds(plan: Plan, fates: Mapping[str, Fate], costs: Mapping[str, Cost], slots: int) -> float:
    """How long it takes at least: the longest path, or all of it shared out."""
    ends: dict[str, float] = {}
    work = 0.0
    for name, fate in fates.items():
        node = plan.nodes[name]
        seconds = 0.0 if isinstance(fate, Stands) else costs[node.step.name].seconds
        work += seconds
        ends[name] = seconds + max((ends[above] for above in node.upstream), default=0.0)
    return max([work / slots, *ends.values()])
