"""Which commit to try next: whatever the history looks like, the one that broke it is found, and soon."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.app.bisection import AllBad, Ask, Judgement, Narrowed, Step, Unfit, next_step

GOOD, BAD, SKIPPED = Judgement.GOOD, Judgement.BAD, Judgement.SKIPPED


def search(truth: list[Judgement], *, bounded: bool) -> tuple[Step, list[Ask]]:
    """Ask until there is nothing to ask."""
    judged: dict[int, Judgement] = {}
    asked: list[Ask] = []
    while isinstance(step := next_step(len(truth), judged, bounded=bounded), Ask):
        assert step.at not in judged, "asked twice"
        asked.append(step)
        judged[step.at] = truth[step.at]
    return step, asked


def history(bad: int, good: int) -> list[Judgement]:
    """Newest first."""
    return [BAD] * bad + [GOOD] * good


@given(st.integers(1, 300), st.integers(1, 300), st.booleans())
def test_the_one_that_broke_it_is_found_in_few_runs(bad: int, good: int, bounded: bool) -> None:
    step, asked = search(history(bad, good), bounded=bounded)
    assert step == Narrowed(bad - 1, bad)
    # To double the distance until something is good costs as much again.
    most = math.ceil(math.log2(bad + good - 1)) + 2 if bounded else 2 * math.ceil(math.log2(bad + 1)) + 3
    assert len(asked) <= most


@given(st.integers(1, 60), st.integers(1, 60), st.booleans(), st.data())
def test_what_cannot_be_judged_never_hides_the_one_that_broke_it(
    bad: int, good: int, bounded: bool, data: st.DataObject
) -> None:
    truth = history(bad, good)
    inner = range(1, len(truth) - 1 if bounded else len(truth))
    for at in data.draw(st.sets(st.sampled_from(inner)) if inner else st.just(set())):
        truth[at] = SKIPPED
    step, _ = search(truth, bounded=bounded)
    if GOOD not in truth:
        assert step == AllBad()
        return
    assert isinstance(step, Narrowed)
    assert step.bad <= bad - 1 < step.good
    assert (truth[step.bad], truth[step.good]) == (BAD, GOOD)
    assert set(truth[step.bad + 1 : step.good]) <= {SKIPPED}


@given(st.integers(1, 200), st.integers(1, 1000), st.integers(1, 200), st.integers(1, 200), st.booleans())
def test_many_in_a_row_that_cannot_be_judged_cost_little_where_nothing_is_to_be_found_among_them(
    ends: int, row: int, between: int, others: int, newer: bool
) -> None:
    broken, fine = [BAD] * ends, [GOOD] * others
    if newer:
        truth = [*broken, *[SKIPPED] * row, *[BAD] * between, *fine]
    else:
        truth = [*broken, *[GOOD] * between, *[SKIPPED] * row, *fine]
    step, asked = search(truth, bounded=True)
    assert isinstance(step, Narrowed) and step.good == step.bad + 1
    assert len(asked) <= 6 * math.log2(len(truth)) + 6


def test_a_metric_that_is_new_is_found_without_trying_all_commits_before_it() -> None:
    step, asked = search([BAD] * 40 + [GOOD] * 20 + [SKIPPED] * 1000, bounded=False)
    assert step == Narrowed(39, 40)
    assert len(asked) < 40


@given(st.lists(st.sampled_from(Judgement), max_size=60), st.booleans())
def test_a_history_that_goes_up_and_down_ends_between_a_bad_one_and_a_good_one(
    rest: list[Judgement], bounded: bool
) -> None:
    truth = [BAD, *rest, GOOD]
    step, _ = search(truth, bounded=bounded)
    assert isinstance(step, Narrowed)
    assert (truth[step.bad], truth[step.good]) == (BAD, GOOD)


@given(st.integers(1, 40))
def test_without_a_good_one_every_commit_was_tried(count: int) -> None:
    step, asked = search([BAD] * count, bounded=False)
    assert step == AllBad()
    assert asked[-1].at == count - 1 and len(asked) < 2 * math.log2(count + 1) + 3


@pytest.mark.parametrize("judgement", [GOOD, SKIPPED])
def test_a_newest_commit_that_is_not_bad_leaves_nothing_to_find(judgement: Judgement) -> None:
    assert search([judgement, GOOD], bounded=False)[0] == Unfit(0, BAD)


@pytest.mark.parametrize("judgement", [BAD, SKIPPED])
def test_an_oldest_commit_that_was_said_to_be_good_has_to_be(judgement: Judgement) -> None:
    step, asked = search([BAD, BAD, GOOD, judgement], bounded=True)
    assert step == Unfit(3, GOOD) and [one.at for one in asked] == [0, 3]


@given(st.integers(2, 200), st.data())
def test_it_says_how_many_runs_are_left(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(1, count - 1))
    _, asked = search(history(bad, count - bad), bounded=True)
    for number, one in enumerate(asked):
        assert one.left is not None
        # Halves are not always equal: one more or less at the end.
        assert abs(one.left - (len(asked) - number - 1)) <= 1


def test_no_commits_are_no_history() -> None:
    with pytest.raises(ValueError, match="no commits"):
        next_step(0, {}, bounded=False)


@given(st.integers(2, 200))
def test_the_middle_is_asked_first(count: int) -> None:
    assume(count > 2)
    step = next_step(count, {0: BAD, count - 1: GOOD}, bounded=True)
    assert isinstance(step, Ask) and abs(step.at - (count - 1) / 2) < 1
