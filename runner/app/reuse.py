"""Asks the store whether an earlier execution may stand for a node that is about to run."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from runner.app.input import left_files
from runner.change.code import is_code
from runner.digest import Digest
from runner.engine.entry import job_from_json
from runner.engine.loop import Reuse
from runner.errors import MlrunError
from runner.job import Identity, Job
from runner.plan.bind import Left
from runner.reuse.code import Code, Counts, everything
from runner.reuse.content import CodeKey, Contents
from runner.reuse.decide import Decision, Earlier, Hit, Miss, NothingEarlier, Rule, Unreusable, decide, explain
from runner.reuse.fact import Made, base_key, facts, why_never
from runner.spec.model import Policy
from runner.state import State
from runner.store.record import Execution, Reused, Run
from runner.store.store import Store

_FEW = 20
"""Executions of a step among which the one that is most like a new one is looked for."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line and the file want of reuse: `on` at all, `refresh` names nodes that run in any case,
    `code_key` says what a change of a Python file is."""

    on: bool = True
    refresh: frozenset[str] = frozenset()
    code_key: CodeKey = CodeKey.SYNTAX
    policies: Mapping[str, Policy] = field(default_factory=dict)

    def rule(self, node: str, step: str, job: Job) -> Rule:
        """What holds for one node."""
        policy = self.policies.get(step)
        counts: Counts = everything
        if policy is not None and (patterns := policy.code) is not None:

            def counts(path: str) -> bool:
                return is_code(path, patterns)

        never = why_never(job)
        if not self.on:
            never = "reuse is off"
        elif node in self.refresh:
            never = "`--refresh` names it"
        elif policy is not None and policy.reuse == 0:
            never = "its policy says never"
        most = policy.reuse if policy is not None and policy.reuse else None
        return Rule(never, most, counts)


class Sight:
    """What a decision looks at in one store: every snapshot, journal and output once."""

    def __init__(self, store: Store, kind: CodeKey) -> None:
        self.contents = Contents(store.objects.read, kind, store.layout.cache / "code-keys.json")
        self._store = store
        self._codes: dict[Digest, Code | None] = {}
        self._runs: dict[str, Run | None] = {}

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
            (one.name for one in execution.outputs if one.digest in lost or not objects.verify(one.digest)), None
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
        return (run, run.executions[id]) if run is not None and id in run.executions else None
