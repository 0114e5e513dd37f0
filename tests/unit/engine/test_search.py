"""The samplers: how they are asked, told, and go on."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engine.bayes import RANDOM, Bayesian
from runner.engine.sampler import Sampler, Told
from runner.engine.search import make_sampler
from runner.plan.space import Space
from runner.plan.variation import Axis, Choices, Span
from runner.spec.model import TaskType
from runner.state import State

GRID, RANDOM_SEARCH, MANUAL = TaskType.GRID_SEARCH, TaskType.RANDOM_SEARCH, TaskType.MANUAL_SEARCH
BAYESIAN, DISTRIBUTED = TaskType.BAYESIAN_TPE, TaskType.DISTRIBUTED


def space(type: TaskType, size: int, axes: Mapping[str, Axis], **facts: Any) -> Space:
    return Space(type, size, axes, seed="a task", seeds={name: f"a task {name}" for name in axes}, **facts)


AXES: dict[str, Axis] = {"a": Choices((1, 2, 3)), "b": Choices(("x", "y"))}
CURVED: dict[str, Axis] = {"lr": Span(1e-4, 1.0, log=True), "depth": Span(1, 9, integer=True), **AXES}

SPACES = {
    "grid": space(GRID, 6, AXES),
    "random of few": space(RANDOM_SEARCH, 4, AXES),
    "random of endless": space(RANDOM_SEARCH, 7, CURVED),
    "manual": Space(MANUAL, 2, sets=({"a": 1}, {"a": 5})),
    "distributed": space(DISTRIBUTED, 3, {"a": Choices((1,))}),
    "bayesian": space(BAYESIAN, 31, CURVED, batch=4),
}


def score(chosen: Mapping[str, Any]) -> float:
    return abs(float(chosen.get("lr", 0)) - 0.1) + float(chosen["a"])


def drive(sampler: Sampler, told: Sequence[Told], steps: Sequence[int]) -> list[Told]:
    """Ask and tell to the end, so many at a time; one after the other comes to its end."""
    every, ended = list(told), sum(one.state is not State.RUNNING for one in told)
    turn = 0
    while not sampler.exhausted or ended < len(every):
        asked = sampler.ask(steps[turn % len(steps)])
        every += [Told(one, State.RUNNING) for one in asked]
        if ended < len(every):
            every[ended] = Told(every[ended].parameters, State.SUCCEEDED, score(every[ended].parameters))
            sampler.tell(ended, every[ended])
            ended += 1
        turn += 1
        assert turn < 1000, "it waits for something that nobody brings"
    return every


@pytest.mark.parametrize("name", SPACES)
def test_it_has_as_many_trials_as_it_says(name: str) -> None:
    sampler = make_sampler(SPACES[name])
    assert len(drive(sampler, (), (3,))) == sampler.size == SPACES[name].size
    assert sampler.exhausted
    assert list(sampler.ask(5)) == []


@pytest.mark.parametrize("name", SPACES)
def test_asked_again_it_chooses_the_same_however_many_at_a_time(name: str) -> None:
    first = drive(make_sampler(SPACES[name]), (), (1,))
    assert drive(make_sampler(SPACES[name]), (), (2, 5)) == first


@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize("name", SPACES)
@given(data=st.data())
def test_interrupted_anywhere_it_goes_on_as_if_nothing_had_been(name: str, data: st.DataObject) -> None:
    whole = drive(make_sampler(SPACES[name]), (), (3,))
    ended = data.draw(st.integers(0, len(whole)))
    chosen = data.draw(st.integers(ended, min(len(whole), ended + 4)))
    if name == "bayesian" and chosen > RANDOM:
        # Nothing beyond the batch was chosen before all before it had ended.
        chosen = min(chosen, RANDOM + max(0, ended - RANDOM) // 4 * 4 + 4 if ended >= RANDOM else RANDOM)
    past = [one if index < ended else Told(one.parameters, State.RUNNING) for index, one in enumerate(whole[:chosen])]
    sampler = make_sampler(SPACES[name])
    sampler.restore(past)
    assert drive(sampler, past, (2,)) == whole


def test_a_grid_has_every_combination_once_the_last_parameter_first() -> None:
    found = [dict(one) for one in make_sampler(SPACES["grid"]).ask(99)]
    assert found == [{"a": a, "b": b} for a, b in product((1, 2, 3), ("x", "y"))]


def test_a_huge_grid_is_not_made_to_be_asked() -> None:
    axes: dict[str, Axis] = {name: Choices(tuple(range(100_000))) for name in "abcd"}
    sampler = make_sampler(space(GRID, 10**20, axes))
    assert list(sampler.ask(2)) == [{"a": 0, "b": 0, "c": 0, "d": 0}, {"a": 0, "b": 0, "c": 0, "d": 1}]


def test_out_of_finitely_many_combinations_none_is_drawn_twice() -> None:
    axes: dict[str, Axis] = {"a": Choices((1, 2, 3)), "n": Span(0, 4, integer=True)}
    sampler = make_sampler(space(RANDOM_SEARCH, 50, axes))
    found = [tuple(one.items()) for one in sampler.ask(99)]
    assert len(found) == len(set(found)) == 15 == sampler.size


def test_another_task_draws_others() -> None:
    other = Space(RANDOM_SEARCH, 7, CURVED, seed="b", seeds={name: f"b {name}" for name in CURVED})
    assert make_sampler(other).ask(7) != make_sampler(SPACES["random of endless"]).ask(7)


def test_a_manual_search_runs_its_sets_as_they_are() -> None:
    assert list(make_sampler(SPACES["manual"]).ask(9)) == [{"a": 1}, {"a": 5}]


def test_the_members_of_a_distributed_task_are_alike() -> None:
    assert list(make_sampler(SPACES["distributed"]).ask(9)) == [{"a": 1}] * 3


def test_a_bayesian_search_waits_for_its_batch_after_the_random_ones() -> None:
    sampler = Bayesian(SPACES["bayesian"])
    assert len(sampler.ask(99)) == RANDOM
    assert len(sampler.ask(99)) == 0
    for index in range(RANDOM):
        assert not sampler.exhausted
        sampler.tell(index, Told({}, State.SUCCEEDED, 1.0))
    assert len(sampler.ask(99)) == 4
    assert len(sampler.ask(99)) == 0


def test_a_bayesian_search_gets_better() -> None:
    axes: dict[str, Axis] = {"x": Span(-10, 10), "y": Span(-10, 10)}
    sampler, scores = make_sampler(space(BAYESIAN, 80, axes, batch=5)), list[float]()
    while not sampler.exhausted:
        for chosen in sampler.ask(5):
            x, y = float(str(chosen["x"])), float(str(chosen["y"]))
            scores.append((x - 3) ** 2 + (y + 4) ** 2)
            sampler.tell(len(scores) - 1, Told(chosen, State.SUCCEEDED, scores[-1]))
    assert sum(scores[-20:]) < sum(scores[:RANDOM]) / 3


@pytest.mark.parametrize("state", [State.FAILED, State.STOPPED, State.SKIPPED, State.SUCCEEDED])
def test_a_bayesian_search_goes_on_after_trials_that_brought_nothing(state: State) -> None:
    sampler = Bayesian(SPACES["bayesian"])
    count = 0
    while not sampler.exhausted:
        for chosen in sampler.ask(3):
            sampler.tell(count, Told(chosen, state, None))
            count += 1
    assert count == 31


def test_values_of_a_list_come_back_as_they_are() -> None:
    axes: dict[str, Axis] = {"a": Choices((1, True, 1.0, ["x"])), "n": Choices((0.1, 0.2), ordered=True)}
    found = Bayesian(space(BAYESIAN, 20, axes)).ask(20)
    assert {repr(one["a"]) for one in found} == {"1", "True", "1.0", "['x']"}
    assert {one["n"] for one in found} == {0.1, 0.2}
