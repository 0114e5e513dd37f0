import threading
import time
from math import inf
from pathlib import Path

import pytest

from runner.executors import secret
from runner.executors.container import ContainerHandle
from runner.executors.endpoint import EngineError, EngineGone
from runner.job import View
from runner.state import Reason
from tests.patience import not_for_ever, wait_for


def frame(text, number=1):
    return bytes([number, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


class Pieces(list):
    """What an attached container sends before the connection breaks off."""

    closed = False

    def close(self):
        self.closed = True


STARTED = ({"Type": "container", "Action": "start", "Actor": {"ID": "id"}},)


class Engine:
    """An engine that follows a script: `states` answer one inspection after the other, the last one stays."""

    podman = False
    rootless = False
    spares = False

    def __init__(self, *states, attached=(), recorded=(), remembered=STARTED):
        self.events = remembered
        self.states = list(states)
        self.attached = Pieces(attached)
        self.recorded = recorded
        self.signals, self.removed, self.read = [], [], 0

    def attach(self, container):
        return self.attached

    def start(self, container):
        pass

    def logs(self, container):
        self.read += 1
        yield from self.recorded

    def inspect(self, container):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return state

    def listens(self):
        return not isinstance(self.states[0], EngineGone)

    def remembered(self):
        if not self.listens():
            raise EngineGone("away")
        return self.events

    def signal(self, container, name):
        self.signals.append(name)
        if not self.listens():
            raise EngineGone("away")
        return True

    def run_inside(self, container, command):
        self.signals.append(command[-1])

    def remove(self, container):
        self.removed.append(container)


def state(status, code=0):
    return {"State": {"Status": status, "ExitCode": code, "OOMKilled": False, "Error": ""}, "HostConfig": {}}


@pytest.fixture
def handle(tmp_path):
    def make(engine, *, report="exit 0\n", has_init=True, start=True):
        (tmp_path / "report").write_text(report)
        (tmp_path / "prelude").write_text('# commands: [[1, "a"], [2, "b"]]\n')
        made = ContainerHandle(engine, "id", "image", {View().control: str(tmp_path)}, has_init=has_init)
        if start:
            made.start()
        return made

    return make


def text(chunks):
    return b"".join(chunk.data for chunk in chunks)


def test_a_whole_log_is_not_read_twice(handle):
    engine = Engine(state("running"), state("exited"), attached=[frame(b"all")])
    made = handle(engine)

    assert text(made.logs()) == b"all"
    assert made.wait().succeeded
    made.close()
    made.close()
    assert (engine.read, engine.removed, engine.attached.closed) == (0, ["id"], True)


def test_a_log_that_breaks_off_is_completed_from_the_engines_copy(handle):
    gone = EngineGone("away")
    engine = Engine(
        gone, gone, state("exited", 3), attached=[frame(b"first sec")], recorded=[frame(b"first second third")]
    )
    made = handle(engine, report="line 2\nexit 3\n")

    assert text(made.logs()) == b"first second third"
    outcome = made.wait()
    assert (outcome.reason, outcome.exit_code) == (Reason.EXIT, 3)
    assert "command 2 of 2" in outcome.detail


def test_a_connection_that_ends_while_the_job_runs_is_made_again(handle, monkeypatch):
    monkeypatch.setattr("runner.executors.container._SETTLE", 0.05)
    running = [state("running")] * 60
    engine = Engine(*running, state("exited"), attached=[frame(b"one")], recorded=[frame(b"one two")])

    assert text(handle(engine).logs()) == b"one two"


def test_a_job_that_is_taken_over_is_read_from_the_start(handle):
    engine = Engine(state("exited", 0), recorded=[frame(b"out"), frame(b"err", 2)])
    made = handle(engine, start=False)
    chunks = list(made.logs())

    assert [(chunk.stream, chunk.data) for chunk in chunks] == [("stdout", b"out"), ("stderr", b"err")]


def test_an_engine_that_does_not_come_back_is_given_up(handle, monkeypatch):
    monkeypatch.setattr("runner.executors.container._ENGINE_BACK", 0.05)
    monkeypatch.setattr("runner.executors.container._ENGINE_PAUSE", 0.01)
    made = handle(Engine(EngineGone("away"), attached=[frame(b"one")]))

    assert text(made.logs()) == b"one"
    assert made.wait().reason is Reason.RUNTIME
    made.close()


def test_a_request_to_stop_gives_up_an_engine_that_is_away(handle, monkeypatch):
    monkeypatch.setattr("runner.executors.container._ENGINE_BACK", inf)
    made = handle(Engine(EngineGone("away"), attached=[]))
    threading.Timer(0.05, made.stop, (0,)).start()
    with not_for_ever():
        list(made.logs())

    assert made.wait().reason is Reason.RUNTIME


def test_a_container_that_is_gone_is_not_waited_for(handle):
    made = handle(Engine(None, attached=[frame(b"one")]))

    assert text(made.logs()) == b"one"
    assert made.wait().reason is Reason.KILLED


def test_an_engine_with_a_trouble_of_its_own_is_asked_again(handle):
    made = handle(Engine(EngineError("internal", 500), state("exited", 0), attached=[], recorded=[]))

    list(made.logs())
    assert made.wait().succeeded


def test_stopping_asks_first_and_kills_later(handle):
    engine = Engine(state("exited", 143), attached=[])
    made = handle(engine, report="exit 143 asked\n")
    made.stop(0.05)
    wait_for(lambda: len(engine.signals) == 2, "second signal")
    list(made.logs())

    assert engine.signals == ["TERM", "KILL"]
    assert made.wait().reason is Reason.STOP


def test_stopping_without_grace_only_kills(handle):
    engine = Engine(state("exited", 137), attached=[])
    made = handle(engine, report="")
    made.stop(0)
    wait_for(lambda: engine.signals, "signal")
    list(made.logs())

    assert engine.signals == ["KILL"]
    assert made.wait().exit_code == 137


def test_no_signal_is_sent_after_the_end(handle):
    engine = Engine(state("exited", 0), attached=[])
    made = handle(engine)
    list(made.logs())
    made.wait()
    made.stop(0)
    time.sleep(0.05)

    assert engine.signals == []


def test_without_an_init_process_every_process_is_asked(handle):
    engine = Engine(state("exited", 143), attached=[])
    made = handle(engine, has_init=False)
    made.stop(3600)
    wait_for(lambda: engine.signals, "signal")
    made.close()

    assert engine.signals == ["kill -TERM -1"]


def test_an_end_by_signal_is_the_engines_when_it_leaves_right_after(handle, monkeypatch):
    monkeypatch.setattr("runner.executors.container._LEAVING", 0.2)
    engine = Engine(state("exited", 143), attached=[])
    made = handle(engine, report="exit 143\n")
    list(made.logs())
    threading.Timer(0.05, lambda: engine.states.insert(0, EngineGone("away"))).start()

    assert made.wait().reason is Reason.RUNTIME


@pytest.mark.parametrize(
    ("spares", "podman", "reason"),
    [(False, False, Reason.RUNTIME), (True, False, Reason.KILLED), (False, True, Reason.KILLED)],
)
def test_an_end_while_nobody_watched_is_the_engines_if_it_was_started_after_the_job(
    handle, monkeypatch, spares, podman, reason
):
    monkeypatch.setattr("runner.executors.container._LEAVING", 0.0)
    engine = Engine(state("exited", 137), remembered=())
    engine.spares, engine.podman = spares, podman
    made = handle(engine, report="", start=False)
    list(made.logs())

    assert made.wait().reason is reason


@pytest.mark.parametrize("started", [True, False])
def test_secrets_stay_for_another_try_when_a_container_cannot_be_started(tmp_path, monkeypatch, started):
    (tmp_path / "report").write_text("exit 0\n")
    discarded = []
    monkeypatch.setattr(secret, "discard", discarded.append)
    mounts = {View().control: str(tmp_path), f"{View().control}/secrets": "/dev/shm/x/secrets"}
    handle = ContainerHandle(Engine(state("exited")), "id", "image", mounts)
    if started:
        handle.start()
        handle.wait()
    handle.close()

    assert discarded == ([Path("/dev/shm/x/secrets")] if started else [])
