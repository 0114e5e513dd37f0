"""Asks the store whether an earlier execution may stand for a node that is about to run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock

from runner.app import publication
from runner.app.input import left_files
from runner.app.wish import Wish
from runner.digest import Digest
from runner.engine.callback import Stand
from runner.engine.entry import job_from_json
from runner.errors import ExitCode, MlrunError
from runner.job import Identity, Job
from runner.plan.bind import Left
from runner.plan.model import PlannedNode
from runner.reuse.code import Code, Counts
from runner.reuse.content import CodeKey, Contents
from runner.reuse.decide import (
    Accepted,
    Cause,
    Decision,
    Earlier,
    Hit,
    Miss,
    NothingEarlier,
    Rule,
    Unreusable,
    decide,
    explain,
    reading_key,
    unfit,
)
from runner.reuse.fact import Made, base_key, facts, why_never
from runner.state import FINAL, State
from runner.store.found import Maker
from runner.store.history import Following
from runner.store.imported import read_import
from runner.store.record import Execution, Reused, Run
from runner.store.store import Store

_FEW = 20
"""Executions of a step among which the one that is most like a new one is looked for."""


class Sight:
    """What a decision looks at in one store: every snapshot, journal and output once."""

    def __init__(self, store: Store, kind: CodeKey) -> None:
        self.contents = Contents(store.objects.read, kind, store.layout.cache / "code-keys.json")
        self._store = store
        self._codes: dict[Digest, Code | None] = {}
        self._runs: dict[str, Run] = {}
        self._underway: dict[str, Following] = {}
        self._owners: dict[str, Run] = {}
        self._sources: dict[str, str | None] = {}
        self._earlier: dict[tuple[str, Counts], tuple[Earlier, Digest] | None] = {}

    def code(self, snapshot: Digest) -> Code | None:
        """The files of a snapshot; None when it is gone."""
        if snapshot not in self._codes:
            try:
                self._codes[snapshot] = Code(self._store.objects.read_tree(snapshot))
            except MlrunError:
                self._codes[snapshot] = None
        return self._codes[snapshot]

    def lost_output(self, execution: Execution) -> str | None:
        """The first output that is missing or damaged, or of which nobody can tell."""
        is_sound = self._store.objects.is_sound
        return next((one.name for one in execution.outputs if not is_sound(one.digest, one.size)), None)

    def age(self, execution: Execution) -> float:
        """Seconds since it ended, below 0 if the clock was ahead then or is behind now."""
        ended = datetime.fromisoformat(execution.finished or execution.created)
        return (datetime.now(UTC) - ended).total_seconds()

    def source(self, execution: Execution) -> str | None:
        """Which other store its run came from; None for a run of this one."""
        run = self._owners[execution.id].id
        if run not in self._sources:
            told = read_import(self._store.layout.run(run).imported)
            self._sources[run] = told.source if told is not None else None
        return self._sources[run]

    def execution(self, id: str, run_id: str) -> tuple[Run, Execution] | None:
        """An execution by the journal of its run, which alone is believed; None when that does not have it."""
        try:
            run = self._run(run_id)
            execution = run.executions.get(id)
            if run.state not in FINAL and _is_open(execution):
                execution = self._following(run_id).execution(id)
        except MlrunError:
            return None
        if execution is None:
            return None
        self._owners[id] = run
        return run, execution

    def _run(self, run_id: str) -> Run:
        """A run as it was when it was first asked for here. Raises MlrunError."""
        if run_id not in self._runs:
            self._runs[run_id] = self._store.run(run_id)
        return self._runs[run_id]

    def _following(self, run_id: str) -> Following:
        if run_id not in self._underway:
            self._underway[run_id] = self._store.follow(run_id)
        return self._underway[run_id]

    def of_node(self, run_id: str, node: str, step: str) -> list[Maker]:
        """The executions of a node of a run that succeeded, if it runs this step, the newest first."""
        try:
            run = self._run(run_id)
        except MlrunError:
            return []
        record = run.nodes.get(node)
        if record is None or record.step != step:
            return []
        return [(id, run_id) for id in reversed(record.executions) if run.executions[id].state is State.SUCCEEDED]

    def run_of(self, execution: Execution) -> Run:
        """The run of an execution that was found here."""
        return self._owners[execution.id]

    def earlier(self, execution: Execution, counts: Counts) -> tuple[Earlier, Digest] | None:
        """What an execution that has ended was made of, and its base key where these paths count as code; None where
        its record does not tell."""
        label = execution.id, counts
        if label not in self._earlier:
            found = self._made_of(execution, counts)
            self._earlier[label] = (found, base_key(facts(found.made))) if found is not None else None
        return self._earlier[label]

    def _made_of(self, execution: Execution, counts: Counts) -> Earlier | None:
        try:
            job = job_from_json(execution.id, execution.job)
            identity = str(execution.identity["id"]) if execution.identity else ""
        except (KeyError, TypeError, ValueError):
            return None
        code = self.code(Digest(job.snapshot))
        if code is None or execution.executor is None or why_never(job) is not None:
            return None
        made = Made(job, identity, execution.executor, code.names(counts))
        return Earlier(execution, made, Digest(job.snapshot))


@dataclass(frozen=True, slots=True)
class Proposal:
    """That an execution stands for work of this base key while the files that it read are in this state."""

    key: Digest
    code: Digest
    execution: Execution


class Reuser:
    """Decides for one run. Usable from several threads, of which one at a time looks for an execution."""

    def __init__(
        self,
        store: Store,
        project: str,
        images: Mapping[str, Identity],
        executor: str,
        wish: Wish,
        before: str | None = None,
        sight: Sight | None = None,
    ) -> None:
        """With `before`, the id of an execution, only those that are older than it count. Several may share a `sight`
        of the same store and code key."""
        self._before = before
        self.sight = sight or Sight(store, wish.code_key)
        self._store = store
        self._project = project
        self._images = images
        self._executor = executor
        self._wish = wish
        self._stood: dict[str, Execution] = {}
        """The executions that were found to stand for nodes, by their ids."""
        self._lock = Lock()

    def never(self, node: PlannedNode) -> str | None:
        """Why nothing may stand for a node, whatever it is made of; None where something may."""
        return self._wish.rule(node.trial_of or node.name, node.step.name).never

    def seek(self, node: str, job: Job) -> Decision:
        """Whether an execution may stand for `job`, which needs no id, number or documents. Raises MlrunError."""
        with self._lock:
            rule = self._wish.rule(node, job.step)
            if (never := rule.never or why_never(job)) is not None:
                return Miss((Unreusable(never),))
            return self._decide(node, job, rule)

    def like(self, node: str, job: Job) -> Execution | None:
        """The earlier execution that differs least from `job`, also where none may stand for it. Raises MlrunError."""
        with self._lock:
            decision = self._decide(node, job, replace(self._wish.rule(node, job.step), never=None))
            return decision.execution if isinstance(decision, Hit) else decision.nearest

    def stand(self, node: str, job: Job) -> Stand | None:
        """The execution that stands for a node; None where it runs, and does not ask why. Raises MlrunError."""
        with self._lock:
            rule = self._wish.rule(node, job.step)
            if rule.never is not None or why_never(job) is not None:
                return None
            found = self._look(self._made(job, rule), rule)
            return self.stand_for(job, found) if isinstance(found, Hit) else None

    def stand_for(self, job: Job, hit: Hit) -> Stand:
        """An execution in the place of a node whose job would have been `job`."""
        execution = self._stood[hit.execution.id] = hit.execution
        reused = Reused(execution.id, execution.counter, self.sight.run_of(execution).id, hit.accepted)
        return Stand(reused, left_by(job, execution), self._clause(hit), self.sight.age(execution))

    def _clause(self, hit: Hit) -> str:
        run = self.sight.run_of(hit.execution)
        whose = f" of project `{run.project.name}`" if run.project.id != self._project else ""
        source = self.sight.source(hit.execution)
        came = f", pulled from `{source}`" if source is not None else ""
        accepted = ", which was accepted" if hit.accepted else ""
        return f"execution {hit.execution.counter} of run {run.counter}{whose}{came}{accepted}"

    def proposal(self, node: str, job: Job, execution: Execution) -> Proposal | Cause:
        """What is to be accepted for an execution to stand for `job`; else why it can stand for nothing at all."""
        with self._lock:
            rule = self._wish.rule(node, job.step)
            if (cause := unfit(execution, self.sight, rule)) is not None:
                return cause
            code = reading_key(execution, self.sight.code(Digest(job.snapshot)), self.sight, rule)
            if code is None:
                return Unreusable(f"the code of execution {execution.counter} is not in the store any more")
            return Proposal(base_key(facts(self._made(job, rule))), code, execution)

    def standing_proposals(self, node: str, job: Job) -> list[Proposal]:
        """What was accepted and holds for `job` and the code of now."""
        with self._lock:
            rule, code = self._wish.rule(node, job.step), self.sight.code(Digest(job.snapshot))
            key = base_key(facts(self._made(job, rule)))
            return [
                Proposal(key, one.code, one.execution)
                for one in self._accepted(key)
                if reading_key(one.execution, code, self.sight, rule) == one.code
            ]

    def take(self, executions: Iterable[Execution]) -> None:
        """These stand for nodes by the user's word."""
        self._stood |= {execution.id: execution for execution in executions}

    def publish_again(self, user: str, reused: Reused) -> Sequence[str]:
        """Set the names that an execution asks for which was found to stand for a node; what to tell the user about it.
        Waits for nobody who looks for another: they may have large outputs to read. Never raises MlrunError."""
        return publication.publish_again(self._store, user, self._stood[reused.execution])

    def moves_names(self, reused: Reused) -> bool:
        """Whether `publish_again` would let names mean something else. Raises MlrunError."""
        return publication.would_move(self._store, self._stood[reused.execution])

    def key(self, node: str, job: Job) -> Digest | None:
        """The base key of a job; None where no other may ever stand for it, nor it for another."""
        if why_never(job) is not None:
            return None
        with self._lock:
            return base_key(facts(self._made(job, self._wish.rule(node, job.step))))

    def _decide(self, node: str, job: Job, rule: Rule) -> Decision:
        """The decision where nothing speaks against reuse from the start."""
        made = self._made(job, rule)
        found = self._look(made, rule)
        if isinstance(found, Hit):
            return found
        if found is not None:
            return Miss((found[1],), found[0])
        return self._nearest(made, node, rule)

    def _made(self, job: Job, rule: Rule) -> Made:
        code = self.sight.code(Digest(job.snapshot))
        if code is None:
            raise MlrunError(f"the code `{job.snapshot}` is not in the store", code=ExitCode.STORE)
        return Made(job, self._images[job.image].id, self._executor, code.names(rule.counts))

    def _look(self, made: Made, rule: Rule) -> Hit | tuple[Execution, Cause] | None:
        """The decision without what would have to be explained."""
        key, snapshot = base_key(facts(made)), Digest(made.job.snapshot)
        return decide(snapshot, self._same_key(made.job.step, key, rule), self.sight, rule, self._accepted(key))

    def _same_key(self, step: str, key: Digest, rule: Rule) -> Iterator[Execution]:
        """The executions whose own record makes this key, by the rule of now: what the index says is only where to
        look. Those of the step may have been told by another rule."""
        seen: set[str] = set()
        for id, run_id in self._candidates(step, key):
            if id in seen or (self._before is not None and id >= self._before):
                continue
            seen.add(id)
            found = self.sight.execution(id, run_id)
            if found is not None and (told := self.sight.earlier(found[1], rule.counts)) and told[1] == key:
                yield found[1]

    def _candidates(self, step: str, key: Digest) -> Iterator[Maker]:
        yield from self._store.with_key(key)
        yield from self._store.of_step(self._project, step, _FEW, self._before)

    def _accepted(self, key: Digest) -> Iterator[Accepted]:
        """What the user has accepted for a base key, the newest first."""
        for one in reversed(self._store.refs.accepted(key)):
            found = self.sight.execution(one.execution, one.run)
            if found is not None:
                yield Accepted(found[1], one.code)

    def _nearest(self, made: Made, node: str, rule: Rule) -> Miss:
        """What is in the way of the earlier execution of the step that differs least."""
        best: Miss | None = None
        for id, run_id in self._alike(made.job.step, node):
            found = self.sight.execution(id, run_id)
            told = self.sight.earlier(found[1], rule.counts) if found is not None else None
            if told is None:
                continue
            miss = Miss(explain(made, Digest(made.job.snapshot), told[0], self.sight, rule), told[0].execution)
            if best is None or _weight(miss, node) < _weight(best, node):
                best = miss
            if _weight(best, node) <= _LEAST:
                break
        return best or Miss((NothingEarlier(),))

    def _alike(self, step: str, node: str) -> Iterable[Maker]:
        """The newest executions of a step, each once, after those of the same node in their runs: where many nodes run
        one step, these are like it, and may not be among the newest."""
        newest = self._store.of_step(self._project, step, _FEW, self._before)
        runs = dict.fromkeys(run_id for _, run_id in newest)
        same = [one for run_id in runs for one in self.sight.of_node(run_id, node, step)]
        return dict.fromkeys([*(one for one in same if self._before is None or one[0] < self._before), *newest])


def left_by(job: Job, execution: Execution) -> Left:
    """What `job` leaves if it comes out as an earlier execution did."""
    outputs = left_files(execution.id, execution.outputs)
    return Left(job.parameters, job.environment, job.inputs, outputs, execution.metrics)


def _is_open(execution: Execution | None) -> bool:
    """Whether a run that goes on may tell more of an execution by now."""
    return execution is None or execution.state not in FINAL


_LEAST = 1, False
"""No execution that differs at all weighs less."""


def _weight(miss: Miss, node: str) -> tuple[int, bool]:
    """How much is in the way; among equals one of the same node is nearer."""
    count = sum(
        len(getattr(cause, "differences", ())) or len(getattr(cause, "paths", ())) or 1 for cause in miss.causes
    )
    return count, miss.nearest is None or miss.nearest.node != node
