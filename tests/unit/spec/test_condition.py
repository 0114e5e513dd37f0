"""The language of conditions: what is understood, what it reads, when it holds."""

import pytest

from runner.spec.condition import MAX_DEPTH, BadExpression, Expression, divisions, metric_of, parameter_of

VALUES = {"loss": 0.25, "val-loss": "0.5", "metadata.class": 3, "parameter.C": 2, "nothing": None}


def holds(text: str) -> bool:
    return Expression(text).holds(VALUES.__getitem__)


@pytest.mark.parametrize(
    "text",
    [
        "loss < 0.3",
        "val-loss > 0.4",
        "metadata.class == 3 and parameter.C == 2",
        "not missing",
        "missing is None",
        "nothing is None",
        "max(loss, 1) == 1",
        "loss in (0.25, 1)",
        "loss\n< 0.3",
    ],
)
def test_a_condition_that_is_true_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize("text", ["loss > 0.3", "missing < 1", "loss / 0 > 1", "val-loss < loss", "true"])
def test_one_that_is_false_or_cannot_be_computed_does_not(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "at"),
    [("stop me if", 5), ("loss <", 6), ("  loss < 1 2", 11), ("a < b < c", 0), ("loss % 2 == 1", 0), ("f(1)", 0)],
)
def test_what_cannot_be_understood_is_located(text: str, at: int) -> None:
    with pytest.raises(BadExpression) as caught:
        Expression(text)
    assert caught.value.at == at


@pytest.mark.parametrize("text", ["", " ", "(" * 500, "a" * 20_000, "not " * 3000 + "a", "\0", "\ud800", "lambda: 1"])
def test_hostile_text_is_refused_and_never_a_traceback(text: str) -> None:
    with pytest.raises(BadExpression):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("loss = 0.1", "`==`"),
        ("loss < 1 && x", "`and`"),
        ("loss < 1 || x", "`or`"),
        ("!x", "`not`"),
        ("x != 1 &&", "`and`"),
    ],
)
def test_operators_of_other_languages_are_told_with_the_ones_of_this(text: str, word: str) -> None:
    with pytest.raises(BadExpression) as caught:
        Expression(text)
    assert word in str(caught.value.hint)


@pytest.mark.parametrize("text", ["loss <", "loss != ", "a >= b c"])
def test_an_operator_of_this_language_is_not_to_blame(text: str) -> None:
    with pytest.raises(BadExpression) as caught:
        Expression(text)
    assert caught.value.hint is None


def test_nesting_is_bounded_as_with_valohai() -> None:
    assert Expression("+".join(["a"] * (MAX_DEPTH - 2))).names == {"a"}
    with pytest.raises(BadExpression, match="nested more than 8 deep"):
        Expression("+".join(["a"] * (MAX_DEPTH + 2)))


def test_names_are_known_as_they_were_written() -> None:
    assert Expression("val-loss < 1 and metadata.a.b == 2 and abs(x) > 1").names == {"val-loss", "metadata.a.b", "x"}


def test_a_name_reads_a_metric_or_a_parameter() -> None:
    assert [metric_of(name) for name in ("loss", "metadata.loss", "val.loss")] == ["loss", "loss", "val.loss"]
    assert [metric_of(name) for name in ("metadata", "parameter.x", "true")] == [None, None, None]
    assert [parameter_of(name) for name in ("parameter.x.y", "parameter", "x")] == ["x.y", None, None]


def test_a_division_without_blanks_looks_like_a_name() -> None:
    assert divisions("val/acc > 1 and metadata.a/b/c < 2") == [(0, "val/acc"), (16, "metadata.a/b/c")]
    for text in ("correct / total > 1", "'a/b' == c", "loss/2 < 1", "a//b > 1", "(a)/b > 1"):
        assert divisions(text) == []
