"""Brings a slow reader after what was told, in batches on another thread, so that who tells need not wait."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition
from typing import Generic, TypeVar

from runner.crew import AIDES
from runner.errors import MlrunError

T = TypeVar("T")

Then = Callable[[bool], None]
"""Called once an item was taken, or could not be."""

_PAUSE = 0.05
"""Seconds between two batches at least, unless somebody waits: what comes often is taken together."""
_SHARE = 0.2
"""At most this part of the time goes into batches, where they take so long that a longer pause is needed."""
_LONGEST = 0.5
"""Seconds that a pause lasts at most, however long a batch took."""


class Follower(Generic[T]):
    """Hands items to `take`, all that wait at once, in the order in which they were told. Usable from several threads.

    `take` may raise MlrunError: then none of its items was taken, and each is told so. After any other exception each
    is told so, too; what waits behind them is taken with the next that is told, or by whoever rests.
    """

    def __init__(self, take: Callable[[Sequence[T]], None]) -> None:
        self._take = take
        self._changed = Condition()
        self._waiting: list[tuple[T, Then]] = []
        self._busy = False
        self._serving = False
        self._resting = 0
        """How many wait until all was taken."""

    def tell(self, item: T, then: Then) -> None:
        """Have `item` taken soon; `then` is called, perhaps from another thread."""
        with self._changed:
            self._waiting.append((item, then))
            if self._serving:
                return
            self._serving = True
        try:
            AIDES.do(self._serve)
        except RuntimeError:
            # The machine gives no more threads: this one does it.
            self._take_all()

    def rest(self) -> None:
        """Wait until all that was told so far has been taken."""
        with self._changed:
            self._resting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy and not (self._waiting and self._serving))
            self._resting -= 1
            if not self._waiting:
                return
            self._serving = True
        # A bug has ended the thread that would have taken them.
        self._take_all()

    def _serve(self) -> None:
        """Take batches, each followed by a pause, until nothing waits."""
        while True:
            began = time.monotonic()
            if not self._take_batch():
                return
            took = time.monotonic() - began
            pause = min(max(_PAUSE, took / _SHARE - took), _LONGEST)
            with self._changed:
                self._changed.wait_for(lambda: self._resting, timeout=pause)

    def _take_all(self) -> None:
        """Take what waits at once, for a thread that has other things to do."""
        while self._take_batch():
            pass

    def _take_batch(self) -> bool:
        """Have all that waits taken; False where nothing does."""
        with self._changed:
            if not self._waiting:
                self._serving = False
                return False
            told, self._waiting = self._waiting, []
            self._busy = True
        is_sound = False
        try:
            self._hand_over(told)
            is_sound = True
        finally:
            with self._changed:
                self._busy = False
                self._serving = is_sound
                self._changed.notify_all()
        return True

    def _hand_over(self, told: Sequence[tuple[T, Then]]) -> None:
        """Have these taken, and tell of each whether it was. Raises what `take` may not."""
        taken = False
        try:
            with suppress(MlrunError):
                self._take([item for item, _ in told])
                taken = True
        finally:
            for _, then in told:
                then(taken)
