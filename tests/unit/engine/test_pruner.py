"""Which trials are given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.pruner import Median, make_pruner
from runner.errors import Location
from runner.spec.extension import Pruning, PruningRule

HERE = Location("valohai.yaml", 1, 1)
RULES = list(PruningRule)


def pruning(rule: PruningRule, warmup: int = 0, startup: int = 4, reduction: int = 3) -> Pruning:
    return Pruning("loss", HERE, "minimize", rule, warmup, startup, reduction)


@st.composite
def races(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    """The level of each trial's curve, and which of them prints its next score, again and again."""
    levels = draw(st.lists(st.integers(0, 50).map(float), min_size=2, max_size=12, unique=True))
    return levels, draw(st.lists(st.integers(0, len(levels) - 1), max_size=200))


@pytest.mark.parametrize("rule", RULES)
@given(race=races(), shape=st.lists(st.integers(-100, 100), min_size=200, max_size=200), startup=st.integers(1, 5))
def test_the_best_of_curves_that_never_cross_is_never_given_up(
    rule: PruningRule, race: tuple[list[float], list[int]], shape: list[int], startup: int
) -> None:
    levels, turns = race
    pruner = make_pruner(pruning(rule, startup=startup))
    printed = [0] * len(levels)
    for trial in turns:
        hopeless = pruner.report(str(trial), levels[trial] + shape[printed[trial]])
        printed[trial] += 1
        assert not (hopeless and levels[trial] == min(levels))


@pytest.mark.parametrize("rule", RULES)
def test_the_worst_is_given_up_once_there_are_enough_others(rule: PruningRule) -> None:
    pruner = make_pruner(pruning(rule, startup=3))
    assert [pruner.report(str(trial), trial) for trial in range(6)] == [False, False, False, True, True, True]


@pytest.mark.parametrize("rule", RULES)
def test_what_is_printed_while_it_warms_up_does_not_count(rule: PruningRule) -> None:
    pruner = make_pruner(pruning(rule, warmup=2, startup=2))
    for trial in ("a", "b", "c"):
        for score in (1.0, 1.0, 5.0):
            assert not pruner.report(trial, score)
    assert [pruner.report("late", score) for score in (90.0, 90.0, 4.0)] == [False, False, False]
    assert [pruner.report("bad", score) for score in (0.0, 0.0, 6.0)] == [False, False, True]


@pytest.mark.parametrize("rule", RULES)
def test_equals_are_all_kept(rule: PruningRule) -> None:
    pruner = make_pruner(pruning(rule))
    assert not any(pruner.report(str(trial), 1.0) for _ in range(9) for trial in range(20))


@pytest.mark.parametrize("rule", RULES)
def test_one_bad_value_decides_nothing(rule: PruningRule) -> None:
    pruner = make_pruner(pruning(rule, startup=2))
    for trial in ("a", "b", "c", "d"):
        pruner.report(trial, 2.0)
        pruner.report(trial, 2.0)
        pruner.report(trial, 2.0)
    assert [pruner.report("e", score) for score in (1.0, 99.0, 99.0)] == [False, False, False]


def test_a_trial_that_is_hopeless_stays_so() -> None:
    pruner = make_pruner(pruning(PruningRule.MEDIAN, startup=1))
    pruner.report("a", 0.0)
    assert pruner.report("b", 1.0)
    assert pruner.report("b", -5.0)


def test_the_median_itself_is_kept() -> None:
    rule = Median(4)
    assert not any(rule.judge(1, score) for score in (4.0, 3.0, 2.0, 1.0))
    assert not rule.judge(1, 2.5)
    assert rule.judge(1, 3.5)


def test_those_that_were_given_up_count_at_later_points_too() -> None:
    """Else each survivor would have to be better than half of the survivors, again and again."""
    rule = Median(2)
    assert [rule.judge(1, score) for score in (12.0, 11.0, 10.0, 13.0, 14.0, 15.0)] == [False] * 3 + [True] * 3
    assert [rule.judge(2, score) for score in (10.0, 11.0, 12.0)] == [False] * 3


def test_those_that_were_given_up_count_once() -> None:
    rule = Median(2)
    assert [rule.judge(1, score) for score in (1.0, 2.0, 5.0, 4.0)] == [False, False, True, True]


def test_halving_leaves_one_in_three_at_each_rung() -> None:
    pruner = make_pruner(pruning(PruningRule.HALVING, startup=2))
    for trial in range(26, -1, -1):
        assert not pruner.report(str(trial), trial), "better than all before it"
    assert [trial for trial in range(27, 30) if pruner.report(str(trial), trial)] == [27, 28, 29]
    assert not pruner.report("5.5", 5.5)


def test_only_some_of_very_many_scores_are_looked_at() -> None:
    looked = [number for number in range(1, 1_000_000) if Median(1).looks_at(number)]
    assert looked[:63] == list(range(1, 64))
    assert len(looked) < 600
