"""What follows what was told, in batches, on another thread."""

import threading
import time
from collections.abc import Sequence
from functools import partial
from threading import Event

import pytest

from runner.errors import ExitCode, MlrunError
from runner.store import follower
from runner.store.follower import Follower
from tests.patience import PATIENCE


def test_all_that_waits_is_taken_at_once_and_in_order() -> None:
    taken: list[list[int]] = []
    free, begun = Event(), Event()

    def take(items: Sequence[int]) -> None:
        begun.set()
        assert free.wait(PATIENCE)
        taken.append(list(items))

    told: list[tuple[int, bool]] = []

    def keep(number: int, ok: bool) -> None:
        told.append((number, ok))

    follower = Follower(take)
    for number in range(5):
        follower.tell(number, partial(keep, number))
        if number == 0:
            assert begun.wait(PATIENCE)
    free.set()
    follower.rest()

    assert taken == [[0], [1, 2, 3, 4]]
    assert told == [(number, True) for number in range(5)]


def test_who_rests_waits_for_what_is_being_taken() -> None:
    done: list[str] = []

    def take(items: Sequence[str]) -> None:
        Event().wait(0.05)
        done.extend(items)

    follower = Follower(take)
    follower.tell("a", lambda ok: None)
    follower.rest()

    assert done == ["a"]
    follower.rest()


def test_what_cannot_be_taken_is_told_so_and_the_next_is_tried() -> None:
    full = [True]

    def take(items: Sequence[str]) -> None:
        if full.pop():
            raise MlrunError("full", code=ExitCode.DISK)

    follower = Follower(take)
    told: list[bool] = []
    follower.tell("a", told.append)
    follower.rest()
    full.append(False)
    follower.tell("b", told.append)
    follower.rest()

    assert told == [False, True]


def test_what_comes_often_is_taken_together() -> None:
    batches: list[int] = []
    follower: Follower[int] = Follower(lambda items: batches.append(len(items)))
    for number in range(200):
        follower.tell(number, lambda ok: None)
        Event().wait(0.001)
    follower.rest()
    assert sum(batches) == 200
    assert len(batches) < 100


def test_a_bug_in_who_takes_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    bugs: list[object] = []
    monkeypatch.setattr(threading, "excepthook", bugs.append)
    done: list[int] = []

    def take(items: Sequence[int]) -> None:
        if not bugs:
            raise ValueError("a bug")
        done.extend(items)

    follower: Follower[int] = Follower(take)
    follower.tell(1, lambda ok: None)
    follower.rest()
    while not bugs:
        pass
    follower.tell(2, lambda ok: None)
    follower.rest()
    assert done == [2]


def test_a_bug_in_who_takes_keeps_what_was_told_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda bug: None)
    begun, more = Event(), Event()
    told: list[tuple[int, bool]] = []

    def take(items: Sequence[int]) -> None:
        begun.set()
        assert more.wait(PATIENCE)
        if 1 in items:
            raise ValueError("a bug")

    def keep(number: int, ok: bool) -> None:
        told.append((number, ok))

    follower = Follower(take)
    follower.tell(1, partial(keep, 1))
    assert begun.wait(PATIENCE)
    follower.tell(2, partial(keep, 2))
    more.set()
    follower.rest()
    assert told == [(1, False), (2, True)]


def test_what_takes_long_gets_a_share_of_the_time_only() -> None:
    batches: list[int] = []

    def take(items: Sequence[int]) -> None:
        Event().wait(0.05)
        batches.append(len(items))

    follower: Follower[int] = Follower(take)
    began = time.monotonic()
    while time.monotonic() < began + 1:
        follower.tell(1, lambda ok: None)
        Event().wait(0.001)
    follower.rest()
    assert len(batches) <= 6


def test_who_gets_no_thread_takes_it_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_work: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(follower.AIDES, "do", refuse)
    monkeypatch.setattr(follower, "_PAUSE", 10 * PATIENCE)
    monkeypatch.setattr(follower, "_LONGEST", 10 * PATIENCE)
    told: list[bool] = []
    told_of = Follower[str](lambda items: None)
    telling = threading.Thread(target=told_of.tell, args=("a", told.append), daemon=True)
    telling.start()
    telling.join(PATIENCE)
    assert (telling.is_alive(), told) == (False, [True])
