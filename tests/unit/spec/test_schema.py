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
from runner.spec.phrase import PATTERNS
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
    "prune": "- policy: {step: a, prune: {@}}",
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


STEP = "- step: {{name: a, image: b, command: c, {}}}"
PARAMETER_OF_A = "- step: {{name: a, image: b, command: c, parameters: [{{name: p, {}}}]}}"
EDGES = "- pipeline: {{name: p, nodes: [], edges: [{}]}}"
PAIR = "an edge is a pair `[source, target]`, such as `[a.output.x, b.input.y]`"


def said(text: str) -> list[tuple[str, str | None]]:
    lines = tuple(text.splitlines())
    found = validate(normalise(read_source(text.encode(), "f.yaml")).tree, "f.yaml", lambda: lines)
    return [(problem.message, problem.hint) for problem in found]


@pytest.mark.parametrize("edge", ["[a.output.x]", "[]", "[a.output.x, b.input.y, c.input.z]", "5", "a.output.x"])
def test_an_edge_that_is_no_pair_is_told_what_one_is(edge: str) -> None:
    assert said(EDGES.format(edge)) == [(PAIR, None)]


def test_the_end_of_an_edge_that_is_no_text_is_told_its_form() -> None:
    assert said(EDGES.format("[a.output.x, 3]")) == [("the end of an edge is text of the form `node.type.key`", None)]


def test_the_ends_of_an_edge_by_other_names_are_recognised() -> None:
    hints = [
        hint for message, hint in said(EDGES.format("{from: a.output.x, to: b.input.y}")) if "not a key" in message
    ]
    assert hints == ["did you mean `source`?", "did you mean `target`?"]


def test_a_value_that_is_one_of_some_words_has_one_message_whatever_its_type_is() -> None:
    words = "not one of `none`, `repeat`, `separate`"
    noun = "`multiple` of step `a`, parameter `p`"
    for value, shown in (("true", "the boolean `true`"), ("3", "the number `3`"), ("[]", "a list"), ("null", "empty")):
        [(message, hint)] = said(PARAMETER_OF_A.format(f"multiple: {value}"))
        assert message == f"{noun} is {shown}, {words}"
        assert hint != "put quotes around it"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *[("bool", "`flag`"), ("boolean", "`flag`"), ("number", "`float`"), ("double", "`float`")],
        *[("int", "`integer`"), ("str", "`string`"), ("text", "`string`"), ("list", "`multiple: repeat`")],
    ],
)
def test_the_types_of_other_languages_are_recognised(word: str, meant: str) -> None:
    [(_, hint)] = said(PARAMETER_OF_A.format(f"type: {word}"))
    assert meant in str(hint)


def test_a_field_in_an_object_without_a_name_is_told_with_its_path() -> None:
    assert said(STEP.format("resources: {memory: {min: x}, limits: {}}")) == [
        ("`resources.memory.min` of step `a` is the text `x`, not a number", None),
        ("`limits` is not a key of `resources` of step `a`", "write the greatest as `max`, as in `cpu: {max: 2}`"),
    ]


def test_an_entry_without_a_name_is_told_by_its_number() -> None:
    assert said(STEP.format("inputs: [{name: x}, {optional: true}]")) == [("step `a`, input 2 has no `name`", None)]


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("echo done: all good", "put quotes around it: `: ` makes a mapping"),
        ("echo done:", "leave the `:` at its end out, or put quotes around it"),
        ("{x}", "put quotes around text that begins with `{`"),
        ("12", "put quotes around it"),
        ("{a: 1, b: 2}", None),
        ("[a]", None),
    ],
)
def test_an_entry_of_a_command_that_yaml_does_not_read_as_text(entry: str, hint: str | None) -> None:
    [(message, given)] = said(f"- step:\n    name: a\n    image: b\n    command:\n      - ls\n      - {entry}\n")
    assert message.startswith("entry 2 of `command`, step `a` is ")
    assert given == hint


@pytest.mark.parametrize("written", ["1.10", "yes", "0x1F", "1_000"])
def test_a_value_is_shown_as_it_is_written(written: str) -> None:
    found = said(f"- step:\n    name: a\n    command: c\n    image: {written}  # the image\n")
    assert [f"`{written}`, not text" in message for message, _ in found] == [True]


def test_the_value_of_an_alias_is_shown_not_its_name() -> None:
    [(message, _)] = said("- step: {name: a, command: &x 5, image: b}\n- step: {name: c, command: d, image: *x}\n")[1:]
    assert message == "`image` of step `c` is the number `5`, not text"


def test_a_boolean_is_shown_as_yaml_has_it_even_without_the_file() -> None:
    assert "the boolean `true`" in problems("- step: {name: a, image: true, command: c}")[0].message


def test_every_pattern_of_the_schema_has_words() -> None:
    patterns = {found["pattern"] for found in objects(load_schema()) if isinstance(found.get("pattern"), str)}
    assert patterns == set(PATTERNS)


def test_the_name_of_an_endpoint_is_described_and_mended() -> None:
    [(message, hint)] = said("- endpoint: {name: My_Endpoint, image: a, wsgi: b}")
    assert "small letters, digits and dashes, beginning with a letter" in message
    assert hint == "did you mean `my-endpoint`?"
    assert said("- endpoint: {name: 3, image: a, wsgi: b}")[0][1] == "put quotes around it"
    assert said("- endpoint: {name: '3', image: a, wsgi: b}")[0][1] is None


def test_text_where_a_named_mapping_belongs_is_shown_as_one() -> None:
    [(_, hint)] = said(STEP.format("environment-variables: [WORKERS=4]"))
    assert hint == 'write `name: WORKERS` and `default: "4"`'
    [(_, hint)] = said(STEP.format("inputs: {data: x}"))
    assert hint == "write a list: `- name: …` for each"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (STEP.format("env: {}"), "did you mean `environment-variables`?"),
        (STEP.format("inputs: [{name: x, url: y}]"), "did you mean `default`?"),
        (STEP.format("resources: {gpu: 1}"), "write it below `devices`, as in `devices: {nvidia.com/gpu: 1}`"),
        ("- pipeline: {name: p, nodes: [], edges: [], steps: []}", "did you mean `nodes`?"),
        (
            "- pipeline: {name: p, edges: [], nodes: [{name: a, type: execution, step: b, depends-on: [c]}]}",
            "nodes wait for each other by `edges` of the pipeline",
        ),
    ],
)
def test_the_keys_of_other_tools_are_recognised(text: str, hint: str) -> None:
    assert [given for _, given in said(text)] == [hint]


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("resources: {memory: {min: 4Gi}}", "write a number of megabytes, without a unit"),
        ("resources: {cpu: {min: 500m}}", "write a number without a unit"),
        ("resources: {cpu: {min: '2'}}", "leave the quotes out"),
        ("resources: {cpu: {min: many}}", None),
        ("autorestart: 'true'", "leave the quotes out"),
        ("autorestart: perhaps", None),
    ],
)
def test_text_where_a_number_or_boolean_belongs_gets_a_hint_if_it_is_nearly_one(field: str, hint: str | None) -> None:
    assert [given for _, given in said(STEP.format(field))] == [hint]


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ("command: {run: x}", "write text, or a list of texts: `- python train.py`"),
        ("command: x, outputs: model.pkl", "write a list: `- name: …` for each"),
        ("command: x, inputs: 5", "write a list: `- name: …` for each"),
        ("command: x, cache-volumes: a", "write a list: `[a]`"),
        ("command: x, parameters: [{name: p, choices: 'a, b'}]", "write a list: `[a, b]`"),
        ("command: x, parameters: [{name: p, choices: true}]", "write a list: `[true]`"),
        ("command: x, resources: {cpu: 4}", "write the least that is needed, as in `cpu: {min: 2}`"),
        ("command: x, resources: {memory: 8GB}", "in megabytes, as in `memory: {min: 8000}`"),
        ("command: x, mounts: [{source: /a, destination: /b, src: /c}]", "did you mean `source`?"),
    ],
)
def test_a_value_of_the_wrong_shape_is_told_with_what_to_write(fields: str, hint: str) -> None:
    [problem] = problems(f"- step: {{name: a, image: 'b:1', {fields}}}\n")
    assert hint in str(problem.hint)


def test_an_entry_that_is_no_mapping_has_one_message() -> None:
    [(message, _)] = said("- pipeline: {name: p, edges: [], nodes: [train]}")[:1]
    assert message == "entry 1 of `nodes`, pipeline `p` is the text `train`, not a mapping"
    assert len(said("- pipeline: {name: p, nodes: [], edges: [], parameters: [x]}")) == 1


def test_an_item_without_a_name_is_one_of_its_kind() -> None:
    assert said("- step: {image: 5, command: c}") == [
        ("a step has no `name`", None),
        ("`image` of a step is the number `5`, not text", "put quotes around it"),
    ]
    assert said("- endpoint: {image: a, wsgi: b}") == [("an endpoint has no `name`", None)]


def test_an_empty_entry_is_a_dash_too_many() -> None:
    assert said(STEP.format("inputs: [null]"))[0][1] == "write a value or remove the dash"
    assert said(STEP.format("inputs: null"))[0][1] == "write a value or remove the key"
