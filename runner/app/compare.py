"""Two to six executions side by side: what they were made of, what they measured, what they left. Reads the store.

What counts for reuse is told by the same walk that decides about it (`runner.reuse.decide.explain`); the tables beside
it show everything that differs, whether it counts or not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from runner.app.reuse import Sight
from runner.app.standing import made_by
from runner.app.why import Evidence
from runner.comparison.content import Content, compare_contents
from runner.comparison.finding import Finding
from runner.comparison.patch import added_and_removed, text_of, unified
from runner.comparison.tolerance import EXACT
from runner.digest import Digest
from runner.engine.entry import job_from_json
from runner.errors import MlrunError
from runner.reuse.code import renamed
from runner.reuse.content import CodeKey
from runner.reuse.decide import Cause, Earlier, Rule, explain
from runner.reuse.fact import NO_FACTS, Made
from runner.store.record import Execution, Run, in_order
from runner.store.store import Store

LARGEST = 16 << 20
"""Bytes of an output in which the first difference is looked for."""

ABSENT = None
"""What an execution has not."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the executions that are compared; `label` is what it was called."""

    label: str
    run: Run
    execution: Execution


@dataclass(frozen=True, slots=True)
class Row:
    """A thing by its name, and what each side has there; `same` tells whether all have the same."""

    name: str
    values: tuple[Any, ...]
    same: bool


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file of the code that a later side has otherwise: `before` and `after` are None where it is not there. The
    number of lines that were added and removed is None for what is no text. `read` tells whether one of both opened
    it, None where nobody knows; `patch` is a unified diff."""

    path: str
    before: str | None
    after: str | None
    added: int | None
    removed: int | None
    read: bool | None
    patch: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """A file that some sides left: its contents and sizes (bytes), and how that of each differs from the first one's;
    None where there is nothing to compare with, or too much."""

    row: Row
    findings: tuple[Finding | None, ...]


@dataclass(frozen=True, slots=True)
class Against:
    """How a side differs from the first one: `causes` are why neither could stand for the other, None where their
    records do not tell, and `evidence` what is behind them."""

    causes: tuple[Cause, ...] | None
    evidence: Evidence
    command: tuple[str, ...]
    """The lines of the command that differ, with `-` and `+` before them."""
    files: tuple[FileChange, ...] | None
    """None where the code of one is gone."""

    @property
    def differs(self) -> bool:
        """Whether what ran is not the same, as far as is known."""
        if self.causes is None or self.files is None:
            return True
        return bool(self.causes or self.command or any(file.read is not False for file in self.files))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Executions side by side. `name` is the node's where runs are compared; a side is None where a run has no such
    node. `against` is there for all sides after the first that is."""

    name: str
    sides: tuple[Side | None, ...]
    against: Mapping[int, Against]
    settings: tuple[Row, ...]
    parameters: tuple[Row, ...]
    variables: tuple[Row, ...]
    inputs: tuple[Row, ...]
    environment: tuple[Row, ...]
    distributions: tuple[Row, ...]
    metrics: tuple[Row, ...]
    outputs: tuple[Output, ...]

    @property
    def differs(self) -> bool:
        """Whether anything differs but times and files of the code that nobody read, or one is missing."""
        rows = [*self.settings, *self.parameters, *self.variables, *self.inputs, *self.environment]
        rows += [*self.distributions, *self.metrics, *(output.row for output in self.outputs)]
        code = any(one.differs for one in self.against.values())
        return None in self.sides or code or any(not row.same for row in rows)


def compare(
    store: Store, sides: Sequence[Side | None], name: str = "", code_key: CodeKey = CodeKey.SYNTAX
) -> Comparison:
    """Executions side by side, the first of them as what the others are told against. Raises MlrunError (STORE)."""
    sight = Sight(store, code_key)
    first = next(place for place, side in enumerate(sides) if side is not None)
    base = sides[first]
    assert base is not None
    against = {
        place: _against(store, sight, base, side)
        for place, side in enumerate(sides)
        if side is not None and place != first
    }
    return Comparison(
        name,
        tuple(sides),
        against,
        _rows(sides, _settings),
        _rows(sides, lambda side: side.execution.job.get("parameters") or {}),
        _rows(sides, _variables),
        _rows(sides, _inputs),
        _rows(sides, _environment),
        _rows(sides, _distributions),
        _rows(sides, lambda side: side.execution.metrics),
        tuple(_outputs(store, sides)),
    )


# What an execution has ----------------------------------------------------------------------------------------------


def _rows(sides: Sequence[Side | None], have: Callable[[Side], Mapping[str, Any]]) -> tuple[Row, ...]:
    """Everything that a side has, by name in the order of the first that has it."""
    found = [have(side) if side is not None else {} for side in sides]
    there = [place for place, side in enumerate(sides) if side is not None]
    rows = []
    for name in dict.fromkeys(name for one in found for name in one):
        values = tuple(one.get(name, ABSENT) for one in found)
        is_same = all(name in found[place] and _alike(values[place], values[there[0]]) for place in there)
        rows.append(Row(name, values, is_same))
    return tuple(rows)


def _alike(one: object, other: object) -> bool:
    """Python takes 1, 1.0 and true for equal, programs do not."""
    return type(one) is type(other) and one == other


def _settings(side: Side) -> dict[str, Any]:
    """What else the step was given."""
    job = side.execution.job
    allowance = job.get("allowance") or {}
    found = {
        "network": job.get("network"),
        "stop-condition": job.get("stop_condition"),
        "time limit": job.get("time_limit"),
        "CPUs": allowance.get("cpus"),
        "memory": allowance.get("memory"),
        "secrets": ", ".join(sorted(job.get("secrets") or ())),
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _command(side: Side) -> str:
    script = side.execution.job.get("script") or {}
    return "".join(f"{item}\n" for item in script.get("items", ()))


def _variables(side: Side) -> dict[str, Any]:
    """The step's own variables; those that only say which execution it is are no difference."""
    environment = side.execution.job.get("environment") or {}
    return {name: environment[name] for name in sorted(environment) if name not in NO_FACTS}


def _inputs(side: Side) -> dict[str, Any]:
    return {
        f"{given['name']}/{file['name']}": file["digest"]
        for given in side.execution.job.get("inputs", ())
        for file in given["files"]
    }


def _environment(side: Side) -> dict[str, Any]:
    identity = side.execution.identity or {}
    names = ("id", "platform", "interpreter", "version", "system_packages")
    found = {name: identity[name] for name in names if isinstance(identity.get(name), str)}
    return {"executor": side.execution.executor, "image": side.execution.job.get("image"), **found}


def _distributions(side: Side) -> dict[str, Any]:
    listed = (side.execution.identity or {}).get("distributions")
    pairs = (str(one).partition("==") for one in listed) if isinstance(listed, list | tuple) else ()
    return {name: version for name, _, version in sorted(pairs)}


# Against the first --------------------------------------------------------------------------------------------------


def _against(store: Store, sight: Sight, base: Side, side: Side) -> Against:
    before, after = (Digest(one.execution.job.get("snapshot") or one.run.code.snapshot) for one in (base, side))
    evidence = Evidence(sight, store, before, after, base.execution.identity or {}, side.execution.identity or {})
    was, now = _made(sight, base, before), _made(sight, side, after)
    causes = None
    if was is not None and now is not None:
        causes = explain(now, after, Earlier(base.execution, was, before), sight, Rule())
    return Against(causes, evidence, tuple(_changed(base, side)), _files(sight, evidence, base, side))


def _changed(base: Side, side: Side) -> Iterator[str]:
    patch = unified(_command(base), _command(side), "command")
    return (line for line in patch[2:] if line.startswith(("-", "+")))


def _made(sight: Sight, side: Side, snapshot: Digest) -> Made | None:
    """What an execution was made of; None where its record does not tell."""
    execution, code = side.execution, sight.code(snapshot)
    if code is None or execution.executor is None:
        return None
    try:
        job = job_from_json(execution.id, execution.job)
    except (KeyError, TypeError, ValueError):
        return None
    return Made(job, str((execution.identity or {}).get("id", "")), execution.executor, code.names())


def _files(sight: Sight, evidence: Evidence, base: Side, side: Side) -> tuple[FileChange, ...] | None:
    """The files of the code that are not the same, by path."""
    before, after = sight.code(evidence.before), sight.code(evidence.after)
    if before is None or after is None:
        return None
    added, removed, other = renamed(before, after)
    both = (path for path in before.entries if path in after.entries)
    changed = {path for path in both if before.entries[path].content != after.entries[path].content}
    reads = [one.execution.read.code for one in (base, side)]
    opened = None if None in reads else {path for read in reads for path in read or ()}
    return tuple(_file(evidence, path, opened) for path in sorted({*added, *removed, *other, *changed}, key=_as_bytes))


def _as_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _file(evidence: Evidence, path: str, opened: set[str] | None) -> FileChange:
    entries = evidence.entries(path)
    modes = (None if entries[0] is None else entries[0].mode, None if entries[1] is None else entries[1].mode)
    read = None if opened is None else path in opened
    texts = [text_of(text) for text in evidence.texts(path)]
    if texts[0] is None or texts[1] is None:
        return FileChange(path, *modes, None, None, read)
    patch = unified(texts[0], texts[1], path)
    return FileChange(path, *modes, *added_and_removed(patch), read, patch)


# Outputs ------------------------------------------------------------------------------------------------------------


def _outputs(store: Store, sides: Sequence[Side | None]) -> Iterator[Output]:
    """Every file that was left, and the first place in which it differs from that of the first side that left it."""
    sizes = [{one.name: one.size for one in side.execution.outputs} if side is not None else {} for side in sides]
    for row in _rows(sides, lambda side: {one.name: one.digest for one in side.execution.outputs}):
        first = next(place for place, digest in enumerate(row.values) if digest is not None)
        findings: list[Finding | None] = []
        for place, digest in enumerate(row.values):
            near = max(sizes[place].get(row.name, 0), sizes[first][row.name]) <= LARGEST
            compared = near and digest is not None and place != first
            findings.append(_finding(store, row.name, row.values[first], digest) if compared else None)
        yield Output(row, tuple(findings))


def _finding(store: Store, name: str, before: Digest, after: Digest) -> Finding | None:
    """How a file differs from another; None where the content of one is gone."""
    one = Content(before, lambda: store.objects.open(before))
    other = Content(after, lambda: store.objects.open(after))
    try:
        return compare_contents(name, one, other, EXACT)
    except (MlrunError, OSError):
        return None


# Runs ---------------------------------------------------------------------------------------------------------------


def executions_of(store: Store, run: Run, label: str) -> dict[str, Side]:
    """What each node of a run comes down to: its last execution, or the one that stands for it. Nodes that have neither
    are left out."""
    found, read = {}, cache(store.run)
    for node in in_order(run):
        with suppress(MlrunError):
            if (made := made_by(store, run, node, read)) is not None:
                found[node.name] = Side(label, *made)
    return found


def all_nodes(sides: Iterable[Mapping[str, Side]]) -> list[str]:
    """The nodes of several runs, each once, in order."""
    return list(dict.fromkeys(name for one in sides for name in one))
