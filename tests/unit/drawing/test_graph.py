"""What is drawn of a pipeline: its nodes, its edges, what a task node varies, and what a broken file still shows."""

import pytest

from runner.drawing.graph import draw
from runner.drawing.model import Drawing, Mark
from runner.drawing.sketch import sketch
from runner.spec.project import parse_project

STEPS = """\
- step:
    name: prepare
    image: busybox:1
    command: 'true'
    parameters:
      - {name: rates, type: float, multiple: repeat, default: [0.1, 0.2]}
- step:
    name: train
    image: busybox:1
    command: 'true'
    parameters:
      - {name: lr, type: float, default: 0.1}
      - {name: depth, type: integer, default: 1}
    inputs: [{name: data}]
"""

TASK = "- task: {{name: sweep, step: train, type: {type}, {more}}}\n"
LR = "{name: lr, style: multiple, rules: {items: [0.1, 0.2, 0.3]}}"
DEPTH = "{name: depth, style: linear, rules: {start: 1, end: 3, step: 1}}"


def pipeline(nodes: str, edges: str = "", more: str = "") -> str:
    return f"- pipeline:\n    name: p\n{more}    nodes:\n{nodes}    edges: [{edges}]\n"


def drawn(text: str) -> Drawing:
    project = parse_project(text.encode(), "valohai.yaml")
    assert "p" in project.pipelines, project.problems
    return draw(project, project.pipelines["p"])


def node(name: str, rest: str) -> str:
    return f"      - {{name: {name}, {rest}}}\n"


def test_nodes_and_edges_come_in_the_order_of_the_file(example: Drawing) -> None:
    assert [node.name for node in example.nodes][:4] == ["ingest", "validate", "preprocess", "train"]
    assert len(example.edges) == 18
    assert example.edges[2].source_key == "iris.csv"
    assert (example.edges[2].source, example.edges[2].target) == (1, 2)


def test_the_image_is_the_one_of_the_override() -> None:
    nodes = node("a", "type: execution, step: train") + node(
        "b", "type: execution, step: train, override: {image: 'python:3'}"
    )
    assert [node.image for node in drawn(STEPS + pipeline(nodes)).nodes] == ["busybox:1", "python:3"]


def test_nothing_is_said_of_the_image_of_another_commit() -> None:
    found = drawn(STEPS + pipeline(node("a", "type: execution, step: train, commit: abc")))
    assert (found.nodes[0].step, found.nodes[0].image) == ("train", None)


def test_marks_are_found_by_the_names_of_nodes_and_the_ends_of_edges() -> None:
    text = STEPS + pipeline(
        node("a", "type: execution, step: prepare") + node("b", "type: execution, step: train"),
        "[a.output.x, b.input.data], [a.output.y, b.input.data]",
    )
    project = parse_project(text.encode(), "f")
    marks = {("a.output.y", "b.input.data"): Mark.ADDED}
    found = draw(project, project.pipelines["p"], {"b": Mark.CHANGED}, marks)
    assert [node.mark for node in found.nodes] == [None, Mark.CHANGED]
    assert [edge.mark for edge in found.edges] == [None, Mark.ADDED]


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("grid_search", f"parameters: [{LR}, {DEPTH}]", "9 × lr, depth"),
        ("grid_search", f"parameters: [{LR}, {{name: depth, style: single, rules: {{value: 3}}}}]", "3 × lr"),
        ("grid_search", "parameters: [{name: lr, style: linear, rules: {start: 0, end: 0.3, step: 0.1}}]", "4 × lr"),
        ("grid_search", "parameters: [{name: lr, style: linear, rules: {start: 5, end: 1, step: 1}}]", "n × lr"),
        ("grid_search", "parameters: [{name: lr, style: logspace, rules: {start: -3, end: 0, count: 4}}]", "4 × lr"),
        ("grid_search", "parameters: [{name: lr, style: random, rules: {min: 0, max: 1}}]", "n × lr"),
        ("random_search", f"execution-count: 20, parameters: [{LR}, {DEPTH}]", "20 × lr, depth"),
        ("bayesian_tpe", f"execution-count: 8, parameters: [{LR}]", "8 × lr"),
        ("manual_search", "parameter-sets: [{lr: 1, depth: 2}, {lr: 2}]", "2 × lr, depth"),
        ("distributed", "execution-count: 4, parameters: []", "4 × distributed"),
    ],
)
def test_a_task_node_tells_how_many_executions_it_becomes(kind: str, more: str, said: str) -> None:
    text = STEPS + TASK.format(type=kind, more=more) + pipeline(node("t", "type: task, task: sweep"))
    found = drawn(text).nodes[0]
    assert (found.fan_out, found.step, found.image) == (said, "train", "busybox:1")


BARE = node("a", "type: execution, step: prepare") + node("t", "type: task, step: train")


@pytest.mark.parametrize(
    ("edges", "parameters", "said"),
    [
        ("", "", None),
        ("[a.metadata.best, t.parameter.lr]", "", "n × lr"),
        ("[a.parameter.rates, t.parameter.lr]", "", "2 × lr"),
        ("[a.parameter.nothing, t.parameter.lr]", "", None),
        ("[a.output.x, t.input.data]", "", None),
        ("", "{name: d, default: [1, 2, 3], target: t.parameter.depth}", "3 × depth"),
        ("", "{name: d, default: 4, target: t.parameter.depth}", None),
        (
            "[a.parameter.rates, t.parameter.lr]",
            "{name: d, default: [1, 2, 3], target: t.parameter.depth}",
            "6 × depth, lr",
        ),
    ],
)
def test_a_list_that_reaches_a_task_node_is_spread(edges: str, parameters: str, said: str | None) -> None:
    more = f"    parameters: [{parameters}]\n" if parameters else ""
    assert drawn(STEPS + pipeline(BARE, edges, more)).nodes[1].fan_out == said


def test_a_list_takes_the_place_of_what_the_task_varies() -> None:
    nodes = node("a", "type: execution, step: prepare") + node("t", "type: task, task: sweep")
    task = TASK.format(type="grid_search", more=f"parameters: [{LR}, {DEPTH}]")
    text = STEPS + task + pipeline(nodes, "[a.parameter.rates, t.parameter.lr]")
    assert drawn(text).nodes[1].fan_out == "6 × lr, depth"


def test_cycles_and_edges_to_what_is_not_declared_are_drawn_and_edges_to_nowhere_left_out() -> None:
    nodes = node("a", "type: execution, step: prepare") + node("b", "type: execution, step: nowhere")
    edges = (
        "[a.output.x, b.input.x], [b.output.x, a.input.undeclared], [a.output.x, gone.input.x], [a.output.x, a.input.x]"
    )
    found = drawn(STEPS + pipeline(nodes, edges))
    assert [(edge.source, edge.target) for edge in found.edges] == [(0, 1), (1, 0), (0, 0)]
    assert (found.nodes[1].step, found.nodes[1].image) == ("nowhere", None)


def test_of_two_nodes_with_one_name_both_are_drawn() -> None:
    nodes = node("a", "type: execution, step: prepare") + node("a", "type: execution, step: train")
    found = drawn(STEPS + pipeline(nodes, "[a.output.x, a.input.data]"))
    assert len(found.nodes) == 2
    assert (found.edges[0].source, found.edges[0].target) == (0, 0)


def test_a_deployment_node_names_what_it_deploys() -> None:
    found = drawn("- deployment: {name: shop}\n" + pipeline(node("d", "type: deployment, deployment: shop")))
    assert (found.nodes[0].type, found.nodes[0].step, found.nodes[0].image) == ("deployment", "shop", None)


BROKEN = """\
- step: {name: half, image: 'busybox:1'}
- pipeline:
    name: p
    nodes:
      - {name: a, type: execution, step: half}
      - {name: b, type: excution}
    edges:
      - [a.output.x, b.input.x]
      - [a.output.x]
      - just text
- pipeline: nothing
"""


def test_what_can_be_understood_of_broken_items_is_drawn() -> None:
    project = parse_project(BROKEN.encode(), "valohai.yaml")
    assert not project.pipelines
    assert not project.steps
    sketched = sketch(project)
    found = draw(sketched, sketched.pipelines["p"])
    assert [(node.name, node.image) for node in found.nodes] == [("a", "busybox:1"), ("b", None)]
    assert len(found.edges) == 1


def test_a_sound_file_is_its_own_sketch() -> None:
    project = parse_project(STEPS.encode(), "valohai.yaml")
    assert sketch(project) is project
