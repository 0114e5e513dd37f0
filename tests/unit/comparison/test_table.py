"""Tables of text: what counts as the same cell, and which first differs."""

import io

import pytest

from runner.comparison.finding import Finding, Likeness
from runner.comparison.kind import Misnamed
from runner.comparison.table import compare_tables
from runner.comparison.tolerance import Tolerance


def compare(before: str, after: str) -> Finding:
    return compare_tables(io.BytesIO(before.encode()), io.BytesIO(after.encode()), Tolerance(1e-6))


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("a,b\n1,2\n", "a,b\n1,3\n", ("row 2, column `b`", "2", "3")),
        ("1,2\n3,4\n", "1,2\n3,5\n", ("row 2, column 2", "4", "5")),
        ("a;b\n1;x\n", "a;b\n1;y\n", ("row 2, column `b`", "x", "y")),
        ("a,b\n1,2\n", "a,b\n1\n", ("row 2, column `b`", "2", "")),
        ("a\n1\n", "a\n1\n2\n", ("row 3", "", "2")),
        ("a\n1\n2,3\n", "a\n1\n", ("row 3", "2,3", "")),
        ("a\n1000000\n", "a\n1000001\n", ("row 2, column `a`", "1000000", "1000001")),
        ('a\n"x\ny"\n1\n', 'a\n"x\ny"\n2\n', ("row 3, column `a`", "1", "2")),
        ("a\n1_0\n", "a\n10\n", ("row 2, column `a`", "1_0", "10")),
        ("a\n0x10\n", "a\n16\n", ("row 2, column `a`", "0x10", "16")),
        ("a\n12e4567\n", "a\n98e6543\n", ("row 2, column `a`", "12e4567", "98e6543")),
        ("a\n12e-4567\n", "a\n98e-6543\n", ("row 2, column `a`", "12e-4567", "98e-6543")),
        ("a\n1e999\n", "a\ninf\n", ("row 2, column `a`", "1e999", "inf")),
        ("a\n007\n", "a\n7\n", ("row 2, column `a`", "007", "7")),
        ("a\nnan\n", 'a\n""\n', ("row 2, column `a`", "nan", "")),
        ("a,b\n1,2\n", "b,a\n2,1\n", ("row 1, column `a`", "a", "b")),
        ("a\n" + "9" * 500 + "\n", "a\n" + "9" * 499 + "8\n", ("row 2, column `a`", "9" * 79 + "…", "9" * 79 + "…")),
    ],
)
def test_the_first_difference_is_told_by_its_cell(before: str, after: str, place: tuple[str, str, str]) -> None:
    found = compare(before, after).difference
    assert found is not None
    assert (found.where, found.before, found.after) == place


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a,b\n0.30000000000000004,x\n", "a,b\n0.3,x\n"),
        ('a\n"1.5"\n', "a\n1.50\n"),
        ("a\r\n1\r\n", "a\n1\n"),
        ("\ufeffa\n1\n", "a\n1\n"),
        ("a\nnan\n-inf\n1e3\n.5\n", "a\nNaN\n-Infinity\n1000.0\n0.5\n"),
        ("a\n-0.0\n0e-9999\n", "a\n0\n0.\n"),
        ("", ""),
    ],
)
def test_the_same_cells_are_equal_whatever_their_form(before: str, after: str) -> None:
    assert compare(before, after).likeness is Likeness.EQUAL


def test_the_greatest_deviation_is_told() -> None:
    assert compare("a\n1.0\n2.0\n", "a\n1.0000001\n2.0\n").deviation == pytest.approx(1e-7, rel=1e-3)


def test_cells_of_a_hundred_thousand_digits_are_read_but_once() -> None:
    """As a pattern that goes back would not: that would take hours."""
    head = ",".join(["1" * 100_000 + "x", "." + "2" * 100_000 + "e", "b"])
    found = compare(f"{head}\n1,2,3\n", f"{head}\n1,2,4\n").difference
    assert found is not None
    assert found.where == "row 2, column `b`"


def test_a_name_of_a_column_as_long_as_a_book_is_told_in_short() -> None:
    head = "c" * 100_000
    found = compare(f"{head}\n1\n", f"{head}\n2\n").difference
    assert found is not None
    assert len(found.where) <= 160


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a\n" + b"x" * 200_000 + b"\n"])
def test_what_is_no_table_is_left_to_its_bytes(data: bytes) -> None:
    with pytest.raises(Misnamed):
        compare_tables(io.BytesIO(data), io.BytesIO(b"a\n1\n"), Tolerance())
