"""What is asked for: everything that the command line and the file decide before a run starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runner.app.place import Place
from runner.app.wish import NEVER, Wish
from runner.errors import ExitCode, MlrunError
from runner.plan.model import Plan
from runner.settings import Settings
from runner.spec.model import Project
from runner.spec.project import load_project, parse_project

Decider = Callable[[str, bool, str], None]
"""Says of the node of this name whether it is approved, and by whom."""


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that is decided before a run starts. `git` False records the folder as it is, outside git; `gpus` is
    how many every step gets whatever the file says (-1: all); `secrets` are values for those that the plan names.
    `reuse` says for which nodes an earlier execution may stand. `parks`: once only approvals are missing nobody is
    waited for; `approver` is who gives all of them beforehand; `attend` gets what decides about a node (its name,
    whether it is approved, by whom) as soon as the run is under way.
    With `settle`, which waits until everything told was shown, a failed program leaves its place open for a shell."""

    plan: Plan
    place: Place
    project: Project
    settings: Settings
    argv: tuple[str, ...]
    title: str | None = None
    tags: tuple[str, ...] = ()
    commit: str | None = None
    git: bool = True
    gpus: int | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    settle: Callable[[], None] | None = None
    reuse: Wish = NEVER
    parks: bool = True
    approver: str | None = None
    attend: Callable[[Decider], None] | None = None


def open_project(place: Place, commit: str | None) -> Project:
    """The project of `place`, from the working tree or from a commit. Raises MlrunError."""
    if commit is None:
        return load_project(place.file, place.shown)
    if place.repository is None:
        raise MlrunError("`--commit` needs a git repository", code=ExitCode.USAGE, hint="leave it out, or `git init`")
    revision = place.repository.resolve(commit)
    data = place.repository.read_file(revision, place.ref.file)
    return parse_project(data, f"{commit}:{place.ref.file}")
