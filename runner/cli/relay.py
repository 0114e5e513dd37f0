"""Between what runs and what shows it: a display that is slow, or a terminal that stands still, stops no program.

Events wait here for the thread that shows them, what programs print with a bound. When it is reached, the worker waits
a moment for room; after that the rest is counted and not shown, until there is room again. The log has all of it.
"""

import threading
from collections import deque
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType

from runner.cli.board import Board
from runner.cli.desk import Decide
from runner.cli.display import Display
from runner.events import Event, LogArrived, MetricsArrived, Noticed
from runner.quantity import size_text

_MOST = 8 << 20
"""Bytes of output that may wait, and of metrics."""
_EVENT = 256
"""Bytes that an event takes besides what it holds."""
_BATCH = 1 << 20
_SETTLE = 5.0
"""Seconds that are waited at most for what was told to be shown."""
_PATIENCE = 0.5
"""Seconds that a program may be held up by a display that gets nowhere."""


class Relay(AbstractContextManager["Relay"]):
    """A display on a thread of its own; when it is left everything was shown."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._dropped: dict[str, int] = {}
        self._missed: dict[str, MetricsArrived] = {}
        """The last metrics of each node for which there was no room."""
        self._stuck = False
        self._ended = False
        self._busy = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._show_all, name="display", daemon=True)

    @property
    def board(self) -> Board:
        """What the display knows; complete once it is left."""
        return self._display.board

    def __enter__(self) -> "Relay":
        self._display.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        self._display.__exit__(kind, error, trace)
        if self._failure is not None and error is None:
            raise self._failure

    def __call__(self, event: Event) -> None:
        """Take an event; returns at once, but for the moment that a full store of output is waited for."""
        with self._changed:
            size = _size(event)
            if size and not self._has_room():
                self._drop(event)
                return
            self._bytes += size
            self._report_dropped()
            self._waiting.append(event)
            self._changed.notify_all()

    def attend(self, decide: Decide) -> None:
        """From now on the display asks whoever is at the terminal about nodes that await approval."""
        self._display.attend(decide)

    def settle(self) -> None:
        """Wait until all that was told so far was shown, or the display stands still."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, _SETTLE)

    def _has_room(self) -> bool:
        if self._bytes >= _MOST and not self._stuck:
            # A display that shows anything at all in this time is waited for again.
            self._stuck = not self._changed.wait_for(lambda: self._bytes < _MOST, _PATIENCE)
        elif self._bytes < _MOST // 2:
            self._stuck = False
        return not self._stuck

    def _drop(self, event: Event) -> None:
        if isinstance(event, LogArrived):
            self._dropped[event.node] = self._dropped.get(event.node, 0) + len(event.data)
        elif isinstance(event, MetricsArrived):
            self._missed[event.node] = event

    def _report_dropped(self) -> None:
        for node, size in self._dropped.items():
            text = f"{size_text(size)} of its output are not shown here: `mlrun logs` has all of it"
            self._waiting.append(Noticed(text, node))
        self._waiting += self._missed.values()
        self._bytes += sum(map(_size, self._missed.values()))
        self._dropped.clear()
        self._missed.clear()

    def _show_all(self) -> None:
        while (event := self._next()) is not None:
            try:
                if self._failure is None:
                    self._display(event)
            except BaseException as error:  # noqa: BLE001 - told when the display is left
                self._failure = error
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> Event | None:
        """The next event, pieces of one stream that follow one another as one; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                self._report_dropped()
                if not self._waiting:
                    return None
            event = self._waiting.popleft()
            self._busy = True
            size = _size(event)
            if isinstance(event, LogArrived):
                pieces = [event.data]
                while size < _BATCH and (following := self._continued(event)) is not None:
                    pieces.append(following.data)
                    size += _size(following)
                event = replace(event, data=b"".join(pieces)) if len(pieces) > 1 else event
            self._bytes -= size
            self._changed.notify_all()
            return event

    def _continued(self, before: LogArrived) -> LogArrived | None:
        """Take the next event if it is of the same stream."""
        event = self._waiting[0] if self._waiting else None
        if isinstance(event, LogArrived) and (event.node, event.stream) == (before.node, before.stream):
            self._waiting.popleft()
            return event
        return None


def _size(event: Event) -> int:
    """What an event counts for; only a program can make so many that they must be counted."""
    if isinstance(event, LogArrived):
        return len(event.data) + _EVENT
    return _EVENT * (1 + len(event.values)) if isinstance(event, MetricsArrived) else 0
