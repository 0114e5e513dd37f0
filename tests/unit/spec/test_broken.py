"""Broken and hostile files, one sentence each: what is wrong is said at its place, or kept as it is written."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.cli.finding import Format
from runner.cli.main import run
from runner.errors import ExitCode, MlrunError, Problem, Severity
from runner.spec.command import build_script
from runner.spec.lint import lint
from runner.spec.project import parse_project, select_step
from runner.spec.report import problem_to_json, render_problem
from runner.spec.source import read_source, source_lines
from runner.spec.tree import Row, Table
from runner.spec.value import coerce

EXAMPLES = Path(__file__).parents[2] / "examples"
STEP = "- step:\n    name: a\n    image: busybox:1\n    command: c\n"


def problems_of(text: str | bytes) -> list[Problem]:
    return lint(parse_project(text if isinstance(text, bytes) else text.encode(), "f.yaml"))


def errors_of(text: str | bytes) -> list[tuple[int, int, str]]:
    return [
        (problem.location.line, problem.location.column, problem.code)
        for problem in problems_of(text)
        if problem.severity is Severity.ERROR
    ]


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "empty-file", "no content"),
        ("# only this\n", "empty-file", "no content"),
        ("text", "not-a-list", "not a list"),
        ("5", "not-a-list", "not a list"),
        ("step:\n  name: a", "not-a-list", "- step:"),
        ("- text", "not-a-mapping", "a mapping"),
    ],
)
def test_a_file_that_is_no_list_of_items_is_told_what_it_is(text: str, code: str, said: str) -> None:
    [problem] = problems_of(text)
    assert (problem.severity, problem.code) == (Severity.ERROR, code)
    assert said in f"{problem.message} {problem.hint}"


def test_a_file_that_is_not_there_is_told_apart_from_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run(["lint", "missing.yaml"]) == ExitCode.SPEC
    assert "there is no `missing.yaml`" in capsys.readouterr().err


SYNTAX = {
    "a: b: c": (1, 5),
    "a: [b": (2, 1),
    "a: {b: c": (2, 1),
    "a: 'b": (1, 4),
    'a: "b': (1, 4),
    "a:\n\tb: c": (2, 1),
    "- a\nb: c": (2, 1),
    "a: b\n- c": (2, 1),
    "a:\n  b: c\n d: e": (3, 2),
    "- a\n - b\n- c\n  d: e": (4, 4),
    "a: @b": (1, 4),
    "a: `b`": (1, 4),
    "a: %b": (1, 4),
    "a: *": (1, 5),
    "a: &": (1, 5),
    "a: ]": (1, 4),
    "a: b, c]\nd: }": (2, 4),
    "a: |x\n  b": (1, 5),
    "a: 'b'c": (1, 7),
    'a: "\\q"': (1, 5),
    "a: !<x": (1, 7),
    "%YAML 9\n---\na": (1, 8),
    "[a, b}": (1, 6),
}


@pytest.mark.parametrize("text", SYNTAX)
def test_a_slip_of_syntax_is_shown_with_its_line_and_a_caret(text: str) -> None:
    [problem] = problems_of(text + "\n")
    assert (problem.severity, problem.code) == (Severity.ERROR, "yaml-syntax")
    assert (problem.location.line, problem.location.column) == SYNTAX[text]
    shown = render_problem(problem, source_lines(text.encode())).splitlines()
    line = problem.location.line
    if line <= text.count("\n") + 1:
        assert shown[1] == "  | " + text.split("\n")[line - 1].replace("\t", " ")
        assert shown[2] == "  | " + " " * (problem.location.column - 1) + "^"


def test_all_slips_of_a_file_are_told_at_once_with_what_was_meant() -> None:
    text = (
        "- step:\n    name: a\n    imgae: busybox:1\n    command: 5\n    parameters: [{name: p, typ: integer}]\n"
        "- pipeline:\n    name: p\n    nodes: [{name: n, type: excution, step: b}]\n    egdes: []\n"
    )
    found = {(problem.location.line, problem.code): problem.hint or "" for problem in problems_of(text)}
    assert {(3, "unknown-key"), (4, "wrong-type"), (5, "unknown-key"), (8, "wrong-value"), (9, "unknown-key")} <= set(
        found
    )
    assert "`image`" in found[3, "unknown-key"]
    assert "`type`" in found[5, "unknown-key"]
    assert "`execution`" in found[8, "wrong-value"]
    assert "`edges`" in found[9, "unknown-key"]


@pytest.mark.parametrize(
    "value",
    ["!!int x", "!!bool x", "!!float x", "!!timestamp x", "!!null x", "!!binary '$'", "!!set x", "!!omap x", "=",
     "2001-99-99", "2001-01-01T99:99:99Z", "9" * 5000, "0x", "0b2", "1:2:3:99", "-", "1e", ".", "!!python/none 1"],
)  # fmt: skip
def test_a_value_that_yaml_cannot_construct_is_kept_or_refused_at_its_place(value: str) -> None:
    found = problems_of(STEP + f"    description: {value}\n")
    assert all(problem.location.line == 5 for problem in found)
    assert [problem.code for problem in found if problem.severity is Severity.ERROR] or found == [] or len(found) == 1


def test_what_stands_twice_is_told_with_both_lines() -> None:
    found = problems_of(STEP + "    image: alpine:3\n" + STEP)
    said = {problem.code: (problem.severity, problem.location.line, problem.message) for problem in found}
    assert said["duplicate-key"][:2] == (Severity.WARNING, 5)
    assert "line 3" in said["duplicate-key"][2]
    assert said["duplicate-name"][:2] == (Severity.WARNING, 7)
    assert "line 2" in said["duplicate-name"][2]


@pytest.mark.parametrize("value", ["no", "on", "1.10", "012", "22:22", "1_000", "0x10", "~", "2e+3", ".inf"])
def test_a_trap_of_yaml_in_a_field_of_text_is_refused_or_kept_never_changed_in_silence(value: str) -> None:
    found = problems_of(STEP.replace("busybox:1", value))
    assert found
    assert all((problem.location.line, problem.location.column) == (3, 12) for problem in found)
    assert problems_of(STEP.replace("busybox:1", f"'{value}x'")) != found


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e999", "1.0e+999", "!!float nan", "!!float 1e999"])
def test_a_number_without_end_never_reaches_json(value: str) -> None:
    text = STEP + f"    parameters: [{{name: p, type: float, default: {value}, max: {value}}}]\n"
    project = parse_project(text.encode(), "f.yaml")
    assert lint(project)
    json.dumps(project.tree, allow_nan=False)


@pytest.mark.parametrize(
    "data",
    [
        STEP.encode("utf-16"), STEP.encode("utf-16-le"), STEP.encode("utf-32"),
        STEP.replace("a", "ä").encode("latin-1"),
        STEP.replace("busybox", "busy\0box").encode(),
        STEP.replace("busybox", "\ud800").encode("utf-8", "surrogatepass"),
        STEP.replace("busybox", '"\\ud800"').encode(), STEP.replace("busybox:1", '"\\0"').encode(), b"\xff\xfe", b"\0",
    ],
)  # fmt: skip
def test_an_encoding_that_is_not_utf_8_is_one_error(data: bytes) -> None:
    [(_, _, code)] = errors_of(data)
    assert code in {"encoding", "yaml-value", "yaml-syntax"}


def nodes_of(tree: object) -> Iterator[Callable[[object], object]]:
    """For every value in a tree a function that puts another there and returns what it replaced."""
    if not isinstance(tree, Table | Row):
        return
    for key in list(tree) if isinstance(tree, Table) else range(len(tree)):

        def put(value: object, key: str | int = key) -> object:
            before = tree[key]  # type: ignore[call-overload]
            tree[key] = value  # type: ignore[call-overload]
            return before

        yield put
        yield from nodes_of(tree[key])  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["every-step-field", "pipeline-every-node"])
def test_anything_may_stand_anywhere_without_a_traceback(name: str) -> None:
    tree = read_source((EXAMPLES / "valid" / f"{name}.yaml").read_bytes(), "f.yaml").tree
    count = 0
    for put in list(nodes_of(tree)):
        for value in (None, Row((1, 1)), Table((1, 1)), 0, ""):
            before = put(value)
            text = json.dumps(tree)
            for problem in problems_of(text):
                assert problem.location.column >= 1
            put(before)
            count += 1
    assert count > 400


def test_a_pipeline_that_waits_for_itself_is_shown_its_cycle() -> None:
    nodes = "".join(f"      - {{name: n{n}, type: execution, step: a}}\n" for n in range(3))
    head = (
        STEP
        + "    inputs: [{name: i, optional: true}]\n- pipeline:\n    name: p\n    nodes:\n"
        + nodes
        + "    edges:\n"
    )
    ring = "".join(f"      - [n{n}.output.x, n{(n + 1) % 3}.input.i]\n" for n in range(3))
    assert "`n0` → `n1` → `n2` → `n0`" in str([problem.message for problem in problems_of(head + ring)])
    assert "`n0` → `n0`" in str(
        [problem.message for problem in problems_of(head + "      - [n0.output.x, n0.input.i]\n")]
    )
    [(line, _, code)] = errors_of(head + "      - [n7.output.x, n0.input.i]\n")
    assert (line, code) == (13, "unknown-node")


@pytest.mark.parametrize("value", ["--flag", "a" * 2_000_000, "$(id)", "`id`", "'", '"', "a\nb", "é日本", "\x1b[31m"])
def test_any_text_is_passed_to_a_command_byte_by_byte(value: str) -> None:
    step = select_step(
        parse_project((STEP.replace(": c", ": c {parameters}") + "    parameters: [{name: p}]\n").encode(), "f"), "a"
    )
    [item] = build_script(step, {"p": coerce(step.parameters[0], value, "p")}).items
    assert value.replace("'", "'\"'\"'") in item


@pytest.mark.parametrize("value", ["a\0b", "a\udcffb"])
def test_text_that_no_program_can_be_given_is_refused_by_its_name(value: str) -> None:
    step = select_step(parse_project((STEP + "    parameters: [{name: p}]\n").encode(), "f"), "a")
    with pytest.raises(MlrunError, match="p"):
        coerce(step.parameters[0], value, "p")


IMAGES = [
    "--privileged",
    "-v=/:/h",
    "a b",
    "x;id",
    "Upper",
    "$(id)",
    "\\e[31m",
    "../x",
    "a:b:c",
    "a@sha256:1",
    "/a",
    "é",
]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_that_no_engine_understands_is_told_at_its_place(image: str) -> None:
    [problem] = problems_of(STEP.replace("busybox:1", f'"{image}"'))
    assert (problem.code, problem.location.line, problem.location.column) == ("bad-image", 3, 12)


def test_an_image_that_is_empty_is_an_error() -> None:
    assert errors_of(STEP.replace("busybox:1", '""')) == [(3, 12, "wrong-value")]


NAMES = ["../../x", "a/b", "\x1b[2J", "\x1b]8;;x\x07", "\u202e", "x" * 10_000, "con", ".", "日本", " a", "a\nb"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_step_is_any_text_and_is_shown_without_harm(name: str) -> None:
    text = json.dumps([{"step": {"name": name, "image": "b:1", "command": "{parameter:x}", "extra": name}}])
    project = parse_project(text.encode(), "f.yaml")
    problems = lint(project)
    assert [problem.code for problem in problems if problem.severity is Severity.ERROR] == ["unknown-key"]
    for problem in problems:
        assert render_problem(problem, source_lines(text.encode())).replace("\n", "").isprintable()
        assert json.dumps(problem_to_json(problem)).isprintable()


@pytest.mark.parametrize("name", ["../../x", "a/b", "\x1b[2J", "\u202e", "x" * 65, ".", "..", ""])
def test_a_name_of_an_input_is_one_component_of_a_path(name: str) -> None:
    text = json.dumps([{"step": {"name": "a", "image": "b:1", "command": "c", "inputs": [{"name": name}]}}])
    [(_, _, code)] = errors_of(text)
    assert code in {"bad-input-name", "wrong-value"}


@pytest.mark.parametrize("form", list(Format))
def test_what_a_file_says_reaches_no_terminal_unescaped_in_any_format(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    evil = "\\e[2J\\e]8;;http://x\\a\\u202e\\u2066::error::x\\r\\n::stop-commands::y\\x9b31m"
    path = tmp_path / "f.yaml"
    text = (
        "- step: {name: EVIL, image: EVIL, command: [EVIL, '{parameter:x}'], description: EVIL, EVIL: 1,\n"
        "    parameters: [{name: EVIL, type: integer, default: EVIL}], inputs: [{name: EVIL}]}\n"
        "- pipeline: {name: EVIL, nodes: [{name: EVIL, type: EVIL, step: EVIL}], edges: [EVIL]}\n"
        "- EVIL: 1\n"
    )
    path.write_text(text.replace("EVIL", f'"{evil}"'))
    assert run(["lint", "--format", form, str(path)]) == ExitCode.SPEC
    captured = capsys.readouterr()
    assert (captured.out + captured.err).replace("\n", "").isprintable()
    assert not any(line.startswith(("::stop", "::error::")) for line in captured.out.splitlines())


@pytest.mark.parametrize(
    "field",
    [
        "time-limit: 1.0e+99", "time-limit: 1e99", "time-limit: -1", "time-limit: 0",
        "no-output-timeout: 999999999999h",
        "resources: {cpu: {min: 1000000000}}", "resources: {cpu: {max: -1}}", "resources: {memory: {min: -1}}",
        "resources: {memory: {max: 1.0e+30}}", "resources: {cpu: {min: 4, max: 2}}", "resources: {devices: all}",
        "resources: {devices: {gpu: 0}}", "resources: {gpu: 1}", "resources: {memory: {max: .inf}}",
    ],
)  # fmt: skip
def test_resources_and_limits_out_of_bounds_are_refused_at_their_line(field: str) -> None:
    found = errors_of(STEP + f"    {field}\n")
    assert {line for line, _, _ in found} == {5}
