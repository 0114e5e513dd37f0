"""Work that is under way, so that identical work which is asked for at the same time is done once.

A process holds a byte of one file in the store's cache, whose place is the hash of the work. Two works with one place,
which a hash of 62 bits makes unlikely, wait for each other and lose nothing but time.
"""

from collections.abc import Callable
from pathlib import Path

from runner.digest import Digest
from runner.store.lock import PLACES, Locks


class Flights:
    """The work of this process. Usable from several threads."""

    def __init__(self, file: Path) -> None:
        self._locks = Locks(file)

    def take(self, work: Digest, holder: str = "") -> Callable[[], None] | None:
        """Hold the work in the name of `holder`: what lets it go again, which may be called more than once; None while
        somebody else has it.

        Where no lock is to be had at all everybody has it: work is done twice rather than never.
        """
        return self._locks.take(_place(work), holder)

    def holder(self, work: Digest) -> str | None:
        """In whose name this process holds the work; None where it does not."""
        return self._locks.holder(_place(work))

    def close(self) -> None:
        """Let everything go; idempotent."""
        self._locks.close()


def _place(work: Digest) -> int:
    return int(work[:16], 16) % PLACES
