"""How a run is told: line by line while it runs, a table at its end. The live table on a terminal is in `live`.

Listeners are called from several threads: each display has one lock.
"""

import os
import sys
import time
from contextlib import AbstractContextManager
from threading import Lock
from types import TracebackType
from typing import Protocol, Self, TextIO

from runner.cli.board import Board, NodeView, metrics_text
from runner.cli.cell import COLOURS, ago, duration_text, shorten, size_text
from runner.cli.table import Column, natural_widths, terminal_width, text_table, total_width
from runner.cli.terminal import paint, put
from runner.escape import printable, printable_lines
from runner.events import (
    Event,
    Foreseen,
    ImagePulled,
    InputFetched,
    LogArrived,
    NodeChanged,
    Noticed,
    RunEnded,
    RunStarted,
)
from runner.job import Stream
from runner.spec.phrase import counted
from runner.state import FINAL, Reason, State

_PIPED_COLUMNS = 140
"""The width of a table that nobody's terminal bounds."""

_BETWEEN_LINES = 1.0
"""Seconds between two lines about the same download."""


class Display(AbstractContextManager["Display"], Protocol):
    """A listener that is entered before the run and left after it."""

    board: Board

    def __call__(self, event: Event) -> None:
        """Take an event."""
        ...


class PlainDisplay:
    """Whole lines: the programs' output on `out`, our talk on stderr; lines of a pipeline carry their node's name.

    On a terminal the line that a single step has not finished, such as a progress bar, is shown as it is so far.
    """

    def __init__(self, out: TextIO) -> None:
        self.board = Board()
        self._out = out
        self._lock = Lock()
        self._pulled: dict[str, str] = {}
        self._fetched: dict[tuple[str, str], float] = {}
        self._redraws = out.isatty() and os.environ.get("TERM") != "dumb"
        self._partial = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._show_partial("")
            for found in self.board.remainders():
                self._log(*found)

    def __call__(self, event: Event) -> None:
        """Print what is worth a line."""
        with self._lock:
            found, text = self.board.take(event), self._sentence(event)
            if found or text:
                self._show_partial("")
            for lines in found:
                self._log(*lines)
            if text:
                put(text, sys.stderr)
            if isinstance(event, LogArrived) and self._redraws and len(self.board.nodes) == 1:
                self._show_partial(self.board.nodes[event.node].tails[event.stream].partial())

    def _log(self, node: str, stream: Stream, lines: list[str]) -> None:
        target = sys.stderr if stream == "stderr" and self._out is sys.stdout else self._out
        prefix = f"{printable(node)} │ " if len(self.board.nodes) > 1 else ""
        put(prefix + f"\n{prefix}".join(lines), target)

    def _show_partial(self, text: str) -> None:
        """Let `text` be what stands in the last line of the terminal."""
        text = (
            shorten(text.replace("\t", " "), max(1, (terminal_width(self._out) or _PIPED_COLUMNS) - 1)) if text else ""
        )
        if text != self._partial:
            self._partial = text
            put(f"\r\x1b[K{text}", self._out, end="")

    def _sentence(self, event: Event) -> str | None:
        match event:
            case RunStarted():
                return f"{event.kind} `{printable(event.name)}` (run {event.counter}) with {event.executor}"
            case Foreseen(nodes, reused, seconds):
                return start_sentence(nodes, reused, seconds)
            case NodeChanged() if event.state in FINAL or event.state in {State.RUNNING, State.STOPPING}:
                return change_sentence(self.board.nodes[event.node], event)
            case Noticed():
                return notice_sentence(event)
            case ImagePulled() if self._pulled.get(event.image) != event.text:
                self._pulled[event.image] = event.text
                return f"pulling `{printable(event.image)}`: {printable(event.text)}"
            case InputFetched():
                return self._fetch_sentence(event)
            case _:
                return None

    def _fetch_sentence(self, event: InputFetched) -> str | None:
        """A line a second at most, and one at the end."""
        now, key = time.monotonic(), (event.node, event.address)
        if event.done != event.total and now - self._fetched.get(key, -_BETWEEN_LINES) < _BETWEEN_LINES:
            return None
        self._fetched[key] = now
        return fetch_sentence(event)


def fetch_sentence(event: InputFetched) -> str:
    """How far a download is, with the share of the whole where that is known."""
    share = f" of {size_text(event.total)} ({100 * event.done // event.total} %)" if event.total else ""
    return f"{printable(event.node)}: downloading `{printable(event.address)}`: {size_text(event.done)}{share}"


def notice_sentence(event: Noticed) -> str:
    """A notice with its node."""
    return f"{printable(event.node)}: {printable_lines(event.text)}" if event.node else printable_lines(event.text)


def stand_words(detail: str, age: float | None) -> str:
    """`execution 4 of run 2, 3 days ago`."""
    return printable(detail) + (f", {ago(age)}" if age is not None else "")


def start_sentence(nodes: int, reused: int, seconds: float | None) -> str:
    """`12 nodes, 9 reused, about 4 min`: only what is known."""
    pieces = [counted(nodes, "node")]
    if reused:
        pieces.append("all reused" if reused == nodes else f"{reused} reused")
    if seconds is not None and reused < nodes:
        pieces.append(about(seconds))
    return ", ".join(pieces)


def about(seconds: float) -> str:
    """`about 4 min`: no more than two digits."""
    if seconds < 60:
        return f"about {max(1, round(seconds))} s"
    if seconds < 3600:
        return f"about {round(seconds / 60)} min"
    return f"about {duration_text(round(seconds / 60) * 60)}"


def change_sentence(node: NodeView, event: NodeChanged) -> str:
    """What became of a node, in one line."""
    state = paint(event.state, COLOURS.get(event.state, "0"), sys.stderr)
    words = [f"{printable(event.node)}: {state}"]
    if event.state is State.REUSED:
        words += [stand_words(event.detail or "", event.age), metrics_text(node.metrics, 80)]
        return " ".join(word for word in words if word)
    if event.execution is not None:
        words.append(f"(execution {event.execution})")
    if event.duration is not None and event.state in FINAL:
        words.append(f"in {duration_text(event.duration)}")
    if event.state is State.STOPPING:
        words.append("- " + stopping_words(event))
    elif (event.state in FINAL and event.state is not State.SUCCEEDED) or event.reason is Reason.STOP_CONDITION:
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
    nodes = board.nodes.values()
    rows = [(printable(node.name), str(node.state), _number(node), duration_text(node.elapsed())) for node in nodes]
    taken = total_width([*natural_widths(_COLUMNS[:-1], rows), 0])
    room = max(20, (terminal_width(sys.stdout) or _PIPED_COLUMNS) - taken)
    metrics = (metrics_text(node.metrics, room) for node in nodes)
    return text_table(_COLUMNS, [(*row, text) for row, text in zip(rows, metrics, strict=True)])


_COLUMNS = (
    Column("node"),
    Column("state", colours=COLOURS),
    Column("execution"),
    Column("duration"),
    Column("metrics"),
)


def _number(node: NodeView) -> str:
    return f"#{node.last.execution}" if node.last and node.last.execution is not None else ""


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
