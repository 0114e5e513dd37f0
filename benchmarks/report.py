"""What a benchmark has to say, as text: one line per figure, with its spread, what it is compared with, and its bar."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.measure import Sample


@dataclass(frozen=True, slots=True)
class Row:
    """A figure. `beside` is another sample of the same rounds and its name; `bar` is what the figure should be."""

    name: str
    sample: Sample
    beside: tuple[Sample, str] | None = None
    bar: str = ""

    def cells(self) -> tuple[str, str, str, str, str]:
        """Name, median, spread, ratio and bar. The ratio is the median of the ratios of each round."""
        low, high = min(self.sample.values), max(self.sample.values)
        ratio = ""
        if self.beside is not None:
            other, name = self.beside
            ratio = f"{(self.sample / other).median:.2f} × {name}"
        bar = f"bar: {self.bar}" if self.bar else ""
        return self.name, in_words(self.sample.median), f"{in_words(low)} .. {in_words(high)}", ratio, bar


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one benchmark, and what a reader has to know about them."""

    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """The rows in columns, then the notes."""
        table = [row.cells() for row in self.rows]
        widths = [max(len(cells[column]) for cells in table) for column in range(5)]
        lines = ["  ".join(map(_align, cells, widths, "<>><<")).rstrip() for cells in table]
        return "\n".join(f"  {line}" for line in (*lines, *self.notes))


def _align(text: str, width: int, side: str) -> str:
    return f"{text:{side}{width}}"


class LeftOut(Exception):
    """A benchmark cannot be run here; the text says why."""


def in_words(seconds: float) -> str:
    """Seconds as people write them."""
    if abs(seconds) < 1e-3:
        return f"{1e6 * seconds:.0f} µs"
    if abs(seconds) < 0.1:
        return f"{1e3 * seconds:.1f} ms"
    if abs(seconds) < 1:
        return f"{1e3 * seconds:.0f} ms"
    return f"{seconds:.2f} s"
