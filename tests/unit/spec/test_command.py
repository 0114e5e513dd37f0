"""Placeholders become words; the golden table is what Valohai's own library gives."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from runner.errors import ExitCode, Location, MlrunError
from runner.job import Value
from runner.plan.compile import compile_step
from runner.plan.model import Arguments, Given
from runner.spec.command import (
    build_script,
    check_template,
    find_braced,
    interpolate_uri,
    named_parameters,
    placeholders,
    unknown_placeholders,
)
from runner.spec.model import CommandItem, Parameter, ParameterType, Step
from runner.spec.project import parse_project

GOLDEN = """
- step:
    name: golden
    image: i
    command: x
    source-path: my dir/x.py
    parameters:
      - {name: i, type: integer, default: 3}
      - {name: f, type: float, default: 0.001}
      - {name: s, default: "it's a b"}
      - {name: flg, type: flag}
      - {name: flg2, type: flag}
      - {name: o, optional: true}
      - {name: m, multiple: repeat, default: [a, b c]}
      - {name: k, type: integer, multiple: separate, default: [1, 2]}
      - {name: p, default: x y, pass-as: "-p {v} --n {name}"}
- step:
    name: flags
    image: i
    command: x
    parameters:
      - {name: t, type: flag, pass-true-as: --t=true, pass-false-as: --t=false}
      - {name: u, type: flag, pass-false-as: --no-u}
      - {name: w, type: flag, pass-as: "-w {v}"}
      - {name: z, type: integer, optional: true, pass-as: "-z{value}", pass-true-as: --nonsense}
"""
STEPS = parse_project(GOLDEN.encode(), "f.yaml").steps
ALL = "--i=3 --f=0.001 '--s=it'\"'\"'s a b' {}--m=a '--m=b c' --k=1,2 -p 'x y' --n p"


def planned(step: Step, given: Mapping[str, object]) -> Mapping[str, Value]:
    """The values of a run of the step, as the command line gives them."""
    return compile_step(step, Arguments("/", {step.name: Given(given)}), "/").nodes[step.name].parameters


def commanded(step: Step, *commands: str) -> Step:
    return replace(step, command=tuple(CommandItem(text, Location("f.yaml", 1, 1)) for text in commands))


def build(step: Step, given: Mapping[str, object], *commands: str) -> tuple[str, ...]:
    return build_script(commanded(step, *commands), planned(step, given)).items


@pytest.mark.parametrize(
    ("given", "command", "result"),
    [
        ({}, "c {parameters}", "c " + ALL.format("")),
        ({"flg": True, "flg2": False}, "c {parameters}", "c " + ALL.format("--flg ")),
        ({}, "c {params}", "c " + ALL.format("")),
        ({"flg": "false"}, "c {parameter:flg}", "c"),
        ({"m": [], "k": []}, "c {parameter:m} {parameter:k} x", "c   x"),
        ({}, "c {parameter-value:k} {parameter-value:m}", "c 1,2 'a,b c'"),
        ({"flg": True}, "c {parameter-value:flg} {parameter-value:flg2}", "c True {parameter-value:flg2}"),
        ({"m": "x,y"}, "c {parameter:m}", "c --m=x,y"),
        ({"f": 1e-7}, "c {parameter:f}", "c --f=1e-07"),
        ({"f": 3}, "c {parameter:f}", "c --f=3"),
        ({}, "c { parameters }", "c { parameters }"),
        ({}, "echo {{parameters}}", "echo {{parameters}}"),
        ({}, "echo ${X:-{parameter-value:i}}", "echo ${X:-{parameter-value:i}}"),
        ({}, "echo '{\"a\": 1}' {parameter:i}", "echo '{\"a\": 1}' --i=3"),
        ({"s": ""}, "c {parameter:s} {parameter-value:s}", "c --s= ''"),
        ({}, "c {parameter:o}|{parameter-value:o}", "c |{parameter-value:o}"),
        ({}, "python {source-path}", "python 'my dir/x.py'"),
        ({}, "  two\n  lines  ", "two\n  lines"),
        ({}, "xargs -I {} echo {} ${HOME} {unknown}", "xargs -I {} echo {} ${HOME} {unknown}"),
    ],
)
def test_golden(given: dict[str, object], command: str, result: str) -> None:
    assert build(STEPS["golden"], given, command) == (result,)


@pytest.mark.parametrize(
    ("given", "result"),
    [
        ({}, "x"),
        ({"t": True, "u": True, "w": True, "z": 2}, "x --t=true -w True -z2"),
        ({"t": False, "u": False, "w": False, "z": 0}, "x --t=false --no-u -z0"),
    ],
)
def test_templates_of_flags(given: dict[str, object], result: str) -> None:
    assert build(STEPS["flags"], given, "x {parameters}") == (result,)


def test_the_default_of_a_flag_is_applied() -> None:
    text = b"- step: {name: a, image: b, command: 'c {parameters}', parameters: [{name: v, type: flag, default: true}]}"
    step = parse_project(text, "f").steps["a"]
    assert build_script(step, planned(step, {})).items == ("c --v",)
    assert build_script(step, planned(step, {"v": False})).items == ("c",)


def test_a_value_that_the_step_does_not_declare_has_no_option() -> None:
    step = commanded(STEPS["golden"], "c {parameter-value:zzz} {parameter:zzz}")
    assert build_script(step, {"zzz": 5}).items == ("c 5 {parameter:zzz}",)


def test_a_value_of_none_is_replaced_by_nothing() -> None:
    step = commanded(STEPS["golden"], "c {parameter:i} [{parameter-value:i}]")
    assert build_script(step, {"i": None}).items == ("c  []",)


def test_a_list_for_a_single_parameter_is_refused() -> None:
    step = commanded(STEPS["golden"], "c {parameter:i}")
    with pytest.raises(MlrunError, match="one value") as caught:
        build_script(step, {"i": [1, 2]})
    assert caught.value.code is ExitCode.SPEC


def test_blank_items_are_dropped_and_edges_stripped() -> None:
    assert build(STEPS["golden"], {}, " a ", "", "  ", "{parameter:o}", "b\n") == ("a", "b")


def test_keeping_going_is_passed_on() -> None:
    assert build_script(STEPS["golden"], {}, stop_at_failure=False).stop_at_failure is False


def templated(template: str, type_: ParameterType = ParameterType.STRING, value: Value = "v") -> str:
    parameter = Parameter("name", Location("f", 1, 1), type_, pass_as=template)
    step = Step("s", Location("f", 1, 1), "i", (CommandItem("{parameters}", Location("f", 1, 1)),), (parameter,))
    return build_script(step, {"name": value}).items[0]


@pytest.mark.parametrize(
    ("template", "value", "result"),
    [
        ("--x {v}", "a b", "--x 'a b'"),
        ("{{{name}}}={value}", "v", "'{name}=v'"),
        ("{v!r}", "it", "''\"'\"'it'\"'\"''"),
        ("--{name}-{v}-{value}", "v", "--name-v-v"),
    ],
)
def test_a_template_is_split_before_the_value_is_put_in(template: str, value: str, result: str) -> None:
    assert templated(template, value=value) == result


def test_a_number_can_be_formatted() -> None:
    assert templated("--lr={v:.3f}", ParameterType.FLOAT, 0.12345) == "--lr=0.123"


@pytest.mark.parametrize(
    "template",
    ["--a={other}", "{v.__class__}", "{v[0]}", "{v:>999999999}", "{v:{name}}", "{", "}", "{}", "{0}", "{v!x}"],
)
def test_a_template_that_cannot_be_filled_in_is_a_located_error(template: str) -> None:
    with pytest.raises(MlrunError, match="cannot be filled in") as caught:
        templated(template)
    assert caught.value.code is ExitCode.SPEC
    assert caught.value.location == Location("f", 1, 1)
    assert check_template(Parameter("p", Location("f", 1, 1)), template) is not None


def test_good_templates_pass_the_check() -> None:
    assert check_template(Parameter("p", Location("f", 1, 1), ParameterType.INTEGER), "-p {v:04d}") is None


@pytest.mark.parametrize(
    ("uri", "result"),
    [
        ("dataset://{parameter:s}_train/latest", "dataset://it's a b_train/latest"),
        ("s3://b/{parameter-value:i}/{parameter:k}", "s3://b/3/1,2"),
        ("{parameter:o}{parameter:nope}{other}", "{parameter:o}{parameter:nope}{other}"),
    ],
)
def test_uris_get_bare_values(uri: str, result: str) -> None:
    step = STEPS["golden"]
    assert interpolate_uri(uri, step, planned(step, {})) == result


def test_placeholders_that_name_nothing_are_found() -> None:
    text = "{parameter:i} {parameter:x} {parameter-value:y} {parameters} {z}"
    assert unknown_placeholders(STEPS["golden"], ["", text]) == [
        (1, 14, "{parameter:x}"),
        (1, 28, "{parameter-value:y}"),
    ]


@pytest.mark.parametrize(
    "text", ["{ parameters }", "{{parameters}", "{param:i}", "{parameters:i}", "{parameter_value:i}"]
)
def test_what_is_nearly_a_placeholder_is_found(text: str) -> None:
    assert unknown_placeholders(STEPS["golden"], [f"x {text}"]) == [(0, 2, text)]


@pytest.mark.parametrize("text", ["{i}", "{ i }", "{{i}", "{s}"])
def test_the_mere_name_of_a_parameter_in_braces_is_found(text: str) -> None:
    assert unknown_placeholders(STEPS["golden"], [f"x --a {text}"]) == [(0, 6, text)]


@pytest.mark.parametrize(
    "text",
    [
        "x ${i}",
        "x {z}",
        "python -c 'print(f\"{i}\")'",
        "python -c 'print(\"{i}\".format(i=1))'",
        "awk '{i}' x",
        "{i,s}",
    ],
)
def test_a_name_in_braces_that_the_shell_or_python_reads_is_left_alone(text: str) -> None:
    assert unknown_placeholders(STEPS["golden"], [text]) == []


@pytest.mark.parametrize("text", ["${parameter:-x}", "${param:0:3}", "{}", '{"value": 1}', "{a,b}", "{params}"])
def test_braces_of_the_shell_are_left_alone(text: str) -> None:
    assert unknown_placeholders(STEPS["golden"], [text]) == []


def test_a_source_path_that_the_step_lacks_is_found() -> None:
    assert unknown_placeholders(STEPS["golden"], ["{source-path}"]) == []
    assert unknown_placeholders(STEPS["flags"], ["{source-path}"]) == [(0, 0, "{source-path}")]


@pytest.mark.parametrize(
    ("text", "risky"),
    [
        ("{parameter:i}", False),
        ("{parameter:flg}", False),
        ("{parameter:k}", False),
        ("{parameter-value:i}", False),
        ("{parameter:s}", True),
        ("{parameters}", True),
        ("{source-path}", True),
    ],
)
def test_only_what_may_need_quotes_is_risky(text: str, risky: bool) -> None:
    [found] = placeholders(STEPS["golden"], [CommandItem(text, Location("f", 1, 1))])
    assert found.risky is risky


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x {parameter:a} {parameter-value:b} {parameters} {source-path}", {"a", "b"}),
        ("{a {parameter:b}", set()),
        ("{parameter:a}b}", {"a"}),
        ("{parameter:a\n}", set()),
        ("{parameter:} {parameter} {parameters:a}", set()),
    ],
)
def test_the_names_in_a_text_are_those_that_a_run_replaces(text: str, names: set[str]) -> None:
    assert named_parameters(find_braced([text])) == names
    uri = interpolate_uri(text, Step("s", Location("f", 1, 1), "i", ()), {"a": "1", "b": "2"})
    assert (uri != text) == bool(names)
