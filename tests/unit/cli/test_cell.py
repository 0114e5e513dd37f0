"""Single values as they are written."""

from datetime import UTC, datetime

import pytest

from runner.cli.cell import shorten
from runner.escape import display_width
from runner.quantity import number, relative_time, size_text, value_text

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("created", "text"),
    [
        ("2026-11-21T11:59:59.500000Z", "just now"),
        ("2026-11-21T11:59:18.000000Z", "42 s ago"),
        ("2026-11-21T11:58:00.000000Z", "2 min ago"),
        ("2026-11-21T02:00:00.000000Z", "10 h ago"),
        ("2026-11-18T11:00:00.000000Z", "3 days ago"),
        ("2026-11-21T13:00:00.000000Z", "just now"),
    ],
)
def test_times_are_relative_to_now(created: str, text: str) -> None:
    assert relative_time(created, NOW) == text


def test_what_is_older_than_a_month_has_its_date() -> None:
    assert relative_time("2026-01-15T12:00:00.000000Z", NOW) == "2026-01-15"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10 * 1024, "10 KiB"),
        (1048575, "1.0 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_sizes_have_two_or_three_digits(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.973333333, "0.97333"),
        (1e-9, "1e-09"),
        (12, "12"),
        (True, "true"),
        (None, ""),
        ("a\x1b[31m\nb", "a\\x1b[31m\\nb"),
        ([[1, 2], [3, 4]], "[[1, 2], [3, 4]]"),
    ],
)
def test_values_take_one_clean_line(value: object, text: str) -> None:
    assert value_text(value) == text


def test_recorded_nan_is_a_number_and_other_text_is_not() -> None:
    assert number("NaN") != number("NaN")
    assert number("-Infinity") == float("-inf")
    assert number("nan") is None
    assert number(True) is None
    assert number(10**400) == float("inf")


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert display_width("日本") == 4
    assert display_width("e\u0301") == 1


def test_a_text_is_cut_to_the_columns_there_are() -> None:
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("日本語", 5) == "日本…"
    assert shorten("abc", 3) == "abc"
