"""What an earlier run gives to a step."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.app.origin import Inherited, apply_inherited, from_execution
from runner.digest import Digest
from runner.errors import Location
from runner.job import InputFile
from runner.plan.bind import resolve
from runner.plan.compile import compile_step
from runner.plan.model import Arguments, Given, Origin, plan_to_json
from runner.spec.model import Step
from runner.spec.project import parse_project
from runner.state import State
from runner.store.record import Code, Execution, Owner, ProjectRef, Run
from runner.store.store import Store

HERE = Location("valohai.yaml", 1, 1)
ORIGIN = Origin("run", 3, "tr", "execution")
FILE = InputFile("a.csv", "0" * 64, 3, "datum://x")
TEXT = """
- step:
    name: train
    image: busybox
    command: train {parameters}
    parameters: [{name: n, type: integer, default: 1}, {name: must}, {name: loud, type: flag}]
    inputs: [{name: data}, {name: more, default: more.csv}]
    environment-variables: [{name: MODE, optional: true}]
"""


def step() -> Step:
    return parse_project(TEXT.encode(), "valohai.yaml").steps["train"]


def applied(inherited: Inherited, given: Given | None = None) -> tuple[Any, list[str]]:
    """The planned node, and what was told."""
    told: list[str] = []
    arguments = Arguments("/here", {"train": given or Given()}, environment={"B": "line"})
    plan = compile_step(*apply_inherited(inherited, step(), arguments, told.append), "/p")
    return plan.nodes["train"], told


def test_it_gives_what_the_command_line_does_not() -> None:
    inherited = Inherited(
        ORIGIN, {"n": 7, "must": "x"}, {"data": (FILE,)}, {"more": ("other.csv",)}, {"A": "1", "B": "2"}
    )

    node, told = applied(inherited, Given(parameters={"n": "9"}))

    assert told == []
    assert node.parameters == {"n": 9, "must": "x"}
    assert node.environment == {"A": "1", "B": "line"}
    assert [source.uri for source in node.inputs["more"]] == ["other.csv"]
    assert resolve(node, {}).carried == {"data": (FILE,)}


def test_an_input_of_the_command_line_takes_the_place_of_its_files() -> None:
    node, _ = applied(Inherited(ORIGIN, {"must": "x"}, {"data": (FILE,)}), Given(inputs={"data": ("mine.csv",)}))

    resolved = resolve(node, {})

    assert resolved.carried == {}
    assert [source.uri for source in resolved.sources["data"]] == ["mine.csv"]


def test_what_the_step_has_no_more_is_told() -> None:
    inherited = Inherited(ORIGIN, {"must": "x", "gone": 1}, {"data": (FILE,), "old": (FILE,), "empty": ()})

    _, told = applied(inherited)

    assert told == [
        "step `train` has no parameter `gone` any more",
        "step `train` has no input `old` any more",
    ]


def test_a_run_from_elsewhere_sets_only_variables_that_the_step_declares() -> None:
    variables = {"LD_PRELOAD": "/evil.so", "BASH_ENV": "/evil.sh", "MODE": "fast"}
    inherited = Inherited(ORIGIN, {"must": "x"}, {"data": (FILE,)}, environment=variables, is_foreign=True)

    node, told = applied(inherited)

    assert (node.environment["MODE"], variables.keys() & node.environment.keys()) == ("fast", {"MODE"})
    assert told == [
        "step `train` has no variable `BASH_ENV` any more",
        "step `train` has no variable `LD_PRELOAD` any more",
    ]
    assert applied(replace(inherited, is_foreign=False))[0].environment.items() >= variables.items()


def test_the_record_of_a_plan_says_where_its_inputs_came_from() -> None:
    inherited = Inherited(ORIGIN, {"must": "x"}, {"data": (FILE,)})
    plan = compile_step(*apply_inherited(inherited, step(), Arguments("/here"), print), "/p")

    told = plan_to_json(replace(plan, origin=ORIGIN))

    assert told["inputs-from"] == {"run": "run", "counter": 3, "node": "tr", "execution": "execution"}
    assert told["nodes"][0]["inputs"] == {"data": ["datum://x"], "more": ["more.csv"]}


def run_with(parameters: dict[str, object], planned: dict[str, object]) -> tuple[Run, Execution]:
    node = {"name": "tr", "step": "train", "parameters": planned, "inputs": {}, "edges": []}
    execution = Execution(
        "execution", 1, "tr", "train", {"parameters": parameters, "inputs": [], "environment": {}}, State.SUCCEEDED, ""
    )
    run = Run(
        id="run",
        counter=3,
        kind="pipeline",
        name="p",
        project=ProjectRef("", "", "", ""),
        title=None,
        tags=(),
        argv=(),
        code=Code(Digest("")),
        spec=Digest(""),
        plan={"nodes": [node]},
        executor="fake",
        host={},
        version="",
        owner=Owner("", "", 0, 0),
        created="",
    )
    return run, execution


def test_a_flag_that_nobody_set_is_not_given_as_one_that_was_set_to_false(tmp_path: Path) -> None:
    store = Store.open(tmp_path, create=False)
    unset = from_execution(store, *run_with({"n": 1, "loud": False}, {"n": 1}))
    denied = from_execution(store, *run_with({"n": 1, "loud": False}, {"n": 1, "loud": False}))

    assert unset.parameters == {"n": 1}
    assert denied.parameters == {"n": 1, "loud": False}
