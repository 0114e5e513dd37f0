"""How tests wait: as long as a slow and busy machine needs, and not for ever."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 120.0
"""Seconds after which what has not happened counts as never going to happen."""


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition` holds. Raises AssertionError when it does not within `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE:g} s"
        time.sleep(0.01)


@contextmanager
def not_for_ever() -> Iterator[None]:
    """Raises AssertionError where the block has not ended within `PATIENCE`. For the main thread."""

    def ring(_: int, frame: FrameType | None) -> None:
        raise AssertionError(f"this goes on after {PATIENCE:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
