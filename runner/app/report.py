"""A run as a page of HTML: gathers what the page is made of. What it says and how it looks is `runner.report`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.app.evidence import log_files, metric_events
from runner.app.export import subject_of
from runner.digest import Digest
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.export.subject import Contents
from runner.goal import Aim, Goal
from runner.plan.address import public
from runner.plan.model import chosen_goal
from runner.report.page import render
from runner.report.subject import Subject
from runner.spec.model import Project
from runner.spec.project import parse_project
from runner.store.imported import read_import
from runner.store.journal import timestamp
from runner.store.record import Execution, Run
from runner.store.store import Store
from runner.worker.log import tail


@dataclass(frozen=True, slots=True)
class StoreEvidence:
    """What a store has of executions (`runner.report.subject.Evidence`)."""

    store: Store
    contents: Contents

    def gone(self, digest: Digest) -> str | None:
        """Why content is not here."""
        return self.contents.gone(digest)

    def read(self, digest: Digest) -> bytes:
        """The content, checked."""
        return self.contents.read(digest)

    def events(self, run: Run, execution: Execution) -> Iterator[Mapping[str, Any]]:
        """The values of each event."""
        return (event.values for event in metric_events(self.store, run, execution))

    def tail(self, run: Run, execution: Execution, lines: int, most: int) -> bytes:
        """The last lines of the log."""
        try:
            return b"".join(piece.data for piece in tail(log_files(self.store, run, execution), lines, most))
        except OSError as error:
            what = "it was not begun" if isinstance(error, FileNotFoundError) else str(error.strerror)
            raise MlrunError(what, code=ExitCode.STORE) from error


def make_report(store: Store, run: Run, metric: str | None = None, aim: Aim | None = None) -> str:
    """The page. `metric` and `aim` say which trials are best, whatever the run compared them by. Raises MlrunError:
    USAGE for a metric that no trial has and for an aim of none, STORE."""
    gathered = subject_of(store, run, None)
    project = _project(store, run)
    came = read_import(store.layout.run(run.id).imported)
    subject = Subject(
        run=run,
        parts=gathered.parts,
        tags=gathered.tags,
        evidence=StoreEvidence(store, gathered.contents),
        written=timestamp(),
        goals=_goals(run, metric, aim),
        values=_values(run, project),
        came_from=public(came.source) if came else None,
    )
    if metric is not None:
        _require(subject, metric)
    return render(subject)


def _project(store: Store, run: Run) -> Project | None:
    """The file as it was; None where it is gone."""
    try:
        return parse_project(store.objects.read(run.spec), run.project.file)
    except MlrunError:
        return None


def _goals(run: Run, metric: str | None, aim: Aim | None) -> dict[str, Goal]:
    """By task node: what tells its best trial."""
    tasks = [name for name, node in run.nodes.items() if node.kind == "task"]
    if aim is not None and not tasks:
        raise usage_error(f"run {run.counter} has no task", hint="`--goal` is about the trials of one")
    found = {name: chosen_goal(run.plan, name, metric, aim) for name in tasks}
    return {name: goal for name, goal in found.items() if goal is not None}


def _values(run: Run, project: Project | None) -> dict[str, Any]:
    """The parameters of the pipeline: what the run was given, else their defaults."""
    pipeline = project.pipelines.get(run.name) if project and run.kind == "pipeline" else None
    defaults = {one.name: one.default for one in pipeline.parameters} if pipeline else {}
    given = (run.arguments or {}).get("parameters")
    return {**defaults, **(given if isinstance(given, Mapping) else {})}


def _require(subject: Subject, metric: str) -> None:
    metrics = {name for _, execution in subject.executions() for name in execution.metrics}
    if metric not in metrics:
        raise usage_error(
            f"no execution of run {subject.run.counter} has a metric `{printable(metric)}`",
            hint="`mlrun metrics EXECUTION` lists those of one",
        )
