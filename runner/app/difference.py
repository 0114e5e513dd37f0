"""Two revisions → what the change between them means: reads both sides and hands them to the comparison."""

from dataclasses import dataclass
from pathlib import Path

from runner.app.revision import Revision, Sides, read_sides
from runner.change.model import Change
from runner.change.report import compare_projects, new_errors
from runner.errors import Problem


@dataclass(frozen=True, slots=True)
class Compared:
    """A change and what was compared; `file` is the path of the YAML file from the root of the repository."""

    file: str
    base: Revision
    head: Revision
    change: Change


def compare(start: Path, words: list[str], yaml: str | None = None) -> Compared:
    """What the change means that a command line asks for in the folder `start`. Raises MlrunError as `read_sides`."""
    sides = read_sides(start, words, yaml)
    absent = [word for word, side in (("base", sides.base), ("head", sides.head)) if side.missing]
    change = compare_projects(
        sides.base.project, sides.head.project, sides.files, problems=_new_errors(sides), absent=absent, yaml=sides.yaml
    )
    return Compared(sides.file, sides.base.revision, sides.head.revision, change)


def _new_errors(sides: Sides) -> tuple[Problem, ...]:
    """The errors that the head side alone has. Of the same bytes nothing is asked: the schema takes long to load."""
    if sides.head.missing or sides.head.project.data == sides.base.project.data:
        return ()
    from runner.spec.lint import lint

    base = [] if sides.base.missing else lint(sides.base.project)
    return new_errors(base, lint(sides.head.project))
