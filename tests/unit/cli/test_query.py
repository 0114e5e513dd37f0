"""The language of `--where`, one row at a time."""

import pytest

from runner.cli.query import Condition, missing_name_note
from runner.errors import ExitCode, MlrunError

ROW = {
    "loss": 0.25,
    "val-loss": 0.5,
    "state": "succeeded",
    "param.model": "svm",
    "param.C": "2",
    "metric.val/acc": 0.9,
    "class": 3,
    "broken": "NaN",
    "endless": "Infinity",
}


def matches(text: str) -> bool:
    return Condition(text).matches(ROW.__getitem__)


def refusal(text: str) -> str:
    with pytest.raises(MlrunError) as caught:
        Condition(text)
    assert caught.value.code == ExitCode.USAGE
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "loss < 0.3",
        'loss < 0.3 and param.model == "svm"',
        "val-loss == 0.5",
        "param.C > 1",
        "loss + val-loss == 0.75",
        "val-loss - loss == 0.25",
        'state in ("succeeded", "failed")',
        'metric("val/acc") > 0.8',
        'param("model") == "svm"',
        "class == 3",
        "max(loss, 1) == 1",
        "missing is None",
        "endless > 1",
        "not loss > 0.3",
    ],
)
def test_a_condition_that_holds_matches(text: str) -> None:
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "loss > 0.3",
        "missing < 1",
        "missing > 1",
        "missing == missing",
        'metric("none") > 0',
        "broken < 1",
        "broken >= 1",
        "state < 1",
        "loss / 0 > 1",
        "loss < 0.3 and missing > 1",
    ],
)
def test_a_row_that_lacks_a_name_or_does_not_fit_does_not_match(text: str) -> None:
    assert not matches(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("loss <", "at its end"),
        ("val-loss < 1 and", "at its end"),
        ("loss << 1", "at character 1"),
        ("x = 3", "at character 3"),
        ("a-b-c == 2 2", "at character 12"),
        ("  a-b-c == 2 2", "at character 14"),
        ("class == 3 b", "at character 12"),
        ("é == 'ü' 3", "at character 10"),
        ("a < b < c", "at character 1"),
        ("a == 1 and b[3]", "at character 12"),
        ("'abc", "at character 1"),
    ],
)
def test_what_is_not_understood_is_located(text: str, place: str) -> None:
    assert f"not understood {place}:" in refusal(text)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "(" * 300, "a" * 20_000, "-" * 3000 + "a", "not " * 500 + "a", "a\0b", "\ud800 == 1", "lambda: 1",
     "[x for x in y]", "__import__('os')", "(1).real", "f'{a}'", "abs(*x)", "abs(y=1)"],
)  # fmt: skip
def test_nothing_outside_the_language_gets_through(text: str) -> None:
    refusal(text)


def test_a_function_that_does_not_exist_is_named() -> None:
    assert "there is no function `maxx`" in refusal("maxx(1, 2) > 1")


def test_escape_codes_of_a_condition_are_not_echoed() -> None:
    assert "\x1b" not in refusal("a \x1b[31m b")


def test_the_names_of_a_condition_are_known_as_they_were_written() -> None:
    assert Condition("val-loss < 1 and param.C == 2 and abs(x.y) > 1").names == {"val-loss", "param.C", "x.y"}


def test_a_name_that_nothing_has_gets_the_closest_one() -> None:
    assert missing_name_note("los", ["loss", "step"]).endswith("did you mean `loss`?")
    assert missing_name_note("C", ["param.C"]).endswith("did you mean `param.C`?")
    assert "write `True`" in missing_name_note("true", ["loss"])
