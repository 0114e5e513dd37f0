"""`mlrun outputs`: the files an execution left, listed or copied out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from runner.app.evidence import lack_of_files
from runner.cli.delivery import choose_outputs, deliver
from runner.cli.subject import EXECUTION_HELP, NODE_HELP, Found, find_execution, find_of_node, work_left
from runner.cli.table import Column, print_table
from runner.cli.terminal import print_json, say
from runner.cli.tombstone import marked
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.job import Workspace
from runner.quantity import size_text
from runner.spec.phrase import counted
from runner.state import FINAL
from runner.store.datum import datum_id
from runner.store.record import OutputFile
from runner.store.shelf import Where

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun outputs 12

  mlrun outputs latest -d results --glob '*.pkl'

  mlrun outputs 12 --json"""

_DIGITS = 16
"""Digits of a digest in a table; JSON has them all."""


@app.command(epilog=EXAMPLES)
def show_outputs(
    execution: Annotated[str, typer.Argument(metavar="[EXECUTION]", help=EXECUTION_HELP)] = "latest",
    node: Annotated[str | None, typer.Option("--node", metavar="NODE", help=NODE_HELP)] = None,
    folder: Annotated[
        str | None, typer.Option("--dir", "-d", metavar="DIR", help="Copy the files into this folder.")
    ] = None,
    glob: Annotated[
        list[str] | None,
        typer.Option("--glob", metavar="PATTERN", help="Only files whose path or name matches; may be repeated."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With -d, replace files that have other content.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> int:
    """List the outputs of an execution with size, digest (BLAKE3) and datum id, or copy them out with -d.

    A file that was replaced while the step ran is there in all versions: `model.pkl`, `model.pkl~2`, and so on.
    Copies are checked against their digests, never written through a link, and never over a file with other content
    unless --force is given.
    """
    if force and folder is None:
        raise usage_error("`--force` needs `-d DIR`", hint="name the folder to copy into")
    found = find_execution(execution) if node is None else find_of_node(execution, node)
    outputs = choose_outputs(found.execution.outputs, glob or [])
    if glob and found.execution.outputs and not outputs:
        names = [printable(output.name) for output in found.execution.outputs]
        raise usage_error(f"no output matches {', '.join(f'`{printable(pattern)}`' for pattern in glob)}",
                          hint=did_you_mean(glob[0], names))  # fmt: skip
    lack = lack_of_files(found.store, found.run, found.execution)
    places = {found.store.objects.find(output.digest) for output in outputs} if lack else set()
    if not places & {Where.TRASH, None}:
        lack = None
    if folder is not None:
        # What waits in the trash can be read there.
        if lack and None in places:
            raise MlrunError(
                f"the files of execution {found.execution.counter} {lack.why}", code=ExitCode.INPUT, hint=lack.hint
            )
        delivered = deliver(found.store.objects, outputs, Path(folder), force=force)
        unchanged = f", {len(delivered.unchanged)} were there already" if delivered.unchanged else ""
        say(f"copied {counted(len(delivered.copied), 'file')} into {folder}{unchanged}")
    if json:
        print_json([_to_json(found.execution.id, output) for output in outputs])
    elif folder is None and outputs:
        _print(found, outputs)
    if lack and folder is None:
        say(f"these files {lack.why}; {lack.hint}")
    if not found.execution.outputs or work_left(found):
        say(_none_sentence(found))
    return ExitCode.OK


def _to_json(execution: str, output: OutputFile) -> dict[str, object]:
    return {
        "name": output.name,
        "size": output.size,
        "digest": output.digest,
        "datum": datum_id(execution, output.name),
        "metadata": dict(output.metadata),
    }


def _print(found: Found, outputs: Sequence[OutputFile]) -> None:
    execution = found.execution.id
    columns = [Column("name"), Column("size", right=True), Column("digest"), Column("datum")]
    rows = [
        [
            marked(found.store, one.name, one.digest),
            size_text(one.size),
            one.digest[:_DIGITS],
            datum_id(execution, one.name),
        ]
        for one in outputs
    ]
    print_table(columns, rows)


def _none_sentence(found: Found) -> str:
    execution = found.execution
    if work := work_left(found):
        outputs = printable(str(Workspace.below(work).outputs))
        what = "what else it wrote" if execution.outputs else "what it wrote"
        return f"execution {execution.counter} was interrupted; {what} was not collected and is in {outputs}"
    if execution.state in FINAL:
        return f"execution {execution.counter} left no outputs"
    return f"execution {execution.counter} is {execution.state}; outputs are there once it has ended"
