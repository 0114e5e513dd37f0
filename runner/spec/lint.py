"""All problems of a file at once. Pure.

Linting is strict and running is lenient: of what is found here a run refuses only what it was asked for. What can be
wrong is in `runner.spec.check`, one module for each subject; what is wrong with a file's form was found before, by the
modules that read it and by the schema.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from runner.errors import Problem, Severity
from runner.spec.check.command import check_addresses, check_command
from runner.spec.check.endpoint import check_target, check_volumes
from runner.spec.check.image import check_image
from runner.spec.check.pipeline import check_broken, check_pipeline
from runner.spec.check.policy import check_policy
from runner.spec.check.sheet import Findings, Sheet
from runner.spec.check.step import check_names, check_preset, check_step
from runner.spec.check.task import check_task
from runner.spec.check.use import check_use
from runner.spec.model import Condition, Node, Pipeline, Project, Step, Task
from runner.spec.normalise import items_of
from runner.spec.pipeline import parse_pipeline
from runner.spec.reader import Reader
from runner.spec.schema import validate
from runner.spec.tree import Row, Table, shorten


def lint(project: Project) -> list[Problem]:
    """All problems of a file, sorted by place. Where the schema speaks, what parsing said of the place is left out."""
    sheet = Sheet(project)
    found = validate(project.tree, project.file, lambda: sheet.lines)
    spoken = {problem.location for problem in found}
    found += [
        problem
        for problem in project.problems
        if problem.severity is Severity.WARNING or problem.location not in spoken
    ]
    broken = [parse_pipeline(body, Reader(project.file, sheet.lines)) for body in _broken_pipelines(sheet)]
    found += _problems(sheet, [*project.pipelines.values(), *broken])
    for pipeline in project.pipelines.values():
        found += check_pipeline(sheet, pipeline, strict=False)
    for pipeline in broken:
        found += check_broken(sheet, pipeline)
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.location, problem.code, problem.message))


def _broken_pipelines(sheet: Sheet) -> list[Table]:
    """The bodies of the pipelines that were put aside; of several with one name the last counts."""
    bodies = {body.get("name") or number: body for number, body in enumerate(items_of(sheet.tree, "pipeline"))
              if isinstance(body.get("name"), str | None)}  # fmt: skip
    return [body for name, body in bodies.items() if name not in sheet.project.pipelines]


def problems_within(
    project: Project, problems: Iterable[Problem], items: Iterable[Step | Pipeline | Task]
) -> list[list[Problem]]:
    """For each of some steps, pipelines and tasks those problems that stand in the same item of the file."""
    starts = [line for line, _ in project.tree.items_at] if isinstance(project.tree, Row) else []
    found: dict[int, list[Problem]] = {}
    for problem in problems:
        found.setdefault(bisect_right(starts, problem.location.line), []).append(problem)
    return [found.get(bisect_right(starts, item.location.line), []) if starts else [] for item in items]


def _problems(sheet: Sheet, pipelines: Sequence[Pipeline]) -> list[Problem]:
    """What is wrong with steps, tasks, policies, endpoints and deployments, and with what nodes override."""
    project, findings = sheet.project, Findings(sheet)
    for step in project.steps.values():
        check_step(findings, step)
        check_command(findings, step, step.command)
        check_addresses(findings, step)
    for task in project.tasks.values():
        check_task(findings, task)
    for policy in project.policies.values():
        check_policy(findings, policy)
    check_use(findings, pipelines)
    for body in items_of(sheet.tree, "step"):
        check_names(findings, body)
        check_preset(findings, body)
        check_image(findings, body, _called(body, "step", "a step"))
    for body in items_of(sheet.tree, "endpoint"):
        check_volumes(findings, body)
        check_image(findings, body, _called(body, "endpoint", "an endpoint"))
    for body in items_of(sheet.tree, "deployment"):
        check_target(findings, body)
    for pipeline in pipelines:
        for node, table in zip(pipeline.nodes, sheet.nodes(pipeline), strict=True):
            if node.override is not None:
                _check_override(findings, node, table.get("override"))
    _check_conditions(findings)
    return findings.problems


def _called(body: Table, noun: str, unnamed: str) -> str:
    """What an item is called in a message; one whose name is no text is `unnamed`."""
    name = body.get("name")
    return f"{noun} `{shorten(name)}`" if isinstance(name, str) and name else unnamed


def _check_override(findings: Findings, node: Node, body: object) -> None:
    """What a node changes of its step is checked like the step itself."""
    step = findings.sheet.step_of(node)
    if isinstance(body, Table):
        check_preset(findings, body)
        check_image(findings, body, f"node `{shorten(node.name)}`")
    if step is not None and node.override is not None:
        check_command(findings, step, node.override.command)


def _check_conditions(findings: Findings) -> None:
    """The library that reads conditions is loaded for files that have one."""
    conditions = list(_conditions(findings.sheet.project))
    if conditions:
        from runner.spec.check.condition import check_condition

        for condition, noun, step in conditions:
            check_condition(findings, condition, noun, step, False)


def _conditions(project: Project) -> Iterator[tuple[Condition, str, Step | None]]:
    for step in project.steps.values():
        if step.stop_condition is not None:
            yield step.stop_condition, f"`stop-condition` of step `{shorten(step.name)}`", step
    for task in project.tasks.values():
        if task.stop_condition is not None:
            step_of_task = project.steps.get(task.step)
            yield task.stop_condition, f"`stop-condition` of task `{shorten(task.name)}`", step_of_task
