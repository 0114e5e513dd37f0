"""`mlrun pull`: brings runs from a remote store, with all their files."""

from typing import Annotated

import typer

from runner.cli.terminal import print_json, say
from runner.cli.transfer import Accept, All, From, Json, There, bring, pulled_document, show_refused
from runner.errors import usage_error
from runner.quantity import size_text
from runner.spec.phrase import counted
from runner.store.reach import FILES, Kind

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun pull --from /mnt/share/mlrun

  mlrun pull run:12

  mlrun pull 0199a3f2 --from s3://models/mlrun --outputs-only"""


@app.command(epilog=EXAMPLES)
def pull(
    words: There = None,
    source: From = None,
    all_projects: All = False,
    outputs_only: Annotated[
        bool,
        typer.Option("--outputs-only", help="Without the files that executions read, if they are not outputs too."),
    ] = False,
    accept_purges: Accept = False,
    json: Json = False,
) -> int:
    """Bring runs from a remote store: records, code, inputs, outputs and logs; also what `mlrun gc` removed here.

    Only what is missing here is received, and a pull that was interrupted goes on. Nothing is taken that does not match
    its digest, and nothing of a run that is wrong somewhere. Names that are set here stay what they are.
    """
    if words and all_projects:
        raise usage_error("`--all-projects` means every run", hint="leave it out, or the names")
    files = FILES - {Kind.INPUT} if outputs_only else FILES
    pulled = bring(
        source, words or [], all_projects=all_projects, accept_purges=accept_purges, verb="pull", files=files
    )
    if json:
        print_json(pulled_document(pulled))
    sentence = counted(len(pulled.new), "new run")
    if pulled.renewed:
        sentence += f", {counted(len(pulled.renewed), 'run')} gone on with"
    if pulled.restored:
        sentence += f", {counted(len(pulled.restored), 'run')} with files again"
    sentence += f", {counted(pulled.received, 'object')} ({size_text(pulled.received_bytes)}) received"
    if pulled.absent and not outputs_only:
        sentence += f"; {counted(pulled.absent, 'file')} had been given up there"
    say(sentence)
    return show_refused(pulled.refused)
