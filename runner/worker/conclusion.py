"""What became of a job: from how its program ended, why it was to be stopped, and what we could not do. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from runner.errors import ExitCode, MlrunError
from runner.job import Job, Outcome
from runner.state import Reason

_REASONS = {
    ExitCode.IMAGE: Reason.IMAGE,
    ExitCode.INPUT: Reason.INPUT,
    ExitCode.STORE: Reason.INPUT,
    ExitCode.DISK: Reason.DISK,
}

_EXITS = {
    Reason.START: ExitCode.EXECUTOR,
    Reason.IMAGE: ExitCode.IMAGE,
    Reason.INPUT: ExitCode.INPUT,
    Reason.OUTPUT: ExitCode.OUTPUT,
    Reason.DISK: ExitCode.DISK,
}

_BY_STOPPING = frozenset({Reason.EXIT, Reason.KILLED})
"""How a program ends that was asked to, when its executor did not see the connection."""

_OWN_ENDS = frozenset({Reason.EXIT, Reason.KILLED, Reason.OOM})

_DETAILS: Mapping[Reason, Callable[[Job], str]] = {
    Reason.TIMEOUT: lambda job: f"it ran longer than its time limit of {job.time_limit or 0:g} s",
    Reason.NO_OUTPUT: lambda job: f"it printed nothing for {job.no_output_timeout or 0:g} s",
}
"""The sentence of each limit of time that fails a step."""


def start_reason(error: MlrunError) -> Reason:
    """What an error before the start means for the execution."""
    return _REASONS.get(error.code, Reason.START)


def exit_code(outcome: Outcome) -> ExitCode:
    """What the command should end with: a failure for which not the program is to blame has a code of its own."""
    return ExitCode.OK if outcome.succeeded else _EXITS.get(outcome.reason, ExitCode.STEP_FAILED)


def has_failed_itself(outcome: Outcome) -> bool:
    """Whether a program that had begun came to a bad end that nobody asked for."""
    return not outcome.succeeded and outcome.reason in _OWN_ENDS


def conclude(job: Job, ended: Outcome, asked: Reason | None, why: str | None) -> Outcome:
    """The outcome of a job whose program ended as `ended` says; `asked` is why it was to be stopped, None if nobody
    asked, `why` the sentence to it: how its stop-condition holds, or which disk is short."""
    if asked is None or ended.succeeded:
        return ended
    if asked is Reason.STOP_CONDITION:
        # Nothing but our own request may make a success of it: a program that failed by itself has failed.
        stopped = ended.reason is Reason.STOP
        return replace(ended, reason=Reason.STOP_CONDITION, detail=why) if stopped else ended
    if asked is Reason.DISK and ended.reason in {*_BY_STOPPING, Reason.STOP}:
        return replace(ended, reason=asked, detail=why)
    if asked in _DETAILS and ended.reason in {*_BY_STOPPING, Reason.STOP}:
        return replace(ended, reason=asked, detail=_DETAILS[asked](job))
    if ended.reason in _BY_STOPPING:
        return replace(ended, reason=Reason.STOP, detail="stopped on request")
    return ended
