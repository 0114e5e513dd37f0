"""A step as the command line names it: found in the file, with its parameters and inputs as options and in its help."""

from collections.abc import Sequence
from typing import Annotated

import typer

from runner.cli import launch
from runner.cli.launch import Own, Understood
from runner.cli.option import step_table
from runner.cli.page import Page
from runner.errors import did_you_mean, usage_error
from runner.escape import printable, printable_lines
from runner.spec.model import Input, Parameter, ParameterType, Project, Step
from runner.spec.project import select_step

StepName = Annotated[
    str | None, typer.Argument(metavar="STEP", help="A step of the file: its name or a unique start of it.")
]


def understand_step(
    context: typer.Context, options: Own, name: str | None, rest: Sequence[str], verb: str
) -> Understood[Step, Own]:
    """Read what stands after STEP; see `launch.understand`. Raises MlrunError (USAGE, SPEC)."""
    return launch.understand(
        context,
        options,
        rest,
        lambda project: _choose(project, name, verb),
        lambda project, chosen: step_table(chosen),
    )


def _choose(project: Project, name: str | None, verb: str) -> Step:
    """The step that the command line names. Raises MlrunError (USAGE, SPEC)."""
    if name is None:
        raise usage_error(f"`mlrun {verb}` needs a STEP", hint=did_you_mean("", project.steps))
    return select_step(project, name)


def step_help(step: Step, verb: str = "exec") -> str:
    """The text of `mlrun exec STEP --help`, or of another verb's: the step's own parameters and inputs."""
    lines = [printable(f"usage: mlrun {verb} [OPTIONS] {step.name} [--PARAM VALUE…] [--INPUT URI…]"), ""]
    lines += [printable_lines(step.description), ""] if step.description else []
    page = Page([*lines, printable(f"image: {step.image}")])
    option_tables(page, step)
    return f"{page}\n\n`mlrun {verb} --help` explains the options that every step has."


def option_tables(page: Page, step: Step) -> None:
    """The step's own parameters and inputs."""
    page.table("Parameters:", [(_parameter_option(item), _parameter_text(item)) for item in step.parameters])
    page.table("Inputs:", [(printable(f"--{item.name} URI"), _input_text(item)) for item in step.inputs])


def _parameter_option(parameter: Parameter) -> str:
    if parameter.type is ParameterType.FLAG:
        return printable(f"--{parameter.name} / --no-{parameter.name}")
    return printable(f"--{parameter.name} {parameter.type.upper()}")


def _parameter_text(parameter: Parameter) -> str:
    facts = []
    if parameter.required:
        facts.append("required")
    if parameter.default is not None:
        facts.append(f"default: {parameter.default}")
    if parameter.choices:
        facts.append("one of " + ", ".join(map(str, parameter.choices)))
    if parameter.minimum is not None or parameter.maximum is not None:
        facts.append(f"from {_bound(parameter.minimum)} to {_bound(parameter.maximum)}")
    if parameter.multiple != "none":
        facts.append("may be repeated")
    return _with_facts(parameter.description, facts)


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


def _input_text(item: Input) -> str:
    facts = ["default: " + ", ".join(item.default)] if item.default else ["optional" if item.optional else "required"]
    return _with_facts(item.description, facts)


def _with_facts(description: str | None, facts: list[str]) -> str:
    return printable(" ".join([description or "", f"[{'; '.join(facts)}]" if facts else ""]).strip())
