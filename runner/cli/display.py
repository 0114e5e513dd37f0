"""How a run looks while it runs: line by line when piped, a live table of the graph's nodes on a terminal.

Listeners are called from several threads: each display has one lock.
"""

import sys
from contextlib import AbstractContextManager
from shutil import get_terminal_size
from threading import Lock
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from runner.cli.board import Board, NodeView, duration_text, metrics_text
from runner.cli.terminal import clean, clean_line, colourful, paint
from runner.events import Event, ImagePulled, NodeChanged, Noticed, RunEnded, RunStarted
from runner.state import FINAL, Reason, State

_PIPED_COLUMNS = 140
"""The width of a table that nobody's terminal bounds."""

COLOURS = {
    State.SUCCEEDED: "32",
    State.FAILED: "31;1",
    State.STOPPED: "33",
    State.INTERRUPTED: "33",
    State.SKIPPED: "2",
    State.RUNNING: "36",
    State.STOPPING: "33",
}


_COLOUR_OF_WORD = {str(state): colour for state, colour in COLOURS.items()}


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
                self._out.flush()
                print(text, file=sys.stderr, flush=True)

    def _log(self, node: str, stream: str, line: str) -> None:
        several = len(self.board.nodes) > 1
        target = sys.stderr if stream == "stderr" and self._out is sys.stdout else self._out
        print(f"{clean_line(node)} │ {line}" if several else line, file=target, flush=True)

    def _sentence(self, event: Event) -> str | None:
        match event:
            case RunStarted():
                count = f", {len(event.nodes)} nodes" if event.kind == "pipeline" else ""
                return f"{event.kind} `{clean_line(event.name)}` (run {event.counter}{count}) with {event.executor}"
            case NodeChanged() if event.state in FINAL or event.state is State.RUNNING:
                return change_sentence(self.board.nodes[event.node], event)
            case Noticed():
                return notice_sentence(event)
            case ImagePulled() if self._pulled.get(event.image) != event.text:
                self._pulled[event.image] = event.text
                return f"pulling `{clean_line(event.image)}`: {clean_line(event.text)}"
            case _:
                return None


def notice_sentence(event: Noticed) -> str:
    """A notice with its node."""
    return f"{clean_line(event.node)}: {clean(event.text)}" if event.node else clean(event.text)


def change_sentence(node: NodeView, event: NodeChanged) -> str:
    """What became of a node, in one line."""
    state = paint(event.state, COLOURS.get(event.state, "0"), sys.stderr)
    words = [f"{clean_line(event.node)}: {state}"]
    if event.execution is not None:
        words.append(f"(execution {event.execution})")
    if event.duration is not None and event.state in FINAL:
        words.append(f"in {duration_text(event.duration)}")
    if event.state in FINAL and event.state is not State.SUCCEEDED:
        words.append("- " + why(event))
    elif event.state is State.SUCCEEDED and node.metrics:
        words.append(metrics_text(node.metrics, 80))
    return " ".join(words)


def why(event: NodeChanged) -> str:
    """Why it did not succeed: the sentence that was found for it, else reason and exit code."""
    if event.detail and event.reason is Reason.EXIT:
        return clean(event.detail)
    parts = [str(event.reason)] if event.reason else []
    if event.exit_code is not None:
        parts.append(f"exit code {event.exit_code}")
    if event.detail:
        parts.append(clean(event.detail))
    return ", ".join(parts)


class LiveDisplay:
    """A table of the nodes with state, time and metrics, and below it the last lines of what runs."""

    def __init__(self) -> None:
        # Not at the top: reading verbs and piped runs do without the weight of rich.
        from rich.console import Console
        from rich.live import Live

        self.board = Board()
        self._lock = Lock()
        self._pulls: dict[str, ImagePulled] = {}
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=8, transient=True, screen=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Note it; what must not scroll away unseen is printed above the table."""
        with self._lock:
            self.board.take(event)
            if isinstance(event, ImagePulled):
                self._pulls[event.image] = event
            elif isinstance(event, NodeChanged | RunStarted):
                self._pulls.clear()
        if isinstance(event, Noticed):
            self._live.console.print(notice_sentence(event), style="yellow")

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            parts: list[Any] = []
            if self.board.run:
                run = self.board.run
                title = f"{run.kind} {clean_line(run.name)} · run {run.counter} · {run.executor}"
                parts += [Text(title, style="bold"), self._table(Table, Text)]
            for pull in self._pulls.values():
                bar = ProgressBar(total=pull.total, completed=pull.done, width=30) if pull.total else Text("")
                parts += [Text(f"pulling {clean_line(pull.image)}: {clean_line(pull.text)}"), bar]
            parts += [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in self.board.recent]
            return Group(*parts)

    def _table(self, table_type: Any, text_type: Any) -> Any:
        table = table_type(box=None, padding=(0, 2, 0, 0), show_header=False)
        room = max(10, self._console.height - 12)
        nodes = sorted(self.board.nodes.values(), key=_attention)[:room]
        shown = {node.name for node in nodes}
        for node in self.board.nodes.values():
            if node.name not in shown:
                continue
            style = RICH_STYLES.get(node.state, "dim")
            table.add_row(
                text_type(f"{SIGNS[node.state]} {clean_line(node.name)}", style=style),
                text_type(node.state, style=style),
                text_type(duration_text(node.elapsed()), justify="right"),
                text_type(_last_words(node, self._console.width // 2), no_wrap=True, overflow="ellipsis"),
            )
        hidden = len(self.board.nodes) - len(shown)
        if hidden:
            table.add_row(text_type(f"… and {hidden} more nodes", style="dim"))
        return table


def _last_words(node: NodeView, width: int) -> str:
    if node.state in FINAL and node.state is not State.SUCCEEDED and node.last:
        return why(node.last)
    if node.state is State.WAITING:
        return "after " + ", ".join(clean_line(name) for name in node.upstream)
    return metrics_text(node.metrics, width)


def _attention(node: NodeView) -> int:
    """What to show first when not everything fits: what runs, what failed, the rest."""
    order = (State.RUNNING, State.STARTING, State.STOPPING, State.FAILED)
    return order.index(node.state) if node.state in order else len(order)


SIGNS = {
    State.WAITING: "·",
    State.READY: "·",
    State.QUEUED: "·",
    State.STARTING: "▸",
    State.RUNNING: "▸",
    State.STOPPING: "■",
    State.SUCCEEDED: "✓",
    State.FAILED: "✗",
    State.STOPPED: "■",
    State.INTERRUPTED: "✗",
    State.SKIPPED: "-",
}

RICH_STYLES = {
    State.SUCCEEDED: "green",
    State.FAILED: "bold red",
    State.STOPPED: "yellow",
    State.STOPPING: "yellow",
    State.RUNNING: "cyan",
    State.STARTING: "cyan",
}


def choose_display(kind: str, *, json: bool) -> Display:
    """Live for pipelines on a terminal; else plain, with the programs' output on stderr if stdout is for JSON."""
    if json:
        return PlainDisplay(sys.stderr)
    if kind == "pipeline" and colourful(sys.stderr) and sys.stdout.isatty():
        return LiveDisplay()
    return PlainDisplay(sys.stdout)


def final_table(board: Board) -> str:
    """One line per node: state, execution, duration and as many metrics as the terminal is wide."""
    rows = [
        (
            clean_line(node.name),
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
        cells[1] = paint(cells[1], _COLOUR_OF_WORD.get(row[1], "0"), sys.stdout)
        lines.append("  ".join([*cells, text]).rstrip())
    return "\n".join(lines)


def failures(board: Board) -> list[str]:
    """For each failed node its work folder; in a pipeline, why it failed and its last log lines again, too."""
    lines: list[str] = []
    for node in board.nodes.values():
        if node.state is not State.FAILED or node.last is None:
            continue
        if len(board.nodes) > 1:
            lines.append(f"{paint('failed:', '31;1', sys.stderr)} {clean_line(node.name)}: {why(node.last)}")
            lines += [f"  │ {line}" for line in node.tail()]
        if node.last.work:
            lines.append(f"kept: {node.last.work} (`bash {node.last.work}/rerun.sh` repeats it by hand)")
    return lines


def ended_sentence(event: RunEnded, kind: str) -> str:
    """How the run ended, in one line."""
    state = paint(event.state, COLOURS.get(event.state, "0"), sys.stderr)
    return f"{kind} run {event.counter} {state} in {duration_text(event.duration)}"
