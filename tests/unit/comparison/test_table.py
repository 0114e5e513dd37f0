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
        ("", ""),
    ],
)
def test_the_same_cells_are_equal_whatever_their_form(before: str, after: str) -> None:
    assert compare(before, after).likeness is Likeness.EQUAL


def test_the_greatest_deviation_is_told() -> None:
    assert compare("a\n1.0\n2.0\n", "a\n1.0000001\n2.0\n").deviation == pytest.approx(1e-7, rel=1e-3)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a\n" + b"x" * 200_000 + b"\n"])
def test_what_is_no_table_is_left_to_its_bytes(data: bytes) -> None:
    with pytest.raises(Misnamed):
        compare_tables(io.BytesIO(data), io.BytesIO(b"a\n1\n"), Tolerance())
