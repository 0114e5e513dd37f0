"""A part of the disk that no step may take: looked at before a job is staged and, on a thread, while its program runs.

How often depends on what is left: so often that even a program which only writes, as fast as memory takes it, goes
beyond the reserve by no more than a part of it.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from runner.crew import Deferred
from runner.errors import ExitCode, MlrunError
from runner.state import Reason
from runner.worker.watchdog import Ask

_MOST = 1 << 30
_SHARE = 100
"""What is left alone where nobody says how much: one part in so many of the disk, at most `_MOST` bytes."""

_SPEED = 4 << 30
"""Bytes that a program may write in a second, to memory at first."""
_LEAST_PAUSE = 0.02
_MOST_PAUSE = 0.5
"""Seconds between two looks."""

HINT = "free some space there (`mlrun gc` says what could go), or set another `reserve` in your settings"


@dataclass(frozen=True, slots=True)
class Reserve:
    """`asked` bytes of each file system that has one of `places` stay free: 0 for none, None for a part of it (one in a
    hundred, at most 1 GiB)."""

    places: tuple[Path, ...]
    asked: int | None = None

    def shortage(self) -> str | None:
        """A sentence when less than the reserve is free, else None."""
        return self.look()[0]

    def check(self) -> None:
        """Raises MlrunError (DISK) when less than the reserve is free."""
        sentence = self.shortage()
        if sentence is not None:
            raise MlrunError(sentence, code=ExitCode.DISK, hint=HINT)

    def look(self) -> tuple[str | None, float]:
        """The same as `shortage`, and in how many seconds to look again."""
        least = _SPEED
        for place in self.places:
            sentence, left = self._judge(place)
            if sentence is not None:
                return sentence, 0.0
            least = min(left, least)
        return None, min(max(least / _SPEED, _LEAST_PAUSE), _MOST_PAUSE)

    def _judge(self, place: Path) -> tuple[str | None, int]:
        """What there is to say of a disk, and how many bytes are left above the reserve. One that cannot be asked is
        none that we can keep free."""
        try:
            status = os.statvfs(place)
        except OSError:
            return None, _SPEED
        size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
        least = min(size // _SHARE, _MOST) if self.asked is None else self.asked
        if free >= least:
            return None, free - least
        return f"the disk of `{place}` has less than its reserve of {_amount(least)} left: {_amount(free)}", 0


class ReserveWatch:
    """Asks once for the end of a step when the reserve is touched; `found` then says so. Entered when the program has
    started, left when it has ended; a reserve of nothing is not watched."""

    def __init__(self, reserve: Reserve, ask: Ask) -> None:
        self._reserve = reserve
        self._ask = ask
        self._over = threading.Event()
        self._watching = Deferred(self._watch, "reserve")
        self.found: str | None = None

    def __enter__(self) -> Self:
        if self._reserve.asked != 0:
            self.found, pause = self._reserve.look()
            if self.found is not None:
                self._ask(Reason.DISK)
            else:
                self._watching.begin(pause)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watching.end()

    def _watch(self) -> None:
        while True:
            self.found, pause = self._reserve.look()
            if self.found is not None:
                self._ask(Reason.DISK)
                return
            if self._over.wait(pause):
                return


def _amount(size: int) -> str:
    """Bytes as people say them, in powers of 1024 as the setting takes them."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"
