"""Places in pools that bound how many jobs run at the same time, whoever runs them on this machine.

A process holds a byte of one file for each place. Where the bytes of a pool are is a hash of its name and of the boot
of the machine: a home that several machines share does not make their pools one.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

from runner.crew import nothing
from runner.digest import hash_json
from runner.process import boot_id
from runner.store.lock import Locks

_WIDTH = 22
"""Bits for the places of one pool; the first byte is held by who looks for some."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a job has of a pool: the numbers of its party's places, from 0, and what lets them go, idempotent."""

    numbers: tuple[int, ...]
    let_go: Callable[[], None]


@dataclass(slots=True)
class _Party:
    """Jobs that have their places together: what lets each place go, by number; `members` are those that are there."""

    places: Mapping[int, Callable[[], None]]
    members: set[object] = field(default_factory=set)


class Pools:
    """The places that jobs of this process have. Usable from several threads."""

    def __init__(self, file: Path) -> None:
        self._locks = Locks(file)
        self._lock = Lock()
        self._parties: dict[tuple[str, str], _Party] = {}

    def take(self, pool: str, size: int, party: str, count: int = 1) -> Held | None:
        """Have a place in a pool of so many; None while there are not enough.

        Jobs of one `party` have their `count` places together, so that no two parties wait for each other's: the first
        takes all of them, and the last to go frees them. No party has more than there are.
        """
        with self._lock:
            known = self._parties.get((pool, party))
            if known is None:
                places = self._find(pool, size, min(count, size))
                if places is None:
                    return None
                known = self._parties[pool, party] = _Party(places)
            return self._join((pool, party), known)

    def keep(self, pool: str, numbers: Iterable[int], party: str) -> Held:
        """Have these very places, because one who had them before needs them still. One that somebody has taken
        meanwhile is shared with them."""
        with self._lock:
            first = _first(pool)
            places = {number: self._locks.take(first + 1 + number) or nothing for number in numbers}
            known = self._parties[pool, party] = _Party(places)
            return self._join((pool, party), known)

    def close(self) -> None:
        """Let everything go; idempotent."""
        with self._lock:
            self._parties.clear()
            self._locks.close()

    def _join(self, key: tuple[str, str], party: _Party) -> Held:
        member = object()
        party.members.add(member)
        return Held(tuple(party.places), partial(self._leave, key, party, member))

    def _find(self, pool: str, size: int, count: int) -> Mapping[int, Callable[[], None]] | None:
        """So many places, or none at all. One process looks at a time: two could else keep each other from enough.

        Where nothing can be locked, those that nobody of this process has come first.
        """
        first = _first(pool)
        done = self._locks.take(first)
        if done is None:
            return None
        own = {number for (name, _), party in self._parties.items() if name == pool for number in party.places}
        found: dict[int, Callable[[], None]] = {}
        try:
            for number in sorted(range(size), key=lambda number: (number in own, number)):
                if len(found) == count:
                    break
                if (let_go := self._locks.take(first + 1 + number)) is not None:
                    found[number] = let_go
        finally:
            done()
        if len(found) == count:
            return found
        for let_go in found.values():
            let_go()
        return None

    def _leave(self, key: tuple[str, str], party: _Party, member: object) -> None:
        with self._lock:
            if member not in party.members:
                return
            party.members.discard(member)
            if not party.members and self._parties.get(key) is party:
                del self._parties[key]
                for let_go in party.places.values():
                    let_go()


def _first(pool: str) -> int:
    boot = ""
    with suppress(OSError):
        boot = boot_id()
    return int(hash_json([boot, pool])[:10], 16) << _WIDTH
