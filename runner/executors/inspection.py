"""How a container ended: the one place that reads an engine's inspection. Pure.

A number alone decides nothing: 137 may be the program's own code, a lack of memory, somebody's `kill -9`, or an engine
that was restarted. What the wrapper inside reported tells the first from the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.executors import wrapper
from runner.executors.limit import memory_sentence
from runner.executors.wrapper import Report
from runner.job import Outcome
from runner.state import Reason

_ENDED = frozenset({"exited", "dead", "stopped"})
"""States in which a container has run; `stopped` is Podman's word."""

_NEVER_STARTED = frozenset({"created", "configured", "initialized"})
"""States of a container whose runner went away before it could start it; the last two are Podman's words."""

_REMEMBERED = 256
"""How many events Docker keeps in its memory."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What the watcher found besides: a request to stop that found the job alive, an engine that went away since."""

    stopped: bool = False
    engine_lost: bool = False


def is_over(inspection: Mapping[str, Any]) -> bool:
    """Whether the container will do nothing more by itself."""
    return str(inspection["State"].get("Status", "")).lower() in _ENDED | _NEVER_STARTED


def may_be_engine(inspection: Mapping[str, Any], report: Report) -> bool:
    """Whether it may be the engine that ended a container which nobody asked to stop: one that is about to stop asks
    its containers politely, then kills them; one that was killed does so when it is back."""
    code = int(inspection["State"].get("ExitCode") or 0)
    return code == 143 or (code in (137, 255) and not report.is_own_end(code))


def has_forgotten(remembered: Sequence[Mapping[str, Any]], container: str) -> bool:
    """Whether an engine that remembers these events (GET /events) began to run after a container of this id had: its
    memory goes back to its own start. One whose memory is full may only have had much to do since."""
    return len(remembered) < _REMEMBERED and not any(
        (event.get("Type"), event.get("Action")) == ("container", "start") and event["Actor"]["ID"] == container
        for event in remembered
    )


def read_outcome(inspection: Mapping[str, Any], report: Report, watch: Watch) -> Outcome:
    """The outcome of the container that `inspection` (GET /containers/ID/json) describes."""
    state = inspection["State"]
    status, code = str(state.get("Status", "")).lower(), int(state.get("ExitCode") or 0)
    oom, said = bool(state.get("OOMKilled")), str(state.get("Error") or "").strip()
    limit = int(inspection.get("HostConfig", {}).get("Memory") or 0)
    if status in _NEVER_STARTED:
        return Outcome(Reason.START, None, said or "the container was made but never started")
    if watch.stopped and not report.is_own_end(code):
        return Outcome(Reason.STOP, code, "stopped on request", oom)
    if status not in _ENDED:
        return Outcome(Reason.RUNTIME, None, f"the container engine says the container is `{status}`", oom)
    if oom and code == 137:
        return Outcome(Reason.OOM, code, _out_of_memory(limit), oom_killed=True)
    if watch.engine_lost and code in (137, 143, 255):
        return Outcome(Reason.RUNTIME, None, "the container engine was stopped or restarted and killed the step")
    if report.exit_code is not None:
        return _own_end(report, code, oom=oom)
    if said:
        return Outcome(Reason.START, None, said)
    if code in (126, 127):
        return Outcome(Reason.IMAGE, None, "the image has no working `/bin/sh`, which steps are run by")
    if code > 128:
        return Outcome(Reason.KILLED, code, f"killed from outside (signal {code - 128})", oom)
    return _own_end(report, code, oom=oom)


def _own_end(report: Report, code: int, *, oom: bool) -> Outcome:
    warning = "a process of the step ran out of memory and was killed" if oom else None
    if code == 0:
        return Outcome(Reason.EXIT, 0, warning, oom)
    detail = wrapper.sentence(report, code)
    return Outcome(Reason.EXIT, code, f"{detail}; {warning}" if warning else detail, oom)


def _out_of_memory(limit: int) -> str:
    """The kernel kills only when every byte of the limit is taken: the peak is the limit."""
    return memory_sentence(limit, limit) if limit else "out of memory: the kernel killed a process"
