"""The task that the command line asks for."""

from typing import Any

import pytest

from runner.errors import ExitCode, MlrunError
from runner.plan.argument import arguments_from_json, arguments_to_json
from runner.plan.compile import compile_task
from runner.plan.model import Arguments, Given, PlannedNode, Tuning, goal_of
from runner.plan.space import compile_space
from runner.spec.extension import PruningRule
from runner.spec.model import OnChildError, TaskType
from runner.spec.project import parse_project

PROJECT = parse_project(
    b"""
- step:
    name: train
    image: python
    command: python train.py {parameters}
    parameters:
      - {name: lr, type: float, default: 0.5}
      - {name: depth, type: integer}
      - {name: kind, default: a}
- policy: {step: train, pool: gpu, prune: {metric: loss, goal: minimize, rule: halving, startup: 7}}
- task:
    name: grid
    step: train
    maximum-queued-executions: 3
    parameters:
      - {name: depth, style: linear, rules: {start: 1, end: 3, step: 1}}
- task:
    name: search
    step: train
    type: random_search
    execution-count: 5
    parameters:
      - {name: depth, style: random, rules: {min: 1, max: 9}}
- task: {name: lost, step: trian, parameters: []}
""",
    "valohai.yaml",
)


def planned(name: str, tuning: Tuning | None = None, **parameters: object) -> PlannedNode:
    arguments = Arguments("/", nodes={name: Given(parameters)}, tuning=tuning)
    plan = compile_task(PROJECT, name, arguments, "/")
    assert (plan.kind, plan.name, list(plan.nodes)) == ("task", name, [name])
    return plan.nodes[name]


def refusal(name: str, tuning: Tuning | None = None) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        planned(name, tuning)
    return caught.value


def values(node: PlannedNode, name: str) -> tuple[Any, ...]:
    assert node.task is not None
    axis = compile_space(node.task, node.step).axes[name]
    return getattr(axis, "values", None) or (axis.low, axis.high)  # type: ignore[union-attr]


def test_a_task_is_one_node_with_the_values_that_do_not_vary_and_the_policy_of_its_step() -> None:
    node = planned("grid")
    assert (node.kind, node.pool, dict(node.parameters)) == ("task", "gpu", {"lr": 0.5, "kind": "a"})
    assert node.pruning is not None
    assert node.pruning.rule is PruningRule.HALVING


def test_a_required_parameter_that_varies_needs_no_value() -> None:
    assert values(planned("grid"), "depth") == (1, 2, 3)


def test_values_of_the_command_line_take_the_place_of_the_task_s() -> None:
    assert planned("grid", lr="0.1").parameters["lr"] == 0.1
    assert values(planned("grid", depth=["7", "8"]), "depth") == (7, 8)
    assert values(planned("grid", lr=["0.1", "0.2"]), "lr") == (0.1, 0.2)
    assert planned("grid", depth="4").parameters["depth"] == 4


def test_terms_of_the_command_line_beat_those_of_the_file() -> None:
    node = planned("grid", Tuning(queued=1, on_child_error="continue-and-complete"))
    assert node.task is not None
    assert node.task.maximum_queued_executions == 1
    assert node.task.on_child_error is OnChildError.CONTINUE_AND_COMPLETE
    search = planned("search", Tuning(trials=9)).task
    assert search is not None
    assert search.execution_count == 9
    assert "does not go with a grid search" in refusal("grid", Tuning(trials=9)).message


def test_the_goal_is_the_user_s_then_the_policy_s() -> None:
    assert str(goal_of(planned("grid"))) == "Goal(metric='loss', aim='minimize')"
    node = planned("grid", Tuning(metric="accuracy", goal=0.9))
    assert str(goal_of(node)) == "Goal(metric='accuracy', aim=0.9)"
    assert node.pruning is not None
    assert (node.pruning.metric, node.pruning.goal, node.pruning.startup) == ("accuracy", 0.9, 7)
    assert str(goal_of(planned("grid", Tuning(goal="maximize")))) == "Goal(metric='loss', aim='maximize')"
    assert str(goal_of(planned("grid", Tuning(metric="loss")))) == "Goal(metric='loss', aim='minimize')"


def test_pruning_is_turned_on_off_and_to_another_rule() -> None:
    assert planned("grid", Tuning(prune="none")).pruning is None
    pruning = planned("grid", Tuning(prune="median")).pruning
    assert pruning is not None
    assert (pruning.rule, pruning.metric, pruning.startup) == (PruningRule.MEDIAN, "loss", 7)


def test_a_task_of_a_step_that_is_not_there_is_refused() -> None:
    error = refusal("lost")
    assert error.code == ExitCode.SPEC
    assert error.hint == "did you mean `train`?"


def sweep(trials: int | None = None, **texts: str) -> Tuning:
    return Tuning(sweep=texts, trials=trials)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2,3", (1, 2, 3)),
        ("7", (7,)),
        ("2..8", (2, 3, 4, 5, 6, 7, 8)),
        ("2..8..3", (2, 5, 8)),
        ("8..2..-3", (8, 5, 2)),
        ("-1..1", (-1, 0, 1)),
    ],
)
def test_values_are_written_as_a_list_or_a_range(text: str, expected: tuple[int, ...]) -> None:
    assert values(planned("train", sweep(depth=text)), "depth") == expected


def test_a_range_of_floats_has_a_step_unless_it_is_drawn_from() -> None:
    assert values(planned("train", sweep(depth="1", lr="0.1..0.3..0.1")), "lr") == (0.1, 0.2, 0.3)
    assert values(planned("train", sweep(depth="1", lr="1..3")), "lr") == (1, 2, 3)
    node = planned("train", sweep(trials=4, depth="1..9", lr="1e-4..0.1"))
    assert (values(node, "lr"), values(node, "depth")) == ((1e-4, 0.1), (1, 9))
    assert node.task is not None
    assert (node.task.type, node.task.execution_count) == (TaskType.RANDOM_SEARCH, 4)
    assert "has no step" in refusal("train", sweep(depth="1", lr="0.1..0.3")).message


def test_text_with_dots_is_text() -> None:
    assert values(planned("train", sweep(depth="1", kind="../a,../b")), "kind") == ("../a", "../b")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"dept": "1"}, "has no parameter `dept`"),
        ({"depth": "1,"}, "has an empty value"),
        ({"depth": "1,two"}, "`--sweep depth=1,two`: parameter `depth`: `two` is not an integer"),
        ({"depth": "1..9..0"}, "never reaches the end"),
        ({"lr": "1,2"}, "parameter `depth` of step `train` has no value"),
    ],
)
def test_a_sweep_that_cannot_be_meant_is_a_usage_error(texts: dict[str, str], said: str) -> None:
    error = refusal("train", sweep(**texts))
    assert error.code == ExitCode.USAGE
    assert said in error.message


def test_what_the_command_line_wants_of_trials_is_recorded_and_read_again() -> None:
    arguments = Arguments("/", tuning=Tuning({"lr": "1,2"}, 3, "loss", "minimize", "median", 2, "stop-all-and-error"))
    assert arguments_from_json(arguments_to_json(arguments)) == arguments
    assert arguments_from_json(arguments_to_json(Arguments("/"))).tuning is None
