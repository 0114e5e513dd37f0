"""What a run with task nodes would do, told beforehand: how many trials there will be, and which are reused."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Make, Project

YAML = """\
- step:
    name: list
    image: busybox
    command: "echo '{\\"found\\": [4, 5, 6]}'"
- step:
    name: train
    image: busybox
    command:
      - |
        a={parameter-value:a}
        echo "{\\"score\\": $a}"
      - echo {parameter-value:a}-{parameter-value:b} > "$VH_OUTPUTS_DIR/model.txt"
    parameters:
      - {name: a, type: integer, default: 1}
      - {name: b, type: integer, default: 2}
- step:
    name: gather
    image: busybox
    command: cat "$VH_INPUTS_DIR"/models/*
    inputs:
      - {name: models}
- task:
    name: search
    step: train
    type: bayesian_tpe
    execution-count: 30
    optimization-target-metric: score
    optimization-target-value: 7
    parameters:
      - {name: a, style: random, rules: {min: 1, max: 900}}
- task:
    name: until
    step: train
    stop-condition: score >= 9
    parameters:
      - {name: a, style: multiple, rules: {items: [1, 2]}}
- pipeline:
    name: whole
    nodes:
      - {name: list, type: execution, step: list}
      - {name: tune, type: task, step: train}
      - {name: gather, type: execution, step: gather}
    edges:
      - [list.metadata.found, tune.parameter.a]
      - [tune.output.model.txt, gather.input.models]
- pipeline:
    name: stops
    nodes:
      - {name: tune, type: task, task: until}
      - {name: gather, type: execution, step: gather}
    edges:
      - [tune.output.model.txt, gather.input.models]
- pipeline:
    name: seeks
    nodes:
      - {name: tune, type: task, task: search}
    edges: []
"""


@pytest.fixture
def project(make: Make, tmp_path: Path) -> Project:
    """A project with a store of its own, in which nothing has run."""
    return make(YAML).with_variables(MLRUN_STORE=str(tmp_path / "store"))


def fates(project: Project, pipeline: str, *words: str) -> dict[str, Any]:
    told = project.succeeds("pipeline", pipeline, "--dry-run", "--json", *words).json()
    return {"estimate": told["estimate"]} | {node["name"]: node for node in told["nodes"]}


def test_trials_below_a_node_that_runs_depend_on_it(project: Project) -> None:
    told = fates(project, "whole")
    assert [told[name]["fate"] for name in ("list", "tune", "gather")] == ["runs", "depends", "depends"]
    assert (told["estimate"]["trials"], told["estimate"]["seconds"]) == (0, None)


def test_a_task_of_which_all_trials_stand_is_reused_and_so_is_what_is_below_it(project: Project) -> None:
    project.succeeds("pipeline", "whole")
    told = fates(project, "whole")
    assert [told[name]["fate"] for name in ("list", "tune", "gather")] == ["reused"] * 3
    assert [one["name"] for one in told["tune"]["trials"]] == ["tune.1", "tune.2", "tune.3"]
    again = project.succeeds("pipeline", "whole", "--json")
    assert "3 nodes, all reused" in again.err
    assert again.json()["executions"] == {}


def test_trials_that_stand_are_counted_and_the_rest_is_estimated(project: Project) -> None:
    project.succeeds("pipeline", "whole")
    path = project.folder / "valohai.yaml"
    path.write_text(path.read_text().replace("default: 2", "default: 3"))
    project.succeeds("exec", "train", "--sweep", "a=5,7")
    told = fates(project, "whole", "-j", "1")
    assert [told[name]["fate"] for name in ("list", "tune", "gather")] == ["reused", "runs", "depends"]
    assert (told["tune"]["size"], [one["name"] for one in told["tune"]["trials"]]) == (3, ["tune.2"])
    assert (told["estimate"]["trials"], told["estimate"]["trials_reused"], told["estimate"]["reused"]) == (3, 1, 1)
    assert told["estimate"]["seconds"] > 0
    said = project.succeeds("pipeline", "whole", "--dry-run").out
    assert "runs: 3 trials, 1 reused" in said
    why = project.succeeds("why", "tune", "--pipeline", "whole").out
    assert "runs: 3 trials, 1 reused" in why and "tune.2: execution" in why
    assert "3 nodes, 1 reused, 1 of 3 trials reused, about" in project.succeeds("pipeline", "whole").err


def test_nothing_is_written_and_no_number_is_drawn(project: Project) -> None:
    project.succeeds("pipeline", "whole")
    before = len(project.runs())
    fates(project, "whole")
    assert len(project.runs()) == before
    last = project.succeeds("list", "--json").json()[0]["counter"]
    project.succeeds("exec", "train")
    assert project.succeeds("list", "--json").json()[0]["counter"] == last + 1


def test_refreshed_trials_all_run(project: Project) -> None:
    project.succeeds("pipeline", "whole")
    told = fates(project, "whole", "--refresh", "tune")
    assert (told["tune"]["fate"], told["tune"]["size"], told["tune"]["looked_at"]) == ("runs", 3, 0)
    assert "--refresh" in told["tune"]["causes"][0]["sentence"]


def test_a_task_that_may_stop_early_leaves_what_is_below_it_open(project: Project) -> None:
    project.succeeds("pipeline", "stops")
    told = fates(project, "stops")
    assert (told["tune"]["fate"], told["gather"]["fate"]) == ("runs", "depends")
    assert "2 trials at most" in project.succeeds("pipeline", "stops", "--dry-run").out


def test_what_a_search_chooses_later_is_not_guessed(project: Project) -> None:
    told = fates(project, "seeks")
    assert (told["tune"]["size"], told["tune"]["looked_at"], told["tune"]["trials"]) == (30, 20, [])
    assert "what comes after depends on how those come out" in project.succeeds("pipeline", "seeks", "--dry-run").out
