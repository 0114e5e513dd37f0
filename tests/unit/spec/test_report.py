"""Problems as text and as JSON."""

import json

import pytest

from runner.errors import Location, Problem, Severity
from runner.escape import printable
from runner.spec.report import end_column, problem_to_json, render_problem


def problem(line: int, column: int, message: str = "message", hint: str | None = None) -> Problem:
    return Problem(Severity.ERROR, "some-code", message, Location("f.yaml", line, column), hint)


def test_a_problem_shows_its_line_a_caret_and_its_hint() -> None:
    assert render_problem(problem(2, 3, hint="do this"), ["a", "b: c"]) == (
        "f.yaml:2:3: error some-code: message\n  | b: c\n  |   ^\n  hint: do this"
    )


def test_a_place_outside_the_file_shows_no_line() -> None:
    assert render_problem(problem(9, 1), ["a"]) == "f.yaml:9:1: error some-code: message"


def test_control_codes_and_direction_marks_are_escaped_everywhere() -> None:
    bad = "\x1b[31m\u202e\x07"
    found = Problem(Severity.WARNING, "c", bad, Location(f"f{bad}", 1, 1), bad)
    text = render_problem(found, [bad])
    assert text.replace("\n", "").isprintable()
    assert "\\x1b[31m\\u202e\\x07" in text


def test_the_caret_stands_below_wide_and_escaped_characters() -> None:
    text = render_problem(problem(1, 4), ["日\x1b本x"])
    assert text.splitlines()[1:] == ["  | 日\\x1b本x", "  |         ^"]


def test_a_tab_takes_one_column() -> None:
    assert render_problem(problem(1, 2), ["\tx"]).splitlines()[1:] == ["  |  x", "  |  ^"]


def test_of_a_long_line_the_part_around_the_place_is_shown() -> None:
    line = "a" * 5000 + "HERE" + "b" * 5000
    shown, caret = render_problem(problem(1, 5001), [line]).splitlines()[1:]
    assert len(shown) < 130
    assert shown[caret.index("^") :].startswith("HERE")


def test_a_place_behind_the_end_of_a_line_is_shown() -> None:
    assert render_problem(problem(1, 3), ["ab"]).splitlines()[1:] == ["  | ab", "  |   ^"]


def test_a_lone_surrogate_can_be_printed() -> None:
    assert printable("a\udc80").encode() == b"a\\x80"


def test_json_has_every_field() -> None:
    assert json.loads(json.dumps(problem_to_json(problem(2, 3, hint="h")))) == {
        "file": "f.yaml",
        "line": 2,
        "column": 3,
        "severity": "error",
        "code": "some-code",
        "message": "message",
        "hint": "h",
    }


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        ("  name: foo bar  # c", 9, "foo bar"),
        ("  name: foo bar", 3, "name"),
        ("a: b:c#d: e", 4, "b:c#d"),
        ("  image: 'a''b' # x", 10, "'a''b'"),
        ('a: "x\\" y" ', 4, '"x\\" y"'),
        ("[a, b]", 2, "a"),
        ("[a, b]", 1, "["),
        ("a: 'open", 4, "'open"),
    ],
)
def test_what_stands_at_a_place_has_an_end(line: str, column: int, text: str) -> None:
    assert line[column - 1 : end_column(line, column) - 1] == text


@pytest.mark.parametrize(("line", "column"), [("", 1), ("ab", 3), ("ab", 9), ("   ", 2)])
def test_a_place_without_text_is_one_column_wide(line: str, column: int) -> None:
    assert end_column(line, column) == column + 1
