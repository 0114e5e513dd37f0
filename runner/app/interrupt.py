"""Signals that ask this process to end, made gentler while a run or a shell lasts. Main thread only."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def catching_signals(react: Callable[[int], None]) -> Iterator[list[int]]:
    """While this lasts INT, TERM and HUP do not end this process: `react` is called with how many came so far.

    Yields the numbers of those caught. `react` runs between any two instructions of the main thread: it takes no lock.
    """
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        react(len(caught))

    before = [(number, signal.signal(number, catch)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    try:
        yield caught
    finally:
        for number, handler in before:
            signal.signal(number, handler)
