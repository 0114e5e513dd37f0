"""A file → a `Project`: the entry of this room. Reads one file from disk, nothing else; imports no schema library."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from runner.errors import ExitCode, MlrunError, Problem, Severity, did_you_mean, spec_error, usage_error
from runner.spec.endpoint import parse_deployment, parse_endpoint
from runner.spec.file import Wanted, read_file
from runner.spec.model import Pipeline, Project, Step, Task
from runner.spec.normalise import kind_of, normalise
from runner.spec.parse import parse_step
from runner.spec.phrase import DASHES, describe
from runner.spec.pipeline import parse_pipeline
from runner.spec.policy import parse_policy
from runner.spec.reader import Reader
from runner.spec.source import MAX_BYTES, Source, read_source
from runner.spec.task import parse_task
from runner.spec.tree import Row, Table, shorten


def load_project(path: Path, shown: str) -> Project:
    """Read and understand a file; `shown` is its name in messages.

    Raises MlrunError (SPEC) when its bytes cannot be read; whatever is wrong with them is in the project's problems.
    """
    return parse_project(read_bytes(path, shown), shown)


def read_bytes(path: Path, shown: str) -> bytes:
    """The bytes of a regular file of bearable size. Never waits for a pipe or a device. Raises MlrunError (SPEC)."""
    return read_file(path, shown, _YAML)


_YAML = Wanted(
    most=MAX_BYTES,
    code=ExitCode.SPEC,
    other="name a YAML file",
    missing="`mlrun init` makes an example",
    large="this is no `valohai.yaml`",
)


def parse_project(data: bytes, file: str) -> Project:
    """Understand the bytes of a file. Never raises: whatever is wrong is in the project's problems."""
    source = read_source(data, file)
    shape = normalise(source)
    builder = _Builder(source)
    for index, item in enumerate(shape.tree):
        builder.add(item, shape.ruined.get(index))
    problems = [*source.problems, *shape.problems, *builder.problems]
    fatal = None if shape.tree else next((problem for problem in problems if problem.severity is Severity.ERROR), None)
    return Project(
        file=file,
        data=data,
        steps=builder.found["step"],
        pipelines=builder.found["pipeline"],
        broken=(("file", None, fatal),) if fatal else tuple(builder.broken),
        problems=tuple(sorted(problems, key=lambda problem: (problem.location, problem.code))),
        tasks=builder.found["task"],
        endpoints=builder.found["endpoint"],
        deployments=builder.found["deployment"],
        policies=builder.found["policy"],
        tree=shape.tree,
    )


_PARSERS: Mapping[str, tuple[str, Callable[[Table, Reader], Any]]] = {
    "step": ("name", parse_step),
    "task": ("name", parse_task),
    "endpoint": ("name", parse_endpoint),
    "pipeline": ("name", parse_pipeline),
    "deployment": ("name", parse_deployment),
    "policy": ("step", parse_policy),
}
"""Each kind of item that is understood: the key that tells two of them apart, and what reads one. Reserved kinds are
not among them."""


class _Builder:
    """Sorts the items of a tree into usable and broken ones."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lines: dict[tuple[str, str], int] = {}
        self.found: dict[str, dict[str, Any]] = {kind: {} for kind in _PARSERS}
        self.broken: list[tuple[str, str | None, Problem]] = []
        self.problems: list[Problem] = []

    def add(self, item: object, ruin: Problem | None) -> None:
        kind = kind_of(item)
        if kind is None or kind not in _PARSERS or not isinstance(item, Table):
            return
        reader = Reader(self._source.file, self._source.lines)
        body = item[kind]
        name = None
        if isinstance(body, Table):
            name = body.get(_PARSERS[kind][0])
            self._add_body(kind, name, body, reader, ruin)
        else:
            said = describe(body) if body is None else f"{describe(body)}, not a mapping"
            code = "empty-item" if body is None else "wrong-type"
            hint = DASHES if isinstance(body, Row) else "indent its fields below it"
            reader.error(code, f"`{kind}:` is {said}", item.keys_at[kind], hint)
        self.problems += reader.problems
        if fatal := ruin or reader.first_error:
            self.broken.append((kind, name if isinstance(name, str) and name else None, fatal))

    def _add_body(self, kind: str, name: object, body: Table, reader: Reader, ruin: Problem | None) -> None:
        """Of several items with one name the last counts, whether it can be used or not."""
        key, parse = _PARSERS[kind]
        found = parse(body, reader)
        if not isinstance(name, str):
            return
        self._note_duplicate(kind, key, name, body, reader)
        self.found[kind].pop(name, None)
        if not (ruin or reader.first_error):
            self.found[kind][name] = found

    def _note_duplicate(self, kind: str, key: str, name: str, body: Table, reader: Reader) -> None:
        place = body.values_at[key]
        if before := self._lines.get((kind, name)):
            noun = f"{kind} `{shorten(name)}`" if key == "name" else f"{kind} for {key} `{shorten(name)}`"
            reader.warn("duplicate-name", f"there is a {noun} on line {before} too; this one counts",
                        place, "give it another name" if key == "name" else "keep one of them")  # fmt: skip
        self._lines[kind, name] = place[0]


def select_step(project: Project, name: str) -> Step:
    """The step that `name` means: its exact name, else a unique prefix in any case.

    Raises MlrunError: SPEC with the first problem of a step that is broken, USAGE for one that is unknown.
    """
    return _select(project, "step", project.steps, name)


def select_pipeline(project: Project, name: str) -> Pipeline:
    """The pipeline that `name` means, by the rules of `select_step`."""
    return _select(project, "pipeline", project.pipelines, name)


def select_task(project: Project, name: str) -> Task:
    """The task that `name` means, by the rules of `select_step`."""
    return _select(project, "task", project.tasks, name)


T = TypeVar("T")


def _select(project: Project, kind: str, found: Mapping[str, T], name: str) -> T:
    if name in found:
        return found[name]
    broken = {item: problem for sort, item, problem in reversed(project.broken) if sort == kind and item is not None}
    for sort, _, problem in project.broken:
        if sort == "file":
            raise _refusal(problem)
    if name in broken:
        raise _refusal(broken[name])
    every = [*found, *(item for item in broken if item not in found)]
    alike = [item for item in every if item.casefold() == name.casefold()]
    alike = alike or [item for item in every if name and item.casefold().startswith(name.casefold())]
    if len(alike) > 1:
        shown = ", ".join(f"`{shorten(item)}`" for item in sorted(alike)[:12])
        raise usage_error(f"`{shorten(name)}` could be any of {shown}", f"write more of the {kind}'s name")
    if not alike:
        hint = did_you_mean(name, every) or f"`{project.file}` has no {kind}"
        raise usage_error(f"there is no {kind} `{shorten(name)}` in `{project.file}`", hint)
    if alike[0] not in found:
        raise _refusal(broken[alike[0]])
    return found[alike[0]]


def _refusal(problem: Problem) -> MlrunError:
    error = spec_error(problem.message, problem.location, problem.hint)
    error.problems = (problem,)
    return error
