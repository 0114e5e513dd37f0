"""The schema file itself, and what it says about trees."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner.errors import Problem
from runner.spec.normalise import normalise
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
            assert value.get("description") or name == "node", f"{name}.{key}"


def test_no_alternatives_over_shapes() -> None:
    assert not [found for found in objects(load_schema()) if "anyOf" in found or "oneOf" in found]


def test_every_reference_has_a_definition_and_every_definition_a_reference() -> None:
    used = {found["$ref"].removeprefix("#/$defs/") for found in objects(load_schema()) if "$ref" in found}
    assert used == set(load_schema()["$defs"])


def test_the_file_as_a_whole_validates_against_the_schema() -> None:
    valid = [{"step": {"name": "a", "image": "b", "command": "c"}}, {"policy": {}}]
    assert list(Draft202012Validator(load_schema()).iter_errors(valid)) == []
    assert list(Draft202012Validator(load_schema()).iter_errors([{"step": {"name": "a"}}])) != []


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
