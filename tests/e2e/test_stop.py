"""Runs that end before their time: Ctrl-C, other signals, `mlrun stop`, and the death of the runner itself."""

import contextlib
import os
import signal
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

YAML = """\
- step:
    name: long
    image: busybox
    command:
      - echo saved > "$VH_OUTPUTS_DIR/so-far.txt"
      - 'echo "{\\"epoch\\": 1}"'
      - echo ready
      - sleep {parameter-value:marker}
    parameters:
      - {name: marker, type: string}
- step:
    name: polite
    image: busybox
    command:
      - trap 'echo goodbye > "$VH_OUTPUTS_DIR/last-words.txt"; exit 0' TERM
      - echo ready
      - while :; do sleep 0.05; done
- step:
    name: stubborn
    image: busybox
    command:
      - trap '' TERM INT HUP
      - echo ready
      - while :; do sleep {parameter-value:marker} || true; done
    parameters:
      - {name: marker, type: string}
- step:
    name: quick
    image: busybox
    command: echo done
- pipeline:
    name: p
    nodes:
      - {name: first, type: execution, step: quick}
      - {name: second, type: execution, step: long}
      - {name: third, type: execution, step: quick}
    edges:
      - [first.dependency.x, second.dependency.x]
      - [second.dependency.x, third.dependency.x]
"""


@pytest.fixture
def project(make):
    return make(YAML)


@pytest.fixture
def marker() -> str:
    """A number of seconds that no other process of this machine sleeps."""
    return f"4321.{uuid.uuid4().int % 10**12}"


def test_ctrl_c_stops_a_step_and_keeps_what_it_has_left_so_far(project, marker, alive, tmp_path):
    running = project.start("exec", "long", "--marker", marker)
    running.until("ready")
    assert alive(marker)

    os.killpg(running.pid, signal.SIGINT)
    done = running.end()

    assert done.code == 130, str(done)
    assert "Traceback" not in done.err
    assert not alive(marker)
    execution = project.show("latest")
    assert (execution["state"], execution["reason"]) == ("stopped", "stop")
    assert execution["metrics"] == {"epoch": 1}
    assert project.outputs("latest", tmp_path / "results") == {"so-far.txt": b"saved\n"}
    assert [run["state"] for run in project.runs()] == ["stopped"]


def test_a_step_that_is_stopped_may_save_what_it_has(project, tmp_path):
    running = project.start("exec", "polite")
    running.until("ready")

    running.signal(signal.SIGINT)

    assert running.end().code == 130
    assert project.show("latest")["state"] == "stopped"
    assert project.outputs("latest", tmp_path / "results") == {"last-words.txt": b"goodbye\n"}


def test_a_second_ctrl_c_kills_a_step_that_does_not_listen(project, marker, alive, tmp_path):
    # A kill that came only when the grace is over would never come.
    (tmp_path / "config" / "mlrun").mkdir(parents=True)
    (tmp_path / "config" / "mlrun" / "settings.toml").write_text("grace = 3600\n")
    project = project.with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"))
    running = project.start("exec", "stubborn", "--marker", marker)
    running.until("ready")

    running.signal(signal.SIGINT)
    running.until("Ctrl-C again kills it")
    assert project.show()["nodes"]["stubborn"]["state"] == "stopping"
    assert alive(marker)
    running.signal(signal.SIGINT)
    done = running.end()

    assert done.code == 130, str(done)
    assert not alive(marker)
    assert project.show("latest")["state"] == "stopped"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["TERM", "HUP"])
def test_other_signals_stop_a_run_just_so(project, marker, alive, number, code):
    running = project.start("exec", "long", "--marker", marker)
    running.until("ready")

    running.signal(number)

    assert running.end().code == code
    assert not alive(marker)
    assert project.show()["state"] == "stopped"


def test_ctrl_c_in_a_pipeline_skips_what_has_not_started(project, marker, alive):
    running = project.start("pipeline", "--no-reuse", "p", f"--second.marker={marker}")
    running.until("ready")

    running.signal(signal.SIGINT)

    assert running.end().code == 130
    assert not alive(marker)
    run = project.show()
    assert run["state"] == "stopped"
    assert [run["nodes"][name]["state"] for name in ("first", "second", "third")] == ["succeeded", "stopped", "skipped"]


@pytest.mark.parametrize("subject", [[], ["latest"], ["run:latest"], ["--kill"]], ids=lambda words: " ".join(words))
def test_mlrun_stop_ends_a_run_from_elsewhere(project, marker, alive, subject):
    # Only one run may be under way for `mlrun stop` without a name.
    running = project.start("exec", "long", "--marker", marker)
    running.until("ready")

    project.succeeds("stop", *subject)

    assert running.end().code == 1
    assert not alive(marker)
    assert project.show()["state"] == "stopped"


def test_there_is_nothing_to_stop(project):
    project.succeeds("exec", "quick")

    assert project.succeeds("stop").err == "nothing is running\n"
    assert "there is nothing to stop" in project.succeeds("stop", "latest").err


@pytest.mark.sandbox
def test_when_the_runner_is_killed_its_step_dies_and_the_run_is_interrupted(project, marker, alive, until, sandbox):
    running = project.start("exec", "--executor", sandbox, "long", "--marker", marker)
    running.until("ready")
    until(lambda: "ready" in project.log(), "log on disk")

    running.signal(signal.SIGKILL)
    running.end()

    until(lambda: not alive(marker), "death of the step")
    assert project.runs()[0]["state"] == "interrupted"
    execution = project.show("latest")
    assert (execution["state"], execution["reason"]) == ("interrupted", "runner-lost")
    assert "ready" in project.log()
    assert project.succeeds("list").out.count("interrupted") == 1


@pytest.mark.sandbox
def test_after_the_runner_was_killed_the_next_run_works_and_notes_the_lost_one(project, marker, sandbox, alive, until):
    running = project.start("pipeline", "--no-reuse", "--executor", sandbox, "p", f"--second.marker={marker}")
    running.until("ready")
    running.signal(signal.SIGKILL)
    running.end()
    until(lambda: not alive(marker), "death of the step")

    assert project.succeeds("exec", "quick").out == "done\n"

    lost = project.show("run:1")
    assert lost["state"] == "interrupted"
    assert lost["nodes"]["first"]["state"] == "succeeded"
    assert [run["state"] for run in project.runs()] == ["succeeded", "interrupted"]


def test_a_process_step_does_not_outlive_a_killed_runner_for_long(project, marker, alive, until):
    running = project.start("exec", "--executor", "process", "long", "--marker", marker)
    running.until("ready")

    running.signal(signal.SIGKILL)
    running.end()

    until(lambda: not alive(marker), "death of the step")
    assert project.runs()[0]["state"] == "interrupted"


def test_a_run_under_way_is_shown_as_it_is(project, marker):
    running = project.start("pipeline", "--no-reuse", "p", f"--second.marker={marker}")
    running.until("ready")

    run = project.show()
    assert run["state"] == "running"
    assert [run["nodes"][name]["state"] for name in ("first", "second", "third")] == ["succeeded", "running", "waiting"]
    assert "ready" in project.log()
    assert project.succeeds("list", "--json").json()[0]["state"] == "running"

    running.signal(signal.SIGINT)
    assert running.end().code == 130


def test_logs_follow_a_step_to_its_end(project, marker):
    running = project.start("exec", "long", "--marker", marker)
    running.until("ready")
    following = project.start("logs", "-f")
    following.until("ready")

    running.signal(signal.SIGINT)
    running.end()

    assert following.end().code == 0


def test_two_runs_at_the_same_time_do_not_disturb_each_other(project, marker):
    running = project.start("exec", "long", "--marker", marker)
    running.until("ready")

    assert project.succeeds("exec", "quick").out == "done\n"
    assert [run["state"] for run in project.runs()] == ["succeeded", "running"]

    running.signal(signal.SIGINT)
    assert running.end().code == 130


def trickle(connection, ended):
    """Answer just often enough that no timeout of the client ends the download."""
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not ended.wait(1):
            connection.sendall(b"x")


def test_ctrl_c_does_not_wait_for_a_download_that_hangs(make):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/data.csv"
        project = make(
            f"- step: {{name: get, image: busybox, command: 'true', inputs: [{{name: data, default: '{address}'}}]}}\n"
        )
        running = project.start("exec", "get")
        running.until("run 1")
        connection, _ = server.accept()
        ended = threading.Event()
        with connection, ThreadPoolExecutor(1) as pool:
            pool.submit(trickle, connection, ended)
            running.signal(signal.SIGINT)
            try:
                assert running.end().code == 130
            finally:
                ended.set()
    assert project.show()["state"] == "stopped"
