"""How a run is told: line by line while it runs, a table at its end. The live table on a terminal is in `live`.

Listeners are called from several threads: each display has one lock.
"""

import os
import shlex
import sys
import time
from contextlib import AbstractContextManager
from threading import Lock
from types import TracebackType
from typing import Protocol, Self, TextIO

from runner.cli.board import Board, NodeView, metrics_text
from runner.cli.cell import COLOURS, shorten
from runner.cli.desk import Decide, Desk
from runner.cli.group import WIDE, parameters_text
from runner.cli.table import terminal_width
from runner.cli.terminal import paint, put
from runner.escape import printable, printable_lines
from runner.events import (
    ApprovalAsked,
    ApprovalDecided,
    Event,
    Foreseen,
    ImagePulled,
    InputFetched,
    LogArrived,
    NodeChanged,
    Noticed,
    RunEnded,
    RunParked,
    RunStarted,
)
from runner.job import Stream
from runner.quantity import ago, duration_text, size_text
from runner.spec.phrase import counted
from runner.state import FINAL, Reason, State

_PIPED_COLUMNS = 140
"""The width of a table that nobody's terminal bounds."""

_BETWEEN_LINES = 1.0
"""Seconds between two lines about the same download."""

_FAILURES = 10
"""So many failed nodes are told with the end of their logs."""

_CHOSEN = 60
"""Columns for the values of a trial."""


class Display(AbstractContextManager["Display"], Protocol):
    """A listener that is entered before the run and left after it."""

    board: Board

    def __call__(self, event: Event) -> None:
        """Take an event."""
        ...

    def attend(self, decide: Decide) -> None:
        """From now on ask whoever is at the terminal about nodes that await approval."""
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
        self._desk: Desk | None = None

    def attend(self, decide: Decide) -> None:
        """From now on ask whoever is at the terminal about nodes that await approval."""
        self._desk = Desk(decide, self._ask, keys=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._desk is not None:
            self._desk.close()
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
        if asks(event, self._desk) and self._desk is not None and self._desk.look(self.board.asked):
            self._ask()

    def _ask(self) -> None:
        """Put the question that there is now."""
        question = self._desk.question() if self._desk else None
        if question is not None:
            put(question.rstrip(), sys.stderr)

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
            case Foreseen():
                return start_sentence(event)
            case NodeChanged() if self._is_told(event):
                return change_sentence(self.board.nodes[event.node], event, self._count(event))
            case ApprovalAsked(node, point) if self.board.run:
                return f"{printable(node)}: {approval_sentence(self.board.run.counter, node, point)}"
            case ApprovalDecided():
                return decided_sentence(event)
            case RunParked():
                return parked_sentence(event)
            case Noticed():
                return notice_sentence(event)
            case ImagePulled() if self._pulled.get(event.image) != event.text:
                self._pulled[event.image] = event.text
                return f"pulling `{printable(event.image)}`: {printable(event.text)}"
            case InputFetched():
                return self._fetch_sentence(event)
            case _:
                return None

    def _is_told(self, event: NodeChanged) -> bool:
        """Whether a line is worth it: of many that do the same only how they end."""
        if event.state in FINAL or event.state is State.STOPPING or event.reason is Reason.RETRY:
            return True
        if event.state is State.AWAITING_APPROVAL:
            # The question itself is told by another event; this is what whoever answers has to know.
            return event.detail is not None
        group = self.board.group_of(self.board.nodes[event.node])
        return event.state is State.RUNNING and (group is None or len(group.members) <= WIDE)

    def _count(self, event: NodeChanged) -> str:
        """How many of those that do the same are over, with this one: ` [38/50]`."""
        group = self.board.group_of(self.board.nodes[event.node])
        if group is None or event.state not in FINAL:
            return ""
        return f" [{group.over}/{group.size}]" if group.size is not None else f" [{group.over}]"

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


def start_sentence(told: Foreseen) -> str:
    """`12 nodes, 2 kept, 7 reused, 3 of 20 trials reused, about 4 min`: only what is known."""
    pieces = [counted(told.nodes, "node")]
    for number, word in ((told.kept, "kept"), (told.reused, "reused")):
        pieces += [f"{'all' if number == told.nodes else number} {word}"] if number else []
    if told.kept + told.reused < told.nodes:
        pieces += [_trials_words(told)] if told.trials else []
        pieces += [about(told.seconds)] if told.seconds is not None else []
    return ", ".join(pieces)


def _trials_words(told: Foreseen) -> str:
    """`20 trials`, `3 of 20 trials reused`, `all of 20 trials reused`, `2 of 20 trials kept, 3 reused`."""
    many = counted(told.trials, "trial")
    pieces: list[str] = []
    for number, word, qualifier in (
        (told.trials_kept, "kept", ""),
        (told.trials_reused, "reused", "at least " if told.at_least else ""),
    ):
        share = "all" if number == told.trials else f"{number:,}"
        of = "" if pieces else f" of {many}"
        pieces += [f"{qualifier}{share}{of} {word}"] if number else []
    return ", ".join(pieces) or many


def about(seconds: float) -> str:
    """`about 4 min`: no more than two digits."""
    if seconds < 60:
        return f"about {max(1, round(seconds))} s"
    if seconds < 3600:
        return f"about {round(seconds / 60)} min"
    return f"about {duration_text(round(seconds / 60) * 60)}"


def change_sentence(node: NodeView, event: NodeChanged, count: str = "") -> str:
    """What became of a node, in one line; a trial has the values that were chosen for it. `count` stands behind."""
    chosen = shorten(parameters_text(node.shown.parameters), _CHOSEN)
    name = printable(event.node) + (f" ({chosen})" if chosen else "")
    state = str(State.FAILED) if event.reason is Reason.RETRY else node.word
    words = [f"{name}: {paint(state, COLOURS[state], sys.stderr)}{count}"]
    if event.state is State.REUSED:
        words += [stand_words(event.detail or "", event.age), metrics_text(node.metrics, 80)]
        return " ".join(word for word in words if word)
    if event.execution is not None:
        words.append(f"(execution {event.execution})")
    if event.duration is not None and event.state in FINAL:
        words.append(f"in {duration_text(event.duration)}")
    if event.state is State.STOPPING:
        words.append("- " + stopping_words(event))
    elif event.reason is Reason.RETRY or event.state is State.AWAITING_APPROVAL:
        words.append(f"- {printable_lines(event.detail or '')}")
    elif event.reason is Reason.PRUNED and event.detail is None:
        words.append(metrics_text(node.metrics, 80))
    elif (event.state in FINAL and event.state is not State.SUCCEEDED) or event.reason is Reason.STOP_CONDITION:
        words.append("- " + why(event))
    elif event.state is State.SUCCEEDED and node.metrics:
        words.append(metrics_text(node.metrics, 80))
    elif event.state is State.SUCCEEDED and event.detail:
        words.append(f"- {printable_lines(event.detail)}")
    return " ".join(filter(None, words))


def approval_command(verb: str, counter: int, node: str) -> str:
    """What lets a node go on (`approve`) or not (`reject`), from any terminal."""
    return printable(f"mlrun {verb} run:{counter} {shlex.quote(node)}")


def approval_sentence(counter: int, node: str, point: str) -> str:
    """What has to be typed, by whom it may concern."""
    yes, no = (approval_command(verb, counter, node) for verb in ("approve", "reject"))
    return f"awaiting approval ({point}): `{yes}` lets it go on, `{no}` does not"


def decided_sentence(event: ApprovalDecided) -> str:
    """Who said so."""
    return f"{printable(event.node)}: {'approved' if event.approved else 'rejected'} by {printable(event.by)}"


def parked_sentence(event: RunParked) -> str:
    """Nobody waits here any more: what goes on with the run."""
    commands = [f"`{approval_command('approve', event.counter, node)}`" for node in event.nodes[:3]]
    more = f" and {len(event.nodes) - 3} more" if len(event.nodes) > 3 else ""
    return f"run {event.counter} is parked until it is approved: {', '.join(commands)}{more}"


def asks(event: Event, desk: Desk | None) -> bool:
    """Whether what is to be asked may be another after this."""
    return desk is not None and (
        isinstance(event, ApprovalAsked | ApprovalDecided)
        or (isinstance(event, NodeChanged) and event.node == desk.node)
    )


def stopping_words(event: NodeChanged) -> str:
    """Why it is asked to end; who did not ask for it need not be told how to press harder."""
    return "Ctrl-C again kills it" if event.reason is Reason.STOP else str(event.reason)


def why(event: NodeChanged) -> str:
    """Why it did not succeed: the reason with the sentence that was found for it, else with the exit code."""
    if event.detail and event.reason in {Reason.EXIT, Reason.STOP, Reason.TRIAL}:
        return printable_lines(event.detail)
    parts = [str(event.reason)] if event.reason else []
    if event.detail:
        parts.append(printable_lines(event.detail))
    elif event.exit_code is not None:
        parts.append(f"exit code {event.exit_code}")
    return ", ".join(parts)


def failures(board: Board) -> list[str]:
    """For each failed node its work folder; in a pipeline, why it failed and its last log lines again, too. Of very
    many only the first are told of so."""
    failed = [node for node in board.nodes.values() if node.state is State.FAILED and node.last is not None]
    lines: list[str] = []
    for node in failed[:_FAILURES]:
        last = node.last
        if last is None:
            continue
        if len(board.nodes) > 1:
            lines.append(f"{paint('failed:', '31;1', sys.stderr)} {printable(node.name)}: {why(last)}")
            lines += [f"  │ {line}" for line in node.tail()]
        if last.work:
            lines.append(f"its folder is kept: `bash {last.work}/rerun.sh` repeats it by hand")
    if more := failed[_FAILURES:]:
        names = ", ".join(printable(node.name) for node in more[:_FAILURES])
        dots = ", …" if len(more) > _FAILURES else ""
        lines.append(f"{paint('failed:', '31;1', sys.stderr)} {len(more)} more: {names}{dots}")
    return lines


def ended_sentence(event: RunEnded, kind: str) -> str:
    """How the run ended, in one line."""
    state = paint(event.state, COLOURS[event.state], sys.stderr)
    took = f" in {duration_text(event.duration)}" if event.duration is not None else ""
    return f"{kind} run {event.counter} {state}{took}"
