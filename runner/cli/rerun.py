"""`mlrun rerun`: a recorded run once more, all of it or from some node on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from runner.app.place import locate
from runner.app.request import open_project
from runner.app.rerun import arguments_of, plan_again, subject_of
from runner.app.taken import Choice
from runner.cli import launch
from runner.cli.launch import Options
from runner.errors import usage_error
from runner.escape import printable
from runner.store.store import RUN_PREFIX, Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True)
class RerunOptions(Options):
    """Our own options of `rerun`."""

    start: list[str] | None
    only: list[str] | None
    failed: bool


EXAMPLES = """Examples:

  mlrun rerun latest --failed

  mlrun rerun run:5 --from train

  mlrun rerun 5 --only evaluate --commit HEAD~1"""


@app.command(epilog=EXAMPLES)
def execute(
    context: typer.Context,
    run: launch.RunName,
    start: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="NODE", help="Run this node and all below it; may be repeated."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NODE", help="Run nothing but this node; may be repeated.")
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Run the nodes that did not succeed, and all below them.")
    ] = False,
    executor: launch.ExecutorOption = None,
    title: launch.Title = None,
    tag: launch.Tags = None,
    env_file: launch.EnvFile = None,
    commit: launch.Commit = None,
    yaml: launch.Yaml = None,
    no_git: launch.NoGit = False,
    network: launch.NetworkOption = None,
    allow_mount: launch.AllowMount = None,
    allow_devices: launch.AllowDevices = False,
    gpus: launch.Gpus = None,
    jobs: launch.Jobs = None,
    reuse: launch.Reuse = False,
    no_reuse: launch.NoReuse = False,
    refresh: launch.Refresh = None,
    code_key: launch.CodeKeyOption = None,
    auto_approve: launch.AutoApprove = False,
    detach: launch.Detach = False,
    dry_run: launch.DryRun = False,
    json: launch.Json = False,
) -> int:
    """Begin a new run of the same pipeline, task or step with the arguments of an earlier run, on the code of now.

    Nodes that are not chosen stand by what they left in the earlier run, whatever has changed since; nobody is asked to
    approve them. Chosen ones are looked for as always: `--no-reuse` or `--refresh NODE` runs them in any case. To go on
    with a run that was interrupted is `mlrun resume`.
    """
    options = RerunOptions.of(context)
    place = locate(Path.cwd(), options.yaml)
    settings = options.settings()
    with Store.open(settings.store, create=False) as store:
        earlier = store.find_run(place.ref.id, run.removeprefix(RUN_PREFIX))
    if earlier.project.id != place.ref.id:
        name = printable(earlier.project.name)
        raise usage_error(f"run `{printable(run)}` is of project `{name}`", hint="go to the folder of that project")
    project = open_project(place, options.commit)
    secrets = launch.secrets(place, options)
    arguments = arguments_of(earlier, secrets.stored, secrets.given)
    launch.refuse_broken(project, subject_of(project, earlier, arguments))
    choice = Choice(tuple(options.start or ()), tuple(options.only or ()), options.failed)
    plan = plan_again(place, project, earlier, arguments, choice, settings)
    return launch.launch(place, project, plan, options, secrets)
