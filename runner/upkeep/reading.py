"""Reads every byte of a store and compares it with its name: with all cores, in bounded memory, a part at a time.

Objects are read in the order of their digests, every copy of one together, so that none can slip past by being moved
from one place to another; what comes behind the point that was reached is read in the next round at the latest.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from threading import Event

from runner.digest import Digest
from runner.share import own_share
from runner.store.layout import SHARDS
from runner.upkeep.anomaly import Reading
from runner.upkeep.inventory import Found, Halted, Inventory
from runner.upkeep.progress import Progress

_LOOKS = 4
_AHEAD = 4
"""Objects per core that are under way or wait for those before them."""
_SAVE_SECONDS = 5.0
_MOMENT = 0.1

Bad = tuple[Found, str]
"""A copy, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What reading all copies of an object came to; `size` in bytes."""

    digest: Digest
    size: int
    copies: int
    bad: tuple[Bad, ...]


@dataclass(slots=True)
class Reader:
    """One call's share of a round. `save` keeps the progress, `handle` gets what was found wrong before the progress
    goes past it, `tell` gets objects and bytes so far, often."""

    inventory: Inventory
    progress: Progress
    save: Callable[[], None]
    handle: Callable[[Examined], None]
    tell: Callable[[int, int], None]
    is_over: Callable[[], bool]
    interrupted: bool = False
    objects: int = 0
    size: int = 0
    _saved: float = field(default_factory=time.monotonic)

    def read(self) -> Reading:
        """Go on where the round stopped, until its end, the end of the time, or Ctrl-C, which is noted.

        The first object is read to its end whatever time it takes, so that every call gets further.
        """
        self.progress.begin_round()
        begun, position = self.progress.begun, self._go_on()
        last_full = self.progress.last_full
        if not position:
            self.progress.end_round()
        self.save()
        return Reading(self.objects, self.size, begun, position, last_full)

    def _go_on(self) -> str:
        """How far it came; empty at the end of the round."""
        cores = own_share().places
        halt, late = Event(), Event()
        waiting: deque[Future[Examined]] = deque()
        pool = ThreadPoolExecutor(cores, thread_name_prefix="read")
        digests = self._digests()
        # Only Ctrl-C ends the first one.
        give_up: Callable[[], bool] = halt.is_set
        try:
            while True:
                while len(waiting) < cores * _AHEAD and (digest := next(digests, None)) is not None:
                    waiting.append(pool.submit(self._examine, digest, give_up))
                    give_up = partial(_either, halt, late)
                if not waiting:
                    return ""
                self._pass(self._result(waiting.popleft(), late))
        except Halted:
            return self.progress.digest
        except KeyboardInterrupt:
            self.interrupted = True
            return self.progress.digest or "0"
        finally:
            halt.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _result(self, future: "Future[Examined]", late: Event) -> Examined:
        """Wait for an object; those that are under way when the time is over give up."""
        while True:
            if self.is_over():
                late.set()
            if wait([future], _MOMENT).done:
                return future.result()

    def _pass(self, examined: Examined) -> None:
        """An object is done, and all before it."""
        self.objects += examined.copies
        self.size += examined.size
        if examined.bad:
            self.handle(examined)
        self.progress.digest = examined.digest
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self.save()
            self._saved = time.monotonic()
        self.tell(self.objects, self.size)

    def _digests(self) -> Iterator[Digest]:
        behind = self.progress.digest
        for shard in SHARDS:
            if shard >= behind[:2]:
                yield from (digest for digest in self.inventory.shard(shard) if digest > behind)

    def _examine(self, digest: Digest, give_up: Callable[[], bool]) -> Examined:
        if give_up():
            raise Halted
        for _ in range(_LOOKS):
            size, copies, bad = 0, 0, []
            try:
                for found in self.inventory.copies(digest):
                    problem = self.inventory.problem(found, digest, give_up)
                    size, copies = size + found.size, copies + 1
                    if problem is not None:
                        bad.append((found, problem))
            except FileNotFoundError:
                # Somebody moves it in this moment.
                continue
            return Examined(digest, size, copies, tuple(bad))
        return Examined(digest, 0, 0, ())


def _either(first: Event, second: Event) -> bool:
    return first.is_set() or second.is_set()
