"""Threads that are kept for further work, many short waits side by side, and work that is due later. Knows nothing of
what is done.

To begin a thread and to wait for its end takes longer than many a thing that is done in one, and every thread that runs
slows all others of the process; so those that have done their work wait a little for more, and what watches over a job
has none until the job has lasted a while.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue
from threading import Condition, Event, Lock, Semaphore, Thread
from typing import TypeVar

from runner import share

T = TypeVar("T")

_IDLE = 1.0
"""Seconds that a thread waits for more to do."""
_PART = 8
"""One kind of work takes at most such a part of the threads and processes that the user, or a container, may have."""
_PLENTY = 512
"""Where there may be fewer threads and processes, none is kept that has nothing to do: each job takes half a dozen."""
_SIDES = 8
"""Eight waiting writers let the file system commit in groups; more did not help."""
_AHEAD = 32
"""How many items may wait: bounds the descriptors that are open at the same time."""

Work = Callable[[], None]


def nothing() -> None:
    """Work of which there is none."""


def affordable(most: int) -> int:
    """So many threads, or fewer where there may not be many."""
    return int(max(1, min(most, share.tasks() // _PART)))


class Crew:
    """Threads that do what is asked of them, in order, at most so many at the same time. One that has nothing to do
    waits a little for more; all end with the process."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self.begin()

    def begin(self) -> None:
        """Have no thread and nothing to do."""
        self._changed = Condition()
        self._waiting: deque[Work] = deque()
        self._threads = 0
        self._idle = 0

    def do(self, work: Work) -> None:
        """Have it done, by a further thread if there is none to spare. `work` may not raise, for that ends its thread,
        and belongs to one thread from its first step to its last. Raises RuntimeError where the machine gives no more
        threads, and none that is here will come to it."""
        with self._changed:
            if self._idle > len(self._waiting):
                self._waiting.append(work)
                self._changed.notify()
                return
            if self._threads == self._most:
                self._waiting.append(work)
                return
            self._threads += 1
        try:
            Thread(target=self._serve, args=(work,), name="crew", daemon=True).start()
        except RuntimeError:
            with self._changed:
                self._threads -= 1
                if self._most is None or self._threads == 0:
                    raise
                # Those that there are will do: a lower limit than was asked for.
                self._waiting.append(work)
                self._changed.notify()

    def _serve(self, first: Work) -> None:
        work: Work | None = first
        try:
            while work is not None:
                work()
                work = self._next()
        except BaseException:
            with self._changed:
                self._threads -= 1
            raise

    def _next(self) -> Work | None:
        """What there is to do, None for a thread that is not needed any more."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting, timeout=_IDLE if share.tasks() >= _PLENTY else 0)
            self._idle -= 1
            if not self._waiting:
                self._threads -= 1
                return None
            return self._waiting.popleft()


AIDES = Crew()
"""Whoever helps a job, or a write: as many as are asked for."""


def side_by_side(work: Callable[[T], None], items: Iterable[T]) -> None:
    """Call `work` for each item, in a few threads; `items` is walked by the caller's own thread.

    `work` is called for every item that was taken, also after a failure; then the first failure is raised and no
    further item is taken.
    """
    queue: SimpleQueue[tuple[T] | None] = SimpleQueue()
    free, ended = Semaphore(_AHEAD), Semaphore(0)
    failures: list[BaseException] = []

    def serve() -> None:
        while (box := queue.get()) is not None:
            try:
                work(box[0])
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                failures.append(error)
            finally:
                free.release()
        ended.release()

    sides, most = 0, affordable(_SIDES)
    try:
        for item in items:
            free.acquire()
            queue.put((item,))
            if sides < most:
                try:
                    AIDES.do(serve)
                except RuntimeError:
                    # The machine gives no more threads: those that there are will do, or else this one.
                    if sides == 0:
                        queue.put(None)
                        serve()
                        # That end is none of those that are waited for below.
                        ended.acquire()
                else:
                    sides += 1
            if failures:
                break
    finally:
        for _ in range(sides):
            queue.put(None)
        for _ in range(sides):
            ended.acquire()
    if failures:
        raise failures[0]


class Deferred:
    """Work on a thread of its own that begins some seconds after `begin`, and never if `end` comes first.

    Where the machine gives no more threads then, it is tried again as many seconds later.
    """

    def __init__(self, work: Work, name: str) -> None:
        self._work = work
        self._name = name
        self._seconds = 0.0
        self._lock = Lock()
        self._called_off = False
        self._over: Event | None = None
        """Set when the work, which has begun, is done."""

    def begin(self, seconds: float) -> None:
        """Let it begin in so many seconds. Called once, at most; raises RuntimeError where there are no threads."""
        self._seconds = seconds
        _ALARM.set(seconds, self._start)

    def end(self) -> None:
        """It does not begin any more; if it has begun, wait until it is done, which is for the caller to see to.
        Idempotent; not for the work itself."""
        with self._lock:
            self._called_off = True
            over = self._over
        if over is not None:
            over.wait()

    def _start(self) -> None:
        with self._lock:
            if self._called_off:
                return
            self._over = Event()
            try:
                Thread(target=self._run, args=(self._over,), name=self._name, daemon=True).start()
            except RuntimeError:
                self._over = None
                _ALARM.set(self._seconds, self._start)

    def _run(self, over: Event) -> None:
        try:
            self._work()
        finally:
            over.set()


class _Alarm:
    """Calls what is due, on one thread."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Have no thread and nothing that is due."""
        self._changed = Condition()
        self._due: list[tuple[float, int, Work]] = []
        self._ticks = count()
        self._serving = False

    def set(self, seconds: float, call: Work) -> None:
        """Have a quick `call` made then, which may not raise. Raises RuntimeError where there are no threads."""
        with self._changed:
            if not self._serving:
                Thread(target=self._serve, name="alarm", daemon=True).start()
                self._serving = True
            heappush(self._due, (time.monotonic() + seconds, next(self._ticks), call))
            if self._due[0][2] is call:
                self._changed.notify()

    def _serve(self) -> None:
        while True:
            self._next()()

    def _next(self) -> Work:
        with self._changed:
            while True:
                left = self._due[0][0] - time.monotonic() if self._due else None
                if left is not None and left <= 0:
                    return heappop(self._due)[2]
                self._changed.wait(left)


_ALARM = _Alarm()

# A child that is forked has none of the threads.
for _of_the_process in (AIDES, _ALARM):
    os.register_at_fork(after_in_child=_of_the_process.begin)
