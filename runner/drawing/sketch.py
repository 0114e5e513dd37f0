"""A project with its broken items too, as far as they can be understood: to look at, not to run. Pure."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from runner.spec.model import Pipeline, Project, Step, Task
from runner.spec.normalise import items_of
from runner.spec.parse import parse_step
from runner.spec.pipeline import parse_pipeline
from runner.spec.reader import Reader
from runner.spec.source import source_lines
from runner.spec.task import parse_task
from runner.spec.tree import Row, Table

Item = TypeVar("Item", Step, Pipeline, Task)

_KINDS = ("step", "task", "pipeline")


def sketch(project: Project) -> Project:
    """The project with its broken steps, tasks and pipelines among the sound ones, in the order of the file. What has
    no name is still missing, and so is all of a file that could not be read."""
    if not isinstance(project.tree, Row) or not any(kind in _KINDS for kind, _, _ in project.broken):
        return project
    return replace(
        project,
        steps=_all(project, project.tree, "step", parse_step),
        tasks=_all(project, project.tree, "task", parse_task),
        pipelines=_all(project, project.tree, "pipeline", parse_pipeline),
        broken=tuple(row for row in project.broken if row[0] not in _KINDS),
    )


def _all(project: Project, tree: Row, kind: str, parse: Callable[[Table, Reader], Item]) -> dict[str, Item]:
    """The items of a kind by name, whatever a reader says of them; of several with one name the last."""
    lines = source_lines(project.data)
    found: dict[str, Item] = {}
    for body in items_of(tree, kind):
        item = parse(body, Reader(project.file, lines))
        if item.name:
            found.pop(item.name, None)
            found[item.name] = item
    return found
