import os
import subprocess
from pathlib import Path

import pytest

from runner.executors.wrapper import Report, missing_module, prepare, read_report, sentence
from runner.job import Identity, Job, Script, Staged, View, Workspace


@pytest.fixture
def run(tmp_path):
    """Runs a command list in a plain shell, as an executor would."""
    workspace = Workspace.below(tmp_path)
    for folder in (workspace.control, workspace.repository, workspace.outputs):
        folder.mkdir()
    view = View(outputs=str(workspace.outputs), control=str(workspace.control))

    def start(*items, stop_at_failure=True, shell=None, environment=None):
        job = Job("an-id", "s", "image:1", Script(items, stop_at_failure), "", {}, (), {})
        argv = prepare(Staged(job, workspace, {}, Identity("", {})), view)
        path = os.environ["PATH"]
        if shell is not None:
            # Without bash in sight the inner shell is `/bin/sh`, whatever that is here.
            (tmp_path / "bin").mkdir(exist_ok=True)
            path = str(tmp_path / "bin")
        done = subprocess.run(
            argv,
            cwd=workspace.repository,
            env={"PATH": path, **(environment or {})},
            capture_output=True,
            text=True,
            errors="surrogateescape",
        )
        return done, read_report(workspace.control)

    return start


def test_the_report_tells_code_and_command(run):
    done, report = run("true", "exit 4", "true")

    assert done.returncode == 4
    assert report == Report(4, (2, 3, "exit 4"))


def test_a_success_names_no_command(run):
    done, report = run("true", "true")

    assert (done.returncode, report) == (0, Report(0, None))


@pytest.mark.parametrize(
    ("items", "number"),
    [
        (("true", "false", "true"), 2),
        (("x=1", "true\ntrue\nfalse\ntrue", "true"), 2),
        (("f() { false; }", "true", "f", "true"), 3),
        (("true", "x=$(false)"), 2),
        (("true", "true", "false | false"), 3),
        (("set -o pipefail", "false | cat"), 2),
        (("for i in 1 2; do", "if [ $i = 2 ]; then ls /no/such/file; fi", "done"), 2),
        (("true", "case x in x) false;; esac"), 2),
        (("set -u", "true", "echo $NOT_SET"), 3),
        (("false &", "true", "wait $!"), 3),
        (("set +e", "false", "set -e", "f() { exit 9; }", "f"), 5),
        (("(exit 3)",), 1),
        (("cat <<END", "text", "END", "false", "true"), 4),
    ],
)
def test_the_failing_item_is_found_under_bash(run, items, number):
    done, report = run(*items)

    assert done.returncode != 0
    assert report.command[:2] == (number, len(items))


def test_a_sourced_file_counts_as_the_line_that_sources_it(run, tmp_path):
    (tmp_path / "repository" / "env.sh").write_text("\n\n\n\n\nfalse\n")
    _, report = run("true", ". ./env.sh", "true", "true", "true", "true")

    assert report.command[0] == 2


def test_a_shell_without_line_numbers_still_tells_the_code(run):
    done, report = run("true", "exit 6", shell="sh")

    assert done.returncode == 6
    assert report.exit_code == 6
    assert report.command is None or report.command[0] == 2


def test_traps_of_the_user_run(run):
    done, report = run("trap 'echo cleaned' EXIT", "trap 'echo failed' ERR", "false")

    assert done.stdout == "failed\ncleaned\n"
    assert report.exit_code == 1


def test_nothing_is_added_to_the_streams(run):
    done, _ = run("true", "ls /no/such/file >/dev/null 2>&1", "true")

    assert (done.stdout, done.stderr) == ("", "")


def test_the_status_of_an_item_can_be_asked_by_the_next(run):
    done, _ = run("false && true", "echo $?", "! true", "echo $?")

    assert done.stdout == "1\n1\n"


def test_without_stopping_no_item_is_blamed(run):
    done, report = run("false", "ls /no/such/file", "exit 5", stop_at_failure=False)

    assert (done.returncode, report) == (5, Report(5, None))


def test_an_interpreter_gets_its_one_argument(run):
    done, _ = run("#!/bin/sh -e -u\n", "true")
    plain, _ = run("#! /bin/sh -u", 'echo "$-"')

    assert done.returncode != 0  # execve passes `-e -u` as one word
    assert "u" in plain.stdout


def test_a_gpu_probe_is_skipped_only_when_it_stands_alone(run, tmp_path):
    nothing = {"PATH": str(tmp_path)}
    alone, report = run("nvidia-smi -L", "nvcc --version", "echo on", environment=nothing)
    used, _ = run("nvidia-smi || echo none", environment=nothing)
    piped, failed = run("nvidia-smi > out; false", environment=nothing)

    assert (alone.stdout, report.exit_code) == ("on\n", 0)
    assert alone.stderr == "nvidia-smi: not here, skipped\nnvcc: not here, skipped\n"
    assert used.stdout == "none\n"
    assert (piped.returncode, failed.exit_code) == (127, 127)


def test_a_gpu_probe_inside_an_open_quote_is_text(run):
    done, _ = run("echo 'a", "nvidia-smi", "b'")

    assert done.stdout == "a\nnvidia-smi\nb\n"


def test_an_odd_script_is_kept_byte_by_byte(run):
    done, _ = run("printf '%s' 'a\tb \\ \"é\" \x7f'", "echo \udcff")

    assert done.returncode == 0
    assert done.stdout == 'a\tb \\ "é" \x7f\udcff\n'


def test_outputs_are_given_to_their_owner(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    workspace = Workspace.below(tmp_path)
    for folder in (workspace.control, workspace.repository, workspace.outputs):
        folder.mkdir()
    view = View(outputs=str(workspace.outputs), control=str(workspace.control))
    (workspace.outputs / "link").symlink_to("/etc/hostname")
    job = Job("an-id", "s", "i", Script((f"touch {workspace.outputs}/file", "exit 3")), "", {}, (), {})
    argv = prepare(Staged(job, workspace, {}, Identity("", {})), view, "4321:4322")
    done = subprocess.run(argv, env={"PATH": os.environ["PATH"]})

    assert done.returncode == 3
    assert [(path.lstat().st_uid, path.lstat().st_gid) for path in workspace.outputs.iterdir()] == [(4321, 4322)] * 2
    assert Path("/etc/hostname").stat().st_uid == 0


# --- hostile reports


@pytest.mark.parametrize(
    "text", ["", "exit x", "exit 99999", "line 1\n", "text \x1b[2J", "line -1\nexit 3", "\xff" * 9999]
)
def test_a_report_that_makes_no_sense_is_no_report(tmp_path, text):
    (tmp_path / "report").write_text(text)
    (tmp_path / "prelude").write_text('# commands: [[1, "a"], [2, "b"]]\n')
    report = read_report(tmp_path)

    assert report.exit_code in (None, 3)
    assert report.command is None or report.command[0] in (1, 2)


@pytest.mark.parametrize("commands", ["", "{}", "null", "[1]", '[["x", 1, 2]]', "[[[], {}]]"])
def test_a_list_of_commands_that_makes_no_sense_names_none(tmp_path, commands):
    (tmp_path / "report").write_text("line 1\nexit 3\n")
    (tmp_path / "prelude").write_text(f"# commands: {commands}\n")

    assert read_report(tmp_path) == Report(3, None)


def test_the_report_tells_whether_the_script_ended_before_it_was_asked_to(run):
    _, own = run("exit 3")
    _, asked = run('kill -TERM "$PPID"; sleep 0.1; exit 3')

    assert (own.exit_code, own.asked) == (3, False)
    assert (asked.exit_code, asked.asked) == (3, True)


def test_a_report_that_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "report")
    assert read_report(tmp_path) == Report(None, None)

    (tmp_path / "report").unlink()
    (tmp_path / "secret").write_text("exit 3")
    (tmp_path / "report").symlink_to(tmp_path / "secret")
    assert read_report(tmp_path) == Report(None, None)


# --- words


def test_the_sentence_names_the_command(tmp_path):
    assert sentence(Report(1, (2, 3, "python train.py")), 1) == "command 2 of 3 failed (exit 1): `python train.py`"
    assert sentence(Report(1, (1, 1, "x")), 1) == "the command failed (exit 1): `x`"
    assert sentence(Report(137, None), 137) == "the command failed (signal 9, exit 137)"
    assert sentence(Report(255, None), 255) == "the command failed (exit 255)"


def test_a_long_command_is_shortened_and_cleaned(run):
    _, report = run("true", "false \x1b[31m" + "x" * 200 + "\n\n")

    assert "\x1b" not in report.command[2]
    assert len(report.command[2]) < 100
    assert report.command[2].endswith("…")


@pytest.mark.parametrize(
    ("stderr", "name"),
    [
        (b"Traceback\nModuleNotFoundError: No module named 'tensorflow'\n", "Python module `tensorflow`"),
        (b"ModuleNotFoundError: No module named 'a.b'; 'a' is not a package", "Python module `a.b`"),
        (b"ImportError: No module named cv2\n\n", "Python module `cv2`"),
        (b"ModuleNotFoundError: No module named 'x'\nhandled\n", None),
        (b"", None),
        (b"\xff\xfe", None),
    ],
)
def test_a_missing_module_is_read_from_the_last_line(stderr, name):
    assert missing_module(stderr) == name
