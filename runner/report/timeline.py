"""When what ran: one row an execution, or, where they are many, one row a place in which one ran after another. Pure.

Bars are placed in parts of a hundred, so that they fit any width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from runner.quantity import duration_text, moment, seconds_between
from runner.report.chart import scale_of
from runner.report.element import Markup, element, join
from runner.report.subject import Subject
from runner.report.wording import note, scrolling
from runner.sign import tone_of, word_of
from runner.spec.phrase import counted
from runner.state import FINAL, State

ROWS = 60
"""Executions of which each has its own row."""
_LANES = 64
_LEAST = 0.15
"""Hundredths of the width that a bar has at least."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An execution in seconds since the run began: made ready from `created` on, running from `started` to `ended`."""

    node: str
    counter: int
    word: str
    """Of its state."""
    created: float
    started: float
    ended: float

    def words(self) -> str:
        """All of it in a line."""
        took = f", for {duration_text(self.ended - self.started)}" if self.ended > self.started else ""
        return f"{self.node} #{self.counter}: {self.word}, from {duration_text(self.started)}{took}"


def bars_of(subject: Subject) -> list[Bar]:
    """The executions of the run itself, in the order in which they began."""
    run, bars = subject.run, []
    by = run.finished or subject.written
    for execution in run.executions.values():
        created = seconds_between(run.created, moment(execution.created))
        started = max(created, seconds_between(run.created, moment(execution.started or execution.created)))
        if execution.started is None or (execution.duration is None and execution.state in FINAL):
            # Nobody knows when one ended that lost its runner.
            ended = started
        elif execution.duration is not None:
            ended = started + execution.duration
        else:
            ended = max(started, seconds_between(run.created, moment(execution.finished or by)))
        bars.append(Bar(execution.node, execution.counter, word_of(execution), created, started, ended))
    return sorted(bars, key=lambda bar: bar.created)


def timeline(subject: Subject) -> Markup | None:
    """The picture; nothing where nothing ran."""
    bars = bars_of(subject)
    if not bars:
        return None
    whole = max(subject.run.duration or 0.0, *(bar.ended for bar in bars)) or 1.0
    if len(bars) <= ROWS:
        rows = [([bar], join(element("b", bar.node), f" #{bar.counter}"), _took(bar)) for bar in bars]
        said = None
    else:
        lanes = lanes_of(bars)
        rows = [(lane, join(f"place {place}"), join(counted(len(lane), "execution")))
                for place, lane in enumerate(lanes[:_LANES], 1)]  # fmt: skip
        left = f", of which {_LANES} are shown" if len(lanes) > _LANES else ""
        said = note(
            f"{len(bars):,} executions in the {counted(len(lanes), 'place')} that they took at the same time{left}; "
            "each bar has its execution and its times as a title."
        )
    drawn = [
        element("tr", element("th", name, scope="row"), element("td", _row(lane, whole), class_="bars"),
                element("td", took, class_="num"))
        for lane, name, took in rows
    ]  # fmt: skip
    head = element("tr", element("th", "", scope="col"), element("td", _axis(whole), class_="bars"), element("td"))
    table = element("table", element("thead", head), element("tbody", drawn), class_="gantt")
    return join(said, scrolling(table, "timeline"))


def _took(bar: Bar) -> Markup:
    """The state is told by a word, too."""
    word = f" {bar.word}" if bar.word != State.SUCCEEDED else ""
    took = duration_text(bar.ended - bar.started) if bar.ended > bar.started else ""
    return join(took, word)


def lanes_of(bars: Sequence[Bar]) -> list[list[Bar]]:
    """Each bar in the first row that is free when it begins."""
    lanes: list[list[Bar]] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for bar in bars:
        while busy and busy[0][0] <= bar.created:
            heappush(free, heappop(busy)[1])
        if free:
            lane = heappop(free)
            lanes[lane].append(bar)
        else:
            lane = len(lanes)
            lanes.append([bar])
        heappush(busy, (max(bar.ended, bar.created), lane))
    return lanes


def _row(bars: Iterable[Bar], whole: float) -> Markup:
    pieces = []
    for bar in bars:
        title = element("title", bar.words())
        waiting = element("rect", class_="waiting", x=_part(bar.created, whole), y=7,
                          width=_part(bar.started - bar.created, whole), height=4)  # fmt: skip
        least = max(_LEAST, 100 * (bar.ended - bar.started) / whole)
        start = min(100 * bar.started / whole, 100 - least)
        running = element("rect", x=f"{start:.2f}%", y=2, width=f"{least:.2f}%", height=14, rx=2)
        pieces.append(element("g", title, waiting if bar.started > bar.created else None, running,
                              class_=f"bar {tone_of(bar.word)}"))  # fmt: skip
    return element("svg", pieces, width="100%", height=18, role="img", aria_label="bars of the executions")


def _axis(whole: float) -> Markup:
    scale = scale_of([0.0, whole], 0, 100)
    ticks = scale.ticks(8)
    marks = [
        element(
            "text", duration_text(tick), x=f"{scale.place(tick):.2f}%", y=12, class_="start" if tick == 0 else "mid"
        )
        for tick in ticks
        if scale.place(tick) < 96
    ]
    return element("svg", marks, width="100%", height=16, aria_hidden="true")


def _part(seconds: float, whole: float) -> str:
    return f"{max(0.0, min(100.0, 100 * seconds / whole)):.2f}%"
