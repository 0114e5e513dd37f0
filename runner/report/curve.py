"""Metrics over time, thinned while they are read, so that a program that prints for days costs no memory. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any, NamedTuple

from runner.errors import MlrunError
from runner.export.telling import flat
from runner.quantity import number
from runner.report.subject import Subject

CLOCKS = ("global_step", "step", "iteration", "epoch")
"""Keys by which programs count: what else an event has is drawn over the first of them that it has."""

MOST_KEYS = 100
"""Metrics of one execution that are drawn."""
MOST_PANELS = 48
MOST_LINES = 40
"""Lines in one panel."""
MOST_EXECUTIONS = 2_000
"""Executions whose events are read."""
POINTS = 60_000
"""Points in the whole page; each line has a fair share of them."""
_LEAST, _MOST = 24, 240
"""Points of one line."""


class Dot(NamedTuple):
    """One value: the number of its event, what the program counted by then (NaN where it did not), and the value."""

    event: int
    clock: float
    value: float


@dataclass(slots=True)
class Line:
    """The values of one metric of one execution: a bounded number of `dots`, among them the extremes of each stretch.
    `clock` is the key that all of its events have, and that never falls; None without one."""

    node: str
    counter: int
    clock: str | None
    count: int = 0
    lost: int = 0
    """Values that are no finite numbers."""
    least: float = inf
    greatest: float = -inf
    dots: list[Dot] = field(default_factory=list)

    def add(self, dot: Dot, clock: str | None) -> None:
        """Take the next value."""
        self.count += 1
        if not isfinite(dot.value):
            self.lost += 1
            return
        if clock != self.clock or (self.dots and dot.clock < self.dots[-1].clock):
            self.clock = None
        self.least, self.greatest = min(self.least, dot.value), max(self.greatest, dot.value)
        self.dots.append(dot)
        if len(self.dots) >= 8 * _MOST:
            self.dots = thin(self.dots, 2 * _MOST)


def thin(dots: Sequence[Dot], most: int) -> list[Dot]:
    """At most `most` of them (4 at least), in order: the first, the last, and of each stretch the extremes."""
    if len(dots) <= most:
        return list(dots)
    inner = dots[1:-1]
    stretches = max(1, (most - 2) // 2)
    kept = [dots[0]]
    for place in range(stretches):
        stretch = inner[place * len(inner) // stretches : (place + 1) * len(inner) // stretches]
        if stretch:
            extremes = {min(stretch, key=lambda dot: dot.value), max(stretch, key=lambda dot: dot.value)}
            kept += sorted(extremes)
    return [*kept, dots[-1]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One metric of the executions of one group, to be drawn over one another. `clock` is what the lines are drawn
    over, None for the number of the event; `more` lines found no room."""

    group: str
    metric: str
    clock: str | None
    lines: tuple[Line, ...]
    more: int
    share: int
    """Points of each line."""

    def points(self, line: Line) -> list[tuple[float, float]]:
        """What is drawn of a line."""
        return [(dot.clock if self.clock else dot.event, dot.value) for dot in thin(line.dots, self.share)]

    def is_thinned(self) -> bool:
        """Whether a line has more values than are drawn."""
        return any(line.count - line.lost > min(len(line.dots), self.share) for line in self.lines)


@dataclass(frozen=True, slots=True)
class Curves:
    """All panels, how many more there would be, and why events of some executions could not be read."""

    panels: tuple[Panel, ...]
    more: int
    unread: int
    missing: Mapping[int, str]


def gather(subject: Subject) -> Curves:
    """Read the events of all executions of the run, those that stand for its nodes included."""
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    missing: dict[int, str] = {}
    found = list({one.id: (part, one) for part, one in subject.executions()}.values())
    for part, execution in found[:MOST_EXECUTIONS]:
        try:
            lines = _lines(part.node.name, execution.counter, subject.evidence.events(part.run, execution))
        except MlrunError as error:
            missing[execution.counter] = error.message
            continue
        for metric, line in lines.items():
            if len(line.dots) > 1:
                groups[part.node.trial_of or part.node.step, metric].append(line)
    chosen = list(groups.items())[:MOST_PANELS]
    drawn = sum(min(len(lines), MOST_LINES) for _, lines in chosen)
    share = max(_LEAST, min(_MOST, POINTS // max(1, drawn)))
    return Curves(
        tuple(_panel(group, metric, lines, share) for (group, metric), lines in chosen),
        len(groups) - len(chosen),
        max(0, len(found) - MOST_EXECUTIONS),
        missing,
    )


def _panel(group: str, metric: str, lines: Sequence[Line], share: int) -> Panel:
    clocks = {line.clock for line in lines}
    shown = _spread(lines, MOST_LINES)
    return Panel(group, metric, clocks.pop() if len(clocks) == 1 else None, shown, len(lines) - len(shown), share)


def _spread(lines: Sequence[Line], most: int) -> tuple[Line, ...]:
    """All, or so many that are evenly spread over them."""
    if len(lines) <= most:
        return tuple(lines)
    return tuple(lines[place * len(lines) // most] for place in range(most))


def _lines(node: str, counter: int, events: Iterable[Mapping[str, Any]]) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for index, values in enumerate(events):
        numbers = dict(_numbers(values))
        clock = next((name for name in CLOCKS if name in numbers and isfinite(numbers[name])), None)
        for name, value in numbers.items():
            if name == clock or (name not in lines and len(lines) >= MOST_KEYS):
                continue
            line = lines.setdefault(name, Line(node, counter, clock))
            line.add(Dot(index, numbers[clock] if clock else float(index), value), clock)
    return lines


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in flat(values):
        if (found := number(value)) is not None:
            yield name, found
