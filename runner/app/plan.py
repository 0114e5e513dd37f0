"""The plan of a pipeline, with the files of the commits at which its nodes are, and that of a recorded run."""

from collections.abc import Callable
from functools import partial

from runner.app.place import Place
from runner.errors import ExitCode, MlrunError, spec_error, usage_error
from runner.plan.argument import arguments_from_json
from runner.plan.compile import LIBRARY, compile_pipeline, compile_step, compile_task
from runner.plan.model import Arguments, Commit, Plan
from runner.settings import Settings
from runner.spec.model import Node, Pipeline, Project
from runner.spec.project import parse_project
from runner.store.record import Run


def plan_pipeline(
    place: Place,
    project: Project,
    pipeline: Pipeline,
    arguments: Arguments,
    settings: Settings,
    open: Callable[[str], Commit] | None = None,
) -> Plan:
    """The plan of a pipeline of `project`; `open` finds the commits at which nodes are, in the project's repository if
    it is not given. Raises MlrunError for what cannot be run."""
    commits = open_commits(pipeline, open or partial(open_commit, place))
    return compile_pipeline(project, pipeline, arguments, str(place.root), commits=commits, retries=settings.retries)


def plan_recorded(
    run: Run,
    place: Place,
    project: Project,
    arguments: Arguments,
    settings: Settings,
    open: Callable[[str], Commit] | None = None,
) -> Plan:
    """The plan of what a run was of: the pipeline, the task or the step of its name in `project`; `open` as for
    `plan_pipeline`. Raises MlrunError for what cannot be run."""
    match run.kind:
        case "pipeline":
            return plan_pipeline(place, project, project.pipelines[run.name], arguments, settings, open)
        case "task":
            return compile_task(project, run.name, arguments, str(place.root))
        case _:
            policy = project.policies.get(run.name)
            return compile_step(project.steps[run.name], arguments, str(place.root), policy)


def recorded_arguments(run: Run) -> Arguments:
    """What a run was compiled with besides its file, without secrets' values. Raises MlrunError (STORE)."""
    try:
        return arguments_from_json(run.arguments or {})
    except (KeyError, TypeError, AttributeError) as error:
        message = f"the arguments of run {run.counter} cannot be understood: {error!r}"
        raise MlrunError(message, code=ExitCode.STORE) from error


def open_commits(pipeline: Pipeline, open: Callable[[str], Commit]) -> dict[str, Commit]:
    """The commits at which nodes are, by the names that they give them. Raises MlrunError (code SPEC) with the place of
    the node for one that `open` does not find."""
    found: dict[str, Commit] = {}
    for node in pipeline.nodes:
        if node.commit and node.commit not in found and not node.commit.startswith(LIBRARY):
            found[node.commit] = _opened(node, node.commit, open)
    return found


def _opened(node: Node, revision: str, open: Callable[[str], Commit]) -> Commit:
    try:
        return open(revision)
    except MlrunError as error:
        raise spec_error(f"node `{node.name}`: {error.message}", node.location, error.hint) from None


def open_commit(place: Place, revision: str) -> Commit:
    """A commit of the project's repository, and the file in it. Raises MlrunError."""
    if place.repository is None:
        raise usage_error(f"there is no git repository to find commit `{revision}` in", "`git init` makes one")
    id = place.repository.resolve(revision)
    data = place.repository.read_file(id, place.ref.file)
    return Commit(id, parse_project(data, f"{revision}:{place.ref.file}"))
