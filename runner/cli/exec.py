"""`mlrun exec`: run one step."""

import sys
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from runner.app.earlier import apply_earlier, from_run
from runner.cli import launch
from runner.cli.launch import Options
from runner.cli.option import step_table
from runner.cli.page import Page
from runner.cli.terminal import say
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable, printable_lines
from runner.plan.compile import compile_step
from runner.plan.model import Given
from runner.spec.model import Input, Parameter, ParameterType, Project, Step
from runner.spec.project import select_step
from runner.store.store import Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True)
class ExecOptions(Options):
    """Our own options of `exec`."""

    inputs_from: str | None
    node: str | None
    pause_on_failure: bool


EXAMPLES = """Examples:

  mlrun exec train --C 0.5

  mlrun exec --image python:3.12 train --data ./iris.csv

  mlrun exec train --inputs-from latest --pause-on-failure

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
    env_file: launch.EnvFile = None,
    commit: launch.Commit = None,
    yaml: launch.Yaml = None,
    no_git: launch.NoGit = False,
    keep_going: launch.KeepGoing = False,
    network: launch.NetworkOption = None,
    allow_mount: launch.AllowMount = None,
    allow_devices: launch.AllowDevices = False,
    gpus: launch.Gpus = None,
    inputs_from: Annotated[
        str | None,
        typer.Option(
            "--inputs-from",
            metavar="RUN",
            help="Take inputs and parameters from the step's node in RUN: N or `latest`.",
        ),
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NAME", help="With --inputs-from: which node, if there are several.")
    ] = None,
    pause_on_failure: Annotated[
        bool, typer.Option("--pause-on-failure", help="Open a shell in the step's place if its program fails.")
    ] = False,
    dry_run: launch.DryRun = False,
    json: launch.Json = False,
) -> int:
    """Run one step, with its parameters and inputs as options, and record everything.

    `--param NAME=VALUE` and `--input NAME=URI` always work, whatever the names.
    """
    options = ExecOptions.of(context)
    understood = launch.understand(
        context,
        options,
        rest or [],
        lambda project: choose_step(project, step, "exec"),
        lambda project, chosen: step_table(chosen),
    )
    if understood.parsed.help:
        print(step_help(understood.subject))
        return ExitCode.OK
    secrets = launch.secrets(understood.place, understood.options)
    arguments = launch.arguments(understood.options, understood.parsed, secrets)
    launch.refuse_broken(understood, [understood.subject])
    options = understood.options
    if options.pause_on_failure and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise usage_error("`--pause-on-failure` needs a terminal", hint="look at what it left: `mlrun shell EXECUTION`")
    if options.node is not None and options.inputs_from is None:
        raise usage_error("`--node` needs `--inputs-from RUN`", hint="it chooses one of the nodes of that run")
    chosen, origin = understood.subject, None
    if options.inputs_from is not None:
        given = arguments.nodes.get(chosen.name, Given())
        with Store.open(options.settings().store, create=False) as store:
            earlier = from_run(store, understood.place.ref.id, options.inputs_from, chosen, options.node, given)
        chosen, arguments = apply_earlier(earlier, chosen, arguments, say)
        origin = earlier.origin
    plan = replace(compile_step(chosen, arguments, str(understood.place.root)), origin=origin)
    return launch.launch(understood.place, understood.project, plan, options, secrets, pause=options.pause_on_failure)


def choose_step(project: Project, name: str | None, verb: str) -> Step:
    """The step that the command line names. Raises MlrunError (USAGE, SPEC)."""
    if name is None:
        raise usage_error(f"`mlrun {verb}` needs a STEP", hint=did_you_mean("", project.steps))
    return select_step(project, name)


def step_help(step: Step, verb: str = "exec") -> str:
    """The text of `mlrun exec STEP --help`, or of another verb's: the step's own parameters and inputs."""
    lines = [printable(f"usage: mlrun {verb} [OPTIONS] {step.name} [--PARAM VALUE…] [--INPUT URI…]"), ""]
    lines += [printable_lines(step.description), ""] if step.description else []
    page = Page([*lines, printable(f"image: {step.image}")])
    page.table("Parameters:", [(_parameter_option(item), _parameter_text(item)) for item in step.parameters])
    page.table("Inputs:", [(printable(f"--{item.name} URI"), _input_text(item)) for item in step.inputs])
    return f"{page}\n\n`mlrun {verb} --help` explains the options that every step has."


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
