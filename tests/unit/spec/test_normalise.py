"""Other spellings become the canonical form, each with a located problem."""

import pytest

from runner.errors import Severity
from runner.spec.normalise import Shape, normalise
from runner.spec.source import read_source
from runner.spec.tree import Row, Table, locate


def shape(text: str) -> Shape:
    return normalise(read_source(text.encode(), "f.yaml"))


def codes(result: Shape) -> list[str]:
    return [problem.code for problem in result.problems]


ARTICLE = """\
- step:
  name: preprocess
  image: tensorflow/tensorflow:1.13.1-gpu-py3
  command: python preprocess.py
- step:
  name: Train
  image: x
  command: python train.py
- pipeline:
  name: Training Pipeline
  connections:
    - [preprocess.output.train-images, train.input.train-images]
    - [preprocess.output.train-labels, train.input.train-labels]
"""


def test_the_flat_form_becomes_the_nested_one() -> None:
    result = shape("- step:\n  name: a\n  image: b\n")
    assert result.tree == [{"step": {"name": "a", "image": "b"}}]
    assert codes(result) == ["flat-item"]
    assert locate(result.tree, [0, "step", "image"]) == (3, 10)


def test_the_form_of_the_article_gets_edges_and_nodes() -> None:
    result = shape(ARTICLE)
    pipeline = result.tree[2]
    assert isinstance(pipeline, Table)
    body = pipeline["pipeline"]
    assert isinstance(body, Table)
    assert body["nodes"] == [
        {"name": "preprocess", "type": "execution", "step": "preprocess"},
        {"name": "train", "type": "execution", "step": "Train"},
    ]
    assert len(body["edges"]) == 2 if isinstance(body["edges"], Row) else False
    assert codes(result) == ["flat-item", "flat-item", "flat-item", "connections", "inferred-nodes"]
    assert {problem.severity for problem in result.problems} == {Severity.WARNING}


def test_an_inferred_node_stands_where_it_is_first_named() -> None:
    assert locate(shape(ARTICLE).tree, [2, "pipeline", "nodes", 1, "name"]) == (12, 40)


def test_a_body_with_siblings_is_ambiguous_and_ruined() -> None:
    result = shape("- step: {name: a}\n  inputs: []\n- step: {name: b}\n")
    assert codes(result) == ["ambiguous-item"]
    assert list(result.ruined) == [0]


def test_a_null_body_beside_another_kind_is_not_lifted() -> None:
    assert codes(shape("- step:\n  pipeline: {name: x}\n")) == ["ambiguous-item"]


def test_blueprint_is_another_word_for_pipeline_without_a_warning() -> None:
    result = shape("- blueprint: {name: x, nodes: [], edges: []}")
    assert result.tree == [{"pipeline": {"name": "x", "nodes": [], "edges": []}}]
    assert result.problems == ()


def test_connections_beside_edges_are_an_error() -> None:
    result = shape("- pipeline: {name: x, nodes: [], edges: [], connections: []}")
    assert codes(result) == ["ambiguous-item"]
    assert 0 in result.ruined


def test_plural_edge_types_become_singular_in_both_forms() -> None:
    result = shape(
        "- pipeline:\n    name: x\n    nodes: []\n    edges:\n"
        "      - [a.outputs.b.csv, b.inputs.c]\n      - {source: a.parameters.p, target: b.metadata.inputs}\n"
    )
    assert codes(result) == ["plural-edge-type"] * 3
    assert result.tree == [
        {
            "pipeline": {
                "name": "x",
                "nodes": [],
                "edges": [["a.output.b.csv", "b.input.c"], {"source": "a.parameter.p", "target": "b.metadata.inputs"}],
            }
        }
    ]


def test_text_that_is_meant_as_a_number_becomes_one() -> None:
    result = shape(
        "- step:\n    name: a\n    parameters:\n      - {name: f, type: float, default: 1e-4}\n"
        "      - {name: i, type: integer, default: '5'}\n      - {name: s, default: '5'}\n"
        "      - {name: bad, type: integer, default: x}\n"
    )
    assert codes(result) == ["text-number", "text-number"]
    body = result.tree[0]
    assert isinstance(body, Table)
    assert [row["default"] for row in body["step"]["parameters"]] == [0.0001, 5, "5", "x"]  # type: ignore[index]


def test_unknown_kinds_are_warnings_and_stay() -> None:
    result = shape("- schedule: {step: a}\n- {}\n")
    assert codes(result) == ["unknown-item", "unknown-item"]
    assert result.tree == [{"schedule": {"step": "a"}}, {}]


@pytest.mark.parametrize("kind", ["trigger", "map"])
def test_a_reserved_kind_is_known_and_has_no_effect_yet(kind: str) -> None:
    result = shape(f"- step: {{name: a}}\n- {kind}: {{every: day}}\n")
    assert codes(result) == ["no-effect"]
    assert result.problems[0].severity is Severity.WARNING
    assert (result.problems[0].location.line, result.problems[0].location.column) == (2, 3)
    assert result.ruined == {}


@pytest.mark.parametrize("kind", ["task", "policy"])
def test_the_step_that_a_flat_item_names_is_no_item_of_its_own(kind: str) -> None:
    result = shape(f"- {kind}:\n  name: t\n  step: train\n")
    assert result.tree == [{kind: {"name": "t", "step": "train"}}]
    assert codes(result) == ["flat-item"]


def test_a_task_beside_a_step_with_a_body_is_ambiguous() -> None:
    result = shape("- task:\n  step: {name: a, image: b, command: c}\n")
    assert codes(result) == ["ambiguous-item"]
    assert list(result.ruined) == [0]


def test_a_policy_is_an_item_of_its_own() -> None:
    result = shape("- policy: {step: a, reuse: never}\n")
    assert result.tree == [{"policy": {"step": "a", "reuse": "never"}}]
    assert result.problems == ()


def test_numbers_without_a_dot_are_read_wherever_a_number_belongs() -> None:
    result = shape(
        "- step:\n    name: a\n    parameters:\n"
        "      - {name: f, type: float, multiple: repeat, default: [1e-4, 2, x], choices: [1e-4, 1e-3], min: 1e-9}\n"
        "- task:\n    name: t\n    optimization-target-value: 1e-2\n    parameters:\n"
        "      - {name: f, style: linear, rules: {start: 1e-4, end: 1, count: '3', distribution: '5', items: ['1']}}\n"
    )
    assert set(codes(result)) == {"text-number"}
    step, task = (next(iter(item.values())) for item in result.tree if isinstance(item, Table))
    assert isinstance(step, Table)
    assert isinstance(task, Table)
    [parameter] = step["parameters"]  # type: ignore[misc]
    assert (parameter["default"], parameter["choices"], parameter["min"]) == ([0.0001, 2, "x"], [0.0001, 0.001], 1e-9)
    rules = {"start": 0.0001, "end": 1, "count": 3, "distribution": "5", "items": ["1"]}
    assert task["parameters"] == [{"name": "f", "style": "linear", "rules": rules}]
    assert task["optimization-target-value"] == 0.01
    assert sorted(problem.location.line for problem in result.problems) == [4, 4, 4, 4, 7, 9, 9]


def test_text_that_is_no_finite_number_stays_text() -> None:
    result = shape("- step: {name: a, parameters: [{name: f, type: float, default: 1e999}, {name: g, default: 1e-4}]}")
    assert result.problems == ()


def test_items_that_are_no_mappings_are_errors() -> None:
    assert codes(shape("- text\n- [a]\n-\n")) == ["not-a-mapping"] * 3


def test_the_root_must_be_a_list() -> None:
    assert codes(shape("")) == ["empty-file"]
    assert codes(shape("a: b")) == ["not-a-list"]
    assert codes(shape("text")) == ["not-a-list"]
    assert codes(shape("[]")) == []


def test_aliased_items_are_normalised_apart() -> None:
    result = shape("- pipeline: &p\n    name: a\n    connections: [[s.outputs.x, t.input.y]]\n- pipeline: *p\n")
    assert result.tree[0] == result.tree[1]
    assert codes(result).count("connections") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello there", "the text `hello there`"),
        ("first\n  second", "the text `first second`"),
        ("3.10", "a number"),
        ("yes", "a boolean"),
        ("step: {}", "one mapping"),
    ],
)
def test_a_file_that_is_no_list_is_told_what_it_is(text: str, said: str) -> None:
    [problem] = shape(text).problems
    assert (problem.code, problem.message) == ("not-a-list", f"the file is {said}, not a list of items")


def test_an_item_that_is_no_mapping_is_told_what_it_is() -> None:
    messages = [problem.message for problem in shape("- text\n- [a]\n-\n").problems]
    assert messages == [
        f"the item is {said}, not a mapping such as `step:`" for said in ("the text `text`", "a list", "empty")
    ]
