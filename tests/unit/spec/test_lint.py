"""All problems of a file, and of one pipeline for a run."""

import time
from pathlib import Path

import pytest

from runner.errors import Problem, Severity
from runner.spec.check.pipeline import pipeline_problems, unfed_problems
from runner.spec.lint import lint, problems_within
from runner.spec.model import Project
from runner.spec.project import parse_project

STEP = """\
- step: {name: a, image: x, command: c, parameters: [{name: p, default: v}], inputs: [{name: i, optional: true}]}
"""


def project(text: str) -> Project:
    return parse_project(text.encode(), "f.yaml")


def of_pipeline(edges: str, more: str = "", strict: bool = False, steps: str = STEP) -> list[Problem]:
    text = (
        f"{steps}- pipeline:\n    name: p\n    nodes:\n      - {{name: one, type: execution, step: a}}\n"
        f"      - {{name: two, type: execution, step: a}}\n      - {{name: three, type: execution, step: a}}\n"
        f"{more}    edges: {edges}\n"
    )
    result = project(text)
    assert not result.broken, result.broken
    found = pipeline_problems(result, result.pipelines["p"], strict)
    return [problem for problem in found if problem.code not in ("unconnected-node", "unreachable-node")]


def codes(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(str(problem.severity), problem.code) for problem in problems]


def test_a_good_pipeline_has_no_problem() -> None:
    assert of_pipeline("[[one.output.*, two.input.i], [two.parameter.p, three.parameter.p]]") == []


@pytest.mark.parametrize(
    ("edges", "code"),
    [
        ("[[one.output.x, two.input.j]]", "dangling-edge"),
        ("[[one.parameter.q, two.parameter.p]]", "dangling-edge"),
        ("[[one.input.z*, two.input.i]]", "dangling-edge"),
        ("[[one.metadata.x, two.input.i]]", "edge-pair"),
        ("[[one.metadata.x, two.parameter.p], [one.metadata.y, two.parameter.p]]", "double-edge"),
    ],
)
def test_what_dangles_is_a_warning_and_for_a_run_an_error(edges: str, code: str) -> None:
    assert codes(of_pipeline(edges)) == [("warning", code)]
    assert codes(of_pipeline(edges, strict=True)) == [("error", code)]


@pytest.mark.parametrize(
    ("edges", "code"),
    [
        ("[[one.output.x, twoo.input.i]]", "unknown-node"),
        ("[[one.output.x, one.input.i]]", "cycle"),
        ("[[one.output.x, two.input.i], [two.output.x, one.input.i]]", "cycle"),
    ],
)
def test_what_can_never_run_is_an_error_either_way(edges: str, code: str) -> None:
    for strict in (True, False):
        assert codes(of_pipeline(edges, strict=strict)) == [("error", code)]


def test_an_input_of_an_upstream_may_be_a_pattern() -> None:
    assert of_pipeline("[[one.input.*, two.input.i]]") == []


def test_a_cycle_is_printed() -> None:
    edges = "[[one.output.x, two.input.i], [two.output.x, three.input.i], [three.output.x, two.input.i]]"
    [problem] = of_pipeline(edges)
    assert "`two` → `three` → `two`" in problem.message
    assert problem.location.line == 8


def test_names_of_another_commit_are_not_checked() -> None:
    more = "      - {name: far, type: execution, step: elsewhere, commit: abc, override: {inputs: [{name: y}]}}\n"
    assert of_pipeline("[[one.output.x, far.input.anything]]", more) == []


def test_a_broken_step_is_reported_for_a_run_only() -> None:
    broken = STEP.replace("command: c, ", "")
    text = broken + "- pipeline: {name: p, nodes: [{name: one, type: execution, step: a}], edges: []}\n"
    result = project(text)
    assert codes(pipeline_problems(result, result.pipelines["p"], strict=False)) == []
    assert codes(pipeline_problems(result, result.pipelines["p"], strict=True)) == [("error", "missing-key")]


NEEDY = "- step: {name: a, image: x, command: c, parameters: [{name: p}], inputs: [{name: i}]}\n"


def test_required_inputs_and_parameters_must_be_fed() -> None:
    fed = "[[one.output.x, two.input.i], [one.metadata.x, two.parameter.p], [two.output.x, three.input.i]]"
    found = of_pipeline(fed, "    parameters: [{name: z, targets: [three.parameter.p]}]\n", steps=NEEDY)
    assert codes(found) == [("warning", "unfed-input"), ("warning", "unfed-parameter")]
    assert {problem.location.line for problem in found} == {5}


def test_unfed_inputs_are_left_to_the_caller_for_a_run() -> None:
    text = NEEDY + "- pipeline: {name: p, nodes: [{name: one, type: execution, step: a}], edges: []}\n"
    result = project(text)
    pipeline = result.pipelines["p"]
    assert pipeline_problems(result, pipeline, strict=True) == []
    assert len(unfed_problems(result, pipeline)) == 2


@pytest.mark.parametrize(
    ("override", "unfed"),
    [
        ("{inputs: [{name: i, default: d}], parameters: [{name: p, default: d}]}", []),
        ("{inputs: [{name: i}], parameters: [{name: p}]}", ["unfed-input", "unfed-parameter"]),
    ],
)
def test_an_override_feeds_or_clears(override: str, unfed: list[str]) -> None:
    fields = "parameters: [{name: p, default: v}], inputs: [{name: i, default: u}]"
    node = f"{{name: n, type: execution, step: a, override: {override}}}"
    text = f"- step: {{name: a, image: x, command: c, {fields}}}\n- pipeline: {{name: q, nodes: [{node}], edges: []}}\n"
    result = project(text)
    assert [problem.code for problem in unfed_problems(result, result.pipelines["q"])] == unfed


def test_the_example_of_the_article_has_warnings_only() -> None:
    path = Path(__file__).parents[2] / "examples" / "warning" / "article-form.yaml"
    found = lint(parse_project(path.read_bytes(), "article.yaml"))
    assert {problem.severity for problem in found} == {Severity.WARNING}


def test_problems_are_sorted_and_never_said_twice() -> None:
    text = "- step: {name: a}\n- step:\n- step: {image: 5}\n- step: {name: a, image: b, command: c}\n"
    found = lint(project(text))
    assert found == sorted(found, key=lambda problem: problem.location)
    assert len({(problem.location, problem.code, problem.message) for problem in found}) == len(found)


def test_the_problems_of_one_item_are_those_between_its_lines() -> None:
    result = project(
        "- step: {name: a, image: b:1, command: c, x: 1}\n"
        "- step:\n    name: d\n    image: b:1\n    command: c\n    y: 1\n"
    )
    found = lint(result)
    assert [problem.location.line for problem in problems_within(result, found, result.steps["a"])] == [1]
    assert [problem.location.line for problem in problems_within(result, found, result.steps["d"])] == [6]


def big_pipeline(edges: list[str]) -> Project:
    nodes = "\n".join(f"      - {{name: n{number}, type: execution, step: a}}" for number in range(10_000))
    lines = "\n".join(f"      - [{edge}]" for edge in edges)
    return project(f"{STEP}- pipeline:\n    name: p\n    nodes:\n{nodes}\n    edges:\n{lines}\n")


def test_a_cycle_through_10000_nodes_is_found_in_time() -> None:
    result = big_pipeline([f"n{number}.output.x, n{(number + 1) % 10_000}.input.i" for number in range(10_000)])
    start = time.monotonic()
    [problem] = pipeline_problems(result, result.pipelines["p"], strict=True)
    assert problem.code == "cycle"
    assert len(problem.message) < 500
    assert time.monotonic() - start < 2


def test_10000_self_edges_in_a_chain_end_in_time() -> None:
    edges = [f"n{number}.output.x, n{number + 1}.input.i" for number in range(9_999)]
    edges += [f"n{number}.output.x, n{number}.input.i" for number in range(10_000)]
    result = big_pipeline(edges)
    start = time.monotonic()
    assert len(pipeline_problems(result, result.pipelines["p"], strict=True)) == 10_000
    assert time.monotonic() - start < 5
