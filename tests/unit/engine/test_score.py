"""How good a trial is."""

import pytest

from runner.engine.score import make_score
from runner.goal import Goal


@pytest.mark.parametrize(
    ("aim", "value", "expected"),
    [
        ("maximize", 0.9, -0.9),
        ("minimize", 0.9, 0.9),
        (7.0, 4, 3.0),
        ("minimize", "0.25", 0.25),
        ("minimize", 3, 3.0),
    ],
)
def test_the_smaller_the_score_the_better_the_trial(aim: object, value: object, expected: float) -> None:
    assert make_score(Goal("m", aim))({"m": value}) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", float("nan"), float("-inf"), "high", "", None, True, [1], 10**400]
)
def test_what_is_no_finite_number_is_no_score(value: object) -> None:
    assert make_score(Goal("m", "minimize"))({"m": value}) is None


def test_without_the_metric_or_a_goal_there_is_no_score() -> None:
    assert make_score(Goal("m", "maximize"))({"n": 1}) is None
    assert make_score(None)({"m": 1}) is None
