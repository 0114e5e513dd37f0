"""`mlrun exec`: run one step."""

import sys
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from runner.app.origin import apply_inherited, from_run
from runner.cli import launch
from runner.cli.launch import Options
from runner.cli.step import StepName, step_help, understand_step
from runner.cli.terminal import say
from runner.errors import ExitCode, usage_error
from runner.plan.compile import compile_step
from runner.plan.model import Given
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
    step: StepName = None,
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
    reuse: launch.Reuse = False,
    code_key: launch.CodeKeyOption = None,
    dry_run: launch.DryRun = False,
    json: launch.Json = False,
) -> int:
    """Run one step, with its parameters and inputs as options, and record everything.

    `--param NAME=VALUE` and `--input NAME=URI` always work, whatever the names.
    """
    options = ExecOptions.of(context)
    understood = understand_step(context, options, step, rest or [], "exec")
    if understood.parsed.help:
        print(step_help(understood.subject))
        return ExitCode.OK
    secrets = launch.secrets(understood.place, understood.options)
    arguments = launch.arguments(understood.options, understood.parsed, secrets)
    launch.refuse_broken(understood.project, understood.subject)
    options = understood.options
    if options.pause_on_failure and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise usage_error("`--pause-on-failure` needs a terminal", hint="look at what it left: `mlrun shell EXECUTION`")
    if options.node is not None and options.inputs_from is None:
        raise usage_error("`--node` needs `--inputs-from RUN`", hint="it chooses one of the nodes of that run")
    chosen, origin = understood.subject, None
    if options.inputs_from is not None:
        given = arguments.nodes.get(chosen.name, Given())
        with Store.open(options.settings().store, create=False) as store:
            inherited = from_run(store, understood.place.ref.id, options.inputs_from, chosen, options.node, given)
        chosen, arguments = apply_inherited(inherited, chosen, arguments, say)
        origin = inherited.origin
    plan = replace(compile_step(chosen, arguments, str(understood.place.root)), origin=origin)
    return launch.launch(understood.place, understood.project, plan, options, secrets, pause=options.pause_on_failure)
