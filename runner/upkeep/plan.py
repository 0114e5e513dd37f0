"""What `mlrun gc` would remove from a store, and why. Reads everything, writes nothing.

Whatever nobody names is garbage: objects that only expired executions name, and what crashes have left. Those may
belong to writers under way that this program knows nothing of, so they have to be a day old.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from runner.digest import is_digest
from runner.errors import ExitCode, MlrunError
from runner.process import start_time
from runner.store.durable import NEW, disk_errors
from runner.store.identity import is_id
from runner.store.journal import timestamp
from runner.store.layout import SHARDS
from runner.store.recipe import decode_recipe
from runner.store.record import Run
from runner.store.removal import Removals, Removed
from runner.store.store import Store
from runner.store.trash import Batch, Trash
from runner.upkeep.census import Census, CensusTaker
from runner.upkeep.disk import Heap, entries, weigh, weigh_batch, weigh_work
from runner.upkeep.mark import Mentions, raw
from runner.upkeep.retention import Fact, Ground, Policy, Verdict, decide

DAY = 86400.0
"""Seconds after which a file or folder that belongs to nobody was left by a crash."""
GRACE = DAY
"""The same for objects. Claims protect those of writers under way; this protects those of writers without claims."""
MONTH = 30 * DAY
"""Seconds after which folders and downloads that somebody wanted to keep are not wanted any more."""

PARTIAL = ".part"
"""The end of the name of a download that is not whole."""
_KEPT = "kept-"


Sizes = dict[str, dict[str, int]]
"""Bytes of files, by part of the store (`packed`, `objects`) and name, in the order in which they go: a recipe before
what it is made of."""


class Left(NamedTuple):
    """A file or folder that somebody left, and why it can go."""

    path: Path
    heap: Heap
    why: str


@dataclass(slots=True)
class Loss:
    """What executions of one step lose for one reason. `executions` has their numbers, in order."""

    project: str
    project_name: str
    step: str
    why: str
    executions: list[int] = field(default_factory=list)
    heap: Heap = field(default_factory=Heap)


@dataclass(slots=True)
class Plan:
    """What would go. `losers` are the ids of executions that lose files; `files` are the objects and recipes that
    nobody needs; `orphans` what of these no record names, `young` what
    is not old enough for that, `taken_out` what only runs in the trash name; `work` and `stale` are folders and
    files beside the objects, of which the stale are nobody's and do not go through the trash; `waiting` are the
    batches in the trash and what is in each; `quarantined` is only told."""

    policy: Policy
    census: Census
    losses: list[Loss] = field(default_factory=list)
    losers: list[str] = field(default_factory=list)
    kept: dict[Ground, int] = field(default_factory=dict)
    files: Sizes = field(default_factory=lambda: {"packed": {}, "objects": {}})
    orphans: Heap = field(default_factory=Heap)
    young: Heap = field(default_factory=Heap)
    taken_out: Heap = field(default_factory=Heap)
    work: list[Left] = field(default_factory=list)
    stale: list[Left] = field(default_factory=list)
    waiting: list[tuple[Batch, Heap]] = field(default_factory=list)
    quarantined: Heap = field(default_factory=Heap)

    @property
    def heap(self) -> Heap:
        """All that would go."""
        heap = Heap()
        for sizes in self.files.values():
            heap.add(sum(sizes.values()), len(sizes))
        for left in (*self.work, *self.stale):
            heap.add(left.heap.size, left.heap.files)
        return heap

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (any(self.files.values()) or self.work or self.stale)


class Planner:
    """Plans for one store, which must be open for reading only. Raises MlrunError (STORE)."""

    def __init__(
        self,
        view: Store,
        moment: datetime,
        mend: Callable[[], object] | None = None,
        watch: Callable[[Run], object] | None = None,
    ) -> None:
        """`moment` is what counts as now; `mend` and `watch` as of `CensusTaker`."""
        self._layout = view.layout
        self._moment = moment
        removals = Removals(view.layout)
        removals.check_whole()
        self.removed: Removed = removals.read()
        self.taker = CensusTaker(view, self.removed, mend, watch)

    def plan(self, policy: Policy, project: str | None = None) -> Plan:
        """What would go by this policy; executions of other projects than `project` keep all, None: of none."""
        census = self.taker.look()
        facts = census.facts
        verdicts = decide(
            facts,
            census.named,
            policy,
            self._ago(policy.within or 0.0),
            project=project,
            removed=self.removed.dropped,
            held=census.held,
        )
        plan = Plan(policy, census)
        owners = Mentions()
        for number, fact in enumerate(facts):
            verdict = verdicts[fact.id]
            if verdict.is_kept:
                census.marks.add(fact.files)
                plan.kept[verdict.ground] = plan.kept.get(verdict.ground, 0) + 1
            else:
                owners.add(fact.files, number)
        for index in range(len(SHARDS)):
            for digest, _ in census.taken_out.shard(index):
                owners.add(digest, len(facts))
        with disk_errors(self._layout.root):
            self._follow_recipes(census, owners)
            tally = _Tally(plan, facts, verdicts)
            for index in range(len(SHARDS)):
                self._sort(index, owners, tally)
            self._find_work(tally)
            self._find_stale(plan)
            trash = Trash(self._layout)
            plan.waiting = [(batch, weigh_batch(trash.folder(batch))) for batch in trash.batches()]
            plan.quarantined = self._weigh_quarantine()
        tally.end()
        return plan

    def _follow_recipes(self, census: Census, owners: Mentions) -> None:
        """What an object is made of is needed as long as it is."""
        there = {entry.name for entry in entries(self._layout.packed)}
        for index, shard in enumerate(SHARDS):
            found = entries(self._layout.packed / shard) if shard in there else ()
            packed = [entry for entry in found if is_digest(entry.name)]
            if not packed:
                continue
            kept = census.marks.by_digest(index)
            mentions = _by_digest(owners, index)
            for entry in packed:
                digest = bytes.fromhex(entry.name)
                sources = _sources(Path(entry.path), needed=digest in kept)
                if digest in kept:
                    census.marks.add(sources)
                for owner in mentions.get(digest, ()):
                    owners.add(sources, owner)

    def _sort(self, index: int, owners: Mentions, tally: "_Tally") -> None:
        """Find the garbage among the objects and recipes of one shard."""
        kept = tally.plan.census.marks.by_digest(index)
        mentions = _by_digest(owners, index)
        limit = self._moment.timestamp() - GRACE
        for part, sizes in tally.plan.files.items():
            for entry in entries(f"{self._layout.root}/{part}/{SHARDS[index]}"):
                name = entry.name
                if not is_digest(name):
                    if name.startswith(NEW):
                        self._add_stale(tally.plan, entry)
                    continue
                digest = bytes.fromhex(name)
                if digest in kept:
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                size = status.st_size
                if digest in mentions:
                    sizes[name] = size
                    tally.add_named(size, mentions[digest])
                elif status.st_ctime > limit:
                    tally.plan.young.add(size)
                else:
                    sizes[name] = size
                    tally.plan.orphans.add(size)

    def _find_work(self, tally: "_Tally") -> None:
        """Work folders that are not needed, and logs that never became objects."""
        for entry in entries(self._layout.work):
            name = entry.name
            if name.startswith(_KEPT) and self._is_older(entry, tally.plan.policy.within or MONTH):
                tally.plan.work.append(Left(Path(entry.path), weigh_work(entry.path), "a scratch folder that was kept"))
            elif is_id(name):
                tally.add_folder(name, Path(entry.path), is_old=self._is_older(entry, DAY))
        for fact in tally.losing():
            # A log that became objects has left no files behind.
            for entry in () if fact.logs else entries(self._layout.run(fact.run).logs):
                if entry.name == fact.id:
                    tally.add_folder(fact.id, Path(entry.path), is_old=True)

    def _find_stale(self, plan: Plan) -> None:
        for folder in (self._layout.scratch, self._layout.claims, self._layout.root):
            for entry in entries(folder):
                if folder == self._layout.scratch or entry.name.startswith(NEW):
                    self._add_stale(plan, entry)
        for entry in entries(self._layout.cache / "downloads"):
            if entry.name.endswith(PARTIAL) and self._is_older(entry, MONTH):
                plan.stale.append(Left(Path(entry.path), weigh(entry.path), "a download that nobody goes on with"))

    def _add_stale(self, plan: Plan, entry: os.DirEntry[str]) -> None:
        if self._is_older(entry, DAY) and not _is_written(entry.name):
            plan.stale.append(Left(Path(entry.path), weigh(entry.path), "a file that a crash left half written"))

    def _weigh_quarantine(self) -> Heap:
        heap = Heap()
        for entry in entries(self._layout.quarantine):
            if self._is_older(entry, MONTH):
                heap.add(entry.stat(follow_symlinks=False).st_size)
        return heap

    def _is_older(self, entry: os.DirEntry[str], seconds: float) -> bool:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        return max(status.st_mtime, status.st_ctime) < self._moment.timestamp() - seconds

    def _ago(self, seconds: float) -> str:
        moment = self._moment - timedelta(seconds=min(seconds, self._moment.timestamp()))
        return timestamp(round(moment.timestamp() * 1e6))


class _Tally:
    """Counts what executions lose while the garbage is found."""

    def __init__(self, plan: Plan, facts: Sequence[Fact], verdicts: dict[str, Verdict]) -> None:
        self.plan = plan
        self._facts = facts
        self._verdicts = verdicts
        self._by_id = {fact.id: number for number, fact in enumerate(facts)}
        self._heaps: dict[int, Heap] = {}

    def add_named(self, size: int, owners: Sequence[int]) -> None:
        """Garbage that only these mention: executions by their number, or the runs in the trash. The first is said to
        lose the bytes, all of them lose the file."""
        executions = [owner for owner in owners if owner < len(self._facts)]
        if not executions:
            self.plan.taken_out.add(size)
        for place, owner in enumerate(dict.fromkeys(executions)):
            heap = self._heaps.get(owner)
            if heap is None:
                heap = self._heaps[owner] = Heap()
            heap.add(0 if place else size, 0 if place else 1)

    def add_folder(self, id: str, path: Path, *, is_old: bool) -> None:
        """A folder of an execution; if nobody knows that, it has to be old."""
        number = self._by_id.get(id)
        if number is None and is_old:
            self.plan.work.append(Left(path, weigh_work(path), "no record tells of it"))
        if number is not None and not self._verdicts[id].is_kept:
            heap = weigh_work(path)
            self.plan.work.append(Left(path, heap, "its execution loses its files"))
            self._heaps.setdefault(number, Heap()).add(heap.size, heap.files)

    def losing(self) -> Iterator[Fact]:
        """The executions that keep nothing."""
        return (fact for fact in self._facts if not self._verdicts[fact.id].is_kept)

    def end(self) -> None:
        """Sum up by step and reason."""
        losses: dict[tuple[str, str, str], Loss] = {}
        for number in sorted(self._heaps):
            fact, heap = self._facts[number], self._heaps[number]
            why = self._verdicts[fact.id].why
            empty = Loss(fact.project, fact.project_name, fact.step, why)
            loss = losses.setdefault((fact.project, fact.step, why), empty)
            loss.executions.append(fact.counter)
            loss.heap.add(heap.size, heap.files)
            self.plan.losers.append(fact.id)
        self.plan.losses = sorted(losses.values(), key=lambda loss: loss.heap.size, reverse=True)


def _by_digest(mentions: Mentions, index: int) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for digest, number in mentions.shard(index):
        found.setdefault(digest, []).append(number)
    return found


def _sources(path: Path, *, needed: bool) -> bytes:
    """What a recipe is made of. One that nobody needs may be damaged."""
    try:
        return raw(decode_recipe(path.read_bytes()).sources)
    except FileNotFoundError:
        return b""
    except ValueError as error:
        if not needed:
            return b""
        raise MlrunError(
            f"nobody knows what may be removed, because the recipe `{path.name}` cannot be understood: {error}",
            code=ExitCode.STORE,
            hint="`mlrun store check` looks closer; nothing was removed",
        ) from error


def _is_written(name: str) -> bool:
    """Whether the process whose number is in the name of a temporary file may still write it."""
    digits = name.removeprefix(NEW).partition("-")[0]
    return digits.isdecimal() and start_time(int(digits)) is not None


def is_due(batch: Batch, moment: datetime) -> bool:
    """Whether a batch has waited for its week."""
    return batch.due <= timestamp(round(moment.timestamp() * 1e6))
