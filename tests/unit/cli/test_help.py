"""The help of a step and of a pipeline, which says what a file says."""

from runner.cli.pipeline import pipeline_help
from runner.cli.step import step_help
from runner.spec.model import Project
from runner.spec.project import parse_project

HOSTILE = r"""
- step:
    name: "train\e[2J"
    image: "i:1\e]0;title\a"
    command: c
    description: "one\ntwo\e[2J"
    parameters:
      - {name: "lr\e[1A", type: float, default: 0.1, description: "rate\e[2J\nmore"}
      - {name: "fast\u202e", type: flag}
    inputs:
      - {name: data, default: "http://x/\e[2J"}
- pipeline:
    name: "p\e[2J"
    parameters:
      - {name: "seed\e[2J", targets: ["t.parameters.lr\e[1A"], default: "3\e[2J", description: "d\nd\e[2J"}
    nodes:
      - {name: "t\e[2J", type: execution, step: "train\e[2J"}
    edges: []
"""


def project() -> Project:
    return parse_project(HOSTILE.encode(), "f.yaml")


def test_nothing_of_a_file_reaches_the_terminal_unescaped_in_the_help_of_a_step() -> None:
    [step] = project().steps.values()
    text = step_help(step)
    assert all(line.isprintable() for line in text.split("\n"))
    assert "\ntwo\\x1b[2J\n" in text
    assert "  --lr\\x1b[1A FLOAT" in text
    assert "rate\\x1b[2J\\nmore [default: 0.1]" in text


def test_nothing_of_a_file_reaches_the_terminal_unescaped_in_the_help_of_a_pipeline() -> None:
    [pipeline] = project().pipelines.values()
    text = pipeline_help(project(), pipeline)
    assert all(line.isprintable() for line in text.split("\n"))
    assert "  --seed\\x1b[2J VALUE  d\\nd\\x1b[2J [default: 3\\x1b[2J]" in text
    assert "    --t\\x1b[2J.lr\\x1b[1A VALUE" in text


def test_a_parameter_without_a_word_about_it_is_listed() -> None:
    text = "- step: {name: s, image: 'i:1', command: c, parameters: [{name: tag, type: string, optional: true}]}"
    assert "\n  --tag STRING\n" in step_help(parse_project(text.encode(), "f.yaml").steps["s"])
