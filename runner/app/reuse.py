"""Asks the store whether an earlier execution may stand for a node that is about to run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from runner.reuse.code import Code
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
from runner.state import FINAL
from runner.store.found import Maker
from runner.store.record import Execution, Reused, Run
from runner.store.store import Store

_FEW = 20
"""Executions of a step among which the one that is most like a new one is looked for."""


ACCEPTED = ", which was accepted"
"""Ends what is told of an execution that stands for a node by the user's word, though something differs."""


class Sight:
    """What a decision looks at in one store: every snapshot, journal and output once."""

    def __init__(self, store: Store, kind: CodeKey) -> None:
        self.contents = Contents(store.objects.read, kind, store.layout.cache / "code-keys.json")
        self._store = store
        self._codes: dict[Digest, Code | None] = {}
        self._runs: dict[str, Run] = {}
        self._owners: dict[str, Run] = {}

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
        objects = self._store.objects
        for one in execution.outputs:
            try:
                if not objects.has(one.digest) or not objects.is_sound(one.digest):
                    return one.name
            except MlrunError:
                return one.name
        return None

    def age(self, execution: Execution) -> float:
        """Seconds since it ended."""
        ended = datetime.fromisoformat(execution.finished or execution.created)
        return (datetime.now(UTC) - ended).total_seconds()

    def execution(self, id: str, run_id: str) -> tuple[Run, Execution] | None:
        """An execution by the journal of its run, which alone is believed; None when that does not have it."""
        run = self._runs.get(run_id)
        if run is None or (run.state not in FINAL and _is_open(run.executions.get(id))):
            try:
                run = self._runs[run_id] = self._store.run(run_id)
            except MlrunError:
                return None
        if id not in run.executions:
            return None
        self._owners[id] = run
        return run, run.executions[id]

    def run_of(self, execution: Execution) -> Run:
        """The run of an execution that was found here."""
        return self._owners[execution.id]


@dataclass(frozen=True, slots=True)
class Proposal:
    """That an execution stands for work of this base key while the files that it read are in this state."""

    key: Digest
    code: Digest
    execution: Execution


class Reuser:
    """Decides for one run. `seek` may be called from several threads, one at a time each with its own node."""

    def __init__(
        self,
        store: Store,
        project: str,
        images: Mapping[str, Identity],
        executor: str,
        snapshot: Digest,
        wish: Wish,
        before: str | None = None,
    ) -> None:
        """With `before`, the id of an execution, only those that are older than it count."""
        self._before = before
        self.sight = Sight(store, wish.code_key)
        self._store = store
        self._project = project
        self._images = images
        self._executor = executor
        self._snapshot = snapshot
        self._wish = wish
        self._lock = Lock()

    def never(self, node: PlannedNode) -> str | None:
        """Why nothing may stand for a node, whatever it is made of; None where something may."""
        return self._wish.rule(node.name, node.step.name).never

    def seek(self, node: str, job: Job) -> Decision:
        """Whether an execution may stand for `job`, which needs no id, number or documents. Raises MlrunError."""
        with self._lock:
            rule = self._wish.rule(node, job.step)
            if (never := rule.never or why_never(job)) is not None:
                return Miss((Unreusable(never),))
            made = self._made(job, rule)
            found = self._look(made, rule)
            if isinstance(found, Hit):
                return found
            if found is not None:
                return Miss((found[1],), found[0])
            return self._nearest(made, node, rule)

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
        execution = hit.execution
        reused = Reused(execution.id, execution.counter, self.sight.run_of(execution).id)
        outputs = left_files(execution.id, execution.outputs)
        left = Left(job.parameters, job.environment, job.inputs, outputs, execution.metrics)
        return Stand(reused, left, self._clause(hit), self.sight.age(execution))

    def _clause(self, hit: Hit) -> str:
        run = self.sight.run_of(hit.execution)
        whose = f" of project `{run.project.name}`" if run.project.id != self._project else ""
        accepted = ACCEPTED if hit.accepted else ""
        return f"execution {hit.execution.counter} of run {run.counter}{whose}{accepted}"

    def proposal(self, node: str, job: Job, execution: Execution) -> Proposal | Cause:
        """What is to be accepted for an execution to stand for `job`; else why it can stand for nothing at all."""
        with self._lock:
            rule = self._wish.rule(node, job.step)
            if (cause := unfit(execution, self.sight, rule)) is not None:
                return cause
            code = reading_key(execution, self.sight.code(self._snapshot), self.sight, rule)
            if code is None:
                return Unreusable(f"the code of execution {execution.counter} is not in the store any more")
            return Proposal(base_key(facts(self._made(job, rule))), code, execution)

    def standing_proposals(self, node: str, job: Job) -> list[Proposal]:
        """What was accepted and holds for `job` and the code of now."""
        with self._lock:
            rule, code = self._wish.rule(node, job.step), self.sight.code(self._snapshot)
            key = base_key(facts(self._made(job, rule)))
            return [
                Proposal(key, one.code, one.execution)
                for one in self._accepted(key)
                if reading_key(one.execution, code, self.sight, rule) == one.code
            ]

    def publish_again(self, user: str, reused: Reused) -> Sequence[str]:
        """Set the names that an execution asks for which stands for a node; what to tell the user about it. Never
        raises MlrunError."""
        with self._lock:
            found = self.sight.execution(reused.execution, reused.run)
            return publication.publish_again(self._store, user, found[1]) if found is not None else ()

    def moves_names(self, reused: Reused) -> bool:
        """Whether `publish_again` would let names mean something else. Raises MlrunError."""
        with self._lock:
            found = self.sight.execution(reused.execution, reused.run)
            return found is not None and publication.would_move(self._store, found[1])

    def key(self, node: str, job: Job) -> Digest | None:
        """The base key of a job; None where no other may ever stand for it, nor it for another."""
        if why_never(job) is not None:
            return None
        with self._lock:
            return base_key(facts(self._made(job, self._wish.rule(node, job.step))))

    def _made(self, job: Job, rule: Rule) -> Made:
        code = self.sight.code(self._snapshot)
        if code is None:
            raise MlrunError(f"the code `{self._snapshot}` is not in the store", code=ExitCode.STORE)
        return Made(job, self._images[job.image].id, self._executor, code.names(rule.counts))

    def _look(self, made: Made, rule: Rule) -> Hit | tuple[Execution, Cause] | None:
        """The decision without what would have to be explained."""
        key = base_key(facts(made))
        return decide(self._snapshot, self._same_key(made.job.step, key, rule), self.sight, rule, self._accepted(key))

    def _same_key(self, step: str, key: Digest, rule: Rule) -> Iterator[Execution]:
        """The executions whose own record makes this key, by the rule of now: what the index says is only where to
        look. Those of the step may have been told by another rule."""
        seen: set[str] = set()
        for id, run_id in self._candidates(step, key):
            if id in seen or (self._before is not None and id >= self._before):
                continue
            seen.add(id)
            found = self.sight.execution(id, run_id)
            if found is not None and (made := self._recorded(found[1], rule)) and base_key(facts(made.made)) == key:
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
        for id, run_id in self._store.of_step(self._project, made.job.step, _FEW, self._before):
            found = self.sight.execution(id, run_id)
            earlier = self._recorded(found[1], rule) if found is not None else None
            if earlier is None:
                continue
            miss = Miss(explain(made, self._snapshot, earlier, self.sight, rule), earlier.execution)
            if best is None or _weight(miss, node) < _weight(best, node):
                best = miss
        return best or Miss((NothingEarlier(),))

    def _recorded(self, execution: Execution, rule: Rule) -> Earlier | None:
        """An earlier execution with what it was made of; None where its record does not tell."""
        try:
            job = job_from_json(execution.id, execution.job)
            identity = str(execution.identity["id"]) if execution.identity else ""
        except (KeyError, TypeError, ValueError):
            return None
        code = self.sight.code(Digest(job.snapshot))
        if code is None or execution.executor is None or why_never(job) is not None:
            return None
        made = Made(job, identity, execution.executor, code.names(rule.counts))
        return Earlier(execution, made, Digest(job.snapshot))


def _is_open(execution: Execution | None) -> bool:
    """Whether a run that goes on may tell more of an execution by now."""
    return execution is None or execution.state not in FINAL


def _weight(miss: Miss, node: str) -> tuple[int, bool]:
    """How much is in the way; among equals one of the same node is nearer."""
    count = sum(
        len(getattr(cause, "differences", ())) or len(getattr(cause, "paths", ())) or 1 for cause in miss.causes
    )
    return count, miss.nearest is None or miss.nearest.node != node
