"""Whether data have a form, and where they have not."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.remote.shape import TIME, Each, Maybe, Pair, is_count, is_json, is_seconds, misfit

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("x", str),
        (1, int),
        (1, float),
        (True, bool),
        (None, Maybe(str)),
        ("x", Maybe(str)),
        ([], [int]),
        ((1, 2), [int]),
        ({"a": 1, "b": 2}, Each(int)),
        ({}, Each(int)),
        (["a", 1], Pair(str, int)),
        ("abc", re.compile("a.c")),
        ("on", frozenset({"on", "off"})),
        (5, is_count),
        ({"a": 1}, {"a": int, "b?": str}),
        ({"a": 1, "b": "x"}, {"a": int, "b?": str}),
        ({"a": [{"b": None}]}, {"a": [{"b": Maybe(int)}]}),
    ],
)
def test_what_has_the_form_is_no_misfit(value: Any, shape: Any) -> None:
    assert misfit(value, shape, "it") is None


@pytest.mark.parametrize(
    ("value", "shape", "place"),
    [
        (1, str, "it"),
        (True, int, "it"),
        (True, float, "it"),
        (1, bool, "it"),
        (1.0, int, "it"),
        (None, str, "it"),
        (5, Maybe(str), "it"),
        ("ab", [str], "it"),
        ({"a": 1}, [str], "it"),
        ([1, "x"], [int], "it.1"),
        ([1], Each(int), "it"),
        ({"a": "x"}, Each(int), "it.a"),
        ({1: 1}, Each(int), "it"),
        (["a"], Pair(str, int), "it"),
        (["a", 1, 2], Pair(str, int), "it"),
        ("ab", Pair(str, str), "it"),
        ("abcd", re.compile("a.c"), "it"),
        (b"abc", re.compile("a.c"), "it"),
        (["on"], frozenset({"on"}), "it"),
        (-1, is_count, "it"),
        ({}, {"a": int}, "it.a"),
        ({"a": 1, "c": 1}, {"a": int, "b?": str}, "it.c"),
        ({"a": 1, "b?": "x"}, {"a": int, "b?": str}, "it.b?"),
        ({"a": [{"b": "x"}]}, {"a": [{"b": int}]}, "it.a.0.b"),
    ],
)
def test_a_misfit_is_named_by_its_place(value: Any, shape: Any, place: str) -> None:
    assert misfit(value, shape, "it") == place


@pytest.mark.parametrize("value", [-1, 1 << 62, True, 1.0, "1", None])
def test_what_sqlite_cannot_keep_is_no_count(value: object) -> None:
    assert not is_count(value)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), 1e12, True, "1", None])
def test_what_cannot_pass_is_no_number_of_seconds(value: object) -> None:
    assert not is_seconds(value)


@pytest.mark.parametrize(
    ("text", "is_time"),
    [
        ("2026-01-31T23:59:59.123456Z", True),
        ("2026-01-31 23:59:59+00:00", True),
        ("2026-01-31T23:59:59", False),
        ("2026-01-31T23:59:59+02:00", False),
        ("2026-01-31T23:59:59Z\n", False),
        ("yesterday", False),
    ],
)
def test_a_time_is_one_in_utc(text: str, is_time: bool) -> None:
    assert (misfit(text, TIME, "it") is None) == is_time


@given(JSON)
def test_all_that_json_has_is_json(value: object) -> None:
    assert is_json(value)


@pytest.mark.parametrize("value", [b"x", {1: 1}, {"a": {2}}, object()])
def test_what_json_does_not_have_is_none(value: object) -> None:
    assert not is_json(value)
