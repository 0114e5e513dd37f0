"""`mlrun report`: a run as one page of HTML that can be opened, sent and kept anywhere."""

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from runner.app.report import Printed, make_report
from runner.cli.evidence import log_files, metric_events
from runner.cli.export import write_file
from runner.cli.subject import find_run
from runner.cli.terminal import say
from runner.errors import ExitCode, usage_error
from runner.escape import printable
from runner.goal import Goal
from runner.quantity import size_text
from runner.store.record import Execution, Run

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun report

  mlrun report run:5 -o results.html

  mlrun report latest --best accuracy -o - > sweep.html"""


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
        str | None, typer.Option("--best", metavar="METRIC", help="The trial in which this is greatest is the best.")
    ] = None,
    minimize: Annotated[bool, typer.Option("--minimize", help="With `--best`: in which it is smallest.")] = False,
) -> int:
    """Write a run as one HTML file: graph, timeline, trials, metrics, pictures, outputs, logs, provenance.

    The file needs no network and no other file, and has no script. A run that is under way is told as far as it got.
    """  # fmt: skip
    if minimize and best is None:
        raise usage_error("`--minimize` says of no metric that it is to be small", hint="add `--best METRIC`")
    found = find_run(run)

    def values(run: Run, execution: Execution) -> Iterator[Mapping[str, Any]]:
        return (event.values for event in metric_events(found.store, run, execution))

    printed = Printed(partial(log_files, found.store), values)
    goal = Goal(best, "minimize" if minimize else "maximize") if best is not None else None
    page = make_report(found.store, found.run, printed, goal).encode()
    if output == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(page)
        return ExitCode.OK
    path = Path(output or f"run-{found.run.counter}.html")
    write_file(path, page)
    say(f"wrote {printable(str(path))} ({size_text(len(page))})")
    return ExitCode.OK
