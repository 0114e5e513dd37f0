"""Many short waits side by side."""

import threading
from collections.abc import Callable

import pytest

from runner.store.thread import side_by_side


def test_every_item_is_worked_on_once() -> None:
    done: list[int] = []
    side_by_side(done.append, range(1000))
    assert sorted(done) == list(range(1000))


def test_waits_overlap() -> None:
    together = threading.Barrier(8)
    side_by_side(lambda _: together.wait(60), range(40))


def test_the_first_failure_is_raised_and_stops_the_walk(
    new_threads: Callable[[], list[threading.Thread]],
) -> None:
    taken: list[int] = []

    def items() -> object:
        for number in range(100_000):
            taken.append(number)
            yield number

    def work(number: int) -> None:
        if number == 5:
            raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        side_by_side(work, items())  # type: ignore[arg-type]
    assert len(taken) < 100_000
    assert not new_threads()


def test_a_failure_of_the_items_themselves_is_raised_and_leaves_no_thread(
    new_threads: Callable[[], list[threading.Thread]],
) -> None:
    def items() -> object:
        yield 1
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        side_by_side(lambda _: None, items())  # type: ignore[arg-type]
    assert not new_threads()


@pytest.mark.parametrize("threads", [0, 1])
def test_where_no_more_threads_can_be_had_the_work_is_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    start, left = threading.Thread.start, iter(range(threads))

    def refuse(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    side_by_side(done.append, range(200))
    assert sorted(done) == list(range(200))
