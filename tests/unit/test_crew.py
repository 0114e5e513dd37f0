"""Threads that are kept, waits side by side, and work that is due later."""

import math
import os
import threading
import time
from functools import partial

import pytest

from runner import share
from runner.crew import AIDES, Crew, Deferred, affordable, side_by_side
from tests.patience import PATIENCE, wait_for


def refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def are_idle(crew: Crew) -> bool:
    """Whether, soon, nobody of it is at work."""
    until = time.monotonic() + PATIENCE
    while crew._threads != crew._idle:
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def test_every_item_is_worked_on_once() -> None:
    done: list[int] = []
    side_by_side(done.append, range(1000))
    assert sorted(done) == list(range(1000))


def test_waits_overlap() -> None:
    together = threading.Barrier(8)
    side_by_side(lambda _: together.wait(60), range(40))


def test_the_first_failure_is_raised_and_stops_the_walk() -> None:
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
    assert are_idle(AIDES)


def test_a_failure_of_the_items_themselves_is_raised_and_leaves_nobody_at_work() -> None:
    def items() -> object:
        yield 1
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        side_by_side(lambda _: None, items())  # type: ignore[arg-type]
    assert are_idle(AIDES)


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


def test_threads_that_are_to_be_had_again_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    start, refusals = threading.Thread.start, iter(range(3))

    def start_later(thread: threading.Thread) -> None:
        if next(refusals, None) is not None:
            refuse(thread)
        start(thread)

    done: list[int] = []

    def work(number: int) -> None:
        if number >= 3:
            time.sleep(0.05)
        done.append(number)

    monkeypatch.setattr("runner.crew.AIDES", Crew())
    monkeypatch.setattr(threading.Thread, "start", start_later)
    side_by_side(work, range(6))
    assert sorted(done) == list(range(6))


def test_a_thread_that_has_done_its_work_does_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "tasks", lambda: math.inf)
    crew, seen = Crew(), []
    for _ in range(20):
        done = threading.Event()

        def work(done: threading.Event = done) -> None:
            seen.append(threading.get_ident())
            done.set()

        crew.do(work)
        assert done.wait(PATIENCE)
        assert are_idle(crew)
    assert len(set(seen)) == 1


def test_who_may_have_few_threads_keeps_none_that_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "tasks", lambda: 64)
    monkeypatch.setattr("runner.crew._IDLE", 10 * PATIENCE)
    crew = Crew()
    for _ in range(3):
        crew.do(lambda: None)
    wait_for(lambda: crew._threads == 0, "end of its threads")


def test_who_may_have_few_threads_has_few_for_one_kind_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for allowed, most in ((8, 1), (64, 8), (100_000, 64), (math.inf, 64)):
        monkeypatch.setattr(share, "tasks", lambda allowed=allowed: allowed)
        assert affordable(64) == most


def test_no_more_work_at_a_time_than_asked_for_and_all_of_it_is_done() -> None:
    crew, lock = Crew(3), threading.Lock()
    at_work, most, done = 0, 0, threading.Semaphore(0)

    def work() -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.002)
        with lock:
            at_work -= 1
        done.release()

    for _ in range(50):
        crew.do(work)
    for _ in range(50):
        assert done.acquire(timeout=PATIENCE)
    assert most == 3


def test_who_is_waited_for_never_keeps_others_from_their_work() -> None:
    crew, free = Crew(), threading.Event()
    together = threading.Barrier(10)

    def wait() -> None:
        together.wait(PATIENCE)
        free.set()

    for _ in range(10):
        crew.do(wait)
    assert free.wait(PATIENCE)


def test_a_bounded_crew_that_gets_no_further_thread_does_with_those_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crew, free, done = Crew(8), threading.Event(), threading.Semaphore(0)
    crew.do(lambda: free.wait(PATIENCE) and done.release())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(3):
        crew.do(done.release)
    free.set()
    for _ in range(4):
        assert done.acquire(timeout=PATIENCE)


def test_a_crew_that_gets_no_thread_says_so_and_gets_one_later(monkeypatch: pytest.MonkeyPatch) -> None:
    crew, done = Crew(1), threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            crew.do(done.set)
    crew.do(done.set)
    assert done.wait(PATIENCE)


def test_a_bug_ends_the_thread_that_met_it_and_another_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    bugs, done = threading.Semaphore(0), threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda bug: bugs.release())

    def fail() -> None:
        raise ValueError("a bug")

    crew = Crew(1)
    crew.do(fail)
    assert bugs.acquire(timeout=PATIENCE)
    crew.do(done.set)
    assert done.wait(PATIENCE)


def test_what_is_ended_before_its_time_never_begins() -> None:
    begun = threading.Event()
    deferred = Deferred(begun.set, "late")
    deferred.begin(0.05)
    deferred.end()
    deferred.end()
    assert not begun.wait(0.2)


def test_what_has_begun_is_waited_for_at_its_end() -> None:
    begun, over, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        over.wait(PATIENCE)
        done.append(1)

    deferred = Deferred(work, "late")
    deferred.begin(0.01)
    assert begun.wait(PATIENCE)
    over.set()
    deferred.end()
    assert done == [1]


def test_the_sooner_is_first_whoever_was_asked_for_first() -> None:
    order, both = [], threading.Barrier(3)

    def note(what: str) -> None:
        order.append(what)
        both.wait(PATIENCE)

    Deferred(partial(note, "later"), "later").begin(0.4)
    Deferred(partial(note, "sooner"), "sooner").begin(0.05)
    both.wait(PATIENCE)
    assert order == ["sooner", "later"]


def test_what_gets_no_thread_at_its_time_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, refused = threading.Event(), threading.Event()
    # The thread of the alarm is there from here on.
    Deferred(lambda: None, "first").begin(60)
    deferred = Deferred(begun.set, "late")
    with monkeypatch.context() as patch:

        def refuse_once(thread: threading.Thread) -> None:
            refused.set()
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse_once)
        deferred.begin(0.02)
        assert refused.wait(PATIENCE)
    assert begun.wait(PATIENCE)


def test_a_child_that_is_forked_gets_threads_of_its_own() -> None:
    side_by_side(lambda _: None, range(8))
    assert are_idle(AIDES)
    child = os.fork()
    if child == 0:
        done: list[int] = []
        late = threading.Event()
        try:
            side_by_side(done.append, range(8))
            Deferred(late.set, "late").begin(0.01)
        finally:
            os._exit(0 if len(done) == 8 and late.wait(PATIENCE) else 1)
    assert os.waitpid(child, 0)[1] == 0
