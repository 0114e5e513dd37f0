"""Work side by side: everything is done, or it ends soon."""

import threading

import pytest

from runner.remote.lane import Lanes
from runner.remote.remote import Halted


def test_everything_is_done_once() -> None:
    done: list[int] = []
    Lanes(8).carry(done.append, range(1000))
    assert sorted(done) == list(range(1000))


def test_the_first_failure_is_raised_and_ends_the_rest() -> None:
    lanes, begun = Lanes(4), threading.Barrier(4)
    done: list[int] = []

    def work(number: int) -> None:
        if number < 4:
            begun.wait(60)
        if number == 2:
            raise ValueError("two")
        while number < 4:
            lanes.check()
        done.append(number)

    with pytest.raises(ValueError, match="two"):
        lanes.carry(work, range(100_000))
    assert len(done) < 100_000
    with pytest.raises(Halted):
        lanes.check()
