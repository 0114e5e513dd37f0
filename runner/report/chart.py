"""Line charts as inline SVG. Pure; the unit is a pixel of the drawing, which is scaled to its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from runner.drawing.glyph import shorten_end
from runner.quantity import value_text
from runner.report.curve import Panel
from runner.report.element import Markup, element, join
from runner.spec.phrase import counted

WIDTH, HEIGHT = 460, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 34
COLOURS = 8
"""Lines have so many colours, then the same ones dashed."""
_DECADES = 1000
"""Where the greatest value is so many times the least, and all are positive, the scale of a chart is logarithmic."""
_FEW_DOTS = 16
"""A line of so few points shows each of them."""
_FEW_LINES = 12
"""So few lines have a legend."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Where a value is."""
        low, high = self._of(self.low), self._of(self.high)
        if high == low:
            return (self.start + self.end) / 2
        return self.start + (self._of(value) - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values within the scale."""
        if self.is_log:
            least, last = ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9)
            step = max(1, ceil((last - least + 1) / most))
            decades = [10.0**power for power in range(least, last + 1, step)]
            return decades if len(decades) > 1 else [self.low, self.high]
        span = self.high - self.low
        if span <= 0 or self.low + span / 1e9 == self.low:
            return [self.low]
        rough = span / most
        unit = 10.0 ** floor(log10(rough))
        round_step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        first = ceil(self.low / round_step - 1e-9)
        count = floor(self.high / round_step + 1e-9) - first
        return [round_step * (first + index) for index in range(count + 1)]

    def _of(self, value: float) -> float:
        # Halved first: the span of two floats can be more than any float.
        return log10(value) if self.is_log else value / 2


def scale_of(values: Sequence[float], start: float, end: float, log_from: float | None = None) -> Scale:
    """The scale that holds all values: a logarithmic one if all are positive and the greatest is `log_from` times the
    least."""
    low, high = min(values), max(values)
    is_log = log_from is not None and low > 0 and high / low >= log_from
    return Scale(low, high, start, end, is_log)


def line_chart(panel: Panel) -> Markup:
    """The panel as a figure: the picture, and its legend where the lines are few."""
    lines = [(line, panel.points(line)) for line in panel.lines]
    across = scale_of([x for _, points in lines for x, _ in points], _LEFT, WIDTH - _RIGHT)
    up = scale_of([y for _, points in lines for _, y in points], HEIGHT - _BOTTOM, _TOP, log_from=_DECADES)
    named = panel.clock or "event"
    words = f"{panel.metric} of {counted(len(lines), 'execution')} of {panel.group} over {named}"
    picture = element(
        "svg",
        element("title", f"{words}: from {value_text(up.low)} to {value_text(up.high)}"),
        _grid(across, up, named),
        [
            _line(index, f"{line.node} #{line.counter}", points, across, up)
            for index, (line, points) in enumerate(lines)
        ],
        class_="chart",
        role="img",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
    )
    return element(
        "figure",
        element("figcaption", element("b", panel.metric), f" {panel.group}", _scale_words(up)),
        picture,
        _legend(panel),
        class_="panel",
    )


def place(x: float, y: float) -> str:
    """A point of a path, to a tenth."""
    return f"{x:.1f},{y:.1f}"


def style_of(index: int) -> str:
    """The classes of a line's colour and dashes."""
    return f"s{index % COLOURS}" + (" dashed" if index // COLOURS % 2 else "")


def _grid(across: Scale, up: Scale, named: str) -> Markup:
    rules = [
        join(
            element(
                "line", class_="rule", x1=_LEFT, x2=WIDTH - _RIGHT, y1=f"{up.place(y):.1f}", y2=f"{up.place(y):.1f}"
            ),
            element("text", value_text(y), class_="end", x=_LEFT - 6, y=f"{up.place(y) + 3.5:.1f}"),
        )
        for y in up.ticks()
    ]
    marks = [element("text", value_text(x), class_="mid", x=f"{across.place(x):.1f}", y=HEIGHT - 18)
             for x in across.ticks()]  # fmt: skip
    shown = shorten_end(named, WIDTH - _LEFT, 11)
    return join(rules, marks, element("text", shown, class_="end faint", x=WIDTH - _RIGHT, y=HEIGHT - 4))


def _line(index: int, name: str, points: Sequence[tuple[float, float]], across: Scale, up: Scale) -> Markup:
    spots = [(across.place(x), up.place(y)) for x, y in points]
    dots = spots if len(spots) <= _FEW_DOTS else ()
    path = element("polyline", points=" ".join(place(*spot) for spot in spots))
    rounds = [element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="2.2") for x, y in dots]
    return element("g", element("title", name), path, rounds, class_=f"line {style_of(index)}")


def _scale_words(up: Scale) -> str | None:
    return " · logarithmic" if up.is_log else None


def _legend(panel: Panel) -> Markup | None:
    if len(panel.lines) > _FEW_LINES or len(panel.lines) == 1:
        return None
    entries = [
        element(
            "li",
            element("svg", element("path", d="M0 5h18"), class_=f"key {style_of(index)}", viewBox="0 0 18 10",
                    aria_hidden="true"),
            f" {line.node} #{line.counter}",
        )
        for index, line in enumerate(panel.lines)
    ]  # fmt: skip
    return element("ul", entries, class_="legend")


def label(text: str, x: float, y: float, room: float, style: str = "") -> Markup:
    """A text that is shortened to its room; the whole of it is its title."""
    shown = shorten_end(text, room, 11)
    title = element("title", text) if shown != text else None
    return element("text", title, shown, class_=style or None, x=f"{x:.1f}", y=f"{y:.1f}")
