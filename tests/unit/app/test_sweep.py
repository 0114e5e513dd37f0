"""From a task node to its trials."""

from typing import Any

import pytest

from runner.app.sweep import make_sweep, preview
from runner.engine.pruner import Watch
from runner.errors import Location, MlrunError
from runner.events import Event, Noticed
from runner.plan.bind import Left
from runner.plan.model import PlannedNode
from runner.spec.extension import Pruning
from runner.spec.model import (
    Edge,
    Engine,
    Parameter,
    ParameterType,
    Socket,
    SocketType,
    Step,
    Style,
    Task,
    TaskType,
    Variation,
)

HERE = Location("valohai.yaml", 1, 1)
STEP = Step(
    "train",
    HERE,
    "python",
    (),
    parameters=(Parameter("lr", HERE, ParameterType.FLOAT), Parameter("depth", HERE, ParameterType.INTEGER)),
)
DEPTHS = Variation("depth", HERE, Style.MULTIPLE, {"items": [1, 2]})


def node(
    *edges: Edge, pruning: Pruning | None = None, type: TaskType = TaskType.GRID_SEARCH, **facts: Any
) -> PlannedNode:
    task = Task("tune", HERE, "train", type, (DEPTHS,), **facts)
    return PlannedNode(
        "tune", STEP, {"lr": 0.5, "depth": 9}, {}, {}, edges=edges, kind="task", task=task, pruning=pruning
    )


def edge(type: SocketType, key: str, target: str) -> Edge:
    return Edge(Socket("above", type, key), Socket("tune", SocketType.PARAMETER, target), HERE)


def unheard(event: Event) -> None:
    raise AssertionError(event)


def test_a_trial_has_what_was_chosen_and_what_all_have_in_common() -> None:
    sweep = make_sweep(node(), {}, unheard)
    assert dict(sweep.template.parameters) == {"lr": 0.5}
    (first, second) = sweep.sampler.ask(9)
    trial = sweep.trial("tune.1", first)
    assert (trial.name, trial.kind, trial.trial_of, trial.task) == ("tune.1", "execution", "tune", None)
    assert dict(trial.parameters) == {"lr": 0.5, "depth": 1}
    assert second == {"depth": 2}


def test_a_list_that_an_edge_brings_is_gone_through() -> None:
    asked = node(edge(SocketType.METADATA, "found", "lr"))
    sweep = make_sweep(asked, {"above": Left(metrics={"found": [0.1, "0.2"]})}, unheard)
    assert sorted((one["depth"], one["lr"]) for one in sweep.sampler.ask(9)) == [(1, 0.1), (1, 0.2), (2, 0.1), (2, 0.2)]
    assert not [one for one in sweep.template.edges if one.target.type is SocketType.PARAMETER]


def test_a_value_that_an_edge_brings_beats_what_the_task_varies() -> None:
    sweep = make_sweep(node(edge(SocketType.PARAMETER, "n", "depth")), {"above": Left({"n": 7})}, unheard)
    (only,) = sweep.sampler.ask(9)
    assert sweep.trial("tune.1", only).parameters["depth"] == 7


def test_what_an_edge_brings_must_fit() -> None:
    with pytest.raises(MlrunError, match="not an integer"):
        make_sweep(node(edge(SocketType.METADATA, "m", "depth")), {"above": Left(metrics={"m": [1, "deep"]})}, unheard)


def test_pruning_and_score_follow_the_policy() -> None:
    sweep = make_sweep(node(pruning=Pruning("loss", HERE, "minimize")), {}, unheard)
    assert isinstance(sweep.pruner, Watch)
    assert sweep.score({"loss": 3}) == 3
    assert make_sweep(node(), {}, unheard).pruner is None


def test_another_library_is_noticed_and_optuna_taken() -> None:
    heard: list[Event] = []
    facts = {"execution_count": 4, "target_metric": "loss", "target_value": 0.0}
    make_sweep(node(type=TaskType.BAYESIAN_TPE, engine=Engine.HYPEROPT, **facts), {}, heard.append)
    (said,) = heard
    assert isinstance(said, Noticed)
    assert "Optuna" in said.text


def test_the_trials_of_a_grid_are_known_beforehand_and_of_a_bayesian_search_the_first() -> None:
    assert preview(node()).trials == [{"depth": 1}, {"depth": 2}]
    found = preview(node(type=TaskType.BAYESIAN_TPE, execution_count=30, target_metric="loss"))
    assert (found.size, len(found.trials)) == (30, 20)
