"""The values of parameters that a task varies."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import ExitCode, Location, MlrunError
from runner.plan.variation import Choices, Span, axis_of, forget, values, varied, vary
from runner.spec.model import Multiple, Parameter, ParameterType, Style, Task, Variation
from runner.spec.rule import MOST_VALUES
from runner.spec.tree import Table

HERE = Location("valohai.yaml", 3, 7)
FLOAT, INTEGER, TEXT, FLAG = ParameterType.FLOAT, ParameterType.INTEGER, ParameterType.STRING, ParameterType.FLAG


def parameter(type: ParameterType = FLOAT, **facts: Any) -> Parameter:
    return Parameter("x", HERE, type, **facts)


def variation(style: str, **rules: object) -> Variation:
    return Variation("x", HERE, Style(style), rules)


def made(style: str, type: ParameterType = FLOAT, **rules: object) -> list[object]:
    return list(values(variation(style, **rules), parameter(type), "a task", None))


def refusal(style: str, type: ParameterType = FLOAT, **rules: object) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        made(style, type, **rules)
    assert caught.value.code == ExitCode.SPEC
    assert caught.value.location == HERE
    return caught.value


def test_a_single_value_is_one_value() -> None:
    assert made("single", value=25) == [25]
    assert made("single", TEXT, value="adam") == ["adam"]


def test_items_are_gone_through_each_once_and_true_is_not_1() -> None:
    assert made("multiple", TEXT, items=["a", "b", "a"]) == ["a", "b"]
    assert [repr(one) for one in made("multiple", TEXT, items=[1, True, 1.0, "1", 1])] == ["1", "True", "1.0", "'1'"]


def test_items_become_what_the_parameter_takes() -> None:
    assert made("multiple", INTEGER, items=["1", 2]) == [1, 2]
    assert made("multiple", FLAG, items=["yes", False]) == [True, False]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"start": 0.1, "end": 0.5, "step": 0.1}, [0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"start": 25, "end": 25, "step": 1}, [25]),
        ({"start": 1, "end": 6, "step": 2}, [1, 3, 5]),
        ({"start": 3, "end": 1, "step": -1}, [3, 2, 1]),
        ({"start": 0, "end": 1, "step": 0.5}, [0, 0.5, 1]),
        ({"start": 1e-5, "end": 3e-5, "step": 1e-5}, [1e-05, 2e-05, 3e-05]),
        ({"start": 0, "end": 1, "step": 0.3, "integerify": True}, [0, 1]),
    ],
)
def test_linear_values_are_clean_and_the_end_is_one_of_them(rules: dict[str, object], expected: list[object]) -> None:
    assert [repr(value) for value in made("linear", **rules)] == [repr(value) for value in expected]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"start": -5, "end": -1, "count": 5}, [1e-05, 0.0001, 0.001, 0.01, 0.1]),
        ({"min": -2, "max": 0, "count": 3}, [0.01, 0.1, 1]),
        ({"start": 0, "end": 4, "count": 5, "base": 2}, [1, 2, 4, 8, 16]),
        ({"start": 4, "end": 0, "count": 2, "base": 2}, [16, 1]),
        ({"start": 25, "end": 25, "count": 4}, [10**25]),
        ({"start": 3, "end": 9, "count": 1}, [1000]),
        ({"start": 0, "end": 1, "count": 3, "integerify": True}, [1, 3, 10]),
    ],
)
def test_logspace_goes_from_a_power_to_a_power(rules: dict[str, object], expected: list[object]) -> None:
    assert made("logspace", **rules) == expected


def test_random_values_are_the_same_each_time_and_others_for_another_task_or_seed() -> None:
    told = variation("random", min=0, max=1, count=5)
    first = values(told, parameter(), "one", None)
    assert first == values(told, parameter(), "one", None)
    assert first != values(told, parameter(), "other", None)
    seeded = variation("random", min=0, max=1, count=5, seed=7)
    assert values(seeded, parameter(), "one", None) == values(seeded, parameter(), "other", None)


@given(low=st.integers(-1000, 1000), width=st.integers(0, 1000), whole=st.booleans())
def test_random_values_lie_between_their_bounds(low: int, width: int, whole: bool) -> None:
    found = made("random", min=low, max=low + width, count=20, integerify=whole)
    assert all(isinstance(value, int | float) and low <= value <= low + width for value in found)
    assert not whole or all(isinstance(value, int) for value in found)


def test_a_random_integer_is_one_without_being_asked() -> None:
    assert set(made("random", INTEGER, min=0.5, max=3.5, count=100)) == {1, 2, 3}


def test_the_number_of_random_values_may_be_that_of_the_executions() -> None:
    assert len(values(variation("random", min=0, max=1), parameter(), "a task", 7)) == 7


def test_a_log_uniform_distribution_has_as_many_small_values_as_large_ones() -> None:
    found = made("random", min=1e-4, max=1, distribution="log-uniform", count=400)
    assert 120 < sum(isinstance(value, float) and value < 0.01 for value in found) < 280


def test_text_that_is_a_number_becomes_one_where_the_rules_say_so() -> None:
    assert made("multiple", TEXT, items=["1", "2.5", "x"], numberify=True) == [1, 2.5, "x"]
    assert made("linear", start="1", end="2", step="0.5", numberify=True) == [1, 1.5, 2]


@pytest.mark.parametrize(
    ("style", "rules", "said"),
    [
        ("single", {}, "needs the rule `value`"),
        ("multiple", {"items": []}, "there is nothing in `items`"),
        ("multiple", {"items": "1,2"}, "`items` is not a list"),
        ("multiple", {"items": ["fast"]}, "`fast` is not a number"),
        ("linear", {"start": 1, "end": 2}, "needs the rule `step`"),
        ("linear", {"start": 1, "end": 2, "step": 0}, "never reaches the end"),
        ("linear", {"start": 1, "end": 2, "step": -1}, "there is nothing"),
        ("linear", {"start": 0, "end": 1, "step": 1e-12}, "1,000,000,000,001 values"),
        ("linear", {"start": 0, "end": float("inf"), "step": 1}, "which is no number"),
        ("linear", {"start": "a", "end": 1, "step": 1}, "which is no number"),
        ("logspace", {"start": 1, "end": 2}, "needs the rule `count`"),
        ("logspace", {"start": 1, "end": 2, "count": 0}, "is no number of values"),
        ("logspace", {"start": 1, "end": 2, "count": 1e9}, "values, more than"),
        ("logspace", {"start": 1, "end": 999, "count": 3}, "no number that a program could read"),
        ("logspace", {"start": 1, "end": 2, "count": 3, "base": -1}, "must be more than 0"),
        ("random", {"min": 1, "max": 0, "count": 1}, "nothing lies between"),
        ("random", {"min": 0, "max": 1}, "needs the rule `count`"),
        ("random", {"min": 0, "max": 1, "count": 2, "distribution": "normal"}, "there is no distribution `normal`"),
        ("random", {"min": 0, "max": 1, "count": 2, "distribution": "log_uniform"}, "logarithmic scale"),
        ("random", {"min": 0.2, "max": 0.8, "count": 2, "integerify": True}, "no integer between"),
    ],
)
def test_rules_that_cannot_work_are_refused_with_their_place(style: str, rules: dict[str, object], said: str) -> None:
    assert said in refusal(style, **rules).message


def test_a_value_that_its_parameter_cannot_have_is_refused_with_a_way_out() -> None:
    error = refusal("logspace", INTEGER, start=0, end=1, count=3)
    assert "is not an integer" in error.message
    assert "`integerify: true`" in str(error.hint)
    assert "more than 10" in refusal_of(parameter(INTEGER, maximum=10), "linear", start=1, end=20, step=1).message


def refusal_of(one: Parameter, style: str, **rules: object) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        values(variation(style, **rules), one, "a", None)
    return caught.value


def test_no_number_is_drawn_for_a_parameter_with_choices() -> None:
    assert "no number between two" in refusal_of(parameter(choices=(1, 2)), "random", min=1, max=2, count=2).message


def test_an_error_stands_at_its_rule() -> None:
    rules = Table((5, 3))
    for line, (key, value) in enumerate({"start": 1, "end": 2, "step": 0}.items()):
        rules.put(key, value, (6 + line, 5), (6 + line, 12))
    with pytest.raises(MlrunError) as caught:
        values(Variation("x", HERE, Style.LINEAR, rules), parameter(), "a", None)
    assert caught.value.location == Location("valohai.yaml", 8, 12)


def test_a_search_sees_lists_as_they_are_and_ranges_as_everything_between() -> None:
    assert axis_of(variation("linear", start=1, end=3, step=1), parameter()) == Choices((1, 2, 3), ordered=True)
    assert axis_of(variation("multiple", items=["b", "a"]), parameter(TEXT)) == Choices(("b", "a"))
    assert axis_of(variation("random", min=1, max=3), parameter(INTEGER)) == Span(1, 3, integer=True)
    assert axis_of(variation("logspace", min=-4, max=-1), parameter()) == Span(1e-4, 0.1, log=True)
    assert isinstance(axis_of(variation("logspace", min=-4, max=-1, count=4), parameter()), Choices)


def test_a_parameter_that_takes_several_values_gets_lists() -> None:
    one = parameter(TEXT, multiple=Multiple.REPEAT)
    assert values(variation("multiple", items=["a", ["b", "c"]]), one, "t", None) == (["a"], ["b", "c"])


def test_as_many_values_as_allowed_are_made() -> None:
    assert len(made("linear", start=1, end=MOST_VALUES, step=1)) == MOST_VALUES


def task(*variations: Variation, sets: tuple[dict[str, Any], ...] = ()) -> Task:
    return Task("t", HERE, "s", variations=variations, parameter_sets=sets)


def test_a_list_from_outside_takes_the_place_of_what_the_task_says() -> None:
    before = task(
        variation("single", value=1), Variation("y", HERE, Style.SINGLE, {"value": 2}), sets=({"x": 4, "y": 5},)
    )
    after = vary(before, "x", (8, 9), HERE)
    assert [one.name for one in after.variations] == ["x", "y"]
    assert values(after.variations[0], parameter(), "t", None) == (8, 9)
    assert after.parameter_sets == ({"y": 5},)
    assert varied(vary(task(), "z", (1,), HERE)) == {"z"}


def test_a_value_from_outside_leaves_nothing_to_choose() -> None:
    other = Variation("y", HERE, Style.SINGLE, {"value": 2})
    after = forget(task(variation("multiple", items=[1, 2]), other, sets=({"x": 1, "y": 5},)), "x")
    assert (after.variations, after.parameter_sets) == ((other,), ({"y": 5},))
