"""`mlrun stop`: ask the owner of a run to stop it, and wait until it has."""

import time
from dataclasses import replace
from typing import Annotated

import typer

from runner.app.ending import end_run
from runner.cli.subject import Found, Watch, find, find_under_way, run_sentence
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode, MlrunError
from runner.settings import load_settings
from runner.state import FINAL, State
from runner.store.record import Run

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun stop

  mlrun stop run:5

  mlrun stop 12 --kill"""

_SUBJECT_HELP = (
    "Default: the one run under way, or whose runner is gone. A run: `run:N`, `latest` or the start of its id. An "
    "execution: its number, the start of its id, or `run:N/NODE`."
)

_POLL = 0.05
_MARGIN = 15.0
"""Seconds that a stopped run gets beyond the grace of its steps: to collect outputs and write its record."""


@app.command(epilog=EXAMPLES)
def stop(
    subject: Annotated[str | None, typer.Argument(metavar="[RUN|EXECUTION]", help=_SUBJECT_HELP)] = None,
    kill: Annotated[bool, typer.Option("--kill", help="End the programs at once, without time to save.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print how the run ended as JSON.")] = False,
) -> int:
    """Stop a run that is under way and wait until it has ended; its outputs so far are kept.

    An execution stands for its whole run: the other nodes of its pipeline are stopped, too.
    """
    run_or_none = (
        find_under_way(lost=True) if subject is None else find("run:latest" if subject == "latest" else subject)
    )
    if run_or_none is None:
        say("nothing is running")
        if json:
            print_json(None)
        return ExitCode.OK
    run, ended = _stop(run_or_none, kill=kill)
    if json:
        print_json({"id": run.id, "counter": run.counter, "state": run.state, "reason": run.reason})
    return ExitCode.OK if ended else ExitCode.STEP_FAILED


def _stop(found: Found, *, kill: bool) -> tuple[Run, bool]:
    """Ask and wait; the run as it is then, and whether it has ended."""
    run = found.run
    if run.state is State.WAITING or found.store.is_lost(run.id):
        ended = end_run(load_settings(), run.id)
        _tell_end(ended)
        return ended, True
    if run.state in FINAL:
        say(f"{run_sentence(run)}; there is nothing to stop")
        if run.state is State.INTERRUPTED:
            say(_hint(run))
        return run, True
    if found.chosen and len(run.nodes) > 1:
        say(f"execution {found.execution.counter} belongs to run {run.counter}: the whole run is stopped")
    if not _ask(found, kill=kill):
        return _stop(replace(found, run=found.store.run(run.id)), kill=kill)
    patience = (0.0 if kill else load_settings().grace) + _MARGIN
    say(f"asked run {run.counter} to {'end at once' if kill else 'stop'}; waiting up to {patience:g} s")
    watch = Watch(replace(found, chosen=None))
    deadline = time.monotonic() + patience
    while watch.is_under_way():
        if time.monotonic() > deadline:
            say(f"run {run.counter} has not ended yet")
            say("hint: " + ("its process may hang: `mlrun show run:N` names it" if kill else "`--kill` does not wait"))
            return watch.run(), False
        time.sleep(_POLL)
    ended = watch.run()
    if ended.state is State.INTERRUPTED:
        # Its runner went before it could answer: what it left behind may run on.
        return _stop(replace(found, run=ended), kill=kill)
    _tell_end(ended)
    return ended, True


def _tell_end(run: Run) -> None:
    """Say how a run that was stopped has ended."""
    if run.state is State.INTERRUPTED:
        say(f"the runner of run {run.counter} is gone: the run is interrupted, and nothing of it runs any more")
        say(_hint(run))
    else:
        say(run_sentence(run))


def _hint(interrupted: Run) -> str:
    return f"hint: `mlrun resume run:{interrupted.counter}` goes on with it"


def _ask(found: Found, *, kill: bool) -> bool:
    """Leave the request; False when the run has ended meanwhile."""
    try:
        found.store.request(found.run.id, {"type": "kill" if kill else "stop"})
    except MlrunError:
        if found.store.run(found.run.id).state in FINAL:
            return False
        raise
    return True
