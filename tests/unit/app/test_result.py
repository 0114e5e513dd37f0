"""Two results, part by part."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import BinaryIO

import pytest

from runner.app.result import Kind, Part, Result, compare_results, likeness, without_values
from runner.comparison.finding import Likeness
from runner.comparison.tolerance import Tolerance
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.state import Reason
from runner.store.record import LogRef, OutputFile
from runner.worker.mask import Mask

TOLERANCE = Tolerance(1e-6)


class Shelf:
    """Objects in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, data: bytes) -> Digest:
        digest = hash_bytes(data)
        self.objects[digest] = data
        return digest

    def open(self, digest: Digest) -> BinaryIO:
        if digest not in self.objects:
            raise MlrunError("it is gone", code=ExitCode.STORE)
        return io.BytesIO(self.objects[digest])


Make = Callable[..., Result]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def make(shelf: Shelf) -> Make:
    def make(files: Mapping[str, bytes] | None = None, log: bytes = b"") -> Result:
        outputs = tuple(OutputFile(name, shelf.put(data), len(data)) for name, data in (files or {}).items())
        empty = shelf.put(b"")
        return Result(Reason.EXIT, 0, outputs, {}, None, LogRef(shelf.put(log), empty, empty), shelf.open)

    return make


def parts(before: Result, after: Result) -> dict[tuple[Kind, str], Part]:
    return {(part.kind, part.name): part for part in compare_results(before, after, TOLERANCE)}


def where(part: Part) -> str:
    assert part.finding.difference is not None
    return part.finding.difference.where


def test_every_file_of_either_has_a_part(make: Make) -> None:
    found = parts(make({"a": b"1", "b": b"2", "c.json": b"[1]"}), make({"b": b"x", "c.json": b"[1.0]", "d": b"4"}))

    files = {name: part.likeness for (kind, name), part in found.items() if kind is Kind.FILE}
    assert files == {"a": "different", "b": "different", "c.json": "equal", "d": "different"}
    gone, new = found[Kind.FILE, "a"], found[Kind.FILE, "d"]
    assert gone.before is not None and gone.after is None
    assert new.before is None and new.after is not None


def test_another_end_is_a_difference_in_words(make: Make) -> None:
    one = make()
    for other, words in (
        (replace(one, exit_code=3), "exit code 3"),
        (replace(one, reason=Reason.OOM, exit_code=137), "oom code 137"),
        (replace(one, reason=Reason.TIMEOUT, exit_code=None), "timeout"),
    ):
        found = parts(one, other)[Kind.END, ""].finding.difference
        assert found is not None
        assert (found.before, found.after) == ("exit code 0", words)


def test_properties_count_where_they_differ(make: Make) -> None:
    one = make({"a": b"1"})
    other = replace(one, outputs=(replace(one.outputs[0], metadata={"tags": ["x"]}),))

    found = parts(one, other)

    assert where(found[Kind.PROPERTIES, "a"]) == "$.tags"
    assert likeness(tuple(found.values())) is Likeness.DIFFERENT
    assert (Kind.PROPERTIES, "a") not in parts(one, one)


def test_metrics_are_compared_by_last_value_and_then_event_by_event(make: Make, shelf: Shelf) -> None:
    def with_metrics(last: float, *events: float) -> Result:
        lines = [json.dumps({"offset": at, "time": at, "values": {"loss": loss}}) for at, loss in enumerate(events)]
        log = shelf.put("".join(f"{line}\n" for line in lines).encode())
        return replace(make(), metrics={"loss": last}, metric_log=log)

    one = with_metrics(0.5, 1.0, 0.5)
    assert parts(one, with_metrics(0.5, 1.0, 0.5))[Kind.METRICS, ""].likeness is Likeness.IDENTICAL
    assert parts(one, with_metrics(0.5 + 1e-9, 1.0, 0.5 + 1e-9))[Kind.METRICS, ""].likeness is Likeness.EQUAL
    assert where(parts(one, with_metrics(0.6, 1.0, 0.6))[Kind.METRICS, ""]) == "$.loss"
    assert where(parts(one, with_metrics(0.5, 2.0, 0.5))[Kind.METRICS, ""]) == "$[0].loss"
    assert where(parts(one, replace(one, metrics={}, metric_log=None))[Kind.METRICS, ""]) == "$.loss"


def test_events_of_metrics_that_are_gone_are_no_difference(make: Make, shelf: Shelf) -> None:
    line = json.dumps({"offset": 0, "time": 0, "values": {"loss": 0.5}}).encode()
    one, other = (
        replace(make(), metrics={"loss": 0.5}, metric_log=shelf.put(line + b"\n" * number)) for number in (1, 2)
    )
    near = replace(other, metrics={"loss": 0.5 + 1e-9})
    assert one.metric_log is not None
    del shelf.objects[one.metric_log]

    assert parts(one, other)[Kind.METRICS, ""].likeness is Likeness.IDENTICAL
    assert parts(one, near)[Kind.METRICS, ""].finding.deviation == pytest.approx(2e-9)
    assert parts(other, one)[Kind.METRICS, ""].likeness is Likeness.IDENTICAL


def test_of_a_step_with_secrets_no_value_is_told_nor_a_name_that_is_one(make: Make) -> None:
    one, other = make({"a.json": b'{"tr0ub4dor&3": 1}'}), make({"a.json": b'{"tr0ub4dor&3": 2}'})
    hide = Mask({"TOKEN": "tr0ub4dor&3"}).text

    def hidden(before: Result, after: Result) -> tuple[str, str, str]:
        place = without_values(parts(before, after)[Kind.FILE, "a.json"], hide).finding.difference
        assert place is not None
        return place.where, place.before, place.after

    assert hidden(one, other) == ('$["***"]', "", "")
    deep = [make({"a.json": b'{"tr0ub4dor&3": {"%s": %d}}' % (b"x" * 145, number)}) for number in (1, 2)]
    assert hidden(*deep) == ("content", "", "")
    assert without_values(parts(one, one)[Kind.FILE, "a.json"], hide).finding.difference is None


def test_logs_are_compared_but_do_not_count(make: Make) -> None:
    found = parts(make(log=b"at 10:00:00\n"), make(log=b"at 11:00:00\n"))
    assert found[Kind.LOG, "stdout"].likeness is Likeness.EQUAL
    assert found[Kind.LOG, "stderr"].likeness is Likeness.IDENTICAL
    other = parts(make(log=b"one\n"), make(log=b"two\n"))
    assert other[Kind.LOG, "stdout"].likeness is Likeness.DIFFERENT
    assert likeness(tuple(other.values())) is Likeness.IDENTICAL


def test_content_that_is_gone_is_compared_by_its_digest(make: Make, shelf: Shelf) -> None:
    one, other = make({"a": b"1", "same": b"s"}, log=b"x"), make({"a": b"2", "same": b"s"}, log=b"y")
    for data in (b"1", b"s", b"x"):
        del shelf.objects[hash_bytes(data)]

    found = parts(one, other)

    assert found[Kind.FILE, "same"].likeness is Likeness.IDENTICAL
    assert where(found[Kind.FILE, "a"]) == "content"
    assert "it is gone" in str(found[Kind.FILE, "a"].finding.difference)
    assert (Kind.LOG, "stdout") not in found
