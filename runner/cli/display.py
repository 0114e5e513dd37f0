"""How a run is told: line by line while it runs, a table at its end. The live table on a terminal is in `live`.

Listeners are called from several threads: each display has one lock.
"""

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from shutil import get_terminal_size
from threading import Lock
from types import TracebackType
from typing import Protocol, Self, TextIO

from runner.cli.board import Board, NodeView, duration_text, metrics_text
from runner.cli.terminal import paint, put
from runner.escape import printable, printable_lines
from runner.events import Event, ImagePulled, NodeChanged, Noticed, RunEnded, RunStarted
from runner.state import FINAL, Reason, State

_PIPED_COLUMNS = 140
"""The width of a table that nobody's terminal bounds."""

COLOURS: Mapping[str, str] = {
    State.SUCCEEDED: "32",
    State.FAILED: "31;1",
    State.STOPPED: "33",
    State.INTERRUPTED: "33",
    State.SKIPPED: "2",
    State.RUNNING: "36",
    State.STOPPING: "33",
}
"""SGR colours by state; a state is equal to its word."""


class Display(AbstractContextManager["Display"], Protocol):
    """A listener that is entered before the run and left after it."""

    board: Board

    def __call__(self, event: Event) -> None:
        """Take an event."""
        ...


class PlainDisplay:
    """Whole lines: the programs' output on `out`, our talk on stderr; lines of a pipeline carry their node's name."""

    def __init__(self, out: TextIO) -> None:
        self.board = Board()
        self._out = out
        self._lock = Lock()
        self._pulled: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            for line in self.board.remainders():
                self._log(*line)

    def __call__(self, event: Event) -> None:
        """Print what is worth a line."""
        with self._lock:
            for line in self.board.take(event):
                self._log(*line)
            text = self._sentence(event)
            if text:
                put(text, sys.stderr)

    def _log(self, node: str, stream: str, line: str) -> None:
        several = len(self.board.nodes) > 1
        target = sys.stderr if stream == "stderr" and self._out is sys.stdout else self._out
        put(f"{printable(node)} │ {line}" if several else line, target)

    def _sentence(self, event: Event) -> str | None:
        match event:
            case RunStarted():
                count = f", {len(event.nodes)} nodes" if event.kind == "pipeline" else ""
                return f"{event.kind} `{printable(event.name)}` (run {event.counter}{count}) with {event.executor}"
            case NodeChanged() if event.state in FINAL or event.state in {State.RUNNING, State.STOPPING}:
                return change_sentence(self.board.nodes[event.node], event)
            case Noticed():
                return notice_sentence(event)
            case ImagePulled() if self._pulled.get(event.image) != event.text:
                self._pulled[event.image] = event.text
                return f"pulling `{printable(event.image)}`: {printable(event.text)}"
            case _:
                return None


def notice_sentence(event: Noticed) -> str:
    """A notice with its node."""
    return f"{printable(event.node)}: {printable_lines(event.text)}" if event.node else printable_lines(event.text)


def change_sentence(node: NodeView, event: NodeChanged) -> str:
    """What became of a node, in one line."""
    state = paint(event.state, COLOURS.get(event.state, "0"), sys.stderr)
    words = [f"{printable(event.node)}: {state}"]
    if event.execution is not None:
        words.append(f"(execution {event.execution})")
    if event.duration is not None and event.state in FINAL:
        words.append(f"in {duration_text(event.duration)}")
    if event.state is State.STOPPING:
        words.append("- " + stopping_words(event))
    elif event.state in FINAL and event.state is not State.SUCCEEDED:
        words.append("- " + why(event))
    elif event.state is State.SUCCEEDED and node.metrics:
        words.append(metrics_text(node.metrics, 80))
    return " ".join(words)


def stopping_words(event: NodeChanged) -> str:
    """Why it is asked to end; who did not ask for it need not be told how to press harder."""
    return "Ctrl-C again kills it" if event.reason is Reason.STOP else str(event.reason)


def why(event: NodeChanged) -> str:
    """Why it did not succeed: the reason with the sentence that was found for it, else with the exit code."""
    if event.detail and event.reason in {Reason.EXIT, Reason.STOP}:
        return printable_lines(event.detail)
    parts = [str(event.reason)] if event.reason else []
    if event.detail:
        parts.append(printable_lines(event.detail))
    elif event.exit_code is not None:
        parts.append(f"exit code {event.exit_code}")
    return ", ".join(parts)


def final_table(board: Board) -> str:
    """One line per node: state, execution, duration and as many metrics as the terminal is wide."""
    rows = [
        (
            printable(node.name),
            str(node.state),
            f"#{node.last.execution}" if node.last and node.last.execution is not None else "",
            duration_text(node.elapsed()),
        )
        for node in board.nodes.values()
    ]
    header = ("node", "state", "execution", "duration")
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    columns = get_terminal_size().columns if sys.stdout.isatty() else _PIPED_COLUMNS
    room = max(20, columns - sum(widths) - 2 * len(widths))
    metrics = ["metrics", *(metrics_text(node.metrics, room) for node in board.nodes.values())]
    lines = []
    for row, text in zip([header, *rows], metrics, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[1] = paint(cells[1], COLOURS.get(row[1], "0"), sys.stdout)
        lines.append("  ".join([*cells, text]).rstrip())
    return "\n".join(lines)


def failures(board: Board) -> list[str]:
    """For each failed node its work folder; in a pipeline, why it failed and its last log lines again, too."""
    lines: list[str] = []
    for node in board.nodes.values():
        if node.state is not State.FAILED or node.last is None:
            continue
        if len(board.nodes) > 1:
            lines.append(f"{paint('failed:', '31;1', sys.stderr)} {printable(node.name)}: {why(node.last)}")
            lines += [f"  │ {line}" for line in node.tail()]
        if node.last.work:
            lines.append(f"its folder is kept: `bash {node.last.work}/rerun.sh` repeats it by hand")
    return lines


def ended_sentence(event: RunEnded, kind: str) -> str:
    """How the run ended, in one line."""
    state = paint(event.state, COLOURS.get(event.state, "0"), sys.stderr)
    return f"{kind} run {event.counter} {state} in {duration_text(event.duration)}"
