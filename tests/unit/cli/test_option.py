"""The options of steps and pipelines on the command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.option import OwnOption, Parsed, Target, parse, pipeline_table, step_table
from runner.errors import MlrunError
from runner.plan.model import Given
from runner.spec.project import parse_project

TEXT = """
- step:
    name: train
    image: busybox
    command: train {parameters}
    parameters:
      - {name: max_steps, type: integer}
      - {name: Sampling Temperature, type: float}
      - {name: boost, type: flag}
      - {name: both, optional: true}
      - {name: image, optional: true}
    inputs:
      - {name: train-data}
      - {name: both}
- pipeline:
    name: all
    parameters:
      - {name: steps, targets: [fit.parameter.max_steps]}
      - {name: boosted, targets: [fit.parameter.boost]}
    nodes: [{name: fit, type: execution, step: train}]
    edges: []
"""
PROJECT = parse_project(TEXT.encode(), "valohai.yaml")
OWN = {"--image": OwnOption("image", True), "--tag": OwnOption("tag", True), "--json": OwnOption("json", False)}


def read(*tokens: str) -> Parsed:
    return parse(tokens, step_table(PROJECT.steps["train"]), OWN)


def read_pipeline(*tokens: str) -> Parsed:
    return parse(tokens, pipeline_table(PROJECT, PROJECT.pipelines["all"]), OWN)


def refusal(*tokens: str) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        read(*tokens)
    return caught.value


@pytest.mark.parametrize(
    "tokens",
    [["--max_steps", "3"], ["--max-steps", "3"], ["--max_steps=3"], ["--max-steps=3"], ["--param", "max_steps=3"]],
)
def test_a_parameter_is_accepted_as_written_with_dashes_and_with_underscores(tokens: list[str]) -> None:
    assert read(*tokens).given() == {"train": Given({"max_steps": "3"}, {})}


def test_a_name_with_blanks_has_a_spelling_without() -> None:
    assert read("--sampling-temperature", "0.5").given()["train"].parameters == {"Sampling Temperature": "0.5"}


def test_a_value_may_look_like_an_option() -> None:
    assert read("--max_steps", "-3").given()["train"].parameters == {"max_steps": "-3"}


@pytest.mark.parametrize(
    ("token", "value"), [("--boost", True), ("--no-boost", False), ("--boost=true", "true"), ("--boost=false", "false")]
)
def test_a_flag_is_turned_on_and_off(token: str, value: object) -> None:
    assert read(token, "--max-steps", "1").given()["train"].parameters["boost"] == value


def test_a_repeated_option_is_a_list() -> None:
    given = read("--max-steps", "1", "--max-steps", "2", "--train-data", "a", "--train_data", "b").given()["train"]
    assert given == Given({"max_steps": ["1", "2"]}, {"train-data": ("a", "b")})


def test_a_name_of_a_parameter_and_of_an_input_is_refused_and_both_are_named() -> None:
    error = refusal("--both", "x")
    assert error.message == "`--both` could mean parameter `train.both` and input `train.both`"
    assert error.hint == "write `--param both=VALUE` or `--input both=URI`"


def test_param_and_input_tell_a_clash_apart() -> None:
    assert read("--param", "both=p", "--input", "both=i").given()["train"] == Given({"both": "p"}, {"both": ("i",)})


def test_our_options_are_understood_after_the_step_where_it_has_no_such_name() -> None:
    parsed = read("--tag", "a", "--json", "--tag=b", "--image", "theirs")
    assert parsed.own == [("tag", "a"), ("json", None), ("tag", "b")]
    assert parsed.given()["train"].parameters == {"image": "theirs"}


def test_an_unknown_option_gets_a_hint() -> None:
    error = refusal("--max-step", "3")
    assert error.message == "step `train` has no option `--max-step`"
    assert error.hint == "did you mean `--max_steps`?"


def test_an_argument_without_an_option_is_refused() -> None:
    assert refusal("3").message == "step `train` takes no argument `3`"
    assert refusal("3").hint == "options look like `--max_steps VALUE`"
    assert refusal("--boost", "yes").hint == "a flag takes its value behind a `=`: `--boost=yes`"


@pytest.mark.parametrize("tokens", [["--max_steps"], ["--train-data"], ["--param"], ["--tag"]])
def test_an_option_without_its_value_is_refused(tokens: list[str]) -> None:
    assert "needs a value" in refusal(*tokens).message


def test_a_param_without_an_equals_sign_is_refused() -> None:
    assert refusal("--param", "max_steps").hint == "write `--param NAME=VALUE`"


def test_a_pipeline_has_its_own_parameters_and_those_of_its_nodes() -> None:
    parsed = read_pipeline("--steps", "5", "--fit.max-steps=6", "--fit.train-data", "x", "--boosted", "--fit.no-boost")
    assert parsed.pipeline_values() == {"steps": "5", "boosted": True}
    assert parsed.given() == {"fit": Given({"max_steps": "6", "boost": False}, {"train-data": ("x",)})}


def test_help_is_noticed_wherever_it_stands() -> None:
    assert read("--max-steps", "1", "--help").help


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_command_line_is_read_or_refused_in_one_line(tokens: list[str]) -> None:
    try:
        parsed = read(*tokens)
    except MlrunError as error:
        assert error.message
    else:
        assert all(isinstance(target, Target) for target, _ in parsed.values)
