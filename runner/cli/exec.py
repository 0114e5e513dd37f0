"""`mlrun exec`: run one step."""

from typing import Annotated

import typer

from runner.cli import launch
from runner.cli.launch import Options
from runner.cli.option import step_table
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable
from runner.plan.compile import compile_step
from runner.spec.model import Input, Parameter, ParameterType, Project, Step
from runner.spec.project import select_step

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun exec train --C 0.5

  mlrun exec --image python:3.12 train --data ./iris.csv

  mlrun exec train --help"""


@app.command(
    epilog=EXAMPLES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def execute(
    context: typer.Context,
    step: Annotated[
        str | None, typer.Argument(metavar="STEP", help="A step of the file: its name or a unique start of it.")
    ] = None,
    rest: Annotated[
        list[str] | None,
        typer.Argument(metavar="[--PARAM VALUE…] [--INPUT URI…]", help="`mlrun exec STEP --help` lists them."),
    ] = None,
    image: launch.Image = None,
    executor: launch.ExecutorOption = None,
    title: launch.Title = None,
    tag: launch.Tags = None,
    var: launch.Variables = None,
    commit: launch.Commit = None,
    yaml: launch.Yaml = None,
    no_git: launch.NoGit = False,
    keep_going: launch.KeepGoing = False,
    network: launch.NetworkOption = None,
    dry_run: launch.DryRun = False,
    json: launch.Json = False,
) -> int:
    """Run one step, with its parameters and inputs as options, and record everything.

    `--param NAME=VALUE` and `--input NAME=URI` always work, whatever the names.
    """
    options = Options.of(context)
    understood = launch.understand(
        context,
        options,
        rest or [],
        lambda project: _choose(project, step),
        lambda project, chosen: step_table(chosen),
    )
    if understood.parsed.help:
        print(step_help(understood.subject))
        return ExitCode.OK
    arguments = launch.arguments(understood.options, understood.parsed)
    launch.refuse_broken(understood, [understood.subject])
    plan = compile_step(understood.subject, arguments, str(understood.place.root))
    return launch.launch(understood.place, understood.project, plan, understood.options)


def _choose(project: Project, name: str | None) -> Step:
    if name is None:
        raise usage_error("`mlrun exec` needs a STEP", hint=did_you_mean("", project.steps))
    return select_step(project, name)


def step_help(step: Step) -> str:
    """The text of `mlrun exec STEP --help`: the step's own parameters and inputs."""
    lines = [f"usage: mlrun exec [OPTIONS] {step.name} [--PARAM VALUE…] [--INPUT URI…]", ""]
    lines += [step.description, ""] if step.description else []
    lines += [f"image: {step.image}"]
    if step.parameters:
        options = {_parameter_option(parameter): _parameter_text(parameter) for parameter in step.parameters}
        lines += ["", "Parameters:", launch.described(options)]
    if step.inputs:
        lines += ["", "Inputs:", launch.described({f"--{item.name} URI": _input_text(item) for item in step.inputs})]
    lines += ["", "`mlrun exec --help` explains the options that every step has."]
    return "\n".join(printable(line) if "\n" not in line else line for line in lines)


def _parameter_option(parameter: Parameter) -> str:
    if parameter.type is ParameterType.FLAG:
        return f"--{parameter.name} / --no-{parameter.name}"
    return f"--{parameter.name} {parameter.type.upper()}"


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
