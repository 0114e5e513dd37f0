"""What the displays know of a run, gathered from its events. Pure but for the monotonic clock."""

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.cli.group import Group, together
from runner.cli.tally import Tally, attention
from runner.escape import printable, printable_lines
from runner.events import (
    ApprovalAsked,
    ApprovalDecided,
    Event,
    Foreseen,
    LogArrived,
    MetricsArrived,
    NodeChanged,
    NodeShown,
    RunEnded,
    RunStarted,
    TrialsAdded,
)
from runner.job import Stream
from runner.metrics import strict
from runner.sign import word_of
from runner.state import DONE, FINAL, State

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
    """One node as it is shown, a trial as well. `unit` is the row that it belongs to, `attempts` how many times it was
    begun."""

    shown: NodeShown
    unit: int
    state: State = State.WAITING
    began: float | None = None
    took: float | None = None
    attempts: int = 0
    last: NodeChanged | None = None
    metrics: dict[str, object] = field(default_factory=dict)
    tails: dict[Stream, Tail] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its own, as foreign text."""
        return self.shown.name

    @property
    def word(self) -> str:
        """Its state in a word."""
        return word_of(self.last) if self.last else str(self.state)

    def change(self, event: NodeChanged) -> None:
        """It moved."""
        self.state, self.last = event.state, event
        if event.state is State.STARTING or (event.state is State.RUNNING and self.began is None):
            self.began = time.monotonic()
            self.attempts += 1
        elif event.state in FINAL:
            since = time.monotonic() - self.began if self.began is not None else None
            self.took = event.duration if event.duration is not None else since
        elif event.state is State.WAITING:
            self.began = None

    def measure(self, values: Mapping[str, object]) -> None:
        """Note the numbers of an event, of so many keys as anybody could look at."""
        for key, value in values.items():
            if isinstance(value, int | float) and (key in self.metrics or len(self.metrics) < _METRICS):
                self.metrics[key] = value

    def elapsed(self) -> float | None:
        """Seconds since it started, or how long it took."""
        if self.state in FINAL:
            return self.took
        return None if self.began is None else time.monotonic() - self.began

    def finish(self) -> "list[Lines]":
        """The unfinished last lines of its log."""
        return [(self.name, stream, lines) for stream, tail in self.tails.items() if (lines := tail.finish())]

    def tail(self) -> list[str]:
        """The last lines of both streams; stderr last, where the reason of a failure mostly stands."""
        return [line for stream in _STREAMS if stream in self.tails for line in self.tails[stream].current()]


@dataclass(slots=True)
class Unit:
    """A row: a `node`, which has a `group` if it is a task, or a `group` of nodes alone. `upstream` are rows."""

    title: str
    node: NodeView | None
    group: Group | None
    upstream: tuple[int, ...] = ()


Lines = tuple[str, Stream, list[str]]
"""Node, stream and lines."""


@dataclass(slots=True)
class Board:
    """A run as it is shown. An event is taken in constant time, however many nodes there are."""

    run: RunStarted | None = None
    nodes: dict[str, NodeView] = field(default_factory=dict)
    units: list[Unit] = field(default_factory=list)
    tally: Tally[int] = field(default_factory=Tally)
    """The rows, by their place among them."""
    asked: dict[str, str] = field(default_factory=dict)
    """The nodes that await approval, each with the point at which it does."""
    ended: RunEnded | None = None
    foreseen: Foreseen | None = None
    """How many nodes there are, how many of them are reused, and how many seconds the rest is likely to take."""
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    """The last lines of all nodes together, each with its node's name in a pipeline."""

    def take(self, event: Event) -> list[Lines]:
        """Note an event; returns the whole log lines it completed."""
        match event:
            case RunStarted():
                self._begin(event)
            case Foreseen():
                self.foreseen = event
            case NodeChanged():
                node = self.nodes[event.node]
                node.change(event)
                self._count(node)
                if event.state is not State.AWAITING_APPROVAL:
                    self.asked.pop(event.node, None)
                if event.state in FINAL:
                    rest = self._note(node.finish())
                    if event.state in DONE:
                        # Only of what failed the end of the log is told again.
                        node.tails.clear()
                    return rest
            case TrialsAdded():
                self._add(event)
            case ApprovalAsked(name, point):
                self.asked[name] = point
            case ApprovalDecided(name):
                self.asked.pop(name, None)
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

    def group_of(self, node: NodeView) -> Group | None:
        """The group whose member a node is: that of its task, or of those side by side with it."""
        unit = self.units[node.unit]
        return unit.group if unit.node is not node else None

    def best_parameters(self, group: Group) -> Mapping[str, object]:
        """The values of the best trial of a group."""
        return self.nodes[group.best.name].shown.parameters if group.best else {}

    def _begin(self, event: RunStarted) -> None:
        self.run = event
        rows: dict[str, int] = {}
        for nodes in together([node for node in event.nodes if node.trial_of is None]):
            place, first = len(self.units), nodes[0]
            rows |= {node.name: place for node in nodes}
            views = [NodeView(node, place) for node in nodes]
            self.nodes |= {view.name: view for view in views}
            upstream = tuple(dict.fromkeys(rows[name] for name in first.upstream if name in rows))
            if len(nodes) > 1:
                self.units.append(Unit(f"{first.step} ×{len(nodes)}", None, Group(len(nodes)), upstream))
            else:
                group = Group(None, first.goal) if first.kind == "task" else None
                self.units.append(Unit(first.name, views[0], group, upstream))
            for view in views:
                self._count(view)
        for trial in event.nodes:
            if trial.trial_of is not None:
                self._add_trial(trial)

    def _add(self, event: TrialsAdded) -> None:
        group = self.units[self.nodes[event.node].unit].group
        if group is not None and event.size is not None:
            group.size = event.size
        for trial in event.trials:
            self._add_trial(trial)

    def _add_trial(self, trial: NodeShown) -> None:
        if trial.name not in self.nodes and trial.trial_of is not None:
            self.nodes[trial.name] = NodeView(trial, self.nodes[trial.trial_of].unit)
            self._count(self.nodes[trial.name])

    def _count(self, node: NodeView) -> None:
        """Its row, and the group that it is in, know of its state."""
        unit, group = self.units[node.unit], self.group_of(node)
        rank = attention(node.state, node.last.reason if node.last else None)
        if group is not None:
            group.put(node.name, rank, node.word)
            if node.state in DONE:
                group.score(node.name, node.metrics)
            if unit.node is None:
                self.tally.put(node.unit, group.rank, group.word)
        if unit.node is node:
            self.tally.put(node.unit, rank, node.word)

    def _note(self, found: list[Lines]) -> list[Lines]:
        for node, _, lines in found:
            last = lines[-(self.recent.maxlen or 0) :]
            self.recent.extend(f"{printable(node)} │ {line}" if len(self.nodes) > 1 else line for line in last)
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
