"""`mlrun watch`: follow a run that another process drives, on the display that it would have here."""

from typing import Annotated

import typer

from runner.app.follow import follow_run
from runner.cli import launch
from runner.cli.presentation import on_display
from runner.cli.subject import find_run, find_under_way, run_sentence
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun watch

  mlrun watch run:5"""


@app.command(epilog=EXAMPLES)
def watch(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Default: the one run under way. N, `run:N`, `latest` or part of its id."),
    ] = None,
    json: launch.Json = False,
) -> int:
    """Follow a run until it ends or is parked; the exit code is that of the run. Ctrl-C ends only the looking."""
    found = find_under_way() if run is None else find_run(run)
    if found is None:
        say("nothing is running")
        if json:
            print_json(None)
        return ExitCode.OK
    folder = found.store.layout.run(found.run.id)
    try:
        return on_display(found.run.kind, lambda display: follow_run(folder, display), json=json)
    except KeyboardInterrupt:
        name = f"run:{found.run.counter}"
        now = run_sentence(found.store.run(found.run.id))
        say(f"{now}: `mlrun watch {name}` looks again, `mlrun stop {name}` stops it")
        return ExitCode.INTERRUPTED
