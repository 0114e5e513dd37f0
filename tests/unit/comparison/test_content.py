"""Files: bytes first, then what the name says they are; and streams of bytes."""

import gzip
import io
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.comparison.content import Content, compare_contents, ending
from runner.comparison.finding import Finding, Likeness, worst
from runner.comparison.raw import PIECE, compare_bytes, first_difference
from runner.comparison.tolerance import Tolerance
from runner.digest import hash_bytes


def content(data: bytes) -> Content:
    return Content(hash_bytes(data), lambda: io.BytesIO(data))


def compare(name: str, before: bytes, after: bytes) -> Finding:
    return compare_contents(name, content(before), content(after), Tolerance())


def where(found: Finding) -> str:
    assert found.difference is not None
    return found.difference.where


def test_the_same_bytes_are_identical_without_being_read() -> None:
    def refuse() -> BinaryIO:
        raise AssertionError("it was read")

    assert compare_contents("x.json", Content("d", refuse), Content("d", refuse), Tolerance()).likeness == "identical"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("m.json", b'{"a": 1.0}', b'{ "a": 1.00000001 }'),
        ("M.JSON", b"[1]", b"[ 1]"),
        ("m.json~2", b"[1]", b"[ 1]"),
        ("deep/er/m.jsonl", b"[1]\n", b"[ 1]\n"),
        ("t.csv", b"a\n1.0\n", b"a\n1.00\n"),
        ("t.tsv", b"a\tb\n1\t2\n", b"a\tb\r\n1\t2\r\n"),
    ],
)
def test_what_the_name_says_decides_how_bytes_that_differ_are_compared(name: str, before: bytes, after: bytes) -> None:
    assert compare(name, before, after).likeness is Likeness.EQUAL


def test_a_file_that_is_not_what_its_name_says_is_compared_by_its_bytes() -> None:
    assert where(compare("m.json", b"{oops\n1", b"{oops\n2")) == "line 2, byte 6"
    assert where(compare("m.npy", b"\0\1", b"\0\2")) == "byte 1"


def packed(data: bytes, time: int) -> bytes:
    return gzip.compress(data, mtime=time)


def test_what_is_packed_is_compared_by_what_it_holds() -> None:
    one = packed(b"a,b\n1,2.0\n", 1)
    assert compare("t.csv.gz", one, packed(b"a,b\n1,2.0\n", 2)).likeness is Likeness.EQUAL
    assert compare("t.csv.GZ~2", one, packed(b"a,b\n1,2.0000001\n", 2)).deviation == pytest.approx(5e-8)
    assert where(compare("t.csv.gz", one, packed(b"a,b\n1,3\n", 2))) == "unpacked, row 2, column `b`"
    assert where(compare("t.gz", one, packed(b"a,b\n1,3\n", 2))) == "unpacked, line 2, byte 6"


def test_what_is_damaged_or_not_packed_is_compared_by_its_bytes() -> None:
    one = packed(b"a,b\n1,2.0\n", 1)
    assert where(compare("t.csv.gz", one, one[:-9])).startswith("byte ")
    assert where(compare("t.csv.gz", one, one[:-1] + b"!")).startswith("byte ")
    assert where(compare("t.json.gz", b"[1]", b"[2]")) == "line 1, byte 1"


def test_every_file_that_is_opened_is_closed() -> None:
    opened: list[io.BytesIO] = []

    def opens(data: bytes) -> Content:
        def open() -> BinaryIO:
            opened.append(io.BytesIO(data))
            return opened[-1]

        return Content(hash_bytes(data), open)

    pairs = ((packed(b"1", 1), packed(b"1", 2)), (packed(b"1", 1), b"x"), (b"[1]", b"[2]"))
    for name in ("t.csv.gz", "t.json", "t.npz", "t.csv", "t.bin"):
        for before, after in pairs:
            compare_contents(name, opens(before), opens(after), Tolerance())
    assert all(file.closed for file in opened)


def test_the_same_numbers_in_a_file_of_another_kind_are_different() -> None:
    assert compare("m.txt", b"1.0", b"1.00").likeness is Likeness.DIFFERENT


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.b/c", ""), ("a.tar.gz", "gz"), (".json", "json"), ("x.", ""), ("x.Npz~12", "npz"), ("x~2", "")],
)
def test_the_ending_is_what_follows_the_last_dot_of_the_base_name(name: str, found: str) -> None:
    assert ending(name) == found


def place(before: bytes, after: bytes) -> tuple[str, str, str]:
    found = compare_bytes(io.BytesIO(before), io.BytesIO(after)).difference
    assert found is not None
    return found.where, found.before, found.after


def test_a_text_is_told_by_line_and_byte_with_the_line_itself() -> None:
    assert place(b"one\ntwo\nthree\n", b"one\ntwx\nthree\n") == ("line 2, byte 6", "two", "twx")
    assert place(b"one\n", b"one\ntwo\n") == ("line 2, byte 4", "", "two")


def test_other_data_are_told_by_the_byte_in_hexadecimal() -> None:
    assert place(b"\0\1\2\3", b"\0\1\xff\3") == ("byte 2", "02 03", "ff 03")
    assert place(b"head\xff\xfe", b"head\xff\xfd") == ("byte 5", "fe", "fd")
    assert place("eins zwölf".encode(), "eins zwälf".encode())[1:] == ("eins zwölf", "eins zwälf")


def test_a_difference_behind_the_first_piece_is_found_at_its_offset() -> None:
    data = b"x" * (PIECE - 1) + b"\n" + b"y" * PIECE
    changed = data[:-5] + b"z" + data[-4:]
    assert place(data, changed)[0] == f"line 2, byte {2 * PIECE - 5:,}"
    assert compare_bytes(io.BytesIO(data), io.BytesIO(data)).likeness is Likeness.IDENTICAL


def test_the_worst_of_several_counts() -> None:
    assert worst(Likeness.EQUAL, Likeness.DIFFERENT, Likeness.IDENTICAL) is Likeness.DIFFERENT
    assert worst() is Likeness.IDENTICAL


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_the_first_byte_that_differs_is_the_one_that_a_walk_finds(same: bytes, one: bytes, other: bytes) -> None:
    before, after = same + one, same + other
    walked = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
    assert first_difference(before, after) == (min(len(before), len(after)) if walked is None else walked)
