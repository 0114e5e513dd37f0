"""All problems of a file, and of one pipeline for a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import Problem, Severity
from runner.spec.check.pipeline import pipeline_problems
from runner.spec.lint import lint, problems_within
from runner.spec.model import Project
from runner.spec.project import parse_project
from tests.cost import steps

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
    found = pipeline_problems(result, pipeline, strict=False)
    assert codes(found) == [("warning", "unfed-input"), ("warning", "unfed-parameter")]


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
    assert [problem.code for problem in pipeline_problems(result, result.pipelines["q"], strict=False)] == unfed


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
    within = problems_within(result, found, [result.steps["d"], result.steps["a"]])
    assert [[problem.location.line for problem in one] for one in within] == [[6], [1]]


def ring(count: int) -> list[str]:
    return [f"n{number}.output.x, n{(number + 1) % count}.input.i" for number in range(count)]


def chain_of_self_edges(count: int) -> list[str]:
    along = [f"n{number}.output.x, n{number + 1}.input.i" for number in range(count - 1)]
    return along + [f"n{number}.output.x, n{number}.input.i" for number in range(count)]


def big_pipeline(count: int, edges: list[str]) -> Project:
    nodes = "\n".join(f"      - {{name: n{number}, type: execution, step: a}}" for number in range(count))
    lines = "\n".join(f"      - [{edge}]" for edge in edges)
    return project(f"{STEP}- pipeline:\n    name: p\n    nodes:\n{nodes}\n    edges:\n{lines}\n")


def test_a_cycle_through_10000_nodes_is_found() -> None:
    result = big_pipeline(10_000, ring(10_000))
    [problem] = pipeline_problems(result, result.pipelines["p"], strict=True)
    assert problem.code == "cycle"
    assert len(problem.message) < 500


def test_10000_self_edges_in_a_chain_are_found() -> None:
    result = big_pipeline(10_000, chain_of_self_edges(10_000))
    assert len(pipeline_problems(result, result.pipelines["p"], strict=True)) == 10_000


@pytest.mark.parametrize("edges", [ring, chain_of_self_edges])
def test_a_pipeline_is_examined_in_linear_time(edges: Callable[[int], list[str]]) -> None:
    def executed(count: int) -> int:
        result = big_pipeline(count, edges(count))
        return steps(lambda: pipeline_problems(result, result.pipelines["p"], strict=True))

    assert executed(1000) < 20 * executed(100)


BROKEN = """\
- step: {name: a, image: x:1, command: c, inputs: [{name: i, optional: true}], parameters: [{name: p, default: v}]}
- pipeline:
    name: p
    nodes:
      - {name: one, type: execution, step: a, on-error: explode}
      - {name: two, type: NODETYPE, step: a}
      - {name: two, type: execution, step: gone}
    edges:
      - [one.output.x, two.input.i]
      - [one.output.x, three.input.i]
      - [one.output.x]
    parameters:
      - {name: t, targets: [one.p, one.parameter.p]}
      - {name: u, targets: [one.parameter.q]}
"""


def test_a_broken_node_hides_nothing_else_of_its_pipeline() -> None:
    found = lint(project(BROKEN.replace("NODETYPE", "task")))
    assert [(problem.location.line, problem.code) for problem in found] == [
        (5, "wrong-value"),
        (7, "duplicate-node"),
        (7, "unknown-step"),
        (10, "unknown-node"),
        (11, "wrong-value"),
        (13, "bad-target"),
        (14, "unknown-target"),
    ]


def test_what_a_broken_part_could_explain_is_not_reported() -> None:
    text = BROKEN.replace("one, type: execution, step: a, on-error: explode", "one, type: deploy, step: a")
    text = text.replace("[one.output.x, three.input.i]", "[one.file.x, two.input.i]")
    codes = {problem.code for problem in lint(project(text.replace("NODETYPE", "execution")))}
    assert codes == {"wrong-value", "duplicate-node", "unknown-step", "bad-target", "unknown-target"}
    node = "{type: execution, step: a}"
    nameless = f"- pipeline: {{name: p, nodes: [{node}, {node}, text], edges: [[n.output.x, m.input.i]]}}\n"
    codes = {problem.code for problem in lint(project(STEP + nameless)) if problem.severity is Severity.ERROR}
    assert codes == {"missing-key", "wrong-type"}


def test_of_two_pipelines_with_one_name_only_the_last_is_looked_into() -> None:
    broken = "- pipeline: {name: p, nodes: [{name: n, type: execution, step: gone, on-error: x}], edges: []}\n"
    sound = "- pipeline: {name: p, nodes: [{name: n, type: execution, step: a}], edges: []}\n"
    assert "unknown-step" not in {problem.code for problem in lint(project(STEP + broken + sound))}
    assert "unknown-step" in {problem.code for problem in lint(project(STEP + sound + broken))}


@pytest.mark.parametrize(
    ("parameter", "message", "hint"),
    [
        ("type: integer, default: None", "`None` is not an integer", "remove `default:` to have none"),
        ("type: float, default: 'null'", "`null` is not a number", "remove `default:` to have none"),
        ("type: float, default: ''", "no value", "remove `default:` to have none"),
        ("type: float, default: many", "`many` is not a number", None),
        ("type: integer, default: yes", "`true` is not an integer", None),
        ("type: integer, default: [1, 2]", "takes one value, not a list", "write `multiple: repeat`"),
        ("default: 1.10", "the default is a number, not text", "put quotes around it, or write `type: float`"),
        ("default: true", "the default is a boolean, not text", "put quotes around it, or write `type: flag`"),
        ("default: true, choices: [false]", "`true` is not one of the choices", "put quotes around it"),
    ],
)
def test_a_default_that_does_not_fit_is_told_as_the_file_has_it(parameter: str, message: str, hint: str | None) -> None:
    text = f"- step: {{name: a, image: x:1, command: c, parameters: [{{name: p, {parameter}}}]}}"
    [problem] = [problem for problem in lint(project(text)) if problem.code == "bad-default"]
    assert problem.message.endswith(message)
    assert (problem.hint or "").startswith(hint or "") if hint else problem.hint is None


@pytest.mark.parametrize(
    ("placeholder", "meant"),
    [
        ("{paramters}", "{parameters}"),
        ("{parmas}", "{params}"),
        ("{Parameters}", "{parameters}"),
        ("{parameter}", "{parameters}"),
        ("{source_path}", "{source-path}"),
        ("{paramter:p}", "{parameter:p}"),
        ("{paramter-value:p}", "{parameter-value:p}"),
        ("{parameter-value}", "{parameter-value:NAME}"),
    ],
)
def test_a_slip_of_the_pen_in_a_placeholder_is_recognised(placeholder: str, meant: str) -> None:
    text = f"- step: {{name: a, image: x:1, command: 'run {placeholder}', parameters: [{{name: p, default: v}}]}}"
    [problem] = [problem for problem in lint(project(text)) if problem.code == "unknown-placeholder"]
    assert problem.hint == f"did you mean `{meant}`?"


def test_braces_of_the_shell_are_no_slip_of_the_pen() -> None:
    command = "awk '{print $1}' {a,b} ${params} {paper} {path} {parent} {meters} {}"
    text = f'- step: {{name: a, image: x:1, command: "{command}"}}'
    assert lint(project(text)) == []


@pytest.mark.parametrize(
    ("body", "said", "hint"),
    [
        ("\n    - name: a\n    - image: b", "a list, not a mapping", "leave out the dashes in front of its fields"),
        (" train", "the text `train`, not a mapping", "indent its fields below it"),
        ("", "empty", "indent its fields below it"),
    ],
)
def test_an_item_whose_body_is_no_mapping_is_told_what_it_is(body: str, said: str, hint: str) -> None:
    [problem] = lint(project(f"- step:{body}\n"))
    assert (problem.message, problem.hint) == (f"`step:` is {said}", hint)


@pytest.mark.parametrize(
    ("end", "hint"),
    [
        ("two.input", "say which input: `two.input.NAME`"),
        ("two.inputs", "say which input: `two.input.NAME`"),
        ("two.inptu.x", "did you mean `input`?"),
        ("two", "such as `train.input.data`"),
    ],
)
def test_the_end_of_an_edge_that_is_not_understood_gets_a_hint(end: str, hint: str) -> None:
    text = f"- pipeline: {{name: p, nodes: [], edges: [[one.output.x, {end}]]}}"
    assert hint in [problem.hint for problem in project(text).problems]


@pytest.mark.parametrize(
    ("word", "hint"), [("grid", "did you mean `grid_search`?"), ("optuna", "did you mean `bayesian_tpe`?"), ("x", None)]
)
def test_the_type_of_a_task_is_shown_beside_those_there_are(word: str, hint: str | None) -> None:
    found = lint(project(f"{STEP}- task: {{name: t, step: a, type: {word}, parameters: []}}\n"))
    [problem] = [problem for problem in found if problem.code == "wrong-value"]
    assert problem.message.startswith(f"the `type` of task `t` is `{word}`, not one of `grid_search`, ")
    assert problem.hint == hint


def test_a_condition_that_is_not_understood_gets_an_example() -> None:
    text = "- step: {name: a, image: x:1, command: c, stop-condition: stop me if you can}"
    [problem] = lint(project(text))
    assert (problem.code, problem.hint) == ("bad-condition", "compare a metric, such as `loss < 0.1`")


def test_two_ways_to_serve_are_one_problem() -> None:
    [problem] = lint(project("- endpoint: {name: web, image: x:1, wsgi: a, server-command: b}\n"))
    assert (problem.code, problem.hint) == ("ambiguous-item", "keep one of them")
