import json
import math
import sys
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.metrics import MAX_DEPTH, MAX_LINE, LastValues, MetricEvent, MetricReader, parse_line, strict


def read(*pieces: bytes) -> list[MetricEvent]:
    reader, offset, events = MetricReader(), 0, []
    for piece in pieces:
        events += reader.feed(piece, offset)
        offset += len(piece)
    return events + reader.finish()


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b'{"loss": 0.5}', {"loss": 0.5}),
        (b'  {"loss": 0.5}\t\r', {"loss": 0.5}),
        (b'\x1b[32m{"loss": 0.5}\x1b[0m', {"loss": 0.5}),
        (b'\x1b[1A\x1b[2K{"loss": 1}', {"loss": 1}),
        (b'\x1b]0;title {x}\x07{"loss": 1}', {"loss": 1}),
        (b'\x1b]8;;http://x\x1b\\{"loss": 1}\x1b]8;;\x1b\\', {"loss": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": "12", "b": true, "c": null}', {"a": "12", "b": True, "c": None}),
        (b'{"confusion": [[1, 2], [3, 4]]}', {"confusion": [[1, 2], [3, 4]]}),
        (b'{"a": {"b": {"c": 1}}}', {"a": {"b": {"c": 1}}}),
        (b'{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        (b'{"vh_metadata": {"a": 1}}', {"vh_metadata": {"a": 1}}),
        ('{"größe": "ü"}'.encode(), {"größe": "ü"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": "\\ud83d", "\\udc00": ["\\ud800x"]}', {"a": "\ufffd", "\ufffd": ["\ufffdx"]}),
        (b'{"a": 1e999}', {"a": math.inf}),
        (b'{"<script>alert(1)</script>": 1}', {"<script>alert(1)</script>": 1}),
    ],
)  # fmt: skip
def test_a_line_that_is_an_object_is_an_event(line: bytes, values: object) -> None:
    assert parse_line(line) == values


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"epoch 1",
        b"{}",
        b"[1, 2]",
        b'"text"',
        b"12",
        b'loss {"a": 1}',
        b'{"a": 1} done',
        b'{"a": 1} {"b": 2}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": \xff}',
        b'{"a": "\xff"}',
        b"{not json}",
        b"{",
        b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"' + b"k" * MAX_LINE + b'": 1}',
        b"::set-env name=A::B",
        b"finished with code 0",
    ],
)
def test_any_other_line_is_only_log(line: bytes) -> None:
    assert parse_line(line) is None


def test_depth_is_capped_but_width_is_not() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert parse_line(nested(MAX_DEPTH)) is not None
    assert parse_line(nested(MAX_DEPTH + 1)) is None
    wide = json.dumps({"matrix": [[1]] * 1000}).encode()
    assert parse_line(wide) == {"matrix": [[1]] * 1000}


def test_depth_is_refused_whatever_the_stack_of_the_caller_is() -> None:
    def deeper(levels: int) -> object:
        return parse_line(b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}") if levels == 0 else deeper(levels - 1)

    assert deeper(sys.getrecursionlimit() // 2) is None


def test_a_bare_nan_is_kept_and_becomes_strict() -> None:
    values = parse_line(b'{"a": NaN, "b": Infinity, "c": [-Infinity, 1.5], "d": {"e": NaN}}')
    assert values is not None
    assert math.isnan(float(str(values["a"])))
    assert strict(values) == {"a": "NaN", "b": "Infinity", "c": ["-Infinity", 1.5], "d": {"e": "NaN"}}
    json.dumps(strict(values), allow_nan=False)


def test_events_know_where_their_line_begins() -> None:
    text = b'start\n{"a": 1}\n 10%|#  |\r  {"a": 2}\r\n\n{"a": 3}'
    events = read(text)
    assert [event.values["a"] for event in events] == [1, 2, 3]
    assert [text[event.offset :].split(b"\r")[0].split(b"\n")[0] for event in events] == [
        b'{"a": 1}',
        b'  {"a": 2}',
        b'{"a": 3}',
    ]


def test_an_event_behind_a_progress_bar_counts() -> None:
    assert [event.values for event in read(b'\r 10%\r 20%\r{"loss": 1}\r 30%\n')] == [{"loss": 1}]


def test_an_object_over_several_lines_is_no_event() -> None:
    assert read(b'{\n  "a": 1\n}\n') == []


def test_a_last_line_without_an_end_counts() -> None:
    assert [event.values for event in read(b'x\n{"a": 1', b"}")] == [{"a": 1}]


def test_a_line_over_the_cap_is_no_event_and_the_next_one_is() -> None:
    long = b'{"a": "' + b"x" * MAX_LINE + b'"}\n'
    pieces = [long[start : start + 1000] for start in range(0, len(long), 1000)]
    assert [event.values for event in read(*pieces, b'{"b": 1}\n')] == [{"b": 1}]


def test_after_a_gap_the_reader_starts_anew() -> None:
    reader = MetricReader()
    assert reader.feed(b'{"a": ', 0) == []
    assert reader.feed(b'1}\n{"b": 2}\n', 100) == [MetricEvent(103, {"b": 2})]


_JSON = [
    b'{"a": 1}',
    b'{"a"',
    b": 2}",
    b"{",
    b"}",
    b'"',
    b"\\",
    b'{"k": "\\ud800"}',
    b'{"b": NaN}\n',
    b'{"c": [1, 2]}\n',
]
_TERMINAL = [b"\x1b[0m", b"\x1b[", b"\x1b]0;{", b"\x07", b"\x1b", b"31m", b"\n", b"\r", b"\r\n", b" ", b"\t"]
_bits = st.sampled_from([*_JSON, *_TERMINAL, b"log", b"\xff", b"\x00"])


@given(st.lists(st.one_of(_bits, st.binary(max_size=4)), max_size=30), st.data())
@example([b'\x1b]0;{"a": 1}\x07{"a": 1}'], None)
@example([b'\x1b[{"a": 1}'], None)
def test_pieces_of_any_size_give_the_same_events(parts: list[bytes], data: st.DataObject | None) -> None:
    text = b"".join(parts)
    whole = read(text)
    cuts = [] if data is None else sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    borders = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in pairwise(borders)]
    single = [text[index : index + 1] for index in range(len(text))]
    assert repr(read(*pieces)) == repr(read(*single)) == repr(whole)
    expected = [values for line in text.replace(b"\r", b"\n").split(b"\n") if (values := parse_line(line)) is not None]
    assert repr([event.values for event in whole]) == repr(expected)


@given(st.binary(max_size=200))
def test_nothing_that_a_program_prints_raises(line: bytes) -> None:
    parse_line(line)
    parse_line(b"{" + line + b"}")
    parse_line(b'{"a": ' + line + b"}")


def test_a_flood_of_log_keeps_no_memory() -> None:
    reader, offset = MetricReader(), 0
    for piece in (b"x" * 1000, b"{" + b"y" * 1000) * 3000:
        reader.feed(piece, offset)
        offset += len(piece)
    assert sum(map(len, reader._line)) <= MAX_LINE


def test_the_last_value_of_each_key_stays() -> None:
    last = LastValues()
    last.update({"loss": 0.5, "epoch": 1})
    last.update({"loss": math.nan})
    assert last.values() == {"loss": "NaN", "epoch": 1}
    assert last.dropped == 0


def test_endless_keys_and_values_are_dropped_and_counted() -> None:
    last = LastValues()
    for number in range(10_500):
        last.update({f"k{number}": number})
    assert (len(last.values()), last.dropped) == (10_000, 500)

    last = LastValues()
    for number in range(100):
        last.update({f"k{number}": "x" * 100_000, "same": ["y" * 1000]})
    assert sum(len(str(value)) for value in last.values().values()) < 5_000_000
    assert last.dropped > 0
    last.update({"same": 1, "k" * 1001: 1})
    assert last.values()["same"] == 1
    assert "k" * 1001 not in last.values()
