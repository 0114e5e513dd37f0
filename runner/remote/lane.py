"""Many waits for a network or a disk side by side, which end soon after an interrupt. Knows nothing of what is done."""

from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread
from typing import TypeVar

from runner.remote.remote import Halted

T = TypeVar("T")


class Lanes:
    """Threads that share one `halt`: set by the first failure or an interrupt, seen by all work through `check`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._halt = Event()

    def check(self) -> None:
        """Raises Halted when the work was given up."""
        if self._halt.is_set():
            raise Halted

    def carry(self, work: Callable[[T], None], items: Iterable[T]) -> None:
        """Call `work` for each item. The first failure, or an interrupt of the caller's thread, ends it: items under
        way end at their next `check`, then it is raised."""
        waiting, lock = iter(items), Lock()
        failures: list[BaseException] = []

        def loop() -> None:
            while not self._halt.is_set():
                with lock:
                    box = next(([item] for item in waiting), None)
                if box is None:
                    return
                try:
                    work(box[0])
                except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                    failures.append(error)
                    self._halt.set()

        threads = [Thread(target=loop, daemon=True) for _ in range(self._number)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self._halt.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            raise
        if failures:
            raise next((error for error in failures if not isinstance(error, Halted)), failures[0])
