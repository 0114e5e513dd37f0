"""What the displays know of a run, gathered from its events. Pure but for the monotonic clock."""

import codecs
import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.escape import printable, printable_lines
from runner.events import Event, LogArrived, MetricsArrived, NodeChanged, RunEnded, RunStarted
from runner.metrics import strict
from runner.state import FINAL, State

TAIL_LINES = 20
_LINE_CAP = 1 << 16


@dataclass(slots=True)
class Tail:
    """The last lines of a log, cleaned for a terminal; a carriage return starts the line again."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    unfinished: str = ""
    """What came after the last newline."""
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))
    """A character may come in two pieces."""

    def feed(self, data: bytes) -> list[str]:
        """Take some bytes; returns the lines that became whole."""
        text = self.unfinished + self.decoder.decode(data)
        *whole, rest = text.split("\n")
        lines = [_last_state(line) for line in whole]
        self.unfinished = rest[-_LINE_CAP:]
        self.lines.extend(lines)
        return lines

    def finish(self) -> list[str]:
        """There is nothing more to come: an unfinished last line counts as whole."""
        self.unfinished += self.decoder.decode(b"", final=True)
        return self.feed(b"\n") if self.unfinished else []

    def current(self) -> list[str]:
        """The last lines, the unfinished one too."""
        partial = _last_state(self.unfinished)
        return [*self.lines, partial] if partial else list(self.lines)


def _last_state(line: str) -> str:
    """What a terminal would show in the end of a line that a progress bar wrote over and over."""
    parts = [part for part in line.split("\r") if part]
    return printable_lines(parts[-1][:_LINE_CAP]) if parts else ""


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
    tails: dict[str, Tail] = field(default_factory=dict)

    def elapsed(self) -> float | None:
        """Seconds since it started, or how long it took."""
        if self.last and self.last.duration is not None:
            return self.last.duration
        return None if self.began is None or self.state in FINAL else time.monotonic() - self.began

    def finish(self) -> list[tuple[str, str, str]]:
        """The unfinished last lines of its log, as (node, stream, line)."""
        return [(self.name, stream, line) for stream, tail in self.tails.items() for line in tail.finish()]

    def tail(self) -> list[str]:
        """The last lines of both streams; stderr last, where the reason of a failure mostly stands."""
        return [
            line for stream in ("stdout", "stderr") if stream in self.tails for line in self.tails[stream].current()
        ]


@dataclass(slots=True)
class Board:
    """A run as it is shown."""

    run: RunStarted | None = None
    nodes: dict[str, NodeView] = field(default_factory=dict)
    ended: RunEnded | None = None
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    """The last lines of all nodes together, each with its node's name in a pipeline."""

    def take(self, event: Event) -> list[tuple[str, str, str]]:
        """Note an event; returns the whole log lines it completed as (node, stream, line)."""
        match event:
            case RunStarted():
                self.run = event
                self.nodes = {node.name: NodeView(node.name, node.step, node.upstream) for node in event.nodes}
            case NodeChanged():
                node = self.nodes[event.node]
                node.state, node.last = event.state, event
                if event.state is State.STARTING:
                    node.began = time.monotonic()
                elif event.state in FINAL:
                    return self._note(node.finish())
            case MetricsArrived():
                self.nodes[event.node].metrics.update(event.values)
            case LogArrived():
                tail = self.nodes[event.node].tails.setdefault(event.stream, Tail())
                return self._note([(event.node, event.stream, line) for line in tail.feed(event.data)])
            case RunEnded():
                self.ended = event
            case _:
                pass
        return []

    def remainders(self) -> list[tuple[str, str, str]]:
        """The unfinished last lines of all logs, once nothing more will come."""
        return [line for node in self.nodes.values() for line in self._note(node.finish())]

    def _note(self, lines: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        self.recent.extend(f"{node} │ {line}" if len(self.nodes) > 1 else line for node, _, line in lines)
        return lines


def duration_text(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


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
