"""`mlrun push`: brings runs, with all that they name, to a remote store."""

from typing import Annotated

import typer

from runner.cli.terminal import print_json, say
from runner.cli.transfer import (
    REMOTE_HELP,
    All,
    Json,
    at_remote,
    refusals,
    runs_here,
    show_refused,
)
from runner.errors import usage_error
from runner.quantity import size_text
from runner.remote.push import Pushed, push
from runner.spec.phrase import counted

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun push --to /mnt/share/mlrun

  mlrun push run:12 --to ssh://lab/srv/mlrun

  mlrun push --to s3://models/mlrun --all-projects"""


@app.command("push", epilog=EXAMPLES)
def push_runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|EXECUTION...]",
            help="An execution stands for its run. Default: all of this project that ended.",
        ),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="REMOTE", help=REMOTE_HELP)] = None,
    all_projects: All = False,
    again: Annotated[bool, typer.Option("--again", help="Send all of it, also what seems to be there.")] = False,
    json: Json = False,
) -> int:
    """Bring runs that have ended to a remote store: records, code, inputs, outputs and logs.

    Only what is missing there is sent, and a push that was interrupted goes on. Every file is checked against its
    digest before it leaves. Runs whose executions stand for nodes of these go along. Names such as aliases, tags and
    pins stay here.
    """
    if words and all_projects:
        raise usage_error("`--all-projects` means every run", hint="leave it out, or the names")
    with at_remote(to, "push") as (store, depot, meter):
        pushed = push(store, depot, runs_here(store, words or [], all_projects=all_projects), meter, again=again)
        if json:
            print_json(
                {
                    "remote": depot.remote.shown,
                    "runs": pushed.runs,
                    "known": pushed.known,
                    "refused": refusals(pushed.refused),
                    "sent": pushed.sent,
                    "sent_bytes": pushed.sent_bytes,
                    "there": pushed.there,
                    "there_bytes": pushed.there_bytes,
                    "absent": pushed.absent,
                    "along": pushed.along,
                    "left_behind": pushed.left_behind,
                }
            )
        say(_sentence(pushed, depot.remote.shown))
    return show_refused(pushed.refused)


def _sentence(pushed: Pushed, shown: str) -> str:
    if not pushed.runs and not pushed.refused:
        return "there is nothing to push: no run of this project has ended"
    words = f"{counted(len(pushed.runs), 'run')} at `{shown}`"
    if pushed.known:
        words += f", {len(pushed.known):,} of them there before"
    words += f": {counted(pushed.sent, 'object')} sent ({size_text(pushed.sent_bytes)})"
    if pushed.there:
        words += f", {pushed.there:,} there already ({size_text(pushed.there_bytes)})"
    if pushed.along:
        words += f"; {counted(len(pushed.along), 'run')} went along, because others reuse what they left"
    if pushed.left_behind:
        words += f"; {counted(len(pushed.left_behind), 'run')} that others reuse stayed behind: removed, or going on"
    if pushed.absent:
        words += f"; {counted(pushed.absent, 'object')} had been given up here before"
    return words
