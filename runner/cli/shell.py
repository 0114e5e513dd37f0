"""`mlrun shell`: a shell, or a command, in the place where a step would run or an execution ran."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from runner.app.place import Place, locate
from runner.app.secret import Secrets
from runner.app.session import Visit, enter_execution, enter_step
from runner.cli import launch
from runner.cli.display import PlainDisplay
from runner.cli.launch import Options
from runner.cli.option import Table, parse
from runner.cli.salvage import Force, check_folder, salvage
from runner.cli.step import step_help, understand_step
from runner.cli.subject import Found, find_execution, open_store
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.job import Network
from runner.plan.compile import compile_step
from runner.settings import executor_name
from runner.store.imported import read_import
from runner.store.record import Run

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun shell 12

  mlrun shell latest -- python -c 'import sklearn; print(sklearn.__version__)'

  mlrun shell train --C 0.5 -d results

  mlrun shell 12 --as-left"""

_LEAST_ID = 8
"""Digits from which on a word that could be the start of an id is looked up as one."""

_STEP_ONLY = ("image", "var", "commit", "yaml", "no_git", "keep_going", "gpus")


@dataclass(frozen=True, slots=True)
class ShellOptions(Options):
    """Our own options of `shell`."""

    as_left: bool
    keep: bool
    folder: str | None
    force: bool


@app.command(
    epilog=EXAMPLES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def enter(
    context: typer.Context,
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="EXECUTION|STEP", help="A number, `latest` or the start of an id; else a step of the file."
        ),
    ] = None,
    rest: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[--PARAM VALUE…] [--INPUT URI…] [-- COMMAND…]",
            help="Values for a STEP as for `mlrun exec`; behind `--` a command to run instead of a shell.",
        ),
    ] = None,
    as_left: Annotated[
        bool, typer.Option("--as-left", help="Enter the very folder that a failed execution left, and change it.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder instead of removing it at the end.")] = False,
    folder: Annotated[
        str | None,
        typer.Option("--dir", "-d", metavar="DIR", help="Copy what is left in the outputs into this folder."),
    ] = None,
    force: Force = False,
    image: launch.Image = None,
    executor: launch.ExecutorOption = None,
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
) -> int:
    """Open a shell with the same image, code, inputs, values and variables that an execution had, or a step would have.

    You are in a fresh copy of the code, `$MLRUN_STEP` runs the step's command, and nothing is recorded. Without a
    terminal, or with a COMMAND, it is run as in a pipe, and its exit code is that of mlrun.
    """
    words, command = _split(rest or [])
    if subject is None:
        raise usage_error("`mlrun shell` needs an EXECUTION or a STEP", hint="`mlrun shell latest`")
    options = ShellOptions.of(context)
    found = _execution_named(subject)
    if found is not None:
        return _enter_execution(context, options, found, words, command)
    return _enter_step(context, options, subject, words, command)


def _split(rest: Sequence[str]) -> tuple[Sequence[str], tuple[str, ...]]:
    """What stands before and behind the first `--`. Raises MlrunError (code USAGE) when nothing is behind it."""
    if "--" not in rest:
        return rest, ()
    at = rest.index("--")
    if at + 1 == len(rest):
        raise usage_error("there is no command behind `--`", hint="leave `--` out for a shell")
    return rest[:at], tuple(rest[at + 1 :])


def _execution_named(text: str) -> Found | None:
    """The execution that a word names, None where it means a step. Raises MlrunError (code USAGE)."""
    if text == "latest" or (text.isascii() and text.isdecimal() and len(text) < _LEAST_ID):
        return find_execution(text)
    if len(text) < _LEAST_ID or not set(text.lower()) <= set("0123456789abcdef-"):
        return None
    try:
        return find_execution(text)
    except MlrunError as error:
        if error.code is not ExitCode.USAGE or _begins_ids(text):
            raise
        return None


def _begins_ids(text: str) -> bool:
    """Whether ids of executions begin like this: several, where a word that begins one is not enough."""
    return any(str(row["id"]).startswith(text.lower()) for row in open_store().executions())


def _enter_execution(
    context: typer.Context, options: ShellOptions, found: Found, words: Sequence[str], command: tuple[str, ...]
) -> int:
    run, execution = found.run, found.execution
    parsed = parse(words, Table(f"execution {execution.counter}"), launch.own_options(context))
    if parsed.help:
        print(context.get_help())
        return ExitCode.OK
    options = launch.merge(context, options, parsed)
    for name in _STEP_ONLY:
        if getattr(options, name):
            flag = f"--{name.replace('_', '-')}"
            raise usage_error(
                f"`{flag}` is for a STEP; execution {execution.counter} stays what it was", hint=f"leave `{flag}` out"
            )
    if options.network and options.network != execution.job.get("network", Network.DEFAULT):
        raise usage_error(
            f"`--network {printable(options.network)}` is not the network that execution {execution.counter} had",
            hint="it stays what it was; leave `--network` out",
        )
    if options.as_left and (options.keep or options.folder):
        raise usage_error("`--as-left` works in the folder itself", hint="leave `--keep` and `-d` out")
    came = read_import(found.store.layout.run(run.id).imported)
    # Secrets are for steps of one's own; for another's they have to be given by name.
    wants = execution.job.get("secrets") and (came is None or options.env_file)
    secrets = launch.secrets(place_of(run), options) if wants else Secrets()
    settings = options.settings()
    if came is None:
        wanted = executor_name(options.executor or execution.executor or run.executor)
        settings = replace(settings, executor=wanted)
    elif settings.executor == "process" and options.executor is None:
        raise MlrunError(
            f"execution {execution.counter} came from `{printable(came.source)}`: its code would run without isolation",
            code=ExitCode.POLICY,
            hint="`--executor sandbox` or `docker` isolates it; `--executor process` says that you trust it",
        )
    visit = _visit(options, command, secrets)
    return enter_execution(settings, run, execution, visit, PlainDisplay(sys.stderr), as_left=options.as_left)


def place_of(run: Run) -> Place:
    """Where the project of a run is: here, or where it was."""
    try:
        here = locate(Path.cwd())
    except MlrunError:
        here = None
    if here is not None and here.ref.id == run.project.id:
        return here
    root = Path(run.project.root)
    return Place(root, root / run.project.file, run.project.file, None, run.project)


def _enter_step(
    context: typer.Context, options: ShellOptions, name: str, words: Sequence[str], command: tuple[str, ...]
) -> int:
    understood = understand_step(context, options, name, words, "shell")
    options, step = understood.options, understood.subject
    if understood.parsed.help:
        print(step_help(step, "shell"))
        return ExitCode.OK
    if options.as_left:
        raise usage_error("`--as-left` is for an EXECUTION", hint="a STEP has no folder that was left")
    secrets = launch.secrets(understood.place, options)
    arguments = launch.arguments(options, understood.parsed, secrets)
    launch.refuse_broken(understood.project, step)
    plan = compile_step(step, arguments, str(understood.place.root))
    request = launch.make_request(understood.place, understood.project, plan, options, secrets)
    return enter_step(request, _visit(options, command, secrets), PlainDisplay(sys.stderr))


def _visit(options: ShellOptions, command: tuple[str, ...], secrets: Secrets) -> Visit:
    """What is wanted there. Raises MlrunError (code USAGE)."""
    if options.keep and options.folder:
        raise usage_error("`--keep` keeps the outputs too", hint="leave `-d` out, or `--keep`")
    check_folder(options.folder, force=options.force)
    take = salvage(options.folder, force=options.force, purpose="shell") if options.folder else None
    return Visit(command, options.keep, take, secrets.values)
