"""What a run would do, node by node, as far as it can be known before it starts: for which nodes an earlier execution
stands, which run and why, and how long that took before.

A node below one that runs depends on what that writes: if it comes out the same, the node is reused after all, unless
something else is in the way, which is looked for as if it did. Other machines are asked for inputs and images when a
node's turn comes, not here. The trials of a task node are looked at as far as their values follow from the file alone.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType

from runner.app.binding import Drafter
from runner.app.ground import Ground
from runner.app.input import make_fetcher
from runner.app.request import Request
from runner.app.reuse import Reuser, left_by
from runner.app.sweep import make_sweep, trials_of
from runner.engine.callback import NO_PAST, Past, Stand
from runner.errors import MlrunError
from runner.job import Job
from runner.plan.address import public, scheme
from runner.plan.bind import Left
from runner.plan.model import Plan, PlannedNode, trial_name
from runner.reuse.decide import Hit, Miss, Unreusable
from runner.spec.model import TaskType
from runner.state import DONE
from runner.store.store import Store

_HERE = frozenset({"", "file", "datum", "dataset", "model"})
"""Schemes of sources that no other machine has to be asked for."""
_RECENT = 5
"""Earlier executions whose times are looked at."""
_MOST_TRIALS = 1_000
"""Trials that are looked at beforehand, of all tasks together."""


@dataclass(frozen=True, slots=True)
class Stands:
    """An earlier execution stands for the node. Only `if_trials` above it, which a run looks for one by one, all turn
    out to be reused."""

    stand: Stand
    if_trials: bool = False


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


@dataclass(frozen=True, slots=True)
class Sweeps:
    """A task node. It will have `size` trials, fewer if its stop-condition comes to hold (`may_stop`); the values of
    the first `looked_at` are known beforehand, and `stands` has those of them for which earlier executions stand, by
    name. Of the others nobody has looked, or else (`waits`) their values depend on how these come out. `never` says why
    nothing may stand for any; `left` is what the node leaves if all stand. Of a run that goes on, `kept` are over."""

    size: int
    looked_at: int
    stands: Mapping[str, Stand]
    left: Left
    waits: bool = False
    may_stop: bool = False
    never: str | None = None
    kept: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether an earlier execution stands for every trial that there will be, or it is over."""
        return len(self.stands) + self.kept == self.size and not self.may_stop

    @property
    def is_cut(self) -> bool:
        """Whether there were more trials to look at than anybody did."""
        return self.looked_at < self.size and not self.waits and self.never is None


Fate = Stands | Runs | Depends | Asks | Fails | Sweeps

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
    taken: Mapping[str, Stand] = MappingProxyType({}),
    past: Past = NO_PAST,
) -> dict[str, Fate]:
    """The fate of every node, in the order of the plan, or of those in `only`, with which all above them are. `taken`
    stand without being asked; what is over in the `past` of a run that goes on has no fate any more.

    Without `explain` nobody looks for the causes of what runs.
    """
    told = _Forecast(drafter, reuser, asker, explain, past)
    for node in plan.nodes.values():
        if only is None or node.name in only:
            told.add(node, taken.get(node.name))
    return told.fates


def known(fates: Mapping[str, Fate]) -> dict[str, Stand]:
    """The nodes for which another is sure to stand."""
    return {name: fate.stand for name, fate in fates.items() if isinstance(fate, Stands) and not fate.if_trials}


def stands(fate: Fate) -> bool:
    """Whether all that a node would do was done before."""
    return isinstance(fate, Stands) or (isinstance(fate, Sweeps) and fate.is_whole)


_GATHERS = "a deployment node only gathers files"
_TOGETHER = "what the members of a distributed task do together, none of them did alone"


class _Forecast:
    """The fates so far."""

    def __init__(self, drafter: Drafter, reuser: Reuser, asker: Asker, explain: bool, past: Past) -> None:
        self.fates: dict[str, Fate] = {}
        self._drafter = drafter
        self._reuser = reuser
        self._asker = asker
        self._explain = explain
        self._past = past
        self._over = past.over()
        self._left = {name: past.left.get(name, Left()) for name in self._over}
        """What nodes left that are over, or for which others stand, or whose trials all do."""
        self._sure = set(self._over)
        """The nodes that are over, or for which others stand whatever becomes of trials."""
        self._renaming: set[str] = set()
        """The nodes at or above which names will mean something else than they do now."""
        self._supposed = dict(self._left)
        """What nodes leave if all above them comes out as it was."""
        self._trials = _MOST_TRIALS
        """How many trials may still be looked at."""

    def add(self, node: PlannedNode, taken: Stand | None) -> None:
        """Find the fate of the next node, if it is not over."""
        if node.name in self._over:
            return
        draft = _once(self._drafter)
        fate = Stands(taken) if taken else self._fate(node, draft)
        if isinstance(fate, Stands | Sweeps) and stands(fate):
            self._stand(node, fate)
        self.fates[node.name] = self._suppose(node, fate, draft) if self._explain else fate

    def _fate(self, node: PlannedNode, draft: Drafter) -> Fate:
        never = self._reuser.never(node) or (_GATHERS if node.kind == "deployment" else None)
        above = tuple(name for name in node.upstream if name not in self._left)
        if never is not None and (above or node.kind != "task"):
            return Runs(Miss((Unreusable(never),)))
        if above:
            return Depends(above)
        if any(node.inputs.values()) and (above := tuple(name for name in node.upstream if name in self._renaming)):
            return Depends(above)
        if far := tuple(dict.fromkeys(self._asker(node))):
            return Asks(far)
        upstream = {name: self._left[name] for name in node.upstream}
        try:
            if node.kind == "task":
                return self._sweep(node, upstream, never)
            return self._seek(node, draft(node, upstream))
        except MlrunError as error:
            return Fails(error)

    def _seek(self, node: PlannedNode, job: Job) -> Fate:
        if not self._explain:
            stand = self._reuser.stand(node.name, job)
            return self._standing(node, stand) if stand else Runs(Miss(()))
        found = self._reuser.seek(node.name, job)
        return Runs(found) if isinstance(found, Miss) else self._standing(node, self._reuser.stand_for(job, found))

    def _standing(self, node: PlannedNode, stand: Stand) -> Stands:
        return Stands(stand, any(name not in self._sure for name in node.upstream))

    def _sweep(self, node: PlannedNode, upstream: Mapping[str, Left], never: str | None) -> Sweeps:
        """Look for the trials of a task whose values are known beforehand; each is asked as a node is."""
        sweep = make_sweep(node, upstream, lambda event: None)
        task = sweep.template.task
        size = sweep.sampler.size or 0
        if never is None and task is not None and task.type is TaskType.DISTRIBUTED:
            never = _TOGETHER
        before = self._past.trials.get(node.name, {})
        if before:
            sweep.sampler.restore(list(before.values()))
        wanted = min(size - len(before), self._trials) if never is None else 0
        asked = sweep.sampler.ask(wanted) if wanted else ()
        self._trials -= len(asked)
        chosen = [told.parameters for told in before.values()] + list(asked)
        kept = 0
        found: dict[str, Stand] = {}
        done: list[tuple[int, Left]] = []
        for number, parameters in enumerate(chosen, 1):
            name = trial_name(node.name, number)
            if name in self._over:
                kept += 1
                done += [(number, self._left[name])] if self._over[name].state in DONE else []
            elif never is None:
                draft = self._drafter(sweep.trial(name, parameters), upstream)
                if (stand := self._reuser.stand(node.name, draft)) is not None:
                    found[name] = stand
                    done.append((number, stand.left))
        left = Left(sweep.template.parameters, sweep.template.environment, trials=tuple(done))
        may_stop = task is not None and task.stop_condition is not None
        return Sweeps(size, len(chosen), found, left, len(asked) < wanted, may_stop, never, kept)

    def _stand(self, node: PlannedNode, fate: Stands | Sweeps) -> None:
        """Note what a node leaves for which others stand, and whether names move with it."""
        if isinstance(fate, Stands) and not fate.if_trials:
            self._sure.add(node.name)
        each = fate.stands.values() if isinstance(fate, Sweeps) else (fate.stand,)
        self._left[node.name] = fate.left if isinstance(fate, Sweeps) else fate.stand.left
        reused = (one for stand in each for one in stand.all_reused())
        if not self._renaming.isdisjoint(node.upstream) or any(map(self._reuser.moves_names, reused)):
            self._renaming.add(node.name)

    def _suppose(self, node: PlannedNode, fate: Fate, draft: Drafter) -> Fate:
        """The fate with what else is in the way if all above comes out as it was."""
        if node.name in self._left:
            self._supposed[node.name] = self._left[node.name]
            return fate
        is_known = all(name in self._supposed and name not in self._renaming for name in node.upstream)
        if not isinstance(fate, Runs | Depends) or not is_known or node.kind != "execution" or any(self._asker(node)):
            return fate
        try:
            job = draft(node, {name: self._supposed[name] for name in node.upstream})
            found = self._reuser.seek(node.name, job) if isinstance(fate, Depends) else fate.miss
            like = found.execution if isinstance(found, Hit) else found.nearest or self._reuser.like(node.name, job)
        except MlrunError:
            return fate
        if like is not None:
            self._supposed[node.name] = left_by(job, like)
        return Depends(fate.upstream, found) if isinstance(fate, Depends) and isinstance(found, Miss) else fate


def _once(drafter: Drafter) -> Drafter:
    """What drafts one node, which has the same upstreams whoever asks, once."""
    drafted: list[Job] = []

    def draft(node: PlannedNode, upstream: Mapping[str, Left]) -> Job:
        if not drafted:
            drafted.append(drafter(node, upstream))
        return drafted[0]

    return draft


# What it costs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step is likely to take, by what it took before: seconds of wall clock, bytes of memory at its peak (None
    where nobody measured it) and of outputs."""

    seconds: float
    memory: int | None
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of the task nodes of which is known how many there will be: for how many others stand, or `at_least`
    do so, since not all were looked at."""

    size: int = 0
    reused: int = 0
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is likely to take if every node and trial runs of which nothing else is known: how many nodes there
    are and for how many others stand; seconds, bytes of memory at the same time, bytes of outputs, each None where a
    node that runs was never measured, or nobody knows how many trials there will be."""

    nodes: int
    reused: int
    seconds: float | None
    memory: int | None
    output_bytes: int | None
    trials: Trials = Trials()


def estimate(store: Store, project: str, plan: Plan, fates: Mapping[str, Fate], slots: int) -> Estimate:
    """What the nodes with these fates are likely to take, with so many of them at the same time. Raises MlrunError."""
    pending = [plan.nodes[name] for name, fate in fates.items() if not stands(fate)]
    running = [node for node in pending if node.kind != "deployment"]
    costs = costs_of(store, project, {node.step.name for node in running})
    counts = {node.name: jobs_of(node, fates[node.name]) for node in running}
    loads = [
        (cost, count)
        for node in running
        if (cost := costs.get(node.step.name)) is not None and (count := counts[node.name]) is not None
    ]
    is_known = len(loads) == len(running)
    has_peaks = is_known and all(cost.memory is not None for cost, _ in loads)
    peaks = [cost.memory or 0 for cost, count in loads for _ in range(min(slots, count))]
    return Estimate(
        nodes=len(fates),
        reused=len(fates) - len(pending),
        seconds=_total_seconds(plan, fates, costs, slots) if is_known else None,
        memory=sum(heapq.nlargest(slots, peaks)) if has_peaks else None,
        output_bytes=sum(cost.output_bytes * count for cost, count in loads) if is_known else None,
        trials=_trials_of(fates.values()),
    )


def _trials_of(fates: Iterable[Fate]) -> Trials:
    sweeps = [fate for fate in fates if isinstance(fate, Sweeps)]
    return Trials(
        sum(one.size for one in sweeps), sum(len(one.stands) for one in sweeps), any(one.is_cut for one in sweeps)
    )


def jobs_of(node: PlannedNode, fate: Fate) -> int | None:
    """How many jobs a node has that may run: of a task its trials, as far as none stands; None where an edge is to
    bring the values that they go through."""
    if isinstance(fate, Sweeps):
        return fate.size - len(fate.stands) - fate.kept
    return trials_of(node) if node.kind == "task" else 1


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
        is_free = stands(fate) or node.kind == "deployment"
        jobs = 0 if is_free else jobs_of(node, fate) or 0
        seconds = costs[node.step.name].seconds if jobs else 0.0
        work += seconds * jobs
        took = seconds * ceil(jobs / _lanes(node, slots))
        ends[name] = took + max((ends.get(above, 0.0) for above in node.upstream), default=0.0)
    return max([work / slots, *ends.values()])


def _lanes(node: PlannedNode, slots: int) -> int:
    """How many trials of a task run at the same time."""
    task = node.task
    return min(slots, (task.maximum_queued_executions if task is not None else None) or slots)
