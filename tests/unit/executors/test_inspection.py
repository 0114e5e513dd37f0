import pytest

from runner.executors.inspection import Watch, has_forgotten, is_over, may_be_engine, read_outcome
from runner.executors.wrapper import Report
from runner.state import Reason

NONE = Report(None, None)


def inspection(status="exited", code=0, *, oom=False, error="", memory=0):
    state = {"Status": status, "ExitCode": code, "OOMKilled": oom, "Error": error}
    return {"State": state, "HostConfig": {"Memory": memory}}


@pytest.mark.parametrize("code", [0, 1, 2, 125, 126, 127, 137, 139, 143, 255])
def test_a_code_that_the_wrapper_reported_is_the_programs_own(code):
    outcome = read_outcome(inspection(code=code), Report(code, None), Watch())

    assert (outcome.reason, outcome.exit_code) == (Reason.EXIT, code)


@pytest.mark.parametrize(
    ("found", "report", "watch", "reason", "code"),
    [
        (inspection(code=137, oom=True), NONE, Watch(), Reason.OOM, 137),
        (inspection(code=137, oom=True), Report(137, None), Watch(), Reason.OOM, 137),
        (inspection(code=137), NONE, Watch(), Reason.KILLED, 137),
        (inspection(code=137), NONE, Watch(engine_lost=True), Reason.RUNTIME, None),
        (inspection(code=143), Report(143, None), Watch(engine_lost=True), Reason.RUNTIME, None),
        (inspection(code=255), NONE, Watch(engine_lost=True), Reason.RUNTIME, None),
        (inspection(code=3), Report(3, None), Watch(engine_lost=True), Reason.EXIT, 3),
        (inspection(code=0), Report(0, None), Watch(engine_lost=True), Reason.EXIT, 0),
        (inspection(code=143), Report(143, None, asked=True), Watch(stopped=True), Reason.STOP, 143),
        (inspection(code=0), Report(0, None, asked=True), Watch(stopped=True), Reason.STOP, 0),
        (inspection(code=5), Report(5, None), Watch(stopped=True), Reason.EXIT, 5),
        (inspection(code=137), NONE, Watch(stopped=True), Reason.STOP, 137),
        (inspection("created", 127, error="exec: no such file"), NONE, Watch(), Reason.START, None),
        (inspection("created"), NONE, Watch(), Reason.START, None),
        (inspection("initialized"), NONE, Watch(), Reason.START, None),
        (inspection("running"), NONE, Watch(), Reason.RUNTIME, None),
        (inspection("paused"), NONE, Watch(), Reason.RUNTIME, None),
        (inspection(code=127), NONE, Watch(), Reason.IMAGE, None),
        (inspection(code=128, error="OCI runtime create failed"), NONE, Watch(), Reason.START, None),
        (inspection("dead", 143), NONE, Watch(), Reason.KILLED, 143),
        (inspection("stopped", 2), Report(2, None), Watch(), Reason.EXIT, 2),
        (inspection("Exited", 2), Report(2, None), Watch(), Reason.EXIT, 2),
    ],
)
def test_every_way_to_end_has_its_reason(found, report, watch, reason, code):
    outcome = read_outcome(found, report, watch)

    assert (outcome.reason, outcome.exit_code) == (reason, code)
    assert outcome.detail or (reason, code) == (Reason.EXIT, 0)


def test_a_lack_of_memory_that_the_step_survived_is_a_warning():
    outcome = read_outcome(inspection(code=0, oom=True), Report(0, None), Watch())
    failed = read_outcome(inspection(code=1, oom=True), Report(1, (2, 2, "python x.py")), Watch())

    assert outcome.succeeded
    assert outcome.oom_killed
    assert "ran out of memory" in outcome.detail
    assert (failed.reason, failed.oom_killed) == (Reason.EXIT, True)
    assert "`python x.py`" in failed.detail
    assert "ran out of memory" in failed.detail


def test_the_limit_of_memory_is_named():
    found = inspection(code=137, oom=True, memory=512 << 20)

    assert "512 MiB" in read_outcome(found, NONE, Watch()).detail


def test_a_container_is_over_when_it_will_do_nothing_by_itself():
    assert all(is_over(inspection(status)) for status in ("exited", "dead", "created", "stopped", "configured"))
    assert not any(is_over(inspection(status)) for status in ("running", "paused", "restarting", "removing"))


def test_only_an_end_that_nobody_asked_for_may_be_the_engines():
    assert may_be_engine(inspection(code=143), Report(143, None))
    assert may_be_engine(inspection(code=137), NONE)
    assert may_be_engine(inspection(code=137), Report(137, None, asked=True))
    assert may_be_engine(inspection(code=255), NONE)
    assert not may_be_engine(inspection(code=137), Report(137, None))
    assert not may_be_engine(inspection(code=255), Report(255, None))
    assert not may_be_engine(inspection(code=1), Report(1, None))


def event(kind, action, id):
    return {"Type": kind, "Action": action, "Actor": {"ID": id}}


OTHERS = [event("network", "start", "one"), event("container", "start", "two"), event("container", "die", "one")]


@pytest.mark.parametrize(
    ("remembered", "forgotten"),
    [
        ([], True),
        (OTHERS, True),
        ([*OTHERS, event("container", "start", "one")], False),
        (OTHERS[1:2] * 255, True),
        (OTHERS[1:2] * 256, False),
    ],
)
def test_an_engine_that_does_not_remember_the_start_of_a_container_was_started_after_it(remembered, forgotten):
    assert has_forgotten(remembered, "one") is forgotten
