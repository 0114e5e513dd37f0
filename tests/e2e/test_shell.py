"""`mlrun shell` and `mlrun exec --pause-on-failure`: somebody steps in, and nothing of it stays."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

YAML = """\
- step:
    name: train
    image: busybox
    command:
      - echo "C is {parameter-value:C}"
      - cat "$VH_INPUTS_DIR/data/"* code.txt
      - echo model > "$VH_OUTPUTS_DIR/model.bin"
    parameters:
      - {name: C, type: float, default: 1.0}
    inputs:
      - {name: data, default: data.csv}
    environment-variables:
      - {name: OWN, default: mine}
- step:
    name: fail
    image: busybox
    command:
      - echo made > made.txt
      - echo left > "$VH_OUTPUTS_DIR/left.txt"
      - exit 5
- step:
    name: slow
    image: busybox
    time-limit: 1
    command: while :; do sleep 0.1; done
- step:
    name: leaky
    image: busybox
    command: test -n "$TOKEN"
    environment-variables:
      - {name: TOKEN, optional: false}
- step:
    name: fine
    image: busybox
    command: echo fine
"""
FILES = {"data.csv": "1,2\n", "code.txt": "first\n"}
PATIENCE = 60.0


@pytest.fixture
def project(make: Callable[..., Any]) -> Any:
    return make(YAML, FILES)


@pytest.fixture
def on_terminal(project: Any, terminal: Callable[..., Any]) -> Callable[..., Any]:
    """Starts `mlrun` in the project on a terminal."""

    def start(*words: str) -> Any:
        return terminal(["mlrun", *words], project.folder, project.command.environment)

    return start


def work_folders(project: Any) -> list[str]:
    """What lies in the store's work folder."""
    return sorted(os.listdir(project.command.store / "work"))


# --- an execution


def test_an_execution_is_entered_with_its_own_code_inputs_values_and_documents(project):
    project.succeeds("exec", "train", "--C", "2.5", "--var", "MORE=1")
    project.write("code.txt", "second\n")
    project.write("data.csv", "changed\n")
    then = project.show("latest")
    program = (
        'cat code.txt "$VH_INPUTS_DIR/data/data.csv"; echo "$OWN $MORE $VH_EXECUTION_ID"; '
        'cat "$VH_CONFIG_DIR/parameters.json" "$VH_CONFIG_DIR/execution.json"; exit 7'
    )

    done = project.mlrun("shell", "latest", "--", "sh", "-c", program)

    assert done.code == 7, str(done)
    assert done.out.splitlines()[:3] == ["first", "1,2", f"mine 1 {then['id']}"]
    decoder, rest = json.JSONDecoder(), done.out.split("\n", 3)[3]
    parameters, end = decoder.raw_decode(rest)
    document, _ = decoder.raw_decode(rest[end:].lstrip())
    assert parameters == {"C": 2.5}
    assert document["valohai.execution-id"] == then["id"]
    assert document["valohai.execution-counter"] == then["counter"]


def test_nothing_of_a_visit_is_recorded_and_its_folder_goes(project):
    project.succeeds("exec", "train")
    before, recorded = work_folders(project), project.command.recorded()

    done = project.mlrun("shell", "latest", "--", "sh", "-c", 'echo x > "$VH_OUTPUTS_DIR/x"')

    assert done.code == 0, str(done)
    assert "1 file in the outputs went with the folder" in done.err
    assert work_folders(project) == before
    assert project.command.recorded() == recorded


def test_outputs_of_a_visit_can_be_copied_out(project, tmp_path):
    project.succeeds("exec", "train")

    project.succeeds("shell", "latest", "-d", tmp_path / "out", "--", "sh", "-c", 'sh "$MLRUN_STEP"')

    assert (tmp_path / "out" / "model.bin").read_text() == "model\n"


def test_a_folder_with_something_in_it_is_refused_before_anything_runs(project, tmp_path):
    project.succeeds("exec", "train")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    program = ("--", "sh", "-c", 'echo new > "$VH_OUTPUTS_DIR/mine.txt"')

    said = project.refused("shell", "latest", "-d", folder, *program, code=2)

    assert "is not empty" in said
    project.succeeds("shell", "latest", "-d", folder, "--force", *program)
    assert (folder / "mine.txt").read_text() == "new\n"


def test_a_folder_can_be_kept(project):
    project.succeeds("exec", "train")

    done = project.mlrun("shell", "latest", "--keep", "--", "sh", "-c", "echo note > note.txt")

    assert done.code == 0, str(done)
    (kept,) = [line for line in done.err.splitlines() if line.startswith("kept: ")]
    folder = Path(kept.split("`")[1])
    assert (folder / "repository" / "note.txt").read_text() == "note\n"
    assert (folder / "rerun.sh").exists()
    project.succeeds("shell", "latest", "--", "true")
    assert folder.exists(), "a kept folder is not swept away"


def test_a_failed_execution_can_be_entered_as_it_left_its_folder(project):
    project.fails("exec", "fail")

    fresh = project.mlrun("shell", "latest", "--", "sh", "-c", "ls")
    first = project.mlrun("shell", "latest", "--as-left", "--", "sh", "-c", "cat made.txt; echo more >> made.txt")
    second = project.mlrun("shell", "latest", "--as-left", "--", "cat", "made.txt")

    assert "made.txt" not in fresh.out
    assert "--as-left" in fresh.err
    assert (first.code, first.out, second.out) == (0, "made\n", "made\nmore\n")
    assert project.show("latest")["state"] == "failed"


def test_the_folder_of_an_execution_whose_runner_was_killed_can_be_entered(make):
    project = make("- step: {name: a, image: busybox, command: 'echo x > made.txt; echo made; sleep 600'}\n")
    run = project.start("exec", "a")
    run.until("made")
    running = project.refused("shell", "latest", "--as-left", "--", "cat", "made.txt", code=2)
    run.signal(signal.SIGKILL)
    run.end()

    assert "was not kept" in running
    assert project.succeeds("shell", "latest", "--as-left", "--", "cat", "made.txt").out == "x\n"


def test_a_folder_that_was_not_kept_cannot_be_entered(project):
    project.succeeds("exec", "train")

    said = project.refused("shell", "latest", "--as-left", "--", "true", code=2)

    assert "was not kept" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shell"], "needs an EXECUTION or a STEP"),
        (["shell", "99"], "there is no execution `99`"),
        (["shell", "tarin"], "did you mean `train`?"),
        (["shell", "latest", "--image", "x", "--", "true"], "is for a STEP"),
        (["shell", "latest", "--network", "host", "--", "true"], "is not the network that execution 1 had"),
        (["shell", "latest", "--C", "1", "--", "true"], "has no option `--C`"),
        (["shell", "latest", "--"], "no command behind `--`"),
        (["shell", "train", "--as-left", "--", "true"], "is for an EXECUTION"),
        (["shell", "latest", "--keep", "-d", "x", "--", "true"], "`--keep` keeps the outputs too"),
        (["shell", "latest", "--force", "--", "true"], "`--force` needs `-d DIR`"),
        (["shell", "leaky", "--", "true"], "TOKEN"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused(project, words, said):
    project.succeeds("exec", "train")

    assert said in project.refused(*words, code=2)


def test_a_recorded_mount_is_asked_for_once_more(make, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "x").write_text("seen\n")
    project = make(f"- step: {{name: a, image: busybox, command: 'true', mounts: ['{data}:/mnt/d']}}\n")
    project.succeeds("exec", "--allow-mount", data, "a")

    said = project.refused("shell", "latest", "--", "cat", "/mnt/d/x", code=40)
    done = project.mlrun("shell", "latest", "--allow-mount", data, "--", "cat", "/mnt/d/x")

    assert f"`--allow-mount {data}`" in said
    assert (done.code, done.out) == (0, "seen\n"), str(done)


def test_an_id_names_an_execution_from_anywhere(project, tmp_path):
    project.succeeds("exec", "train")
    id = project.show("latest")["id"]

    done = project.succeeds("shell", id, "--", "cat", "code.txt", folder=tmp_path)

    assert done.out == "first\n"


# --- a step


def test_the_start_of_several_ids_is_no_step(project, tmp_path):
    for _ in range(3):
        project.succeeds("exec", "fine")
    # The first digits of an id are its minute, and a minute may begin between two of three.
    ids = sorted(row["id"][:8] for row in project.succeeds("list", "--json").json())

    for folder in (None, tmp_path):
        assert "could be any of" in project.refused("shell", ids[1], "--", "true", code=2, folder=folder)


def test_a_step_is_entered_as_it_would_run_now(project, tmp_path):
    (tmp_path / "other.csv").write_text("other\n")
    project.write("code.txt", "not committed\n")
    before = project.command.recorded()

    done = project.succeeds(
        "shell", "train", "--C", "7", "--data", tmp_path / "other.csv", "--", "sh", "-c", 'sh "$MLRUN_STEP"'
    )

    assert done.out == "C is 7\nother\nnot committed\n"
    assert project.command.recorded() == before


def test_the_help_of_a_step_is_that_of_the_step(project):
    said = project.succeeds("shell", "train", "--help").out

    assert "usage: mlrun shell [OPTIONS] train" in said
    assert "--C FLOAT" in said


def test_a_script_can_be_piped_into_a_step(project):
    done = project.mlrun("shell", "fine", stdin="cat code.txt\nexit 4\n")

    assert (done.code, done.out) == (4, "first\n")


def test_secrets_reach_a_shell(project):
    count = ("--", "sh", "-c", 'echo "it has ${#TOKEN} letters"')
    project.mlrun("secret", "set", "TOKEN", stdin="s3cr3t\n")

    done = project.succeeds("shell", "leaky", *count)
    project.succeeds("exec", "leaky")
    again = project.succeeds("shell", "latest", *count)
    project.succeeds("secret", "rm", "TOKEN")
    without = project.succeeds("shell", "latest", *count)

    assert done.out == again.out == "it has 6 letters\n"
    assert without.out == "it has 0 letters\n"
    assert "without `TOKEN`" in without.err


# --- on a terminal


def test_a_shell_opens_says_where_it_is_and_leaves_the_terminal_as_it_was(project, on_terminal):
    project.succeeds("exec", "train")
    shell = on_terminal("shell", "latest")

    shell.until("execution ")
    shell.until("you are in its copy of the repository, ")
    shell.until('`$MLRUN_STEP` runs its command: echo "C is 1.0" …')
    shell.until("(train)")
    shell.send("$MLRUN_STEP && exit 6\r")
    shell.until("first")

    assert shell.end() == 6
    assert shell.is_restored()


def test_a_shell_keeps_no_history(project, on_terminal):
    project.succeeds("exec", "train")
    shell = on_terminal("shell", "latest", "--keep")
    shell.until("(train)")
    shell.send("echo 'never to be seen' >/dev/null; exit\r")
    assert shell.end() == 0

    kept = Path(shell.written.split("kept: `")[1].split("`")[0])
    for path in [*kept.rglob("*"), *Path(project.command.environment["HOME"]).glob(".*history")]:
        if path.is_file() and not path.is_symlink():
            assert b"never to be seen" not in path.read_bytes(), path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_shell_and_clears_up(project, on_terminal, number):
    project.succeeds("exec", "train")
    before = work_folders(project)
    shell = on_terminal("shell", "latest")
    shell.until("(train)")

    shell.process.send_signal(number)

    assert shell.end() == 128 + number
    assert shell.is_restored()
    assert work_folders(project) == before


def test_closing_the_terminal_ends_a_shell_and_clears_up(project, on_terminal):
    project.succeeds("exec", "train")
    before = work_folders(project)
    shell = on_terminal("shell", "latest")
    shell.until("(train)")

    shell.hang_up()

    shell.process.wait(PATIENCE)
    assert work_folders(project) == before


def test_what_a_killed_visit_left_is_removed_by_the_next_run(project, on_terminal, alive, until):
    project.succeeds("exec", "train")
    before = work_folders(project)
    shell = on_terminal("shell", "latest")
    shell.until("(train)")
    mark = str(time.monotonic_ns())
    shell.send(f"sleep {mark}\r")
    until(lambda: alive(mark), "the program")

    shell.process.kill()

    until(lambda: not alive(mark), "its end")
    assert work_folders(project) != before
    project.succeeds("exec", "fine")
    assert work_folders(project) == before


# --- a pause at a failure


def test_a_failed_step_can_be_looked_at_before_its_end(project, on_terminal):
    shell = on_terminal("exec", "--pause-on-failure", "fail")
    shell.until("`fail` has failed: command 3 of 3 failed (exit 5): `exit 5`; a shell opens")
    shell.until("(fail)")
    shell.send("cat made.txt\r")
    shell.until("made")
    shell.send('echo more > "$VH_OUTPUTS_DIR/more.txt"; exit 0\r')

    assert shell.end() == 1
    assert shell.is_restored()
    record = project.show("latest")
    assert (record["state"], record["reason"], record["exit_code"]) == ("failed", "exit", 5)
    assert {output["name"] for output in record["outputs"]} == {"left.txt", "more.txt"}


def test_the_time_of_a_pause_is_not_that_of_the_step(project, on_terminal):
    shell = on_terminal("exec", "--pause-on-failure", "fail")
    shell.until("(fail)")
    began = time.monotonic()
    time.sleep(1)
    shell.send("exit\r")

    assert shell.end() == 1
    paused, record = time.monotonic() - began, project.show()
    assert record["executions"][next(iter(record["executions"]))]["duration"] < record["duration"] - min(paused, 1)


def test_a_time_limit_does_not_end_a_pause(make, terminal):
    project = make(YAML.replace("      - exit 5\n", "      - exit 5\n    time-limit: 5\n"), FILES)
    shell = terminal(["mlrun", "exec", "--pause-on-failure", "fail"], project.folder, project.command.environment)
    shell.until("(fail)")
    time.sleep(6)
    shell.send("echo still-$((1 + 1))-here; exit\r")
    shell.until("still-2-here")

    assert shell.end() == 1
    assert project.show("latest")["reason"] == "exit"


@pytest.mark.parametrize("step", ["fine", "slow"])
def test_only_a_failure_of_its_own_pauses(project, on_terminal, step):
    shell = on_terminal("exec", "--pause-on-failure", step)

    assert shell.end() == (0 if step == "fine" else 1)
    assert "a shell opens" not in shell.written
    assert project.show("latest")["reason"] == ("exit" if step == "fine" else "timeout")


def test_ctrl_c_in_a_pause_is_the_shells(project, on_terminal, alive, until):
    shell = on_terminal("exec", "--pause-on-failure", "fail")
    shell.until("(fail)")
    mark = str(time.monotonic_ns())
    shell.send(f"sleep {mark}\r")
    until(lambda: alive(mark), "the program")
    shell.send("\x03")
    until(lambda: not alive(mark), "its end")
    shell.send("echo still-$((1 + 1))-here; exit\r")
    shell.until("still-2-here")

    assert shell.end() == 1
    assert project.show("latest")["exit_code"] == 5


@pytest.mark.parametrize("end", ["SIGTERM", "SIGHUP", "stop", "hang up"])
def test_a_pause_that_is_ended_from_outside_leaves_the_original_outcome(project, on_terminal, end):
    shell = on_terminal("exec", "--pause-on-failure", "fail")
    shell.until("(fail)")

    if end == "hang up":
        shell.hang_up()
        shell.process.wait(PATIENCE)
    else:
        if end == "stop":
            project.mlrun("stop", "latest")
        else:
            shell.process.send_signal(getattr(signal, end))
        shell.end()
        assert shell.is_restored()

    record = project.show("latest")
    assert (record["state"], record["reason"], record["exit_code"]) == ("failed", "exit", 5)
    assert [output["name"] for output in record["outputs"]] == ["left.txt"]


def test_a_pause_whose_runner_is_killed_is_interrupted_and_nothing_runs_on(project, on_terminal, alive, until):
    shell = on_terminal("exec", "--pause-on-failure", "fail")
    shell.until("(fail)")
    mark = str(time.monotonic_ns())
    shell.send(f"sleep {mark}\r")
    until(lambda: alive(mark), "the program")

    shell.process.kill()
    shell.process.wait()

    until(lambda: not alive(mark), "its end")
    assert project.show("latest")["state"] == "interrupted"


def test_a_pause_needs_a_terminal(project):
    said = project.refused("exec", "--pause-on-failure", "fail", code=2)

    assert "needs a terminal" in said


# --- containers


@pytest.fixture
def docked(docker: Callable[[str], str], make: Callable[..., Any]) -> Any:
    """The project with steps in containers, without a network, which the engine of the tests does not have."""
    image = docker("mlrun-test/busybox:1")
    project = make(YAML.replace("image: busybox", f"image: {image}"), FILES)
    return project.with_variables(MLRUN_EXECUTOR="docker")


@pytest.mark.docker
def test_an_execution_in_a_container_is_entered_in_its_image(docked, terminal):
    docked.succeeds("exec", "--network", "none", "train", "--C", "2")

    done = docked.mlrun("shell", "latest", "--", "sh", "-c", "cat code.txt; ls /; exit 4")
    shell = terminal(["mlrun", "shell", "latest"], docked.folder, docked.command.environment)
    shell.until("(train)")
    shell.send("sh $MLRUN_STEP; exit 7\r")
    shell.until("C is 2")

    assert done.code == 4, str(done)
    assert done.out.startswith("first\n")
    assert "valohai" in done.out
    assert shell.end() == 7
    assert shell.is_restored()


@pytest.mark.docker
def test_an_image_that_has_lost_its_name_is_found_and_one_that_is_gone_is_told(docked):
    client = pytest.importorskip("docker").from_env()
    try:
        made = client.containers.create("mlrun-test/busybox:1", ["true"], network_mode="none")
        made.commit("mlrun-test/passing", "1")
        made.remove()
        docked.succeeds("exec", "--network", "none", "--image", "mlrun-test/passing:1", "fine")
        client.images.get("mlrun-test/passing:1").tag("mlrun-test/renamed", "1")
        client.images.remove("mlrun-test/passing:1")
        docked.succeeds("shell", "latest", "--", "true")
        client.images.remove("mlrun-test/renamed:1")
        said = docked.refused("shell", "latest", "--", "true", code=21)
    finally:
        client.close()

    assert "the image of execution" in said
    assert "is gone" in said


@pytest.mark.docker
def test_a_pause_in_a_container_opens_a_new_one_over_the_same_folders(docked, terminal):
    words = ["mlrun", "exec", "--network", "none", "--pause-on-failure", "fail"]
    shell = terminal(words, docked.folder, docked.command.environment)
    shell.until("a shell opens in a new container over its folders")
    shell.until("(fail)")
    shell.send("cat made.txt; exit\r")
    shell.until("made")

    assert shell.end() == 1
    record = docked.show("latest")
    assert (record["state"], record["exit_code"]) == ("failed", 5)
