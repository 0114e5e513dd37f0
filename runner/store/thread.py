"""Runs many short waits for the disk side by side. Knows nothing of what is waited for."""

from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import TypeVar

T = TypeVar("T")

_THREADS = 8
"""Eight waiting writers let the file system commit in groups; more did not help."""
_AHEAD = 32
"""How many items may wait: bounds the descriptors that are open at the same time."""


def side_by_side(work: Callable[[T], None], items: Iterable[T]) -> None:
    """Call `work` for each item, in a few threads; `items` is walked by the caller's own thread.

    `work` is called for every item that was taken, also after a failure; then the first failure is raised and no
    further item is taken.
    """
    queue: SimpleQueue[tuple[T] | None] = SimpleQueue()
    free = Semaphore(_AHEAD)
    failures: list[BaseException] = []

    def loop() -> None:
        while (box := queue.get()) is not None:
            try:
                work(box[0])
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                failures.append(error)
            finally:
                free.release()

    threads: list[Thread] = []
    try:
        for item in items:
            free.acquire()
            queue.put((item,))
            if len(threads) < _THREADS:
                thread = Thread(target=loop, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # The machine gives no more threads: those that there are will do, or else this one.
                    if not threads:
                        queue.put(None)
                        loop()
                else:
                    threads.append(thread)
            if failures:
                break
    finally:
        for _ in threads:
            queue.put(None)
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
