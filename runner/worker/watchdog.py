"""What ends a step that is alive: silence for too long, and a stop-condition that holds. Time and one thread.

Knows neither logs nor handles: it is told what arrives and says, through a callback, that the step is to end.
"""

import threading
import time
from collections.abc import Callable, Mapping
from math import inf
from types import TracebackType
from typing import Self

from runner.escape import printable
from runner.job import Job, Value
from runner.spec.condition import Expression, metric_of, parameter_of
from runner.state import Reason

_SHOWN = 80
"""Characters of a value in a sentence."""

Ask = Callable[[Reason], None]
"""Says that the step must end, and why; called from any thread, more than once."""


class Watchdog:
    """Watches one job while its program runs: entered when it has started, left when its log is over."""

    def __init__(self, job: Job, ask: Ask) -> None:
        """Raises BadExpression for a stop-condition that is no expression."""
        self._ask = ask
        self._silence = Silence(job.no_output_timeout, ask) if job.no_output_timeout is not None else None
        self._condition = StopCondition(job.stop_condition, job.parameters) if job.stop_condition else None

    def __enter__(self) -> Self:
        if self._silence is not None:
            self._silence.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._silence is not None:
            self._silence.close()

    def hear(self) -> None:
        """Some bytes have arrived and are being dealt with; until `heard` the program is not called silent."""
        if self._silence is not None:
            self._silence.pause()

    def heard(self) -> None:
        """They have been dealt with: silence, if any, begins."""
        if self._silence is not None:
            self._silence.begin()

    def take(self, values: Mapping[str, object]) -> None:
        """The program printed a metadata event."""
        if self._condition is not None and self._condition.take(values):
            self._ask(Reason.STOP_CONDITION)

    @property
    def met(self) -> str | None:
        """Why the stop-condition holds, None as long as it does not."""
        return self._condition.met if self._condition is not None else None


class Silence:
    """Asks for the end of a step that has been silent for `seconds`, by the clock that stands still while the machine
    sleeps."""

    def __init__(self, seconds: float, ask: Ask) -> None:
        self._seconds = seconds
        self._ask = ask
        self._since = inf
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="silence", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self.begin()
        self._thread.start()

    def begin(self) -> None:
        """Count from here."""
        self._since = time.monotonic()

    def pause(self) -> None:
        """Count nothing: while the log is written to a slow disk the program may be waiting for us."""
        self._since = inf

    def close(self) -> None:
        """End the thread; idempotent."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        left = self._seconds
        while not self._over.wait(min(left, threading.TIMEOUT_MAX)):
            left = min(self._since, time.monotonic()) + self._seconds - time.monotonic()
            if left <= 0:
                self._ask(Reason.NO_OUTPUT)
                return


class StopCondition:
    """An expression over the last value of each metric, and over parameters. `met` says why it holds, once it does."""

    def __init__(self, text: str, parameters: Mapping[str, Value]) -> None:
        self._text = text
        self._expression = Expression(text)
        self._parameters = parameters
        self._keys = frozenset(key for name in self._expression.names if (key := metric_of(name)) is not None)
        self._last: dict[str, object] = {}
        self.met: str | None = None

    def take(self, values: Mapping[str, object]) -> bool:
        """Take over an event; whether it made the condition hold. One that bears none of its metrics asks nothing."""
        fresh = self._keys & values.keys()
        if not fresh or self.met is not None:
            return False
        self._last.update((key, values[key]) for key in fresh)
        if not self._expression.holds(self._look_up):
            return False
        shown = ", ".join(f"{key} = {value}" for key, value in sorted(self._last.items()))
        self.met = f"`{printable(self._text)}` holds: {_shorten(printable(shown))}"
        return True

    def _look_up(self, name: str) -> object:
        parameter = parameter_of(name)
        if parameter is not None:
            return self._parameters[parameter]
        metric = metric_of(name)
        if metric is None:
            raise KeyError(name)
        return self._last[metric]


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
