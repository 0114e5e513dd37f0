"""What an execution left, recorded or repeated, and how like two of these are, part by part."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, BinaryIO

from runner.comparison.content import Content, compare_contents
from runner.comparison.finding import IDENTICAL, Difference, Finding, Likeness, different, is_cut, worst
from runner.comparison.log import compare_logs
from runner.comparison.tolerance import Tolerance
from runner.comparison.value import compare_values
from runner.digest import Digest
from runner.errors import MlrunError
from runner.state import Reason
from runner.store.record import Execution, LogRef, OutputFile
from runner.worker.report import Finished

_MOST_EVENTS = 64 << 20
"""Bytes of a log of metrics that are read; of a longer one the last values have to do."""

Open = Callable[[Digest], BinaryIO]
"""An object for reading, seekable. Raises MlrunError, OSError."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended and what it left; `open` gives the content that the digests name."""

    reason: Reason | None
    exit_code: int | None
    outputs: tuple[OutputFile, ...]
    metrics: Mapping[str, Any]
    metric_log: Digest | None
    log: LogRef | None
    open: Open

    @classmethod
    def recorded(cls, execution: Execution, open: Open) -> "Result":
        """Of an execution that has ended."""
        one = execution
        return cls(one.reason, one.exit_code, one.outputs, one.metrics, one.metric_log, one.log, open)

    @classmethod
    def repeated(cls, finished: Finished, open: Open) -> "Result":
        """Of a job that has just ended."""
        outcome, one = finished.outcome, finished
        return cls(outcome.reason, outcome.exit_code, one.outputs, one.metrics, one.metric_log, one.log, open)

    @property
    def end(self) -> str:
        """How it ended, in words."""
        code = "" if self.exit_code is None else f"code {self.exit_code}"
        if self.reason is None or self.reason is Reason.EXIT:
            return f"exit {code}".strip()
        return f"{self.reason} {code}".strip()


class Kind(StrEnum):
    """What a part of a result is."""

    END = "end"
    FILE = "file"
    PROPERTIES = "properties"
    METRICS = "metrics"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of two results and how like it is. `name` is that of a file or a stream, else empty; `before` and
    `after` are the two files, None where there is none."""

    kind: Kind
    name: str
    finding: Finding
    before: OutputFile | None = None
    after: OutputFile | None = None

    @property
    def likeness(self) -> Likeness:
        """How like the two are."""
        return self.finding.likeness


def likeness(parts: tuple[Part, ...]) -> Likeness:
    """How like two results are. Their logs do not count: programs print times, addresses and the order of threads."""
    return worst(*(part.likeness for part in parts if part.kind is not Kind.LOG))


def without_values(part: Part, hide: Callable[[str], str]) -> Part:
    """The same, with nothing of what stands at the first difference: of a step that had secrets it might be one.

    `hide` blots them out of the place, where the step may have made a name of one; a place that was cut off says
    nothing, because half a secret is not found.
    """
    place = part.finding.difference
    if place is None:
        return part
    where = "content" if is_cut(place) else hide(place.where)
    return replace(part, finding=replace(part.finding, difference=Difference(where, "", "")))


def compare_results(before: Result, after: Result, tolerance: Tolerance) -> tuple[Part, ...]:
    """All parts: the end, every file of either, its properties where they differ, metrics, both streams of the log."""
    return tuple(_parts(before, after, tolerance))


def _parts(before: Result, after: Result, tolerance: Tolerance) -> Iterator[Part]:
    same = (before.reason, before.exit_code) == (after.reason, after.exit_code)
    yield Part(Kind.END, "", IDENTICAL if same else different("end", before.end, after.end))
    had, has = ({file.name: file for file in result.outputs} for result in (before, after))
    for name in sorted({*had, *has}):
        one, other = had.get(name), has.get(name)
        yield Part(Kind.FILE, name, _compare_files(name, one, other, before.open, after.open, tolerance), one, other)
        if one and other and one.metadata != other.metadata:
            found = compare_values(dict(one.metadata), dict(other.metadata), tolerance)
            yield Part(Kind.PROPERTIES, name, found)
    if before.metrics or after.metrics:
        yield Part(Kind.METRICS, "", _compare_metrics(before, after, tolerance))
    yield from _log_parts(before, after)


def _compare_files(
    name: str, one: OutputFile | None, other: OutputFile | None, had: Open, has: Open, tolerance: Tolerance
) -> Finding:
    if one is None or other is None:
        return different("file", "" if one is None else "it is there", "" if other is None else "it is there")
    before = Content(one.digest, lambda: had(one.digest))
    after = Content(other.digest, lambda: has(other.digest))
    try:
        return compare_contents(name, before, after, tolerance)
    except (MlrunError, OSError) as error:
        # The digests differ, so the contents do; where, only what is gone could tell.
        return different("content", f"{one.digest[:16]} ({error})", other.digest[:16])


def _compare_metrics(before: Result, after: Result, tolerance: Tolerance) -> Finding:
    """The last values, then every event in order, as far as both can still be had."""
    last = compare_values(dict(before.metrics), dict(after.metrics), tolerance)
    if last.difference is not None:
        return last
    had, has = _events(before), _events(after)
    if had is None or has is None:
        return IDENTICAL if before.metrics == after.metrics else last
    found = compare_values(had, has, tolerance)
    if found.likeness is Likeness.DIFFERENT:
        return found
    return IDENTICAL if before.metrics == after.metrics and had == has else found


def _events(result: Result) -> list[Any] | None:
    """The values of every event; None where they cannot be had."""
    if result.metric_log is None:
        return None
    try:
        with result.open(result.metric_log) as file:
            data = file.read(_MOST_EVENTS + 1)
        return [json.loads(line)["values"] for line in data.splitlines()] if len(data) <= _MOST_EVENTS else None
    except (MlrunError, OSError, ValueError, KeyError, TypeError):
        return None


def _log_parts(before: Result, after: Result) -> Iterator[Part]:
    if before.log is None or after.log is None:
        return
    streams = (("stdout", before.log.stdout, after.log.stdout), ("stderr", before.log.stderr, after.log.stderr))
    for name, one, other in streams:
        try:
            with before.open(one) as file, after.open(other) as again:
                finding = IDENTICAL if one == other else compare_logs(file, again)
        except (MlrunError, OSError):
            continue
        yield Part(Kind.LOG, name, finding)
