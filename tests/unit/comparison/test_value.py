"""JSON values and files of them: what counts as the same, and where they first differ."""

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.comparison.finding import Likeness
from runner.comparison.kind import Misnamed
from runner.comparison.tolerance import EXACT, Tolerance
from runner.comparison.value import compare_documents, compare_lines, compare_values
from runner.digest import canonical_json

TOLERANCE = Tolerance(1e-6)


def where(before: Any, after: Any) -> str | None:
    found = compare_values(before, after, TOLERANCE)
    return found.difference.where if found.difference else None


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ({"a": 1}, {"a": 2}, "$.a"),
        ({"a": [1, {"b c": None}]}, {"a": [1, {"b c": False}]}, '$.a[1]["b c"]'),
        ({"a": 1, "b": 2}, {"b": 2}, "$.a"),
        ({"a": 1}, {"a": 1, "b": 2}, "$.b"),
        ([1, 2], [1], "$[1]"),
        ([1], [1, 2], "$[1]"),
        ([1], {"0": 1}, "$"),
        ([1], [True], "$[0]"),
        (["1"], [1], "$[0]"),
        ({"x": {"y": [0.0, 1.0]}}, {"x": {"y": [0.0, 1.1]}}, "$.x.y[1]"),
        ([[1], [2], 3], [[1], [2], 4], "$[2]"),
        (10**400, 1.0, "$"),
        (1_000_000, 1_000_001, "$"),
    ],
)
def test_the_first_difference_is_told_by_its_path(before: Any, after: Any, path: str) -> None:
    assert where(before, after) == path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        (1, 1.0),
        (0.1 + 0.2, 0.3),
        (1e-17, -3e-17),
        (float("nan"), float("nan")),
        (float("inf"), float("inf")),
        ({}, {}),
    ],
)
def test_the_same_values_are_equal_whatever_their_form(before: Any, after: Any) -> None:
    assert where(before, after) is None


def test_the_greatest_deviation_is_told() -> None:
    found = compare_values([1.0, 100.0, 7.0], [1.0 + 1e-9, 100.0 * (1 + 5e-7), 7.0], TOLERANCE)
    assert found.likeness is Likeness.EQUAL
    assert found.deviation == pytest.approx(5e-7, rel=1e-6)


def test_without_a_tolerance_only_what_is_equal_is_the_same() -> None:
    assert compare_values([0.3], [0.1 + 0.2], EXACT).likeness is Likeness.DIFFERENT
    assert compare_values([0.0], [5e-324], EXACT).likeness is Likeness.DIFFERENT
    assert compare_values([0.3, float("nan")], [0.3, float("nan")], EXACT).likeness is Likeness.EQUAL


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1e300])
def test_a_number_is_never_the_same_as_one_that_is_none(number: float) -> None:
    assert compare_values([number], [1.0], TOLERANCE).likeness is Likeness.DIFFERENT


def test_a_document_as_deep_as_the_parser_goes_is_compared() -> None:
    deep = "[" * 900 + "{}" + "]" * 900
    found = compare_documents(io.BytesIO(deep.encode()), io.BytesIO(deep.replace("{", "{ ").encode()), TOLERANCE)
    assert found.likeness is Likeness.EQUAL


@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 2}', "[" * 100_000, "\udcff", "9" * 5000])
def test_what_is_no_json_or_says_something_twice_is_left_to_its_bytes(text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    with pytest.raises(Misnamed):
        compare_documents(io.BytesIO(data), io.BytesIO(b"{}"), TOLERANCE)


def test_lines_of_json_are_told_by_line_and_path() -> None:
    before = b'{"loss": 1.0}\n{"loss": 0.5, "n": 3}\n'
    found = compare_lines(io.BytesIO(before), io.BytesIO(before.replace(b"3", b"4")), TOLERANCE)
    assert found.difference is not None
    assert (found.difference.where, found.difference.before, found.difference.after) == ("line 2, $.n", "3", "4")
    shorter = compare_lines(io.BytesIO(before), io.BytesIO(before[:14]), TOLERANCE)
    assert shorter.difference is not None
    assert (shorter.difference.where, shorter.difference.after) == ("line 2", "")
    near = compare_lines(io.BytesIO(before), io.BytesIO(before.replace(b"0.5", b"0.50000001")), TOLERANCE)
    assert near.likeness is Likeness.EQUAL
    assert near.deviation == pytest.approx(2e-8)


def test_long_values_are_told_in_short() -> None:
    found = compare_values({"a": "x" * 500}, {"a": ["y"] * 500}, TOLERANCE)
    assert found.difference is not None
    assert len(found.difference.before) <= 80
    assert found.difference.before.startswith(json.dumps("x" * 500)[:50])


@pytest.mark.parametrize("depth", [50, 985, 989, 2_000])
def test_a_value_may_be_as_deep_as_the_parser_goes(depth: int) -> None:
    deep = b"[" * depth + b"1" + b"]" * depth
    try:
        found = compare_documents(io.BytesIO(deep), io.BytesIO(b"2"), TOLERANCE)
    except Misnamed:
        return
    assert found.difference is not None
    assert (found.difference.where, found.difference.after) == ("$", "2")
    inner = compare_documents(io.BytesIO(deep), io.BytesIO(deep.replace(b"1", b"3")), TOLERANCE)
    assert inner.difference is not None
    assert (inner.difference.where[-3:], inner.difference.before, inner.difference.after) == ("[0]", "1", "3")
    assert len(inner.difference.where) <= 160


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, -1.5, 2.25]) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def at(value: Any, path: str) -> Any:
    """What stands at a path of a value; a text that is no value where nothing does."""
    for name, index, quoted in re.findall(r"\.(\w+)|\[(\d+)\]|\[(\"[^\"]*\")\]", path):
        try:
            value = value[int(index)] if index else value[name or json.loads(quoted)]
        except (KeyError, IndexError):
            return "nothing stands there"
    return value


@given(JSON, JSON)
def test_without_a_tolerance_values_are_the_same_if_their_canonical_texts_are(before: Any, after: Any) -> None:
    found = compare_values(before, after, EXACT)
    assert (found.likeness is Likeness.EQUAL) == (canonical_json(before) == canonical_json(after))
    if found.difference is not None:
        place = found.difference.where
        assert canonical_json(at(before, place)) != canonical_json(at(after, place))
