"""Two understood files and the files that differ besides → everything that the change means. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from runner.change.code import ChangedFiles
from runner.change.effect import Effects
from runner.change.items import Names, bodies_of, compare_items
from runner.change.mark import draw_pipeline
from runner.change.model import Change, FileChange, ItemChange, PipelineChange, Verdict
from runner.change.verdict import Judge
from runner.errors import Problem, Severity
from runner.spec.model import Project


def compare_projects(
    base: Project,
    head: Project,
    files: Sequence[FileChange] = (),
    *,
    problems: Iterable[Problem] = (),
    absent: Sequence[str] = (),
    yaml: FileChange | None = None,
) -> Change:
    """What it means that `base` becomes `head` and that `files` of the repository differ.

    `problems` are the errors that only the head side has; `absent` names the sides that have no such file; `yaml` is
    the file itself as one of the repository, if it differs: a step's command may name it.
    """
    if unreadable := _unreadable(base, head):
        differs = base.data != head.data
        return Change(files=tuple(files), problems=tuple(problems), unreadable=unreadable if differs else ())
    items, names = compare_items(base, head)
    old, new = Effects(base, bodies_of(base)), Effects(head, bodies_of(head))
    judge = Judge(old, new, names, ChangedFiles(files, yaml))
    pipelines = [*_pipelines(judge, items, names), *_gone(judge)]
    steps = _lone_steps(judge)
    return Change(
        items=items,
        files=tuple(files),
        pipelines=tuple(pipelines),
        steps=tuple(steps),
        problems=tuple(problems),
        absent=tuple(absent),
    )


def _unreadable(base: Project, head: Project) -> tuple[str, ...]:
    """The sides of which not even the items are known."""
    sides = (("base", base), ("head", head))
    return tuple(word for word, project in sides if any(sort == "file" for sort, _, _ in project.broken))


def _pipelines(judge: Judge, items: Sequence[ItemChange], names: Names) -> list[PipelineChange]:
    changes = {item.name: item for item in items if item.sort == "pipeline"}
    found = []
    for pipeline in judge.head.project.pipelines.values():
        verdicts = judge.pipeline(pipeline)
        was = names.was("pipeline", pipeline.name)
        earlier = judge.base.project.pipelines.get(was) if was is not None else None
        before, after = draw_pipeline(judge, earlier, pipeline, verdicts, changes.get(pipeline.name))
        found.append(PipelineChange(pipeline.name, verdicts, before, after))
    return found


def _gone(judge: Judge) -> list[PipelineChange]:
    """Pipelines that only the base has, or that the head has broken."""
    kept = {judge.names.was("pipeline", name) for name in judge.head.project.pipelines}
    found = []
    for name, pipeline in judge.base.project.pipelines.items():
        if name not in kept:
            before, _ = draw_pipeline(judge, pipeline, None, (), None)
            found.append(PipelineChange(name, (), before, None))
    return found


def _lone_steps(judge: Judge) -> list[Verdict]:
    """The verdicts on steps that no pipeline of the head side runs."""
    head = judge.head
    used = {
        step.name
        for pipeline in head.project.pipelines.values()
        for node in pipeline.nodes
        if (step := head.step_of(node)) is not None
    }
    return [judge.step(step) for name, step in head.project.steps.items() if name not in used]


def new_errors(base: Iterable[Problem], head: Iterable[Problem]) -> tuple[Problem, ...]:
    """The errors of the head side that the base side does not have; places may differ."""
    known = Counter((problem.code, problem.message) for problem in base)
    found = []
    for problem in head:
        key = (problem.code, problem.message)
        if problem.severity is not Severity.ERROR:
            continue
        if known[key]:
            known[key] -= 1
        else:
            found.append(problem)
    return tuple(found)
