"""What became of a job."""

from dataclasses import replace

import pytest

from runner.errors import ExitCode, MlrunError
from runner.job import Job, Outcome
from runner.state import Reason
from runner.worker.conclusion import conclude, exit_code, has_failed_itself, start_reason

KILLED = Outcome(Reason.KILLED, 137)
STOPPED = Outcome(Reason.STOP, 143)
FAILED = Outcome(Reason.EXIT, 1)
SUCCEEDED = Outcome(Reason.EXIT, 0)
OUT_OF_MEMORY = Outcome(Reason.OOM, 137, "out of memory", oom_killed=True)


@pytest.mark.parametrize("asked", [None, *Reason])
def test_a_success_stays_one_whatever_was_asked(job: Job, asked: Reason | None) -> None:
    assert conclude(job, SUCCEEDED, asked, None) == SUCCEEDED


@pytest.mark.parametrize("asked", [Reason.TIMEOUT, Reason.NO_OUTPUT])
@pytest.mark.parametrize("ended", [KILLED, STOPPED, FAILED])
def test_a_program_that_a_limit_of_time_ended_has_that_reason_and_a_sentence(
    job: Job, ended: Outcome, asked: Reason
) -> None:
    concluded = conclude(replace(job, time_limit=3.0, no_output_timeout=3.0), ended, asked, None)
    assert (concluded.reason, concluded.exit_code) == (asked, ended.exit_code)
    assert concluded.detail is not None and "3 s" in concluded.detail


@pytest.mark.parametrize("asked", [Reason.STOP, Reason.TIMEOUT, Reason.NO_OUTPUT, Reason.STOP_CONDITION])
def test_a_lack_of_memory_keeps_its_reason_though_a_stop_was_asked_for(job: Job, asked: Reason) -> None:
    assert conclude(job, OUT_OF_MEMORY, asked, "`loss < 1` holds") == OUT_OF_MEMORY


def test_a_condition_that_holds_makes_a_success_only_of_what_was_stopped_for_it(job: Job) -> None:
    met = "`loss < 1` holds"
    concluded = conclude(job, STOPPED, Reason.STOP_CONDITION, met)
    assert (concluded.reason, concluded.detail, concluded.succeeded) == (Reason.STOP_CONDITION, met, True)
    assert conclude(job, FAILED, Reason.STOP_CONDITION, met) == FAILED


def test_what_ended_on_request_was_stopped(job: Job) -> None:
    assert conclude(job, KILLED, Reason.STOP, None) == Outcome(Reason.STOP, 137, "stopped on request")
    assert conclude(job, STOPPED, Reason.STOP, None) == STOPPED


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ExitCode.IMAGE, Reason.IMAGE),
        (ExitCode.STORE, Reason.INPUT),
        (ExitCode.DISK, Reason.DISK),
        (ExitCode.EXECUTOR, Reason.START),
    ],
)
def test_an_error_before_the_start_says_what_was_missing(code: ExitCode, reason: Reason) -> None:
    assert start_reason(MlrunError("no", code=code)) is reason


def test_the_exit_code_says_whether_the_program_is_to_blame() -> None:
    assert exit_code(SUCCEEDED) is ExitCode.OK
    assert exit_code(FAILED) is ExitCode.STEP_FAILED
    assert exit_code(Outcome(Reason.DISK, 0)) is ExitCode.DISK


@pytest.mark.parametrize(
    ("outcome", "itself"), [(FAILED, True), (KILLED, True), (OUT_OF_MEMORY, True), (STOPPED, False), (SUCCEEDED, False)]
)
def test_a_program_has_failed_itself_when_nobody_asked_for_its_end(outcome: Outcome, itself: bool) -> None:
    assert has_failed_itself(outcome) is itself
