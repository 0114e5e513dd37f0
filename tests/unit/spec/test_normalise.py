"""Other spellings become the canonical form, each with a located problem."""

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
    result = shape("- policy: {step: a}\n- {}\n")
    assert codes(result) == ["unknown-item", "unknown-item"]
    assert result.tree == [{"policy": {"step": "a"}}, {}]


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
