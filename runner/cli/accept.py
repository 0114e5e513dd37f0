"""`mlrun accept`: this change does not matter; an earlier execution stands for the node."""

from collections.abc import Iterator
from typing import Annotated

import typer

from runner.app.accept import Acceptable, accept, look, undo
from runner.app.forecast import Depends, Fails, Runs, Stands
from runner.app.reuse import Proposal
from runner.cli import launch
from runner.cli.fate import causes_json, execution_json
from runner.cli.launch import Options
from runner.cli.terminal import print_json
from runner.cli.why import cause_lines, find_node
from runner.errors import ExitCode, usage_error
from runner.escape import printable

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun accept train

  mlrun accept train --pipeline "Training Pipeline"

  mlrun accept train --undo"""


@app.command(epilog=EXAMPLES)
def execute(
    context: typer.Context,
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node of a pipeline of the file, or a step.")],
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", metavar="NAME", help="The node of this pipeline, if several have it.")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back what was accepted for the node as it is now.")
    ] = False,
    image: launch.Image = None,
    executor: launch.ExecutorOption = None,
    var: launch.Variables = None,
    env_file: launch.EnvFile = None,
    commit: launch.Commit = None,
    yaml: launch.Yaml = None,
    no_git: launch.NoGit = False,
    network: launch.NetworkOption = None,
    allow_devices: launch.AllowDevices = False,
    gpus: launch.Gpus = None,
    code_key: launch.CodeKeyOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was accepted or taken back as JSON.")] = False,
) -> int:
    """Say that what differs does not matter: the nearest earlier execution stands for the node as it is now.

    Shown is everything that is accepted, as `mlrun why NODE` does. It holds for these values, inputs and names of
    files, and as long as the files that the execution had read stay as they are now; any further change counts again.
    Nothing is run. The values are those of the file.
    """
    options = Options.of(context)
    name, request = find_node(node, pipeline, options).asked(options)
    with look(request, name, launch.tell_notice) as found:
        return _undo(found, json=json) if undo else _accept(found, json=json)


def _accept(found: Acceptable, *, json: bool) -> int:
    fate, name = found.fate, printable(found.name)
    match fate:
        case Stands(stand):
            raise usage_error(
                f"nothing that counts is different: {printable(stand.detail)} stands for node `{name}`",
                hint="`mlrun accept --undo` takes back what was accepted before",
            )
        case Depends(upstream):
            names = ", ".join(f"`{printable(one)}`" for one in upstream)
            raise usage_error(
                f"node `{name}` depends on what {names} will write", hint="accept or run what is above it first"
            )
        case Fails(error):
            raise error
    proposal = accept(found)
    assert isinstance(fate, Runs)
    evidence = found.outlook.evidence(fate.miss)
    if json:
        print_json(_document(found, proposal) | {"causes": causes_json(fate.miss, evidence)})
    else:
        print("\n".join([f"{_stands(found, proposal)}, whatever this changes:", *cause_lines(fate.miss, evidence)]))
    return ExitCode.OK


def _undo(found: Acceptable, *, json: bool) -> int:
    proposals = undo(found)
    if json:
        print_json([_document(found, one) for one in proposals])
    else:
        print("\n".join(_undone(found, proposals)))
    return ExitCode.OK


def _undone(found: Acceptable, proposals: list[Proposal]) -> Iterator[str]:
    for one in proposals:
        yield f"execution {one.execution.counter} does not stand for node {printable(found.name)} any more"


def _stands(found: Acceptable, proposal: Proposal) -> str:
    run = found.reuser.sight.run_of(proposal.execution)
    return f"execution {proposal.execution.counter} of run {run.counter} stands for node {printable(found.name)}"


def _document(found: Acceptable, proposal: Proposal) -> dict[str, object]:
    run = found.reuser.sight.run_of(proposal.execution)
    return {"node": found.name, "key": proposal.key} | execution_json(proposal.execution, run)
