"""Silence and stop-conditions, as a worker sees them."""

import threading
from collections.abc import Callable
from dataclasses import replace
from math import nan

import pytest

from runner.job import Job
from runner.state import Reason
from runner.worker.watchdog import Silence, StopCondition, Watchdog


class Asked:
    """Notes why an end was asked for."""

    def __init__(self) -> None:
        self.reasons: list[Reason] = []
        self.event = threading.Event()

    def __call__(self, reason: Reason) -> None:
        self.reasons.append(reason)
        self.event.set()


def test_silence_asks_once_for_the_end() -> None:
    asked = Asked()
    silence = Silence(0.05, asked)
    silence.start()

    assert asked.event.wait(30)
    silence.close()
    assert asked.reasons == [Reason.NO_OUTPUT]


class Prattle:
    """Time that passes while it is waited for, as a `time` and an event of its own: something is heard each 1.5 s."""

    def __init__(self, silence: Silence, waits: int) -> None:
        self.silence, self.waits, self.halves = silence, waits, 0

    def monotonic(self) -> float:
        return self.halves / 2

    def wait(self, seconds: float) -> bool:
        until, self.waits = self.monotonic() + seconds, self.waits - 1
        while self.monotonic() < until:
            self.halves += 1
            if self.halves % 3 == 0:
                self.silence.begin()
        return self.waits < 0


def test_what_is_heard_begins_the_silence_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    silence = Silence(2.0, asked)
    prattle = Prattle(silence, 20)
    monkeypatch.setattr("runner.worker.watchdog.time", prattle)
    monkeypatch.setattr(silence, "_over", prattle)
    silence.begin()
    silence._watch()

    assert asked.reasons == []
    assert prattle.monotonic() > 10


def test_while_the_log_is_written_a_program_is_not_silent() -> None:
    asked = Asked()
    silence = Silence(0.05, asked)
    silence.pause()
    thread = silence._thread
    thread.start()

    assert not asked.event.wait(0.3)
    silence.begin()
    assert asked.event.wait(30)
    silence.close()


def test_a_silence_that_never_began_is_closed_all_the_same() -> None:
    silence = Silence(1.0, Asked())
    silence.close()
    silence.close()


def test_a_very_long_silence_is_no_overflow() -> None:
    silence = Silence(100 * 365 * 86400.0, Asked())
    silence.start()
    silence.close()


def test_a_job_without_limits_starts_no_thread(job: Job, new_threads: Callable[[], list[threading.Thread]]) -> None:
    with Watchdog(job, Asked()) as watchdog:
        watchdog.hear()
        watchdog.heard()
        watchdog.take({"loss": 1})
        assert not new_threads()
    assert watchdog.met is None


@pytest.mark.parametrize(
    ("text", "events", "met"),
    [
        ("loss < 0.5", [{"loss": 0.4}], "`loss < 0.5` holds: loss = 0.4"),
        ("metadata.loss < 0.5", [{"loss": 0.4}], "`metadata.loss < 0.5` holds: loss = 0.4"),
        ("val-loss < 1 and epoch > 2", [{"val-loss": 0.5}, {"epoch": 3}], "epoch = 3, val-loss = 0.5"),
        ("epoch >= parameter.epochs", [{"epoch": 4}, {"epoch": 5}], "epoch = 5"),
        ("loss < 0.5", [{"loss": "0.4"}], "loss = 0.4"),
        ("loss < 0.5", [{"loss": nan}, {"loss": 0.6}], None),
        ("loss < 0.5", [{"accuracy": 0.1}], None),
        ("a < 1 and b < 1", [{"a": 0}], None),
        ("loss < parameter.missing", [{"loss": 0}], None),
        ("loss < 0.5", [{"loss": [1, 2]}, {"loss": {"a": 1}}, {"loss": None}], None),
        ("loss < 0.5", [{"loss": 0.4}, {"loss": 0.3}], "`loss < 0.5` holds: loss = 0.4"),
        ('name == "\x1b[31m"', [{"name": "\x1b[31m"}], None),
    ],
)
def test_a_stop_condition_reads_the_last_values(
    text: str, events: list[dict[str, object]], met: str | None, job: Job
) -> None:
    asked = Asked()
    watchdog = Watchdog(replace(job, stop_condition=text), asked)
    for values in events:
        watchdog.take(values)

    if met is None:
        assert watchdog.met is None or "\x1b" not in watchdog.met
        assert len(asked.reasons) <= (watchdog.met is not None)
    else:
        assert met in (watchdog.met or "")
        assert asked.reasons == [Reason.STOP_CONDITION]


def test_an_event_without_a_metric_of_the_condition_costs_no_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    condition = StopCondition("loss < 0.5", {})
    looked: list[object] = []
    holds: Callable[..., bool] = condition._expression.holds
    monkeypatch.setattr(condition._expression, "holds", lambda lookup: (looked.append(1), holds(lookup))[1])
    condition.take({"step": 1})
    condition.take({"loss": 1})

    assert len(looked) == 1


def test_a_long_value_is_told_in_short() -> None:
    condition = StopCondition("name == name", {})
    condition.take({"name": "x" * 10_000})

    assert len(condition.met or "") < 200
