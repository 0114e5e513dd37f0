"""Signals that ask this process to end, made gentler while a run or a shell lasts. Main thread only."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def catching_signals(react: Callable[[list[int]], None]) -> Iterator[list[int]]:
    """While this lasts INT, TERM and HUP do not end this process: `react` is called with the numbers of those
    that came so far. HUP that is ignored, as by `nohup` and in the background, stays so.

    Yields the same numbers. `react` runs between any two instructions of the main thread: it takes no lock.
    """
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        react(caught)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = [(number, signal.signal(number, catch)) for number in numbers]
    try:
        yield caught
    finally:
        for number, handler in before:
            signal.signal(number, handler)
