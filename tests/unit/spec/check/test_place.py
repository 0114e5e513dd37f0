"""Each finding points at the very word that is wrong: in these files a `^` stands before it."""

import pytest

from runner.errors import Problem
from runner.spec.lint import lint
from runner.spec.project import parse_project

STEPS = """\
- step:
    name: prepare
    image: i:1
    command: c
- step:
    name: train
    image: i:1
    command: c {parameters}
    parameters: [{name: lr, type: float, default: 0.1, max: 1}, {name: mode, default: x}]
    inputs: [{name: rows, optional: true}]
"""


def node(fields: str = "") -> str:
    return f"      - {{name: train, type: execution, step: train{fields}}}\n"


def pipeline(edges: str, nodes: str = node(), more: str = "") -> str:
    prepare = "      - {name: prepare, type: execution, step: prepare}\n"
    return f"{STEPS}- pipeline:\n    name: p\n{more}    nodes:\n{prepare}{nodes}    edges:\n{edges}"


def task(rules: str, style: str = "linear", name: str = "lr") -> str:
    variation = f"[{{name: {name}, style: {style}, rules: {{{rules}}}}}]"
    return f"{STEPS}- task: {{name: t, step: train, parameters: {variation}}}\n"


def one_step(fields: str, command: str = "c") -> str:
    return f"- step:\n    name: s\n    image: i:1\n    command: {command}\n{fields}"


PARAMETER = "    parameters: [{name: a b, default: x}, {name: n, type: integer, default: 1}]\n"

EDGE = "      - [prepare.output.x, train.input.rows]\n"

CASES = {
    "unknown-node": [
        pipeline("      - [prepare.output.x, ^trian.input.rows]\n"),
        pipeline("      - ['^nobody.output.x', train.input.rows]\n"),
        pipeline('      - {source: "^nobody.output.x", target: train.input.rows}\n'),
    ],
    "dangling-edge": [
        pipeline("      - [prepare.output.row, train.input.^row]\n"),
        pipeline('      - [prepare.outputs.rows, "train.inputs.^row"]\n'),
        pipeline("      - source: train.parameter.^learning.rate\n        target: train.parameter.mode\n"),
    ],
    "edge-pair": [
        pipeline("      - [prepare.metadata.x, train.^input.rows]\n"),
        pipeline("      - [prepare.^file.x, train.input.rows]\n"),
        pipeline("      - [prepare.output.x, train.^file.x.y]\n"),
    ],
    "double-edge": [
        pipeline(
            "      - [prepare.metadata.x, train.parameter.lr]\n      - [prepare.metadata.y, ^train.parameter.lr]\n"
        )
    ],
    "cycle": [
        pipeline(EDGE + "      - [train.dependency.x, ^prepare.dependency.x]\n"),
        pipeline(EDGE + "      - [train.dependency.x, ^train.dependency.x]\n"),
    ],
    "unknown-step": [pipeline(EDGE, node().replace("step: train", "step: ^trian"))],
    "unknown-task": [pipeline(EDGE, "      - {name: train, type: task, task: ^sweep}\n")],
    "unknown-override": [
        pipeline(EDGE, node(", override: {parameters: [{name: lr, default: 1}, {name: ^lrr, default: 1}]}")),
        pipeline(EDGE, node(", override: {inputs: [{name: ^row}]}")),
    ],
    "unfit-value": [
        pipeline(EDGE, node(", override: {parameters: [{name: lr, default: ^2}]}")),
        task("value: ^5", "single"),
        task("items: [0.1, ^5]", "multiple"),
        f"{STEPS}- task: {{name: t, step: train, type: manual_search, parameter-sets: [{{lr: 1}}, {{lr: ^two}}]}}\n",
        pipeline(EDGE, more="    parameters: [{name: ^z, default: fast, target: train.parameter.lr}]\n"),
    ],
    "unknown-action": [
        pipeline(EDGE, node(", actions: [{when: node-starting, then: [noop, ^aprove]}]")),
        pipeline(EDGE, node(", actions: [{when: ^node-compete, then: noop}]")),
    ],
    "unknown-target": [
        pipeline(EDGE, more="    parameters: [{name: z, targets: [train.parameter.lr, train.parameters.^l]}]\n"),
        pipeline(EDGE, more="    parameters: [{name: z, target: ^trian.parameter.lr}]\n"),
    ],
    "unreachable-node": [pipeline(EDGE, node().replace("name: ", "name: ^")).replace("step: prepare}", "step: gone}")],
    "unconnected-node": [pipeline(EDGE, node() + "      - {name: ^other, type: execution, step: prepare}\n")],
    "dangling-task": [
        task("value: 1", "single", "^rate"),
        f"{STEPS}- task: {{name: t, step: train, type: manual_search, parameter-sets: [{{lr: 1}}, {{^rate: 1}}]}}\n",
        f"{STEPS}- task: {{name: t, step: ^Train, parameters: []}}\n",
    ],
    "bad-rules": [
        task("start: 0, end: 1, step: ^-0.1"),
        task("start: 0, end: 1, step: ^0"),
        task("start: 0, end: 1", name="^lr"),
        task("items: ^[]", "multiple"),
        task("start: 0, end: 1, count: ^0", "logspace"),
        task("start: 0, end: 1, count: 2, base: ^-1", "logspace"),
        task("min: ^0.5, max: 0.1, count: 2", "random"),
        task("min: 0.5, max: 0.7", "random", "^lr"),
    ],
    "no-effect": [
        f"{STEPS}- task: {{name: t, step: train, parameters: [], ^engine: optuna}}\n",
        f"{STEPS}- task: {{name: t, step: train, ^parameter-sets: [{{lr: 1}}]}}\n",
    ],
    "unknown-placeholder": [
        one_step("", "c ^{parameter:x}"),
        one_step("", '"c \\"a\\" ^{parameter:x}"'),
        one_step("", "|\n      first {parameters}\n      second ^{parameter:x}"),
        one_step("", ">\n      first\n      ^{parameter-value:x} third"),
        one_step("", "[one, 'two ^{parameter:x}']"),
        one_step("    inputs: [{name: i, default: [a, 's3://b/^{parameter:x}']}]\n"),
        pipeline(EDGE, node(", override: {command: 'c ^{parameter:x}'}")),
    ],
    "quoted-placeholder": [
        one_step(PARAMETER, "c {parameter:a b} '^{parameter:a b}'"),
        one_step(PARAMETER, '\n      - echo "\n      - x ^{parameter-value:a b}\n      - end"'),
    ],
    "unsafe-placeholder": [
        one_step(PARAMETER, 'sh -c "^{parameter-value:a b}"'),
        one_step(PARAMETER, "|\n      cat <<EOF\n      ^{parameter-value:a b}\n      EOF"),
        one_step(PARAMETER, "|\n      #!/usr/bin/env python3\n      print('^{parameter-value:a b}')"),
        one_step(PARAMETER, "echo $(cat ^{parameters})"),
    ],
    "unused-parameter": [one_step(PARAMETER.replace("a b", "^a b"), "c {parameter:n}")],
    "untagged-image": [
        one_step("").replace("i:1", "^busybox"),
        one_step("").replace("i:1", "'host:5000/name'").replace("'host", "^'host"),
        pipeline(EDGE, node(", override: {image: ^busybox}")),
        "- endpoint: {name: ab, image: ^python, server-command: c}\n",
    ],
    "bad-image": [one_step("").replace("i:1", "^<<registry/image:tag>>"), one_step("").replace("i:1", "^Team/Image:1")],
    "bad-condition": [
        one_step("    stop-condition: loss < ^< 1\n"),
        one_step("    stop-condition: 'loss >^'\n").replace(">^", "^>"),
        f"{STEPS}- task: {{name: t, step: train, parameters: [], stop-condition: a ^b}}\n",
        pipeline(EDGE, node(", actions: [{when: node-complete, if: [a > 1, metadata.b ^c], then: noop}]")),
    ],
    "odd-condition": [
        one_step("    stop-condition: ^1 < 2\n"),
        one_step("    stop-condition: done == ^true\n"),
        one_step("    stop-condition: loss < 1 and ^val/acc > 0.5\n"),
        one_step("    stop-condition: ^metadata\n"),
        one_step(PARAMETER + "    stop-condition: ^parameter.n > 1\n"),
        pipeline(EDGE, node(", actions: [{when: node-complete, if: '^1 > 2', then: noop}]")),
    ],
    "dangling-condition": [
        one_step(PARAMETER + "    stop-condition: loss > ^parameter.m\n"),
        pipeline(EDGE, node(", actions: [{when: node-complete, if: ^parameter.lrr > 1, then: noop}]")),
    ],
}


def marked(text: str) -> tuple[str, tuple[int, int]]:
    before, _, after = text.partition("^")
    assert "^" not in after
    return before + after, (before.count("\n") + 1, len(before) - before.rfind("\n"))


def findings(text: str, code: str) -> list[Problem]:
    return [problem for problem in lint(parse_project(text.encode(), "f.yaml")) if problem.code == code]


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in CASES.items() for text in texts])
def test_the_word_is_found(code: str, text: str) -> None:
    clean, place = marked(text)
    assert [(found.location.line, found.location.column) for found in findings(clean, code)] == [place]


@pytest.mark.parametrize(
    "text",
    [
        pipeline(EDGE),
        pipeline(EDGE, node(", actions: [{when: node-complete, if: [parameter.lr > 1, metadata.x < 1], then: noop}]")),
        pipeline("      - [prepare.metadata.x, train.parameter.lr]\n", node(", override: {image: 'host:5000/a/b:1'}")),
        pipeline(EDGE + "      - [train.input.r*, b.input.rows]\n", node() + node().replace("name: train", "name: b")),
        task("start: 1, end: 0.2, step: -0.1"),
        task("min: -5, max: -1, count: 3", "logspace"),
        task("min: 0.1, max: 0.2, count: 3, base: 10, distribution: uniform", "random"),
        one_step(PARAMETER, 'echo "{parameter-value:n} {parameter:n}" {parameters}'),
        one_step(PARAMETER, "seq $(echo {parameter-value:n}) {parameters}"),
        one_step(PARAMETER, "python x.py"),
        one_step(PARAMETER + "    inputs: [{name: i, default: 's3://{parameter:a b}'}]\n", "c {parameter:n}"),
        one_step(PARAMETER + "    stop-condition: loss / 2 < correct / total\n", "c {parameters}"),
        one_step("", "|\n      echo ${parameter:-x} '{\"a\": 1}' {} {parameters}"),
        one_step("").replace("i:1", "a@sha256:" + "0" * 64),
        one_step("").replace("i:1", "ghcr.io/Team.example/x/y_z:v1").replace("Team.example", "team.example"),
    ],
)  # fmt: skip
def test_nothing_is_said_of_what_is_right(text: str) -> None:
    assert [str(problem) for problem in lint(parse_project(text.encode(), "f.yaml"))] == []


def test_a_parameter_is_used_by_an_edge_out_of_any_node_of_its_step() -> None:
    text = pipeline("      - [train.parameter.mode, prepare.parameter.x]\n").replace("{parameters}", "{parameter:lr}")
    assert findings(text, "unused-parameter") == []


def test_a_parameter_is_used_by_the_command_of_an_override() -> None:
    text = pipeline(EDGE, node(", override: {command: 'c {parameters}'}")).replace(
        "c {parameters}\n", "c {parameter:lr}\n"
    )
    assert findings(text, "unused-parameter") == []


def test_names_that_differ_by_case_or_blanks_are_guessed() -> None:
    [problem] = findings(pipeline("      - [prepare.output.x, Train .input.rows]\n"), "unknown-node")
    assert problem.hint == "did you mean `train`?"


def test_guessing_for_many_wrong_names_ends_in_time() -> None:
    nodes = "".join(f"      - {{name: node{number}, type: execution, step: prepare}}\n" for number in range(2_000))
    edges = "".join(f"      - [nodes{number}.dependency.x, nodes{number}.dependency.y]\n" for number in range(2_000))
    found = findings(pipeline(edges, nodes), "unknown-node")
    assert len(found) == 4_000
    assert sum(problem.hint is not None for problem in found) < 20


def test_the_nodes_behind_a_broken_one_are_listed_up_to_a_limit() -> None:
    nodes = "".join(f"      - {{name: n{number}, type: execution, step: prepare}}\n" for number in range(40))
    edges = "".join(f"      - [n{number}.dependency.x, n{number + 1}.dependency.y]\n" for number in range(39))
    text = pipeline(edges, nodes.replace("step: prepare", "step: gone", 1))
    found = findings(text, "unreachable-node")
    assert len(found) == 20
    assert "waits for `n0`, which is broken" in found[0].message
    assert found[-1].message.endswith("and so do 19 more nodes")


def test_a_task_feeds_the_parameters_that_it_varies() -> None:
    steps = STEPS.replace("default: 0.1, ", "")
    sweep = "- task: {name: t, step: train, parameters: [{name: lr, style: single, rules: {value: 1}}]}\n"
    nodes = "      - {name: train, type: task, task: t}\n"
    assert findings(pipeline(EDGE, nodes).replace(STEPS, steps + sweep), "unfed-parameter") == []
    inline = "      - {name: train, type: task, step: train}\n"
    assert len(findings(pipeline(EDGE, inline).replace(STEPS, steps), "unfed-parameter")) == 1
