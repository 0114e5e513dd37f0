"""`mlrun fetch`: brings the records of runs from a remote store, without their files."""

import typer

from runner.cli.terminal import print_json, say
from runner.cli.transfer import Accept, All, From, Json, There, bring, pulled_document, show_refused
from runner.errors import usage_error
from runner.quantity import size_text
from runner.spec.phrase import counted

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun fetch --from ssh://lab/srv/mlrun

  mlrun fetch 0199a3f2 --from /mnt/share/mlrun

  mlrun fetch --from s3://models/mlrun --all-projects"""


@app.command(epilog=EXAMPLES)
def fetch(
    words: There = None,
    source: From = None,
    all_projects: All = False,
    accept_purges: Accept = False,
    json: Json = False,
) -> int:
    """Bring the records of runs from a remote store: `list`, `show` and `metrics` work, and the code is there.

    What their executions read, left and printed stays there until `mlrun pull` brings it. Nothing is taken that does
    not match its digest. The runs get numbers of this store and keep their ids.
    """
    if words and all_projects:
        raise usage_error("`--all-projects` means every run", hint="leave it out, or the names")
    pulled = bring(
        source, words or [], all_projects=all_projects, accept_purges=accept_purges, verb="fetch", files=frozenset()
    )
    if json:
        print_json(pulled_document(pulled))
    received = f"{counted(pulled.received, 'object')} ({size_text(pulled.received_bytes)})"
    renewed = f", {counted(len(pulled.renewed), 'run')} gone on with" if pulled.renewed else ""
    say(f"{counted(len(pulled.new), 'new run')}{renewed}, {received} received")
    return show_refused(pulled.refused)
