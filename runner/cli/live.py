"""How a pipeline looks on a terminal while it runs: a live table of the graph's nodes. The only home of `rich`."""

from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runner.cli.board import Board, NodeView, metrics_text
from runner.cli.cell import duration_text
from runner.cli.display import fetch_sentence, notice_sentence, stand_words, start_sentence, stopping_words, why
from runner.escape import printable
from runner.events import Event, ImagePulled, InputFetched, NodeChanged, Noticed, RunStarted
from runner.state import FINAL, Reason, State

_SIGNS = {
    State.WAITING: "·",
    State.READY: "·",
    State.QUEUED: "·",
    State.STARTING: "▸",
    State.RUNNING: "▸",
    State.STOPPING: "■",
    State.SUCCEEDED: "✓",
    State.REUSED: "=",
    State.FAILED: "✗",
    State.STOPPED: "■",
    State.INTERRUPTED: "✗",
    State.SKIPPED: "-",
}

_STYLES = {
    State.SUCCEEDED: "green",
    State.REUSED: "dim green",
    State.FAILED: "bold red",
    State.STOPPED: "yellow",
    State.STOPPING: "yellow",
    State.RUNNING: "cyan",
    State.STARTING: "cyan",
}


class LiveDisplay:
    """A table of the nodes with state, time and metrics, and below it the last lines of what runs."""

    def __init__(self) -> None:
        self.board = Board()
        self._lock = Lock()
        self._pulls: dict[str, ImagePulled] = {}
        self._fetches: dict[tuple[str, str], InputFetched] = {}
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
        with suppress(OSError):
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Note it; what must not scroll away unseen is printed above the table."""
        with self._lock:
            self.board.take(event)
            if isinstance(event, ImagePulled):
                self._pulls[event.image] = event
            elif isinstance(event, InputFetched):
                self._fetches[event.node, event.address] = event
            elif isinstance(event, NodeChanged | RunStarted):
                self._pulls.clear()
                node = event.node if isinstance(event, NodeChanged) else None
                self._fetches = {key: fetch for key, fetch in self._fetches.items() if key[0] != node}
        if isinstance(event, Noticed):
            # A terminal that went away is told by a signal, which stops the run; no line to it may end one.
            with suppress(OSError):
                self._live.console.print(notice_sentence(event), style="yellow")

    def _draw(self) -> RenderableType:
        with self._lock:
            parts: list[RenderableType] = []
            if self.board.run:
                run = self.board.run
                title = f"{run.kind} {printable(run.name)} · run {run.counter} · {run.executor}"
                title += f" · {start_sentence(*self.board.foreseen)}" if self.board.foreseen else ""
                parts += [Text(title, style="bold"), self._table()]
            for pull in self._pulls.values():
                bar = ProgressBar(total=pull.total, completed=pull.done, width=30) if pull.total else Text("")
                parts += [Text(f"pulling {printable(pull.image)}: {printable(pull.text)}"), bar]
            for fetch in self._fetches.values():
                if fetch.done != fetch.total:
                    bar = ProgressBar(total=fetch.total, completed=fetch.done, width=30) if fetch.total else Text("")
                    parts += [Text(fetch_sentence(fetch), no_wrap=True, overflow="ellipsis"), bar]
            parts += [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in self.board.recent]
            return Group(*parts)

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        room = max(10, self._console.height - 12)
        nodes = sorted(self.board.nodes.values(), key=_attention)[:room]
        shown = {node.name for node in nodes}
        for node in self.board.nodes.values():
            if node.name not in shown:
                continue
            style = _STYLES.get(node.state, "dim")
            table.add_row(
                Text(f"{_SIGNS[node.state]} {printable(node.name)}", style=style),
                Text(node.state, style=style),
                Text(duration_text(node.elapsed()), justify="right"),
                Text(_last_words(node, self._console.width // 2), no_wrap=True, overflow="ellipsis"),
            )
        hidden = len(self.board.nodes) - len(shown)
        if hidden:
            table.add_row(Text(f"… and {hidden} more nodes", style="dim"))
        return table


def _last_words(node: NodeView, width: int) -> str:
    last = node.last
    if last and node.state is State.REUSED:
        return stand_words(last.detail or "", last.age)
    if last and node.state in FINAL and (node.state is not State.SUCCEEDED or last.reason is Reason.STOP_CONDITION):
        return why(last)
    if node.state is State.STOPPING and node.last:
        return stopping_words(node.last)
    if node.state is State.WAITING:
        return "after " + ", ".join(printable(name) for name in node.upstream)
    return metrics_text(node.metrics, width)


def _attention(node: NodeView) -> int:
    """What to show first when not everything fits: what runs, what failed, the rest."""
    order = (State.RUNNING, State.STARTING, State.STOPPING, State.FAILED)
    return order.index(node.state) if node.state in order else len(order)
