"""Signals that ask for an end."""

import os
import signal

import pytest

from runner.app.interrupt import catching_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_caught_and_counted_and_afterwards_means_what_it_meant(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    counts: list[int] = []
    with catching_signals(lambda so_far: counts.append(len(so_far))) as caught:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert caught == [number, number]
    assert counts == [1, 2]
    assert signal.getsignal(number) == before


def test_signals_mean_what_they_meant_after_an_error_too() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), catching_signals(lambda so_far: None):
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_terminal_that_goes_away_is_ignored_where_it_was() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with catching_signals(lambda so_far: None) as caught:
            os.kill(os.getpid(), signal.SIGHUP)
        assert caught == []
    finally:
        signal.signal(signal.SIGHUP, before)
