"""Why a node would run, or an execution ran, and what stands behind each cause: the texts, the packages, the facts.

Reads only. What would happen is found by the same forecast that a run makes before it starts, what happened by the
same decision, asked again of the executions that were older.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from runner.app.binding import make_drafter
from runner.app.forecast import Depends, Estimate, Fate, Runs, Stands, estimate, forecast, make_asker
from runner.app.ground import Ground, look_ground
from runner.app.request import Request
from runner.app.reuse import Reuser, Sight
from runner.app.run import make_reuser, slots_of
from runner.app.taken import find_taken, stands_of
from runner.app.wish import NO_REUSE, Wish
from runner.digest import Digest
from runner.engine.entry import job_from_json
from runner.errors import MlrunError
from runner.events import Listener
from runner.job import Identity
from runner.plan.model import Plan
from runner.reuse.content import CodeKey
from runner.reuse.decide import Decision, Hit, Miss, Unreusable
from runner.reuse.fact import Kind, Made, facts
from runner.spec.extension import Policy
from runner.spec.project import parse_project
from runner.store.record import Execution, NodeRecord, Run
from runner.store.store import Store
from runner.store.tree import LINK, TreeEntry

_LARGEST = 1 << 20
"""Bytes of a file whose lines are shown."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands behind the causes of one miss: the code and the programs of the earlier execution and of this one."""

    sight: Sight
    store: Store
    before: Digest
    after: Digest
    was: Mapping[str, object] = field(default_factory=dict)
    """What the record tells of the image or interpreter of the earlier one, its `id` included."""
    now: Mapping[str, object] = field(default_factory=dict)

    def entries(self, path: str) -> tuple[TreeEntry | None, TreeEntry | None]:
        """The file at `path` in the code of the earlier one and of this one."""
        return self._entry(self.before, path), self._entry(self.after, path)

    def texts(self, path: str) -> tuple[bytes | None, bytes | None]:
        """What the file holds in both; empty where there is none, None where it is too large or not to be had."""
        before, after = self.entries(path)
        return self._text(before), self._text(after)

    def _entry(self, snapshot: Digest, path: str) -> TreeEntry | None:
        code = self.sight.code(snapshot)
        return code.entries.get(path) if code is not None else None

    def _text(self, entry: TreeEntry | None) -> bytes | None:
        if entry is None:
            return b""
        if entry.mode == LINK:
            return entry.content.encode("utf-8", "surrogateescape")
        if entry.size > _LARGEST:
            return None
        try:
            return self.store.objects.read(Digest(entry.content))
        except MlrunError:
            return None


# What would happen --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run would do: the fate of each node that was asked for, and what it is likely to take."""

    plan: Plan
    fates: Mapping[str, Fate]
    estimate: Estimate
    ground: Ground | None = None
    reuser: Reuser | None = None

    def evidence(self, miss: Miss) -> Evidence | None:
        """What stands behind the causes of a miss; None where there is nothing earlier."""
        if miss.nearest is None or self.ground is None or self.reuser is None:
            return None
        identity = self.ground.images.get(str(miss.nearest.job.get("image")))
        # The image of the step may be another by now.
        identity = identity or next(iter(self.ground.images.values()), None)
        return _evidence(self.reuser.sight, self.ground.store, miss.nearest, self._snapshot(miss), identity)

    def _snapshot(self, miss: Miss) -> Digest:
        """The code of the node that a miss is of."""
        assert self.ground is not None
        for name, fate in self.fates.items():
            if miss is (fate.miss if isinstance(fate, Runs) else fate.besides if isinstance(fate, Depends) else None):
                return self.ground.code_of(self.plan.nodes[name]).snapshot
        return self.ground.code.snapshot

    def run_of(self, execution: Execution) -> Run | None:
        """The run of an execution that stands for a node, or nearly did."""
        return self.reuser.sight.run_of(execution) if self.reuser is not None else None


@contextmanager
def look_ahead(request: Request, emit: Listener, only: str | None = None) -> Iterator[Outlook]:
    """What a run would do, or only one node of it, with those above it. Writes nothing. Raises MlrunError."""
    plan = request.plan
    if not request.reuse.on:
        yield _without_reuse(request)
        return
    ground = look_ground(request, emit)
    with ground.store:
        reuser = make_reuser(request, ground)
        drafter = make_drafter(request, ground, lambda event: None)
        names = None if only is None else above(plan, only)
        taken = find_taken(ground.store, plan)
        reuser.take(execution for one in taken.values() for execution in one.executions)
        asker = make_asker(request, ground)
        fates = forecast(plan, drafter, reuser, asker, only=names, taken=stands_of(taken))
        told = estimate(ground.store, request.place.ref.id, plan, fates, slots_of(request, ground.executor.name))
        yield Outlook(plan, fates, told, ground, reuser)


def _without_reuse(request: Request) -> Outlook:
    """Everything runs that is not taken from another run; what it takes is known nevertheless."""
    plan = request.plan
    with Store.open(request.settings.store, create=False) as store:
        taken = stands_of(find_taken(store, plan))
        runs = Runs(Miss((Unreusable(NO_REUSE),)))
        fates = {name: Stands(taken[name]) if name in taken else runs for name in plan.nodes}
        told = estimate(store, request.place.ref.id, plan, fates, slots_of(request, request.settings.executor))
        return Outlook(plan, fates, told)


def above(plan: Plan, name: str) -> Collection[str]:
    """A node and all that it needs."""
    found, waiting = {name}, [name]
    while waiting:
        further = set(plan.nodes[waiting.pop()].upstream) - found
        found |= further
        waiting += further
    return found


# What happened ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hindsight:
    """Why an execution ran: how it differs from the earlier ones, or why one that was the same did not stand for it."""

    run: Run
    execution: Execution
    decision: Decision
    asked: str | None
    """Why reuse was not asked for at all; None where it was."""
    evidence: Evidence | None
    earlier: Run | None
    """The run of the earlier execution that it is told against."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A node of a run for which an execution stands: which, of which run, and how many facts of each kind were the
    same; `read` is how many files of the code that execution read, None where all of them counted."""

    run: Run
    node: NodeRecord
    earlier: Run
    execution: Execution
    same: Mapping[Kind, int]
    read: int | None


class Past:
    """Looks back at one run: what it was told, every other run and every snapshot are read once for all its nodes."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._wish = _wish(store, run)
        self._sight = Sight(store, self._wish.code_key)

    def why(self, execution: Execution) -> Hindsight:
        """Why an execution of the run ran, by the executions before it. Raises MlrunError."""
        return _look_back(self._store, self._run, execution, self._wish, self._sight)

    def standing(self, node: NodeRecord) -> Standing | None:
        """Which execution stands for a node of the run; None where none does, or where it is gone. Raises
        MlrunError."""
        found = self._sight.execution(node.reused.execution, node.reused.run) if node.reused is not None else None
        return Standing(self._run, node, *found, *_sameness(found[1])) if found is not None else None


def _look_back(store: Store, run: Run, execution: Execution, wish: Wish, sight: Sight) -> Hindsight:
    asked = _not_asked(run, execution.node)
    try:
        job = job_from_json(execution.id, execution.job)
    except (KeyError, TypeError, ValueError):
        return Hindsight(run, execution, Miss((Unreusable("its record cannot be read"),)), asked, None, None)
    if execution.identity is None or execution.executor is None:
        return Hindsight(run, execution, Miss((Unreusable("it never started"),)), asked, None, None)
    identity = Identity(str(execution.identity["id"]), execution.identity)
    snapshot, images = Digest(job.snapshot), {job.image: identity}
    reuser = Reuser(store, run.project.id, images, execution.executor, wish, execution.id, sight)
    if sight.code(snapshot) is None:
        gone = Unreusable("the code that it ran is not in the store any more")
        return Hindsight(run, execution, Miss((gone,)), asked, None, None)
    decision = reuser.seek(execution.node, job)
    nearest = decision.execution if isinstance(decision, Hit) else decision.nearest
    if nearest is None:
        return Hindsight(run, execution, decision, asked, None, None)
    evidence = _evidence(sight, store, nearest, snapshot, identity)
    return Hindsight(run, execution, decision, asked, evidence, sight.run_of(nearest))


def _sameness(execution: Execution) -> tuple[dict[Kind, int], int | None]:
    """How many facts of each kind an execution has, and how many files of the code it read."""
    counted: dict[Kind, int] = {}
    with suppress(KeyError, TypeError, ValueError):
        job = job_from_json(execution.id, execution.job)
        identity = str((execution.identity or {}).get("id", ""))
        for fact in facts(Made(job, identity, execution.executor or "", Digest(""))):
            counted[fact.kind] = counted.get(fact.kind, 0) + 1
    return counted, None if execution.read.code is None else len(execution.read.code)


def _evidence(sight: Sight, store: Store, nearest: Execution, after: Digest, now: Identity | None) -> Evidence:
    before = Digest(str(nearest.job.get("snapshot", "")))
    told = {"id": now.id, **now.details} if now is not None else {}
    return Evidence(sight, store, before, after, nearest.identity or {}, told)


def _policies(store: Store, run: Run) -> Mapping[str, Policy]:
    """The policies of the file that a run was made by; none where it cannot be read any more."""
    with suppress(MlrunError):
        return parse_project(store.objects.read(run.spec), run.project.file).policies
    return {}


def _wish(store: Store, run: Run) -> Wish:
    """What a run was told about reuse, but for what must run in any case: what is asked is in what it differs."""
    policies, told = _policies(store, run), run.reuse
    if told is None:
        return Wish(policies=policies)
    code_key = CodeKey(told.code_key) if told.code_key in set(CodeKey) else CodeKey.SYNTAX
    return Wish(code_key=code_key, policies=policies, sources=None if told.sources is None else frozenset(told.sources))


def _not_asked(run: Run, node: str) -> str | None:
    """Why nothing was to stand for a node of a run; None where something was, or nobody knows."""
    if run.reuse is None or (run.reuse.on and node not in run.reuse.refresh):
        return None
    if run.reuse.on:
        return "`--refresh` named it"
    if run.kind == "exec":
        return "`mlrun exec` looks for nothing to reuse without `--reuse`"
    return "reuse was off, by `--no-reuse` or by `reuse-executions: false`"
