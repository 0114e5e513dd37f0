"""The lines in which two texts differ."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.comparison.patch import added_and_removed, text_of, unified

NO_NEWLINE = "\\ No newline at end of file"


def applied(before: str, patch: tuple[str, ...]) -> str:
    """What `patch` would make of a text."""
    was = before.splitlines(keepends=True) if "\r" not in before else re.findall(r"[^\n]*\n|[^\n]+", before)
    found: list[str] = []
    at = 0
    for number, line in enumerate(patch[2:], 2):
        if line.startswith("@@"):
            start, count = (re.match(r"@@ -(\d+)(?:,(\d+))?", line) or pytest.fail(line)).groups()
            place = int(start) - (count != "0")
            found += was[at:place]
            at = place
        elif line != NO_NEWLINE:
            is_last = patch[number + 1 : number + 2] == (NO_NEWLINE,)
            text = line[1:] + ("" if is_last else "\n")
            if line[0] != "+":
                assert was[at] == text
                at += 1
            if line[0] != "-":
                found.append(text)
    return "".join([*found, *was[at:]])


texts = st.lists(st.sampled_from("abcd"), max_size=30).map("\n".join) | st.text("ab\n\r", max_size=40)


@given(texts, texts)
def test_a_patch_turns_one_text_into_the_other(before: str, after: str) -> None:
    patch = unified(before, after, "f")
    assert applied(before, patch) == after
    assert bool(patch) == (before != after)


def test_the_lines_around_a_change_and_its_place_are_told() -> None:
    before = "".join(f"{n}\n" for n in range(1, 21))
    assert unified(before, before.replace("\n10\n", "\nten\n"), "src/f") == (
        "--- a/src/f",
        "+++ b/src/f",
        "@@ -7,7 +7,7 @@",
        " 7",
        " 8",
        " 9",
        "-10",
        "+ten",
        " 11",
        " 12",
        " 13",
    )


def test_the_newline_at_the_end_and_returns_are_part_of_a_line() -> None:
    assert unified("a", "a\n", "f")[2:] == ("@@ -1 +1 @@", "-a", NO_NEWLINE, "+a")
    assert unified("a\n", "a\r\n", "f")[2:] == ("@@ -1 +1 @@", "-a", "+a\r")
    assert unified("", "a\n", "f")[2:] == ("@@ -0,0 +1 @@", "+a")


def test_one_line_that_changed_among_frequent_ones_is_one_change() -> None:
    chance = random.Random(1)
    before = [str(chance.randrange(5)) for _ in range(5_000)]
    after = [*before]
    after[100], after[4_900] = "new", "too"
    patch = unified("\n".join(before), "\n".join(after), "f")
    assert added_and_removed(patch) == (2, 2)


def test_many_scattered_changes_of_a_long_text_are_all_found() -> None:
    before = [str(n) for n in range(20_000)]
    after = [line if n % 3 else f"{line}a" for n, line in enumerate(before)]
    assert added_and_removed(unified("\n".join(before), "\n".join(after), "f")) == (6_667, 6_667)


def test_texts_with_nothing_in_common_are_replaced() -> None:
    chance = random.Random(2)
    before, after = (["".join(chance.choices("xy", k=2)) for _ in range(3_000)] for _ in range(2))
    patch = unified("\n".join(before), "\n".join(after), "f")
    assert applied("\n".join(before), patch) == "\n".join(after)


def test_the_name_of_a_file_cannot_pose_as_a_line() -> None:
    assert unified("a\n", "b\n", "f\n+forged")[:2] == ("--- a/f\\n+forged", "+++ b/f\\n+forged")


def test_what_is_no_text_has_no_lines_and_odd_bytes_stay_apart() -> None:
    assert text_of(None) is None
    assert text_of(b"a\0b") is None
    assert text_of(b"\xfe") != text_of(b"\xff")
