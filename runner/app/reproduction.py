"""What came of repeating a run: a verdict for each of its nodes and for the whole. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from runner.app.drift import Drift
from runner.app.result import Kind, Part, likeness
from runner.comparison.finding import Likeness
from runner.errors import ExitCode
from runner.store.record import OutputFile


class Verdict(StrEnum):
    """What came of repeating one execution, or all of a run."""

    IDENTICAL = "identical"
    EQUAL = "equal"
    """The same values within the tolerance, not all of them in the same bytes."""
    DIFFERENT = "different"
    CANNOT_RUN = "cannot-run"
    NEVER_RAN = "never-ran"
    """There is nothing that could be repeated."""


class Cause(StrEnum):
    """Why something differs, as far as a second repetition tells."""

    CHANCE = "non-deterministic"
    """The two repetitions differ from one another."""
    CHANGE = "changed-environment"
    """The two repetitions are the same, and the record is not."""


class Need(StrEnum):
    """What an execution needs in order to run again."""

    RECORD = "record"
    CODE = "code"
    INPUT = "input"
    IMAGE = "image"
    EXECUTOR = "executor"
    SECRET = "secret"
    PERMISSION = "permission"
    ENVIRONMENT = "environment"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that is missing: `name` is a file's, an image's, an executor's or a secret's, `message` a sentence.
    An input has its `digest`, its `size` in bytes and the `origin` that it once came from."""

    need: Need
    name: str
    message: str
    hint: str | None = None
    digest: str | None = None
    size: int | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """What came of one node. `execution` is its number, None where it has none; `run` the id of the run whose execution
    that is, another one's for a node that was reused. `causes` are those of the parts that differ, by kind and name."""

    node: str
    step: str
    verdict: Verdict
    execution: int | None = None
    id: str | None = None
    run: str | None = None
    parts: tuple[Part, ...] = ()
    causes: Mapping[tuple[Kind, str], Cause] | None = None
    lacks: tuple[Lack, ...] = ()
    drift: tuple[Drift, ...] = ()
    note: str | None = None

    @property
    def why(self) -> tuple[Cause, ...]:
        """The causes of what differs and counts, each once."""
        found = (cause for (kind, _), cause in (self.causes or {}).items() if kind is not Kind.LOG)
        return tuple(dict.fromkeys(found))

    def cause(self, part: Part) -> Cause | None:
        """Why a part differs; None where it does not, or nobody looked."""
        return (self.causes or {}).get((part.kind, part.name))


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of a run, or of one execution of it: `subject` names it. `drift` is that of all nodes, each once;
    `signal` the number of the one that ended it before its time."""

    subject: Mapping[str, Any]
    tolerance: float
    nodes: tuple[Repeated, ...]
    signal: int | None = None

    @property
    def drift(self) -> tuple[Drift, ...]:
        """In what this machine and its programs are not those of the record."""
        return tuple(dict.fromkeys(one for node in self.nodes for one in node.drift))

    @property
    def verdict(self) -> Verdict:
        """The worst of all that could be repeated; a difference is proven, so it outweighs what could not run."""
        return worst_verdict(node.verdict for node in self.nodes)

    @property
    def exit(self) -> int:
        """The exit code of the command."""
        if self.signal is not None:
            return 128 + self.signal
        return _EXITS.get(self.verdict, ExitCode.OK)


_EXITS = {
    Verdict.DIFFERENT: ExitCode.DIFFERS,
    Verdict.CANNOT_RUN: ExitCode.CANNOT_REPEAT,
    Verdict.NEVER_RAN: ExitCode.CANNOT_REPEAT,
}

_WEIGHTS = (Verdict.NEVER_RAN, Verdict.IDENTICAL, Verdict.EQUAL, Verdict.CANNOT_RUN, Verdict.DIFFERENT)


def worst_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a whole; of what never ran, if there is nothing else."""
    return max(verdicts, key=_WEIGHTS.index, default=Verdict.NEVER_RAN)


def judge(parts: tuple[Part, ...]) -> Verdict:
    """The verdict on one repetition."""
    return {
        Likeness.IDENTICAL: Verdict.IDENTICAL,
        Likeness.EQUAL: Verdict.EQUAL,
        Likeness.DIFFERENT: Verdict.DIFFERENT,
    }[likeness(parts)]


def find_causes(parts: Iterable[Part], again: Iterable[Part]) -> dict[tuple[Kind, str], Cause]:
    """Why parts differ from the record, by how the second repetition differs from the first."""
    chance = {(part.kind, part.name) for part in again if part.likeness is Likeness.DIFFERENT}
    labels = [(part.kind, part.name) for part in parts if part.likeness is Likeness.DIFFERENT]
    return {label: Cause.CHANCE if label in chance else Cause.CHANGE for label in labels}


def cannot_run(repeated: Repeated, *lacks: Lack) -> Repeated:
    """The same, with what is missing."""
    return replace(repeated, verdict=Verdict.CANNOT_RUN, lacks=(*repeated.lacks, *lacks))


def to_json(report: Reproduction) -> dict[str, Any]:
    """The report as JSON data."""
    return {
        "subject": dict(report.subject),
        "verdict": report.verdict,
        "exit": int(report.exit),
        "tolerance": report.tolerance,
        "drift": [asdict(one) for one in report.drift],
        "nodes": [_node_json(node) for node in report.nodes],
    }


def _node_json(node: Repeated) -> dict[str, Any]:
    return {
        "node": node.node,
        "step": node.step,
        "execution": node.execution,
        "id": node.id,
        "run": node.run,
        "verdict": node.verdict,
        "causes": list(node.why),
        "note": node.note,
        "missing": [asdict(lack) for lack in node.lacks],
        "drift": [asdict(one) for one in node.drift],
        "parts": [_part_json(node, part) for part in node.parts],
    }


def _part_json(node: Repeated, part: Part) -> dict[str, Any]:
    found = part.finding
    return {
        "kind": part.kind,
        "name": part.name,
        "verdict": found.likeness,
        "deviation": found.deviation,
        "difference": None if found.difference is None else asdict(found.difference),
        "cause": node.cause(part),
        "before": _file_json(part.before),
        "after": _file_json(part.after),
    }


def _file_json(file: OutputFile | None) -> dict[str, Any] | None:
    return None if file is None else {"digest": file.digest, "size": file.size}
