"""`mlrun task`: run a sweep over the parameters of a step, and see which trial did best."""

from dataclasses import replace
from typing import Annotated

import typer

from runner.cli import launch
from runner.cli.option import task_table
from runner.cli.page import Page
from runner.cli.step import option_tables
from runner.cli.sweep import launch_task
from runner.cli.trial import show
from runner.cli.tuning import GoalOption, MaxQueued, Metric, OnChildErrorOption, Prune, TrialOptions, Trials
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable
from runner.plan.compile import compile_task
from runner.quantity import value_text
from runner.spec.model import Project, Task
from runner.spec.project import select_task

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun task tune -j 2

  mlrun task tune --epochs 5 --prune median --metric accuracy

  mlrun task tune --dry-run

  mlrun task show tune

  mlrun task show tune --best accuracy"""

_RUN, _SHOW = "run", "show"


@app.command(
    epilog=EXAMPLES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def execute(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME | show NAME", help="A task of the file: its name or a unique start of it. Or what to show."
        ),
    ] = None,
    rest: Annotated[
        list[str] | None,
        typer.Argument(metavar="[--PARAM VALUE…] [--INPUT URI…]", help="`mlrun task NAME --help` lists them."),
    ] = None,
    trials: Trials = None,
    metric: Metric = None,
    goal: GoalOption = None,
    prune: Prune = None,
    max_queued: MaxQueued = None,
    on_child_error: OnChildErrorOption = None,
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
    jobs: launch.Jobs = None,
    no_reuse: launch.NoReuse = False,
    refresh: launch.Refresh = None,
    code_key: launch.CodeKeyOption = None,
    auto_approve: launch.AutoApprove = False,
    detach: launch.Detach = False,
    dry_run: launch.DryRun = False,
    json: launch.Json = False,
) -> int:
    """Run a task: many executions of a step that differ in their parameters, several at the same time. One that was
    made of the same before does not run again.

    `mlrun task show NAME` (or a RUN) lists the trials, `--best METRIC` names the best one. A task that is itself called
    `show` or `run` is run with `mlrun task run NAME`.
    """
    if name == _SHOW:
        return show(rest or [], json=json)
    if name == _RUN:
        name, rest = (rest[0], rest[1:]) if rest else (None, [])
    options = TrialOptions.of(context)
    understood = launch.understand(context, options, rest or [], lambda project: _choose(project, name), task_table)
    if understood.parsed.help:
        print(task_help(understood.project, understood.subject))
        return ExitCode.OK
    options = understood.options
    secrets = launch.secrets(understood.place, options)
    arguments = replace(launch.arguments(options, understood.parsed, secrets), tuning=options.tuning())
    launch.refuse_broken(understood.project, understood.subject)
    plan = compile_task(understood.project, understood.subject.name, arguments, str(understood.place.root))
    return launch_task(understood.place, understood.project, plan, options, secrets)


def _choose(project: Project, name: str | None) -> Task:
    if name is None:
        raise usage_error("`mlrun task` needs a NAME", hint=did_you_mean("", project.tasks) or "the file has no task")
    return select_task(project, name)


def task_help(project: Project, task: Task) -> str:
    """The text of `mlrun task NAME --help`: what it varies, and the options of its step."""
    page = Page([printable(f"usage: mlrun task [OPTIONS] '{task.name}' [--PARAM VALUE…] [--INPUT URI…]")])
    if task.description:
        page.text("About:", task.description)
    rows = [(printable(one.name), one.style, value_text(dict(one.rules))) for one in task.variations]
    page.table(f"Varies ({task.type}):", rows or [(value_text(dict(row)),) for row in task.parameter_sets])
    if (step := project.steps.get(task.step)) is not None:
        option_tables(page, step)
    return f"{page}\n\n`mlrun task --help` explains the options that every task has."
