"""What the displays know of a run, gathered from its events. Pure but for the monotonic clock."""

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.escape import printable, printable_lines
from runner.events import Event, Foreseen, LogArrived, MetricsArrived, NodeChanged, RunEnded, RunStarted
from runner.job import Stream
from runner.metrics import strict
from runner.state import FINAL, State

TAIL_LINES = 20
_LINE_CAP = 1 << 16
_METRICS = 1000
_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


_HARMLESS = bytes(range(0x20, 0x7F)) + b"\t\n"
"""Bytes that need no look at what they say."""


@dataclass(slots=True)
class Tail:
    """The last lines of a log, cleaned for a terminal; a carriage return starts the line again. Takes many lines as
    fast as one, for a program may print a hundred megabytes a second."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    unfinished: bytes = b""
    """What came after the last newline, or the end of it."""

    def feed(self, data: bytes) -> list[str]:
        """Take some bytes; returns the lines that became whole."""
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self.unfinished = (self.unfinished + rest)[-_LINE_CAP:]
            return []
        whole, self.unfinished = self.unfinished + whole, rest[-_LINE_CAP:]
        lines = _clean(whole).split("\n")
        self.lines.extend(lines[-TAIL_LINES:])
        return lines

    def finish(self) -> list[str]:
        """There is nothing more to come: an unfinished last line counts as whole."""
        return self.feed(b"\n") if self.unfinished else []

    def partial(self) -> str:
        """The unfinished last line as a terminal would show it at this moment."""
        return _clean(self.unfinished)

    def current(self) -> list[str]:
        """The last lines, the unfinished one too."""
        partial = self.partial()
        return [*self.lines, partial] if partial else list(self.lines)


def _clean(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    if not data.translate(None, _HARMLESS):
        return text
    if "\r" in text:
        text = "\n".join(map(_last_state, text.split("\n")))
    return printable_lines(text)


def _last_state(line: str) -> str:
    """What a terminal would show in the end of a line that a progress bar wrote over and over."""
    kept = line.rstrip("\r")
    return kept[kept.rfind("\r") + 1 :]


@dataclass(slots=True)
class NodeView:
    """One node as it is shown."""

    name: str
    step: str
    upstream: tuple[str, ...]
    state: State = State.WAITING
    began: float | None = None
    last: NodeChanged | None = None
    metrics: dict[str, object] = field(default_factory=dict)
    tails: dict[Stream, Tail] = field(default_factory=dict)

    def measure(self, values: Mapping[str, object]) -> None:
        """Note the numbers of an event, of so many keys as anybody could look at."""
        for key, value in values.items():
            if isinstance(value, int | float) and (key in self.metrics or len(self.metrics) < _METRICS):
                self.metrics[key] = value

    def elapsed(self) -> float | None:
        """Seconds since it started, or how long it took."""
        if self.last and self.last.duration is not None:
            return self.last.duration
        return None if self.began is None or self.state in FINAL else time.monotonic() - self.began

    def finish(self) -> "list[Lines]":
        """The unfinished last lines of its log."""
        return [(self.name, stream, lines) for stream, tail in self.tails.items() if (lines := tail.finish())]

    def tail(self) -> list[str]:
        """The last lines of both streams; stderr last, where the reason of a failure mostly stands."""
        return [line for stream in _STREAMS if stream in self.tails for line in self.tails[stream].current()]


Lines = tuple[str, Stream, list[str]]
"""Node, stream and lines."""


@dataclass(slots=True)
class Board:
    """A run as it is shown."""

    run: RunStarted | None = None
    nodes: dict[str, NodeView] = field(default_factory=dict)
    ended: RunEnded | None = None
    foreseen: tuple[int, int, float | None] | None = None
    """How many nodes there are, how many of them are reused, and how many seconds the rest is likely to take."""
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    """The last lines of all nodes together, each with its node's name in a pipeline."""

    def take(self, event: Event) -> list[Lines]:
        """Note an event; returns the whole log lines it completed."""
        match event:
            case RunStarted():
                self.run = event
                self.nodes = {node.name: NodeView(node.name, node.step, node.upstream) for node in event.nodes}
            case Foreseen(nodes, reused, seconds):
                self.foreseen = nodes, reused, seconds
            case NodeChanged():
                node = self.nodes[event.node]
                node.state, node.last = event.state, event
                if event.state is State.STARTING:
                    node.began = time.monotonic()
                elif event.state in FINAL:
                    return self._note(node.finish())
            case MetricsArrived():
                self.nodes[event.node].measure(event.values)
            case LogArrived():
                tail = self.nodes[event.node].tails.setdefault(event.stream, Tail())
                lines = tail.feed(event.data)
                return self._note([(event.node, event.stream, lines)] if lines else [])
            case RunEnded():
                self.ended = event
            case _:
                pass
        return []

    def remainders(self) -> list[Lines]:
        """The unfinished last lines of all logs, once nothing more will come."""
        return [found for node in self.nodes.values() for found in self._note(node.finish())]

    def _note(self, found: list[Lines]) -> list[Lines]:
        for node, _, lines in found:
            last = lines[-(self.recent.maxlen or 0) :]
            self.recent.extend(f"{node} │ {line}" if len(self.nodes) > 1 else line for line in last)
        return found


def metric_text(value: object) -> str:
    """A metric value as a table shows it: floats with at most five significant digits."""
    if isinstance(value, bool) or not isinstance(value, float) or not math.isfinite(value):
        return printable_lines(str(strict(value)))
    return f"{value:.5g}"


def metrics_text(metrics: Mapping[str, object], width: int) -> str:
    """`accuracy=0.97 loss=0.1 rows=34`: numbers only, fractions first, as many as fit into `width` columns."""
    numbers = {
        key: value for key, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
    text = ""
    for key, value in sorted(numbers.items(), key=lambda item: isinstance(item[1], int)):
        piece = f"{printable(key)}={metric_text(value)}"
        if len(text) + len(piece) + 1 > width:
            break
        text = f"{text} {piece}".strip()
    return text
