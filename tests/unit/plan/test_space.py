"""What the trials of a task choose among."""

from dataclasses import replace
from typing import Any

import pytest

from runner.errors import ExitCode, Location, MlrunError
from runner.plan.model import PlannedNode
from runner.plan.space import check_trials, compile_space
from runner.plan.variation import Choices, Span
from runner.spec.extension import Pruning
from runner.spec.model import Edge, Parameter, ParameterType, Socket, SocketType, Step, Style, Task, TaskType, Variation

HERE = Location("valohai.yaml", 3, 7)
STEP = Step(
    "train",
    HERE,
    "python",
    (),
    parameters=(
        Parameter("lr", HERE, ParameterType.FLOAT, default=0.5),
        Parameter("depth", HERE, ParameterType.INTEGER),
        Parameter("kind", HERE),
    ),
)


def several(name: str, *items: object) -> Variation:
    return Variation(name, HERE, Style.MULTIPLE, {"items": list(items)})


def between(name: str, low: float, high: float, **rules: object) -> Variation:
    return Variation(name, HERE, Style.RANDOM, {"min": low, "max": high, **rules})


def task(type: TaskType = TaskType.GRID_SEARCH, *variations: Variation, **facts: Any) -> Task:
    return Task("sweep", HERE, "train", type, variations, **facts)


def refusal(asked: Task) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        compile_space(asked, STEP)
    assert caught.value.code == ExitCode.SPEC
    assert caught.value.location == HERE
    return caught.value


def test_the_size_of_a_grid_is_known_before_it_is_made() -> None:
    found = compile_space(task(TaskType.GRID_SEARCH, several("lr", 1, 2, 3), several("kind", "a", "b")), STEP)
    assert found.size == 6
    assert found.axes == {"lr": Choices((1, 2, 3)), "kind": Choices(("a", "b"))}


def test_a_grid_of_nothing_is_one_trial() -> None:
    assert compile_space(task(), STEP).size == 1


def test_a_grid_beyond_all_reason_is_refused_at_once() -> None:
    wide = Variation("lr", HERE, Style.LINEAR, {"start": 1, "end": 90_000, "step": 1})
    tall = Variation("depth", HERE, Style.LINEAR, {"start": 1, "end": 90_000, "step": 1})
    assert "8,100,000,000 trials" in refusal(task(TaskType.GRID_SEARCH, wide, tall)).message


def test_random_values_of_a_grid_are_as_many_as_the_executions_where_nobody_says() -> None:
    assert compile_space(task(TaskType.GRID_SEARCH, between("lr", 0, 1), execution_count=4), STEP).size == 4


def test_a_search_has_as_many_trials_as_executions_or_else_as_random_values() -> None:
    random = TaskType.RANDOM_SEARCH
    assert compile_space(task(random, between("lr", 0, 1), execution_count=9), STEP).size == 9
    assert compile_space(task(random, between("lr", 0, 1, count=5)), STEP).size == 5
    assert "how many trials" in refusal(task(random, several("lr", 1, 2))).message
    assert "how many trials" in refusal(task(TaskType.BAYESIAN_TPE, between("lr", 0, 1, count=5))).message
    assert "more than" in refusal(task(random, between("lr", 0, 1), execution_count=10**9)).message


def test_a_bayesian_search_sees_ranges_and_its_batch() -> None:
    asked = task(TaskType.BAYESIAN_TPE, between("lr", 0, 1), execution_count=30, execution_batch_size=3)
    found = compile_space(asked, STEP)
    assert (found.axes, found.batch) == ({"lr": Span(0, 1)}, 3)


def test_every_set_of_a_manual_search_is_a_trial_with_the_step_s_default_where_it_leaves_one_out() -> None:
    found = compile_space(task(TaskType.MANUAL_SEARCH, parameter_sets=({"lr": "0.1", "depth": 1}, {"depth": 2})), STEP)
    assert found.sets == ({"lr": 0.1, "depth": 1}, {"lr": 0.5, "depth": 2})


def test_a_parameter_with_one_value_is_in_every_set() -> None:
    asked = task(TaskType.MANUAL_SEARCH, several("kind", "a"), parameter_sets=({"depth": 1}, {"depth": 2}))
    assert compile_space(asked, STEP).sets == ({"kind": "a", "depth": 1}, {"kind": "a", "depth": 2})


def test_lists_of_a_manual_search_go_side_by_side() -> None:
    manual = TaskType.MANUAL_SEARCH
    found = compile_space(task(manual, several("lr", 1, 2), several("depth", 3, 4), several("kind", "a")), STEP)
    assert found.sets == ({"lr": 1, "depth": 3, "kind": "a"}, {"lr": 2, "depth": 4, "kind": "a"})
    assert "same number" in refusal(task(manual, several("lr", 1, 2), several("depth", 1, 2, 3))).message
    assert "several values" in refusal(task(manual, several("lr", 1, 2), parameter_sets=({"depth": 1},))).message
    assert "no `parameter-sets`" in refusal(task(manual)).message


def test_a_value_of_a_set_that_does_not_fit_is_refused() -> None:
    sets: tuple[dict[str, Any], ...] = ({"depth": "deep"},)
    assert "not an integer" in refusal(task(TaskType.MANUAL_SEARCH, parameter_sets=sets)).message


def test_the_members_of_a_distributed_task_have_the_same_values() -> None:
    found = compile_space(task(TaskType.DISTRIBUTED, several("lr", 1), execution_count=3), STEP)
    assert found.size == 3
    assert "same values" in refusal(task(TaskType.DISTRIBUTED, several("lr", 1, 2), execution_count=3)).message


def test_a_parameter_that_the_step_lacks_is_refused_with_what_was_meant() -> None:
    error = refusal(task(TaskType.GRID_SEARCH, several("dept", 1)))
    assert "which step `train` lacks" in error.message
    assert error.hint == "did you mean `depth`?"


def node(asked: Task, **facts: Any) -> PlannedNode:
    return PlannedNode("sweep", STEP, {}, {}, {}, kind="task", task=asked, **facts)


def test_what_an_edge_will_bring_is_not_judged_beforehand() -> None:
    bad = node(task(TaskType.GRID_SEARCH, several("depth", "deep")))
    with pytest.raises(MlrunError):
        check_trials(bad)
    edge = Edge(Socket("a", SocketType.METADATA, "m"), Socket("sweep", SocketType.PARAMETER, "depth"), HERE)
    check_trials(replace(bad, edges=(edge,)))


def test_a_bayesian_search_without_a_goal_is_refused() -> None:
    asked = task(TaskType.BAYESIAN_TPE, between("lr", 0, 1), execution_count=30)
    with pytest.raises(MlrunError, match="what its search is for"):
        check_trials(node(asked))
    check_trials(node(replace(asked, target_metric="accuracy", target_value=1.0)))
    check_trials(node(asked, pruning=Pruning("accuracy", HERE)))


def test_a_search_for_one_metric_that_is_pruned_by_another_is_refused() -> None:
    asked = task(
        TaskType.BAYESIAN_TPE, between("lr", 0, 1), execution_count=3, target_metric="accuracy", target_value=1.0
    )
    with pytest.raises(MlrunError, match="pruned by another metric, `loss`"):
        check_trials(node(asked, pruning=Pruning("loss", HERE)))
