"""Numbers that several threads draw at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest

from runner.store.number import Numbers


class Disk:
    """Counts draws, each of which takes as long as the test wants."""

    def __init__(self) -> None:
        self.draws: list[int] = []
        self.free = Event()
        self.last = 0
        self.refusals: Iterator[bool] = iter(())

    def draw(self, many: int) -> int:
        self.draws.append(many)
        assert self.free.wait(30)
        if next(self.refusals, False):
            raise OSError("full")
        self.last += many
        return self.last - many + 1


def test_one_after_the_other_gets_the_next_number() -> None:
    disk = Disk()
    disk.free.set()
    numbers = Numbers(disk.draw)

    assert [numbers.next() for _ in range(3)] == [1, 2, 3]
    assert disk.draws == [1, 1, 1]


def test_all_who_wait_for_a_draw_share_the_next_one_and_no_number_is_wasted() -> None:
    disk = Disk()
    numbers = Numbers(disk.draw)
    with ThreadPoolExecutor(20) as threads:
        first = threads.submit(numbers.next)
        while not disk.draws:
            pass
        others = [threads.submit(numbers.next) for _ in range(19)]
        while len(numbers._waiting) < 19:
            pass
        disk.free.set()
        found = [one.result(30) for one in (first, *others)]

    assert sorted(found) == list(range(1, 21))
    assert disk.draws == [1, 19]


def test_who_shares_a_draw_that_fails_tries_again() -> None:
    disk = Disk()
    disk.refusals = iter((False, True))
    numbers = Numbers(disk.draw)
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(numbers.next)
        while not disk.draws:
            pass
        others = [threads.submit(numbers.next) for _ in range(4)]
        while len(numbers._waiting) < 4:
            pass
        disk.free.set()
        ends = [one.exception(30) for one in others]

    assert first.result(30) == 1
    assert sum(end is not None for end in ends) == 1
    assert sorted(one.result() for one, end in zip(others, ends, strict=True) if end is None) == [2, 3, 4]


def test_many_threads_get_each_number_once() -> None:
    tick = count(1)

    def draw(many: int) -> int:
        return min(next(tick) for _ in range(many))

    numbers = Numbers(draw)
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: numbers.next(), range(2000)))
    assert sorted(found) == list(range(1, 2001))


def test_what_a_draw_raises_reaches_who_asked() -> None:
    disk = Disk()
    disk.free.set()
    disk.refusals = iter((True,))
    numbers = Numbers(disk.draw)
    with pytest.raises(OSError, match="full"):
        numbers.next()
    assert numbers.next() == 1
