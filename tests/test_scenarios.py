"""Scenarios: `NAME.yaml` is a pipeline, `NAME.json` the fates of its nodes and what must become of them.

Adding a pair of files adds a test. Fates: `fail`, `hang` (until it is stopped), `unbindable`, `reuse` (an earlier
execution stands for it); all other nodes succeed.
"""

import json
from pathlib import Path

import pytest

from runner.engine.machine import (
    Action,
    Begun,
    Bind,
    EndRun,
    JobEnded,
    JobStarted,
    Machine,
    NodeBound,
    NodeReused,
    NodeUnbindable,
    Start,
    Stimulus,
    Stop,
)
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments
from runner.spec.project import parse_project
from runner.state import Reason

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_ends_as_its_file_says(scenario: Path) -> None:
    expected = json.loads(scenario.with_suffix(".json").read_text(encoding="utf-8"))
    project = parse_project(scenario.read_bytes(), scenario.name)
    assert not project.problems
    plan = compile_pipeline(project, project.pipelines["scenario"], Arguments("/"), "/")
    machine = Machine(plan, slots=4)
    actions = machine.handle(Begun())
    for action in actions:
        for stimulus in answers(action, expected["fates"]):
            actions += machine.handle(stimulus)
    assert {name: machine.state(name) for name in plan.nodes} == expected["states"]
    assert [action.state for action in actions if isinstance(action, EndRun)] == [expected["run"]]


def answers(action: Action, fates: dict[str, str]) -> list[Stimulus]:
    """What a loop would send back, with the programs behaving as their fates say."""
    match action:
        case Bind(name) if fates.get(name) == "unbindable":
            return [NodeUnbindable(name, Reason.INPUT, "it is not there")]
        case Bind(name) if fates.get(name) == "reuse":
            return [NodeReused(name, "an execution stands for it")]
        case Bind(name):
            return [NodeBound(name)]
        case Start(name) if fates.get(name) == "hang":
            return [JobStarted(name)]
        case Start(name):
            return [JobStarted(name), JobEnded(name, fates.get(name) != "fail", Reason.EXIT)]
        case Stop(name):
            return [JobEnded(name, False, Reason.KILLED)]
        case _:
            return []
