"""Foreign text for eyes: nothing in it moves, hides or breaks a line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.escape import display_width, printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("\udcff", "\\xff"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
        ("\U000e0041", "\\U000e0041"),
        ("a\xa0b\u200c", "a\\xa0b\\u200c"),
        ("naïve 日本語 ✓", "naïve 日本語 ✓"),
    ],
)
def test_what_hides_is_shown_and_what_is_written_stays(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_running_text_keeps_its_lines_blanks_and_joiners() -> None:
    assert printable_lines("a\n\t\u3000b\xa0می\u200cخواهم\x07\u202e") == "a\n\t\u3000b\xa0می\u200cخواهم\\x07\\u202e"


@given(st.text(st.characters(), max_size=50))
def test_one_line_stays_one_line_without_controls_and_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in shown)
    assert printable(shown) == shown
    shown.encode()


def test_cells_of_a_terminal_are_counted() -> None:
    assert (display_width("abc"), display_width("名前"), display_width("e\u0301")) == (3, 4, 1)
