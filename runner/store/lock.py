"""Bytes of one file that processes hold (fcntl(2), open file description locks), each for something of its own.

The kernel lets a byte go when its process dies, and nothing is left behind; the file stays empty, as a byte need not be
there to be held.
"""

import fcntl
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

from runner.crew import nothing

PLACES = 1 << 62
"""Bytes that there are to hold."""

_FLOCK = struct.Struct("hhqqi4x")


@dataclass(frozen=True, slots=True, eq=False)
class _Hold:
    """That a byte is held once, as who lets go twice must not let go what somebody else holds by then."""

    holder: str


class Locks:
    """What this process holds; the file is made with the first. Usable from several threads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self._held: dict[int, _Hold] = {}
        """By place."""
        self._fd = -1

    def take(self, place: int, holder: str = "") -> Callable[[], None] | None:
        """Hold a byte in the name of `holder`: what lets it go again, which may be called more than once; None while
        somebody else has it.

        Where no lock is to be had at all everybody has it.
        """
        with self._lock:
            if place in self._held:
                return None
            try:
                if self._fd < 0:
                    self._file.parent.mkdir(parents=True, exist_ok=True)
                    self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                self._set(fcntl.F_WRLCK, place)
            except BlockingIOError:
                return None
            except OSError:
                return nothing
            hold = self._held[place] = _Hold(holder)
        return partial(self._let_go, place, hold)

    def holder(self, place: int) -> str | None:
        """In whose name this process holds a byte; None where it does not."""
        with self._lock:
            hold = self._held.get(place)
        return hold.holder if hold is not None else None

    def close(self) -> None:
        """Let everything go; idempotent."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1
            self._held.clear()

    def _let_go(self, place: int, hold: _Hold) -> None:
        with self._lock:
            if self._held.get(place) is hold and self._fd >= 0:
                del self._held[place]
                with suppress(OSError):
                    self._set(fcntl.F_UNLCK, place)

    def _set(self, kind: int, place: int) -> None:
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0))
