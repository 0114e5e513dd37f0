"""Threads that are kept for further work. Knows nothing of what they do."""

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread

_IDLE = 1.0
"""Seconds that a thread waits for more to do."""


class Crew:
    """Threads that do what is asked of them, in order, at most so many at the same time. One that has nothing to do
    waits a little for more; all end with the process."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._changed = Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads = 0
        self._idle = 0

    def do(self, work: Callable[[], None]) -> None:
        """Have it done, by a further thread if there is none to spare. `work` may not raise."""
        with self._changed:
            self._waiting.append(work)
            if self._idle >= len(self._waiting):
                self._changed.notify()
                return
            if self._threads == self._most:
                return
            self._threads += 1
        Thread(target=self._serve, name="crew", daemon=True).start()

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            work()

    def _next(self) -> Callable[[], None] | None:
        """What there is to do, None for a thread that is not needed any more."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting, timeout=_IDLE)
            self._idle -= 1
            if not self._waiting:
                self._threads -= 1
                return None
            return self._waiting.popleft()
