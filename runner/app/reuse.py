"""Asks the store whether an earlier execution may stand for a node that is about to run."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from threading import Lock

from runner.app.input import left_files
from runner.app.wish import Wish
from runner.digest import Digest
from runner.engine.entry import job_from_json
from runner.engine.loop import Stand
from runner.errors import ExitCode, MlrunError
from runner.job import Identity, Job
from runner.plan.bind import Left
from runner.plan.model import PlannedNode
from runner.reuse.code import Code
from runner.reuse.content import CodeKey, Contents
from runner.reuse.decide import Decision, Earlier, Hit, Miss, NothingEarlier, Rule, Unreusable, decide, explain
from runner.reuse.fact import Made, base_key, facts, why_never
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
        self._runs: dict[str, Run | None] = {}
        self._owners: dict[str, Run] = {}

    def code(self, snapshot: Digest) -> Code | None:
        """The files of a snapshot; None when it is gone."""
        if snapshot not in self._codes:
            try:
                self._codes[snapshot] = Code.of(self._store.objects.read_tree(snapshot))
            except MlrunError:
                self._codes[snapshot] = None
        return self._codes[snapshot]

    def lost_output(self, execution: Execution) -> str | None:
        """The first output that is missing or damaged."""
        objects = self._store.objects
        lost = set(objects.lacking({output.digest for output in execution.outputs}))
        return next(
            (one.name for one in execution.outputs if one.digest in lost or not objects.is_sound(one.digest)), None
        )

    def age(self, execution: Execution) -> float:
        """Seconds since it ended."""
        ended = datetime.fromisoformat(execution.finished or execution.created)
        return (datetime.now(UTC) - ended).total_seconds()

    def execution(self, id: str, run_id: str) -> tuple[Run, Execution] | None:
        """An execution by the journal of its run, which alone is believed; None when that does not have it."""
        if run_id not in self._runs:
            try:
                self._runs[run_id] = self._store.run(run_id)
            except MlrunError:
                self._runs[run_id] = None
        run = self._runs[run_id]
        if run is None or id not in run.executions:
            return None
        self._owners[id] = run
        return run, run.executions[id]

    def run_of(self, execution: Execution) -> Run:
        """The run of an execution that was found here."""
        return self._owners[execution.id]


class Reuser:
    """Decides for one run. `seek` may be called from several threads, one at a time each with its own node."""

    def __init__(
        self, store: Store, project: str, images: Mapping[str, Identity], executor: str, snapshot: Digest, wish: Wish
    ) -> None:
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
            found = decide(self._snapshot, self._same_key(base_key(facts(made)), rule), self.sight, rule)
            if isinstance(found, Hit):
                return found
            if found is not None:
                return Miss((found[1],), found[0])
            return self._nearest(made, node, rule)

    def stand(self, node: str, job: Job) -> Stand | None:
        """The execution that stands for a node; None where it runs, and does not ask why. Raises MlrunError."""
        with self._lock:
            rule = self._wish.rule(node, job.step)
            key = base_key(facts(self._made(job, rule)))
            found = decide(self._snapshot, self._same_key(key, rule), self.sight, rule)
            return self.stand_for(job, found.execution) if isinstance(found, Hit) else None

    def stand_for(self, job: Job, execution: Execution) -> Stand:
        """An execution in the place of a node whose job would have been `job`."""
        reused = Reused(execution.id, execution.counter, self.sight.run_of(execution).id)
        outputs = left_files(execution.id, execution.outputs)
        left = Left(job.parameters, job.environment, job.inputs, outputs, execution.metrics)
        return Stand(reused, left, f"execution {execution.counter} stands for it")

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

    def _same_key(self, key: Digest, rule: Rule) -> Iterator[Execution]:
        """The executions whose own record makes this key: what the index says is only where to look."""
        for id, run_id in self._store.with_key(key):
            found = self.sight.execution(id, run_id)
            if found is not None and (made := self._recorded(found[1], rule)) and base_key(facts(made.made)) == key:
                yield found[1]

    def _nearest(self, made: Made, node: str, rule: Rule) -> Miss:
        """What is in the way of the earlier execution of the step that differs least."""
        best: Miss | None = None
        for id, run_id in self._store.of_step(self._project, made.job.step, _FEW):
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
        if code is None or execution.executor is None:
            return None
        made = Made(job, identity, execution.executor, code.names(rule.counts))
        return Earlier(execution, made, Digest(job.snapshot))


def _weight(miss: Miss, node: str) -> tuple[int, bool]:
    """How much is in the way; among equals one of the same node is nearer."""
    count = sum(
        len(getattr(cause, "differences", ())) or len(getattr(cause, "paths", ())) or 1 for cause in miss.causes
    )
    return count, miss.nearest is None or miss.nearest.node != node
