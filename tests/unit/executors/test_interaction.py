"""The control files of an interactive program, and the shell around it."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from runner.executors import interaction
from runner.executors.fake import FakeExecutor
from runner.job import Identity, Job, Script, Staged, View, Workspace
from tests.patience import wait_for


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    workspace = Workspace.below(tmp_path / "work folder's")
    for folder in (workspace.control, workspace.repository, workspace.outputs):
        folder.mkdir(parents=True)
    job = Job("an-id", "a $(step) `x`", "i", Script(("echo step; exit 4",)), "", {}, (), {})
    return Staged(job, workspace, {"OWN": "1"}, Identity("", {}))


@pytest.fixture
def enter(staged: Staged) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs what an executor would run, here."""

    def enter(*argv: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        view = FakeExecutor().view(staged.workspace)
        command = interaction.prepare(staged, view, argv)
        environment = {"PATH": os.environ["PATH"], **interaction.environment(staged, view, {})}
        return subprocess.run(
            command,
            cwd=staged.workspace.repository,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return enter


@pytest.mark.parametrize("code", [0, 5, 255])
def test_the_code_of_the_program_is_told_and_reported(
    enter: Callable[..., "subprocess.CompletedProcess[str]"], staged: Staged, code: int
) -> None:
    assert enter("sh", "-c", f"exit {code}").returncode == code
    assert interaction.exit_code(staged.workspace.control) == code


def test_the_end_of_the_steps_command_is_not_taken_for_that_of_the_program(
    enter: Callable[..., "subprocess.CompletedProcess[str]"], staged: Staged
) -> None:
    done = enter("sh", "-c", '"$MLRUN_STEP"; echo "then $?"; exit 6')

    assert done.stdout == "step\nthen 4\n"
    assert interaction.exit_code(staged.workspace.control) == 6


def test_of_a_killed_program_the_report_says_nothing(
    enter: Callable[..., "subprocess.CompletedProcess[str]"], staged: Staged
) -> None:
    enter("sh", "-c", '"$MLRUN_STEP"; kill -9 $PPID')

    assert interaction.exit_code(staged.workspace.control) == interaction.KILLED
    (staged.workspace.control / "report").unlink()
    assert interaction.exit_code(staged.workspace.control) == interaction.KILLED


def test_a_program_that_is_missing_ends_with_127(enter: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    assert enter("no-such-program").returncode == 127


def test_without_a_program_and_a_terminal_standard_input_is_the_script(
    enter: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    done = enter(stdin="echo from-stdin; exit 8\n")

    assert (done.returncode, done.stdout) == (8, "from-stdin\n")


def test_a_step_cannot_put_commands_into_the_prompt(staged: Staged) -> None:
    interaction.prepare(staged, View(), ())

    assert "(a __step_ _x_)" in (staged.workspace.control / "shellrc").read_text()


def test_the_shell_falls_when_the_leash_does(
    staged: Staged, enter: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    # Killing all processes that can be is for a container: here only the waiting is looked at.
    view = FakeExecutor().view(staged.workspace)
    command = [
        word.replace("kill -9 -1", "echo fallen >fallen")
        for word in interaction.prepare(staged, view, ["sleep", "60"], leashed=True)
    ]
    with interaction.leash(staged.workspace.control):
        process = subprocess.Popen(command, cwd=staged.workspace.repository)
        time.sleep(0.3)
        assert not (staged.workspace.repository / "fallen").exists()
    wait_for((staged.workspace.repository / "fallen").exists, "file of the leash")
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(child), 9)
    process.wait()


def test_variables_of_the_step_win_over_those_of_the_terminal(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    own = replace(staged, environment={"TERM": "own"})

    assert interaction.environment(staged, View(), {"TERM": "screen"})["TERM"] == "screen"
    assert interaction.environment(own, View(), {"TERM": "screen"})["TERM"] == "own"
