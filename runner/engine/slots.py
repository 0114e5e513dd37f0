"""Which of the jobs that could run do so: places, processors, memory, devices and pools. Pure.

Jobs come in order: those of greater priority first, then those with the longer path ahead of them, then as they
arrived. One for which there is no room is passed over by others, but nobody behind it takes anything that it waits for:
what it needs besides a place is kept for it from then on, and as soon as it lacks nothing but a place, that too. So it
starts once those have ended that ran or stood before it, however many small ones would fit meanwhile, and a place is
idle for its sake only if it could use it.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PASSED_OVER = 64
"""Kinds of claims that there is no room for and that are passed over each time: bounds the work where no two jobs claim
the same."""

_PLACES = "places"

Need = tuple[tuple[str, int], ...]
"""How much of what is counted: jobs of the same need stand in one queue."""

Order = tuple[int, float, int]
"""The least comes first; no two are equal."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a job takes while it runs, besides one place: processors, memory (bytes), so many devices of each kind, and
    one place in each of the named pools. Of those that wait the one of the greatest `priority` comes first, among
    equals the one with the longest `path`: seconds from its start to the end of the run, as far as they are known."""

    cpus: float = 0.0
    memory: int = 0
    devices: Mapping[str, int] = field(default_factory=dict)
    pools: tuple[str, ...] = ()
    priority: int = 0
    path: float = 0.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What there is to share out: places (how many jobs run at the same time), and of the rest as in `Claim`; None
    where nobody counts. `devices` are counted by kind, `pools` are the places of each pool by name; of what is not
    among them there is any number."""

    places: int
    cpus: float | None = None
    memory: int | None = None
    devices: Mapping[str, int] = field(default_factory=dict)
    pools: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Entry:
    """Jobs that wait for one start: one, or several that start all at once."""

    need: Need
    shares: Mapping[str, Need]
    """What each gives back at its end."""
    order: Order
    gone: bool = False


class Slots:
    """The jobs that wait, and what is taken by those that run."""

    def __init__(self, capacity: Capacity) -> None:
        counted = {
            _PLACES: max(capacity.places, 1),
            "cpus": None if capacity.cpus is None else _thousandths(capacity.cpus),
            "memory": capacity.memory,
            **{_device(kind): count for kind, count in capacity.devices.items()},
            **{_pool(name): size for name, size in capacity.pools.items()},
        }
        self._capacity = {what: most for what, most in counted.items() if most is not None}
        self._used = dict.fromkeys(self._capacity, 0)
        self._queues: dict[Need, list[tuple[Order, _Entry]]] = {}
        self._heads: list[tuple[Order, Need]] = []
        """Of each queue its first, and perhaps others that are not first any more."""
        self._waiting: dict[str, _Entry] = {}
        self._running: dict[str, Need] = {}
        self._arrived = 0

    def add(self, name: str, claim: Claim, turn: int | None = None) -> None:
        """A job waits for its turn: of those that are equal otherwise the one of the least `turn` comes first, without
        one the one that was added first."""
        self.add_together({name: claim}, turn)

    def add_together(self, claims: Mapping[str, Claim], turn: int | None = None) -> None:
        """Several jobs wait, which can only start all at once."""
        if not claims:
            return
        self._arrived = max(self._arrived, turn or 0) + 1
        priority, path = max(one.priority for one in claims.values()), max(one.path for one in claims.values())
        need, shares = self._share(claims)
        entry = _Entry(need, shares, (-priority, -path, self._arrived if turn is None else turn))
        self._waiting |= dict.fromkeys(claims, entry)
        queue = self._queues.setdefault(need, [])
        heapq.heappush(queue, (entry.order, entry))
        if queue[0][1] is entry:
            heapq.heappush(self._heads, (entry.order, need))

    def remove(self, names: Iterable[str]) -> None:
        """These wait no more, nor do those that would have to start with them; one that does not wait is passed
        over."""
        for name in names:
            if (entry := self._waiting.get(name)) is not None:
                self._forget(entry)

    def occupy(self, name: str, claim: Claim) -> None:
        """A job runs since before, whether there is room for it or not."""
        self._hold(self._share({name: claim})[1])

    def take(self) -> list[str]:
        """The jobs that start now, in order; what they claim is theirs until `free`."""
        taken: list[str] = []
        kept: dict[str, int] = {}
        passed: dict[Need, Order] = {}
        while self._heads and len(passed) < _PASSED_OVER and self._room(_PLACES, kept) > 0:
            order, need = heapq.heappop(self._heads)
            entry = None if need in passed else self._first(order, need)
            if entry is None:
                continue
            short = [what for what, amount in need if amount > self._room(what, kept)]
            if short:
                passed[need] = order
                only_places = short == [_PLACES]
                _add(kept, ((what, amount) for what, amount in need if what != _PLACES or only_places))
                continue
            self._forget(entry)
            self._first(order, need)
            self._hold(entry.shares)
            taken += entry.shares
        for need, order in passed.items():
            heapq.heappush(self._heads, (order, need))
        return taken

    def free(self, name: str) -> None:
        """A job that ran is over."""
        for what, amount in self._running.pop(name, ()):
            self._used[what] -= amount

    def _room(self, what: str, kept: Mapping[str, int]) -> int:
        return self._capacity[what] - self._used[what] - kept.get(what, 0)

    def _first(self, order: Order, need: Need) -> _Entry | None:
        """The first of the queue if it is the one of that order, else None; the heads then have the one that is."""
        queue = self._queues.get(need)
        if not queue:
            return None
        if not queue[0][1].gone:
            return queue[0][1] if queue[0][0] == order else None
        while queue and queue[0][1].gone:
            heapq.heappop(queue)
        if queue:
            heapq.heappush(self._heads, (queue[0][0], need))
        else:
            del self._queues[need]
        return None

    def _forget(self, entry: _Entry) -> None:
        entry.gone = True
        for name in entry.shares:
            del self._waiting[name]

    def _hold(self, shares: Mapping[str, Need]) -> None:
        self._running |= shares
        for share in shares.values():
            _add(self._used, share)

    def _share(self, claims: Mapping[str, Claim]) -> tuple[Need, dict[str, Need]]:
        """What is counted of the claims, summed, and of each.

        Who claims more of anything than there is gets all the places until the last of them has ended, so that it runs
        when nothing else does.
        """
        wants = {name: _wants(claim) for name, claim in claims.items()}
        total: dict[str, int] = {}
        for want in wants.values():
            _add(total, want.items())
        most = self._capacity
        if any(amount > most[what] for what, amount in total.items() if what in most):
            alone = self._counted({**total, _PLACES: most[_PLACES]})
            return alone, dict.fromkeys(claims, alone)
        return self._counted(total), {name: self._counted(want) for name, want in wants.items()}

    def _counted(self, wants: Mapping[str, int]) -> Need:
        most = self._capacity
        return tuple(sorted((what, min(amount, most[what])) for what, amount in wants.items() if what in most))


def _add(amounts: dict[str, int], more: Iterable[tuple[str, int]]) -> None:
    for what, amount in more:
        amounts[what] = amounts.get(what, 0) + amount


def _wants(claim: Claim) -> dict[str, int]:
    """What one job takes; of the rest it takes nothing."""
    wants = {_PLACES: 1, "cpus": _thousandths(claim.cpus), "memory": claim.memory}
    for kind, count in claim.devices.items():
        wants[_device(kind)] = count
    for name in claim.pools:
        wants[_pool(name)] = 1
    return {what: amount for what, amount in wants.items() if amount > 0}


def _thousandths(cpus: float) -> int:
    """Processors in whole numbers, whose sums are exact."""
    return round(cpus * 1000)


def _device(kind: str) -> str:
    return f"device {kind}"


def _pool(name: str) -> str:
    return f"pool {name}"
