"""`mlrun pipeline`: run a whole graph of steps."""

from typing import Annotated

import typer

from runner.cli import launch
from runner.cli.launch import Options
from runner.cli.option import pipeline_table
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable
from runner.plan.compile import compile_pipeline
from runner.spec.model import Pipeline, Project
from runner.spec.project import select_pipeline

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun pipeline "Training Pipeline"

  mlrun pipeline "Training Pipeline" --seed 7 --train.C 0.5 -j 2

  mlrun pipeline "Training Pipeline" --dry-run"""


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
    commit: launch.Commit = None,
    yaml: launch.Yaml = None,
    no_git: launch.NoGit = False,
    keep_going: launch.KeepGoing = False,
    network: launch.NetworkOption = None,
    jobs: launch.Jobs = None,
    dry_run: launch.DryRun = False,
    json: launch.Json = False,
) -> int:
    """Run a whole pipeline: every node as soon as what it needs is there, independent nodes at the same time."""
    options = Options.of(context)
    understood = launch.understand(context, options, rest or [], lambda project: _choose(project, name), pipeline_table)
    if understood.parsed.help:
        print(pipeline_help(understood.project, understood.subject))
        return ExitCode.OK
    arguments = launch.arguments(understood.options, understood.parsed)
    steps = [understood.project.steps.get(node.step or "") for node in understood.subject.nodes]
    launch.refuse_broken(understood, [understood.subject, *(step for step in steps if step)])
    plan = compile_pipeline(understood.project, understood.subject, arguments, str(understood.place.root))
    return launch.launch(understood.place, understood.project, plan, understood.options)


def _choose(project: Project, name: str | None) -> Pipeline:
    if name is None:
        raise usage_error("`mlrun pipeline` needs a NAME", hint=did_you_mean("", project.pipelines))
    return select_pipeline(project, name)


def pipeline_help(project: Project, pipeline: Pipeline) -> str:
    """The text of `mlrun pipeline NAME --help`: parameters, and the nodes with the options of their steps."""
    lines = [f"usage: mlrun pipeline [OPTIONS] '{pipeline.name}' [--PARAM VALUE…] [--NODE.NAME VALUE…]"]
    if pipeline.parameters:
        rows = {
            f"--{parameter.name} VALUE": " ".join(
                [
                    parameter.description or "",
                    f"[default: {parameter.default}]" if parameter.default is not None else "",
                ]
            ).strip()
            for parameter in pipeline.parameters
        }
        lines += ["", "Parameters:", launch.described(rows)]
    lines += ["", "Nodes:"]
    for node in pipeline.nodes:
        step = project.steps.get(node.step or "")
        lines.append(printable(f"  {node.name} ({node.type} of `{node.step or node.task}`)"))
        if step:
            lines += [f"    --{node.name}.{item.name} VALUE" for item in step.parameters]
            lines += [f"    --{node.name}.{item.name} URI" for item in step.inputs]
    lines += ["", "`mlrun pipeline --help` explains the options that every pipeline has."]
    return "\n".join(lines)
