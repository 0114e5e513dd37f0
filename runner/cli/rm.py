"""`mlrun rm`: takes the record of runs out of the store; to be undone for a week."""

from collections.abc import Sequence
from typing import Annotated

import typer

from runner.app.withdrawal import Withdrawn, spared, withdraw
from runner.cli.subject import find, open_store, project_here
from runner.cli.terminal import print_json, say
from runner.digest import Digest
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.quantity import size_text
from runner.settings import load_settings
from runner.spec.phrase import counted
from runner.store.shelf import Where
from runner.store.store import RUN_PREFIX

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun rm run:5

  mlrun rm run:5 run:6 01a1ffac

  mlrun rm run:5 --force"""

_SHOWN = 5
"""Ties of a run that are told before the rest is counted."""


@app.command(epilog=EXAMPLES)
def rm(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN…",
            help="`run:N`, `run:latest`, the start of an id; or an execution that has a run of its own.",
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Also what is pinned or needed, or cannot be read. Never what is under way.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the ids of the removed runs as JSON.")] = False,
) -> int:
    """Remove the record of runs: their journal, logs under way and kept work folders.

    Refused for a run that is under way or pinned, whose files have an alias, are in a dataset or model, or were the
    input of another run, or whose executions stand for nodes of another run. Runs that need each other go together.
    Its number is never given out again. The files that it left stay in the store until `mlrun gc` finds that nothing
    needs them. `mlrun gc --undo` brings it all back for a week.
    """
    ids = list(dict.fromkeys(_run_id(text, force=force) for text in runs))
    removed = withdraw(load_settings(), ids, force=force)
    for one in removed:
        _tell(one)
    _tell_files(removed)
    say("`mlrun gc --undo` undoes this for a week")
    if json:
        print_json([{"id": one.id, "counter": one.run.counter if one.run else None} for one in removed])
    return ExitCode.OK


def _run_id(text: str, *, force: bool) -> str:
    try:
        found = find(text)
    except MlrunError as error:
        if error.code is not ExitCode.STORE or not force:
            raise
        return open_store().find_run_id(project_here(), text.removeprefix(RUN_PREFIX))
    run = found.run
    if found.chosen is not None and len(run.executions) > 1:
        what = f"execution {found.chosen.counter} is one of {len(run.executions)} of run {run.counter}"
        raise usage_error(
            f"{what}, and only whole runs are removed", hint=f"`mlrun rm {RUN_PREFIX}{run.counter}` removes them all"
        )
    return run.id


def _tell(one: Withdrawn) -> None:
    if one.run is None:
        say(f"the run {one.id} is removed, which could not be read")
        return
    executions = counted(len(one.run.executions), "execution")
    say(f"run {one.run.counter} ({printable(one.run.name)}) is removed, with {executions}")
    _tell_ties(one.ties)


def _tell_files(removed: Sequence[Withdrawn]) -> None:
    """What is left of them, without what was removed before."""
    objects = open_store().objects
    sizes = [
        size for digest, size in spared(removed).items() if objects.find(Digest(digest)) not in (None, Where.TRASH)
    ]
    if sizes:
        stay, them = ("stays", "it") if len(sizes) == 1 else ("stay", "them")
        files = f"{counted(len(sizes), 'file')} ({size_text(sum(sizes))})"
        say(f"{files} {stay} in the store until `mlrun gc` finds that nothing needs {them}")


def _tell_ties(ties: Sequence[str]) -> None:
    for tie in ties[:_SHOWN]:
        say(f"note: {tie}: that stays, and names a record that is gone")
    if len(ties) > _SHOWN:
        say(f"note: and {len(ties) - _SHOWN} more")
