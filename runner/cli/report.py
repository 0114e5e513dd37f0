"""`mlrun report`: a run as one page of HTML that can be opened, sent and kept anywhere."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from runner.app.report import make_report
from runner.cli.export import write_file
from runner.cli.subject import find_run
from runner.cli.terminal import say
from runner.cli.tuning import read_goal
from runner.errors import ExitCode
from runner.escape import printable
from runner.quantity import size_text

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun report

  mlrun report run:5 -o results.html

  mlrun report latest --best loss --goal minimize -o - > sweep.html"""


@app.command(epilog=EXAMPLES)
def report(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Its number, `run:N`, `latest` or the start of its id.")
    ] = "latest",
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write to this file; `-` is standard output. Default: `run-N.html` here.",
        ),
    ] = None,
    best: Annotated[
        str | None, typer.Option("--best", metavar="METRIC", help="The last value of this metric tells the best trial.")
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            "--goal",
            metavar="G",
            help="What is sought of it: maximize, minimize or a number. Default: what the run sought, else maximize.",
        ),
    ] = None,
) -> int:
    """Write a run as one HTML file: graph, timeline, trials, metrics, pictures, outputs, logs, provenance.

    The file needs no network and no other file, and has no script. A run that is under way is told as far as it got.
    """  # fmt: skip
    aim = read_goal(goal)
    found = find_run(run)
    page = make_report(found.store, found.run, best, aim).encode()
    if output == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(page)
        return ExitCode.OK
    path = Path(output or f"run-{found.run.counter}.html")
    write_file(path, page)
    say(f"wrote {printable(str(path))} ({size_text(len(page))})")
    return ExitCode.OK
