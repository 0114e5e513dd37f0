"""The schema file itself, and what it says about trees."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner.errors import Location, Problem
from runner.spec.model import (
    Endpoint,
    EnvironmentVariable,
    Input,
    KeepDirectories,
    Mount,
    Node,
    Parameter,
    Pipeline,
    Task,
)
from runner.spec.normalise import normalise
from runner.spec.project import parse_project
from runner.spec.schema import load_schema, validate
from runner.spec.source import read_source


def problems(text: str) -> list[Problem]:
    return validate(normalise(read_source(text.encode(), "f.yaml")).tree, "f.yaml")


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(load_schema())


def test_every_property_has_a_description() -> None:
    for name, definition in load_schema()["$defs"].items():
        assert definition.get("title"), name
        for key, value in definition.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"


def test_no_alternatives_over_shapes() -> None:
    assert not [found for found in objects(load_schema()) if "anyOf" in found or "oneOf" in found]


def test_every_reference_has_a_definition_and_every_definition_a_reference() -> None:
    used = {found["$ref"].removeprefix("#/$defs/") for found in objects(load_schema()) if "$ref" in found}
    assert used == set(load_schema()["$defs"])


def test_the_file_as_a_whole_validates_against_the_schema() -> None:
    valid = [
        {"step": {"name": "a", "image": "b", "command": "c"}},
        {"policy": {"step": "a"}},
        {"trigger": {"x": 1}},
        {"other": {}},
    ]
    assert list(Draft202012Validator(load_schema()).iter_errors(valid)) == []
    for invalid in ({"step": {"name": "a"}}, {"policy": {"reuse": "1d"}}, {"policy": {"step": "a", "retries": -1}}):
        assert list(Draft202012Validator(load_schema()).iter_errors([invalid])) != []


def test_the_schema_can_be_named() -> None:
    assert load_schema()["$id"] == "urn:mlrun-yaml:schema:valohai"
    assert load_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


HERE = Location("f", 1, 1)
NODE = Node("n", HERE, "execution")
PARAMETER = Parameter("p", HERE)
VARIABLE = EnvironmentVariable("v", HERE)
INPUT = Input("i", HERE)
TASK = Task("t", HERE, "s")
DEFAULTS = {
    "parameter.type": PARAMETER.type,
    "parameter.optional": PARAMETER.optional,
    "parameter.multiple": PARAMETER.multiple,
    "parameter.multiple-separator": PARAMETER.separator,
    "input.optional": INPUT.optional,
    "input.keep-directories": INPUT.keep_directories is KeepDirectories.FULL,
    "input.download": "on-demand" if INPUT.on_demand else "always",
    "environment-variable.optional": VARIABLE.optional,
    "mount.readonly": Mount("/a", "/b", HERE).readonly,
    "endpoint.port": Endpoint("e", HERE, "i").port,
    "task.type": TASK.type,
    "task.engine": TASK.engine,
    "task.reuse-children": TASK.reuse_children,
    "pipeline.reuse-executions": bool(Pipeline("p", HERE, (), ()).reuse_executions),
    **{f"{kind}-node.on-error": NODE.on_error for kind in ("execution", "task", "deployment")},
    **{f"{kind}-node.edge-merge-mode": "append" if NODE.append_edges else "replace" for kind in ("execution", "task")},
}
WITHOUT_A_MODEL = {"parameter.pass-as", "shared-volume.read-only", "toleration.operator"}
"""`pass-as` depends on the type; the others are for a cluster and stay as written."""


def test_the_defaults_of_the_schema_are_those_of_the_types() -> None:
    said = {
        f"{name}.{key}": value["default"]
        for name, definition in load_schema()["$defs"].items()
        for key, value in definition.get("properties", {}).items()
        if "default" in value
    }
    assert {key: value for key, value in said.items() if key not in WITHOUT_A_MODEL} == DEFAULTS
    assert set(said) >= WITHOUT_A_MODEL


def test_a_key_left_out_is_read_as_the_default_of_the_types() -> None:
    text = (
        "- step: {name: s, image: i, command: c, parameters: [{name: p}], inputs: [{name: i}],"
        " environment-variables: [{name: v}], mounts: [{source: /a, destination: /b}]}\n"
        "- task: {name: t, step: s, parameters: []}\n- endpoint: {name: ep, image: i, wsgi: a}\n"
        "- pipeline: {name: q, nodes: [{name: n, type: execution, step: s}], edges: []}\n"
    )
    project = parse_project(text.encode(), "f")
    step = project.steps["s"]
    assert replace(step.parameters[0], location=HERE) == PARAMETER
    assert replace(step.inputs[0], location=HERE) == INPUT
    assert replace(step.environment_variables[0], location=HERE) == VARIABLE
    assert replace(step.mounts[0], location=HERE) == Mount("/a", "/b", HERE)
    assert replace(project.tasks["t"], location=HERE) == TASK
    assert project.endpoints["ep"].port == Endpoint("e", HERE, "i").port
    assert replace(project.pipelines["q"].nodes[0], location=HERE) == replace(NODE, step="s")


def test_all_problems_are_found_at_once_with_their_places() -> None:
    found = problems("- step:\n    name: a\n    comand: x\n    inputs: [{nam: b}]\n    time_limit: 5\n")
    assert [(problem.code, problem.location.line, problem.location.column) for problem in found] == [
        ("missing-key", 2, 5),
        ("missing-key", 2, 5),
        ("unknown-key", 3, 5),
        ("missing-key", 4, 14),
        ("unknown-key", 4, 15),
        ("unknown-key", 5, 5),
    ]
    hints = [problem.hint for problem in found if problem.code == "unknown-key"]
    assert hints == ["did you mean `command`?", "did you mean `name`?", "did you mean `time-limit`?"]


def test_a_node_is_checked_by_the_shape_of_its_type() -> None:
    text = "- pipeline: {{name: p, edges: [], nodes: [{{name: a, type: {}}}]}}"
    assert [problem.message for problem in problems(text.format("execution"))] == [
        "pipeline `p`, node `a` has no `step`"
    ]
    assert [problem.message for problem in problems(text.format("deployment"))] == [
        "pipeline `p`, node `a` has no `deployment`"
    ]
    assert [problem.hint for problem in problems(text.format("exection"))] == ["did you mean `execution`?"]


def test_an_override_is_closed() -> None:
    text = "- pipeline: {name: p, edges: [], nodes: [{name: a, type: execution, step: b, override: {name: c}}]}"
    assert [problem.code for problem in problems(text)] == ["unknown-key"]


PLACES = {
    "step": "- step: {name: a, image: b, command: c, @}",
    "task": "- task: {@}",
    "endpoint": "- endpoint: {@}",
    "pipeline": "- pipeline: {@}",
    "deployment": "- deployment: {@}",
    "policy": "- policy: {@}",
    "action": "- pipeline: {nodes: [{name: a, type: execution, actions: [{@}]}]}",
    "task-parameter": "- task: {parameters: [{@}]}",
    "environment-variable": "- step: {environment-variables: [{@}]}",
    "parameter": "- step: {parameters: [{@}]}",
    "input": "- step: {inputs: [{@}]}",
    "resources": "- step: {resources: {@}}",
    "mount": "- step: {mounts: [{@}]}",
    "edge": "- pipeline: {edges: [{@}]}",
    "override": "- pipeline: {nodes: [{name: a, type: execution, override: {@}}]}",
    "execution-node": "- pipeline: {nodes: [{name: a, type: execution, @}]}",
    "task-node": "- pipeline: {nodes: [{name: a, type: task, @}]}",
    "deployment-node": "- pipeline: {nodes: [{name: a, type: deployment, @}]}",
    "rules": "- task: {parameters: [{rules: {@}}]}",
    "pipeline-parameter": "- pipeline: {parameters: [{@}]}",
    "toleration": "- endpoint: {tolerations: [{@}]}",
}


@pytest.mark.parametrize("value", ["null", "[]", "{}", "0", '""', "true", "[null]", "{a: b}", "[[]]", "1.5"])
def test_any_value_at_any_place_gives_located_problems_only(value: str) -> None:
    """Every property of every object becomes each of some odd values."""
    for name, template in PLACES.items():
        for key in load_schema()["$defs"][name]["properties"]:
            for problem in problems(template.replace("@", f"{key}: {value}")):
                assert problem.location.line == 1
                assert problem.message


@pytest.mark.parametrize("value", ["null", "[]", "{}", "0", '""', "true", "[null]", "{a: b}", "[[]]", "1.5", "-1"])
def test_any_value_at_any_place_is_parsed_without_an_exception(value: str) -> None:
    for name, template in PLACES.items():
        for key in load_schema()["$defs"][name]["properties"]:
            for problem in parse_project(template.replace("@", f"{key}: {value}").encode(), "f").problems:
                assert problem.location.line == 1
                assert problem.message
