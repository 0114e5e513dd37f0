"""Numbers that are drawn in lots."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from runner.store.number import Numbers


class Disk:
    """A sequence that several may draw from; counts the draws."""

    def __init__(self) -> None:
        self.draws: list[int] = []
        self.last = 0
        self.name = "one"
        self.refusals: Iterator[bool] = iter(())

    def draw(self, many: int) -> int:
        if next(self.refusals, False):
            raise OSError("full")
        self.draws.append(many)
        self.last += many
        return self.last - many + 1

    def give_back(self, first: int, many: int) -> None:
        if self.last == first + many - 1:
            self.last -= many

    def numbers(self) -> Numbers:
        return Numbers(self.draw, self.give_back, lambda: self.name)


def test_one_after_the_other_gets_the_next_number() -> None:
    numbers = Disk().numbers()
    assert [numbers.next() for _ in range(300)] == list(range(1, 301))


def test_who_asks_once_draws_once_and_who_asks_often_draws_seldom() -> None:
    disk = Disk()
    numbers = disk.numbers()
    numbers.next()
    assert disk.draws == [1]
    for _ in range(9_999):
        numbers.next()
    assert len(disk.draws) < 200


def test_what_was_not_wanted_is_given_back() -> None:
    disk = Disk()
    numbers = disk.numbers()
    given = [numbers.next() for _ in range(5)]
    assert disk.last > 5
    numbers.close()
    assert (given, disk.last) == ([1, 2, 3, 4, 5], 5)
    numbers.close()
    assert disk.numbers().next() == 6


def test_two_who_draw_from_one_sequence_never_get_the_same() -> None:
    disk = Disk()
    one, other = disk.numbers(), disk.numbers()
    found = [numbers.next() for _ in range(50) for numbers in (one, other)]
    one.close()
    other.close()
    assert len(set(found)) == 100
    assert disk.numbers().next() not in found


def test_many_threads_get_each_number_once() -> None:
    numbers = Disk().numbers()
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: numbers.next(), range(2000)))
    assert sorted(found) == list(range(1, 2001))


def test_what_a_draw_raises_reaches_who_asked() -> None:
    disk = Disk()
    disk.refusals = iter((True,))
    numbers = disk.numbers()
    with pytest.raises(OSError, match="full"):
        numbers.next()
    assert numbers.next() == 1


def test_what_was_drawn_from_a_place_that_is_lost_is_neither_given_out_nor_back() -> None:
    disk = Disk()
    numbers = disk.numbers()
    for _ in range(5):
        numbers.next()
    disk.name, disk.last = "another", 5
    others = disk.numbers()
    found = [others.next(), numbers.next(), others.next()]
    assert found[:2] == [6, 7]
    assert len(set(found)) == 3
    disk.name, disk.last = "a third", 100
    numbers.close()
    assert disk.last == 100
