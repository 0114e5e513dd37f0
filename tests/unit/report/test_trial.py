"""Trials: the best first, whatever the best is; and when what ran."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.goal import Goal
from runner.report.subject import Subject
from runner.report.timeline import Bar, bars_of, lanes_of
from runner.report.trial import parallel, ranked, trials_of, varied
from runner.state import State
from tests.unit.report.conftest import Diary


def sweep(*scores: Any, states: dict[int, str] | None = None) -> Subject:
    """A task whose trials ended with these values of `score`; None is a trial without one."""
    diary = Diary("pipeline", "p", [{"name": "t", "kind": "task"}])
    trials = [
        {"name": f"t.{place}", "parameters": {"x": place, "kind": "ab"[place % 2]}} for place in range(len(scores))
    ]
    diary.tell("trials-added", node="t", trials=trials)
    for place, (trial, score) in enumerate(zip(trials, scores, strict=True)):
        events = [] if score is None else [{"score": score}]
        diary.ran(trial["name"], state=(states or {}).get(place, "succeeded"), events=events)
    return diary.subject()


@pytest.mark.parametrize(
    ("aim", "order"),
    [
        ("maximize", ["t.2", "t.0", "t.3", "t.1", "t.4", "t.5"]),
        ("minimize", ["t.1", "t.3", "t.0", "t.2", "t.4", "t.5"]),
        (2.4, ["t.3", "t.0", "t.1", "t.2", "t.4", "t.5"]),
    ],
)
def test_trials_are_ranked_by_the_goal_those_without_a_score_last(aim: Any, order: list[str]) -> None:
    subject = sweep(3.0, 1.0, 9.0, 2.0, None, "NaN")
    assert [trial.node.name for trial in ranked(trials_of(subject, "t"), Goal("score", aim))] == order


def test_a_trial_that_failed_is_never_the_best() -> None:
    subject = sweep(1.0, 9.0, 2.0, states={1: "failed"})
    names = [trial.node.name for trial in ranked(trials_of(subject, "t"), Goal("score", "maximize"))]
    assert names == ["t.2", "t.0", "t.1"]


def test_without_a_goal_trials_stay_in_the_order_in_which_they_were_chosen() -> None:
    subject = sweep(1.0, 9.0, 2.0)
    assert [trial.node.name for trial in ranked(trials_of(subject, "t"), None)] == ["t.0", "t.1", "t.2"]


def test_each_trial_is_a_line_through_what_was_varied_and_words_have_a_place_too() -> None:
    subject = sweep(1.0, 3.0, 2.0)
    trials = trials_of(subject, "t")
    assert varied(trials) == ["x", "kind"]
    picture = parallel(ranked(trials, Goal("score", "maximize")), varied(trials), Goal("score", "maximize"))
    assert picture is not None
    assert picture.text.count("<polyline") == 3
    assert picture.text.count('class="trial best"') == 1
    assert ">a<" in picture.text and ">b<" in picture.text


def test_two_trials_are_no_picture() -> None:
    trials = trials_of(sweep(1.0, 3.0), "t")
    assert parallel(trials, varied(trials), Goal("score", "maximize")) is None


SPANS = st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 100)), max_size=60)


@given(SPANS)
def test_executions_that_share_a_row_do_not_overlap(spans: list[tuple[float, float]]) -> None:
    bars = [Bar("n", place, State.SUCCEEDED, start, start, start + took)
            for place, (start, took) in enumerate(sorted(spans))]  # fmt: skip
    lanes = lanes_of(bars)
    assert sorted(bar.counter for lane in lanes for bar in lane) == list(range(len(bars)))
    for lane in lanes:
        assert all(before.ended <= after.created for before, after in pairwise(lane))


def test_a_bar_tells_when_an_execution_was_made_ready_and_when_it_ran() -> None:
    subject = Diary("exec", "a", [{"name": "a"}]).ran("a", 5.0, 3.0).subject()
    (bar,) = bars_of(subject)
    assert (bar.created, bar.started, bar.ended) == pytest.approx((5.0, 5.2, 8.2))
