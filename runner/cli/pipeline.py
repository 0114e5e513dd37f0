"""`mlrun pipeline`: run a whole graph of steps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import typer

from runner.app import taken
from runner.app.plan import plan_pipeline
from runner.cli import launch
from runner.cli.launch import Options
from runner.cli.option import pipeline_table, step_of
from runner.cli.page import Page
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable
from runner.spec.model import Node, Pipeline, PipelineParameter, Project
from runner.spec.project import select_pipeline
from runner.store.store import Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True)
class PipelineOptions(Options):
    """Our own options of `pipeline`."""

    mimic: list[str] | None


EXAMPLES = """Examples:

  mlrun pipeline "Training Pipeline"

  mlrun pipeline "Training Pipeline" --seed 7 --train.C 0.5 -j 2

  mlrun pipeline "Training Pipeline" --dry-run

  mlrun pipeline "Training Pipeline" --mimic run:5:load,prepare*"""


@app.command(
    epilog=EXAMPLES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def execute(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A pipeline of the file: its name or a unique start of it.")
    ] = None,
    rest: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[--PARAM VALUE…] [--NODE.PARAM VALUE…] [--NODE.INPUT URI…]",
            help="`mlrun pipeline NAME --help` lists them.",
        ),
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
    jobs: launch.Jobs = None,
    no_reuse: launch.NoReuse = False,
    refresh: launch.Refresh = None,
    mimic: Annotated[
        list[str] | None,
        typer.Option(
            "--mimic",
            metavar="RUN:NODE",
            help="Run these nodes in no case: what they left in RUN stands; patterns, commas, may be repeated.",
        ),
    ] = None,
    code_key: launch.CodeKeyOption = None,
    auto_approve: launch.AutoApprove = False,
    detach: launch.Detach = False,
    dry_run: launch.DryRun = False,
    json: launch.Json = False,
) -> int:
    """Run a whole pipeline: every node as soon as what it needs is there, independent nodes at the same time."""
    options = PipelineOptions.of(context)
    understood = launch.understand(context, options, rest or [], lambda project: _choose(project, name), pipeline_table)
    if understood.parsed.help:
        print(pipeline_help(understood.project, understood.subject))
        return ExitCode.OK
    secrets = launch.secrets(understood.place, understood.options)
    arguments = launch.arguments(understood.options, understood.parsed, secrets)
    launch.refuse_broken(understood.project, understood.subject)
    settings = understood.options.settings()
    if understood.options.mimic:
        # A deployment node only gathers what is there.
        names = [node.name for node in understood.subject.nodes if node.type != "deployment"]
        with Store.open(settings.store, create=False) as store:
            find = partial(store.find_run, understood.place.ref.id)
            arguments = replace(arguments, taken=taken.mimic(names, understood.options.mimic, find))
    plan = plan_pipeline(understood.place, understood.project, understood.subject, arguments, settings)
    return launch.launch(understood.place, understood.project, plan, understood.options, secrets)


def _choose(project: Project, name: str | None) -> Pipeline:
    if name is None:
        raise usage_error("`mlrun pipeline` needs a NAME", hint=did_you_mean("", project.pipelines))
    return select_pipeline(project, name)


def pipeline_help(project: Project, pipeline: Pipeline) -> str:
    """The text of `mlrun pipeline NAME --help`: parameters, and the nodes with the options of their steps."""
    usage = f"usage: mlrun pipeline [OPTIONS] '{pipeline.name}' [--PARAM VALUE…] [--NODE.NAME VALUE…]"
    page = Page([printable(usage)])
    page.table("Parameters:", [_parameter_row(parameter) for parameter in pipeline.parameters])
    page.text("Nodes:", "\n".join(printable(line) for node in pipeline.nodes for line in _node_lines(project, node)))
    return f"{page}\n\n`mlrun pipeline --help` explains the options that every pipeline has."


def _parameter_row(parameter: PipelineParameter) -> tuple[str, str]:
    default = "" if parameter.default is None else f"[default: {parameter.default}]"
    text = " ".join([parameter.description or "", default]).strip()
    return printable(f"--{parameter.name} VALUE"), printable(text)


def _node_lines(project: Project, node: Node) -> Iterator[str]:
    """A node and the options of its step."""
    yield f"{node.name} ({node.type} of `{node.step or node.task or node.deployment}`)"
    if step := step_of(project, node):
        yield from (f"  --{node.name}.{item.name} VALUE" for item in step.parameters)
        yield from (f"  --{node.name}.{item.name} URI" for item in step.inputs)
