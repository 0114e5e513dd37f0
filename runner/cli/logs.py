"""`mlrun logs`: what an execution printed, merged by arrival; live while it runs."""

import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer

from runner.app.evidence import log_files
from runner.cli.line import Lines, Write, write_clean, write_json, write_raw, write_timed
from runner.cli.subject import EXECUTION_HELP, NODE_HELP, Found, Watch, execution_sentence, find_execution, find_of_node
from runner.cli.terminal import say
from runner.errors import ExitCode, usage_error
from runner.state import FINAL
from runner.worker.log import LogPiece, read_merged, tail

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun logs 12

  mlrun logs latest -f

  mlrun logs -f --node train

  mlrun logs 12 --stderr --tail 50 --time

  mlrun logs 12 --stdout --raw > stdout.txt"""

_POLL = 0.1
"""Seconds between two looks at what is being written."""


@app.command(epilog=EXAMPLES)
def show_log(
    execution: Annotated[str, typer.Argument(metavar="[EXECUTION]", help=EXECUTION_HELP)] = "latest",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on printing until the execution has ended.")
    ] = False,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NODE", help=NODE_HELP),
    ] = None,
    last: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=0, help="Only the last N lines, and what follows.")
    ] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Only what was printed to standard output.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="Only what was printed to standard error.")] = False,
    times: Annotated[bool, typer.Option("--time", help="Begin each line with its local time.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print the bytes as they are, on a terminal too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line: time, stream, text.")] = False,
) -> int:
    """Print the log of an execution: both streams, merged as they arrived.

    On a terminal control codes are shown, not obeyed; a pipe gets the bytes as they are.
    """
    if raw and (times or json):
        raise usage_error("`--raw` goes neither with `--time` nor with `--json`", hint="leave one of them out")
    wait = _POLL if follow else None
    found = find_execution(execution) if node is None else find_of_node(execution, node, wait=wait)
    wanted = {name for name, chosen in (("stdout", stdout), ("stderr", stderr)) if chosen == (stdout or stderr)}
    write = _write(raw=raw, times=times, json=json)
    lines = Lines(write, last)
    whole = write is write_raw and last is None
    for piece in _pieces(found, lines, last if len(wanted) == 2 else None, follow=follow):
        if piece.stream not in wanted:
            continue
        if whole:
            sys.stdout.buffer.write(piece.data)
        else:
            lines.feed(piece)
    lines.finish()
    sys.stdout.flush()
    if follow:
        say(execution_sentence(Watch(found).execution()))
    elif found.execution.state not in FINAL:
        say(f"execution {found.execution.counter} is {found.execution.state}; `-f` follows it")
    return ExitCode.OK


def _write(*, raw: bool, times: bool, json: bool) -> Write:
    if json:
        return write_json
    if times:
        return write_timed
    return write_clean if sys.stdout.isatty() and not raw else write_raw


def _pieces(found: Found, lines: Lines, last: int | None, *, follow: bool) -> Iterator[LogPiece]:
    """The pieces that are there, and with `follow` those to come; `last` bounds the lines read from a log's end."""
    watch = Watch(found)

    def more() -> bool:
        lines.release()
        sys.stdout.flush()
        time.sleep(_POLL)
        return watch.is_under_way()

    while True:
        execution = watch.execution()
        live = follow and execution.state not in FINAL
        files = log_files(found.store, found.run, execution)
        try:
            yield from (
                tail(files, last) if last is not None and not live else read_merged(files, more if live else None)
            )
            return
        except FileNotFoundError:
            # It may not have begun yet, or it was moved into the store in this moment.
            if not live and watch.execution().log == execution.log:
                say(f"there is no log: {execution_sentence(execution)}")
                return
            time.sleep(_POLL)
