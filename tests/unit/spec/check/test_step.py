"""What is odd about the parameters and inputs of a step, and what to write in its place."""

import pytest

from runner.errors import Problem
from runner.spec.lint import lint
from runner.spec.project import parse_project


def problems(fields: str) -> list[Problem]:
    text = f"- step:\n    name: a\n    image: python:3.12\n    command: x {{parameters}}\n    {fields}\n"
    return lint(parse_project(text.encode(), "f.yaml"))


@pytest.mark.parametrize("type_", ["integer", "float"])
def test_limits_between_which_no_number_fits_are_told_at_the_least(type_: str) -> None:
    before = f"parameters: [{{name: p, optional: true, type: {type_}, max: 1, min: "
    [problem] = problems(f"{before}2}}]")
    assert (problem.code, problem.location.place) == ("wrong-value", (5, 4 + len(before) + 1))
    assert "no value fits" in problem.message


@pytest.mark.parametrize("limits", ["min: 1, max: 1", "min: 1, max: 2", "min: 2", "max: 1"])
def test_limits_between_which_a_number_fits_are_fine(limits: str) -> None:
    assert problems(f"parameters: [{{name: p, type: integer, optional: true, {limits}}}]") == []


@pytest.mark.parametrize(("kind", "said"), [("step", "of a step has"), ("endpoint", "of an endpoint has")])
@pytest.mark.parametrize("name", ["", "name: 5, ", "name: '', "])
def test_the_image_of_an_item_without_a_name_is_that_of_one_of_its_kind(kind: str, said: str, name: str) -> None:
    found = lint(parse_project(f"- {kind}: {{{name}image: busybox}}\n".encode(), "f.yaml"))
    assert [said in problem.message for problem in found if problem.code == "untagged-image"] == [True]


def test_limits_say_nothing_of_text() -> None:
    assert problems("parameters: [{name: p, type: string, default: x, min: 2, max: 1}]") == []


@pytest.mark.parametrize("template", ["--p {}", "--p={p}", "--p {"])
def test_a_template_that_cannot_be_filled_in_says_where_the_value_goes(template: str) -> None:
    [problem] = problems(f"parameters: [{{name: p, default: x, pass-as: '{template}'}}]")
    assert problem.code == "bad-pass-as"
    assert "`{v}`" in str(problem.hint)


def test_a_decimal_comma_becomes_a_dot() -> None:
    [problem] = problems("parameters: [{name: p, type: float, default: '-0,5'}]")
    assert (problem.code, problem.hint) == ("bad-default", "write `-0.5`: numbers have a dot")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("data/train", "write it without `/`, as in `data-train`"),
        ("/data", None),
        ("..", None),
        ('"\\e[31m/x"', None),
    ],
)
def test_an_input_named_like_a_path_gets_a_name_that_is_allowed(name: str, hint: str | None) -> None:
    [problem] = problems(f"inputs: [{{name: {name}, optional: true}}]")
    assert (problem.code, problem.hint) == ("bad-input-name", hint)
