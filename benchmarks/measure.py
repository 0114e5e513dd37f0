"""Times in turn: what is compared takes its turns in the same minutes, so that a busy machine hits all alike.

Knows clocks and medians; does not know what is timed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Lane = Callable[[], Mapping[str, float]]
"""Takes one turn; what it has measured, in seconds by name, the same names each time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One number per round, in the order of the rounds; seconds, unless it was made of a division."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)

    def __add__(self, other: "Sample") -> "Sample":
        return Sample(tuple(a + b for a, b in zip(self.values, other.values, strict=True)))

    def __sub__(self, other: "Sample") -> "Sample":
        return Sample(tuple(a - b for a, b in zip(self.values, other.values, strict=True)))

    def __truediv__(self, other: "Sample") -> "Sample":
        return Sample(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))


def race(lanes: Sequence[Lane], rounds: int) -> dict[str, Sample]:
    """Let the lanes take turns, A B A B, after one turn each that only warms the caches."""
    for lane in lanes:
        lane()
    values: dict[str, list[float]] = {}
    for _ in range(rounds):
        for lane in lanes:
            for name, seconds in lane().items():
                values.setdefault(name, []).append(seconds)
    return {name: Sample(tuple(found)) for name, found in values.items()}


def timed(name: str, call: Callable[[], object], *, times: int = 1, after: Callable[[], object] | None = None) -> Lane:
    """A lane that times `call`: the median of `times` calls in a row. `after` cleans up, outside the time."""

    def lane() -> Mapping[str, float]:
        found = []
        for _ in range(times):
            began = time.perf_counter()
            call()
            found.append(time.perf_counter() - began)
            if after is not None:
                after()
        return {name: median(found)}

    return lane
