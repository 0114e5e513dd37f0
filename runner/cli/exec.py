"""`mlrun exec`: run one step."""

import sys
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from runner.app.origin import apply_inherited, from_run
from runner.app.secret import Secrets
from runner.cli import launch
from runner.cli.launch import Understood
from runner.cli.step import StepName, step_help, understand_step
from runner.cli.terminal import say
from runner.cli.tuning import GoalOption, MaxQueued, Metric, OnChildErrorOption, Prune, TrialOptions, Trials
from runner.errors import ExitCode, usage_error
from runner.plan.compile import compile_step, compile_task
from runner.plan.model import Arguments, Given, Tuning
from runner.spec.model import Step
from runner.store.store import Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True)
class ExecOptions(TrialOptions):
    """Our own options of `exec`."""

    inputs_from: str | None
    node: str | None
    pause_on_failure: bool


EXAMPLES = """Examples:

  mlrun exec train --C 0.5

  mlrun exec --image python:3.12 train --data ./iris.csv

  mlrun exec train --inputs-from latest --pause-on-failure

  mlrun exec train --sweep C=0.1,1,10 --sweep max_iter=100..300..100 -j 2

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
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep", metavar="P=V", help="Run all of `P=1,2,3` or `P=2..8` (`2..8..2`: step 2); may be repeated."
        ),
    ] = None,
    trials: Trials = None,
    metric: Metric = None,
    goal: GoalOption = None,
    prune: Prune = None,
    max_queued: MaxQueued = None,
    on_child_error: OnChildErrorOption = None,
    jobs: launch.Jobs = None,
    no_reuse: launch.NoReuse = False,
    reuse: launch.Reuse = False,
    code_key: launch.CodeKeyOption = None,
    detach: launch.Detach = False,
    dry_run: launch.DryRun = False,
    json: launch.Json = False,
) -> int:
    """Run one step, with its parameters and inputs as options, and record everything.

    `--param NAME=VALUE` and `--input NAME=URI` always work, whatever the names. With `--sweep` the step runs once for
    every combination of the values, or `--trials N` times with random ones; `mlrun task show STEP` compares them.
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
    tuning = options.tuning()
    if tuning is not None:
        return _sweep(understood, tuning, arguments, secrets)
    if options.node is not None and options.inputs_from is None:
        raise usage_error("`--node` needs `--inputs-from RUN`", hint="it chooses one of the nodes of that run")
    chosen, origin = understood.subject, None
    if options.inputs_from is not None:
        given = arguments.nodes.get(chosen.name, Given())
        with Store.open(options.settings().store, create=False) as store:
            inherited = from_run(store, understood.place.ref.id, options.inputs_from, chosen, options.node, given)
        chosen, arguments = apply_inherited(inherited, chosen, arguments, say)
        origin = inherited.origin
    policy = understood.project.policies.get(chosen.name)
    plan = replace(compile_step(chosen, arguments, str(understood.place.root), policy), origin=origin)
    place, project = understood.place, understood.project
    return launch.launch(place, project, plan, options, secrets, pause=options.pause_on_failure)


def _sweep(understood: Understood[Step, ExecOptions], tuning: Tuning, arguments: Arguments, secrets: Secrets) -> int:
    """Run the step many times. Raises MlrunError."""
    options, step = understood.options, understood.subject
    if not tuning.sweep:
        hint = f"add `--sweep NAME=1,2,3` for a parameter of `{step.name}`"
        raise usage_error("there is nothing to try without `--sweep`", hint)
    for option, given in (("--inputs-from", options.inputs_from), ("--pause-on-failure", options.pause_on_failure)):
        if given:
            raise usage_error(f"`{option}` does not go with `--sweep`", hint="run the step once without `--sweep`")
    for name in sorted(arguments.nodes.get(step.name, Given()).parameters.keys() & tuning.sweep.keys()):
        raise usage_error(f"`--{name}` and `--sweep {name}` both give `{name}`", hint="leave one of them out")
    # Not at the top: a step that runs once does without.
    from runner.cli.sweep import launch_task

    plan = compile_task(understood.project, step.name, replace(arguments, tuning=tuning), str(understood.place.root))
    return launch_task(understood.place, understood.project, plan, options, secrets)
