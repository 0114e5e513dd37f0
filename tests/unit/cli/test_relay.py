"""Between what runs and what shows it."""

import threading
from types import TracebackType
from typing import Self

import pytest

from runner.cli import relay as module
from runner.cli.board import Board
from runner.cli.relay import Relay
from runner.events import Event, LogArrived, MetricsArrived, NodeChanged, Noticed
from runner.state import State


class Screen:
    """A display that stands still until it is let go, and notes what it is shown."""

    def __init__(self) -> None:
        self.board = Board()
        self.shown: list[Event] = []
        self.going = threading.Event()
        self.left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left = True

    def __call__(self, event: Event) -> None:
        self.going.wait(60)
        self.shown.append(event)

    def log(self) -> bytes:
        return b"".join(event.data for event in self.shown if isinstance(event, LogArrived))


def test_everything_is_shown_in_order_when_the_display_is_left() -> None:
    screen = Screen()
    with Relay(screen) as relay:
        for number in range(1000):
            relay(LogArrived("a", "stdout", b"%d\n" % number))
        relay(NodeChanged("a", State.SUCCEEDED))
        screen.going.set()

    assert screen.log() == b"".join(b"%d\n" % number for number in range(1000))
    assert screen.shown[-1] == NodeChanged("a", State.SUCCEEDED)
    assert len(screen.shown) < 100
    assert screen.left


def test_streams_and_nodes_are_not_put_together() -> None:
    screen = Screen()
    events = [LogArrived("a", "stdout", b"1"), LogArrived("a", "stderr", b"2"), LogArrived("b", "stderr", b"3")]
    with Relay(screen) as relay:
        for event in events:
            relay(event)
        screen.going.set()

    assert screen.shown == events


def test_a_display_that_stands_still_holds_nobody_up_and_misses_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    screen = Screen()
    with Relay(screen) as relay:
        for _ in range(100):
            relay(LogArrived("a", "stdout", b"x" * 1_000_000))
        for number in range(100_000):
            relay(MetricsArrived("a", {"step": number}))
        relay(NodeChanged("a", State.SUCCEEDED))
        screen.going.set()

    # What the display is at work on does not wait, and the last piece that finds room may be a large one.
    assert 8_000_000 <= len(screen.log()) <= 11_000_000
    assert NodeChanged("a", State.SUCCEEDED) in screen.shown
    assert MetricsArrived("a", {"step": 99_999}) in screen.shown
    assert len(screen.shown) < 100
    notices = [event.text for event in screen.shown if isinstance(event, Noticed)]
    assert len(notices) == 1
    assert "of its output are not shown here" in notices[0]


def test_a_display_that_goes_on_is_shown_all_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    screen = Screen()
    with Relay(screen) as relay:
        for _ in range(20):
            relay(LogArrived("a", "stdout", b"x" * 1_000_000))
        screen.going.set()
        while relay._bytes:
            pass
        relay(LogArrived("a", "stdout", b"again"))

    assert screen.log().endswith(b"xagain")


def test_a_bug_of_the_display_is_told_at_the_end() -> None:
    class Broken(Screen):
        def __call__(self, event: Event) -> None:
            raise RuntimeError("cannot draw")

    with pytest.raises(RuntimeError, match="cannot draw"), Relay(Broken()) as relay:
        relay(LogArrived("a", "stdout", b"x"))
