"""An interactive program in the place of a step, in every executor: with a terminal, without one, and ended badly."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

INTERACTOR = Path(__file__).with_name("interactor.py")
PATIENCE = 60.0
PROMPT = "(a step)"


@pytest.fixture
def command(bench: Any, tmp_path: Path) -> Callable[..., list[str]]:
    """The command line that enters a staged job."""

    def make(staged: Any, *argv: str) -> list[str]:
        request = tmp_path / f"request-{staged.job.id}"
        request.write_bytes(pickle.dumps((bench.name, bench.site, staged, argv)))
        return [sys.executable, str(INTERACTOR), str(request)]

    return make


@pytest.fixture
def piped(command: Callable[..., list[str]], tmp_path: Path) -> Callable[..., Any]:
    """Runs a command without a terminal."""

    def run(staged: Any, *argv: str, stdin: bytes = b"") -> Any:
        return subprocess.run(
            command(staged, *argv), input=stdin, capture_output=True, timeout=PATIENCE, cwd=tmp_path, check=False
        )

    return run


@pytest.fixture
def enter(command: Callable[..., list[str]], terminal: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Enters a job on a terminal."""

    def start(staged: Any, *argv: str, **size: int) -> Any:
        return terminal(command(staged, *argv), tmp_path, dict(os.environ), **size)

    return start


def state(pid: int) -> str:
    """The state letter of a process (proc_pid_stat(5)), empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.05)


def lines(text: bytes) -> Sequence[str]:
    return text.decode().splitlines()


# --- without a terminal


@pytest.mark.parametrize("code", [0, 7, 137])
def test_a_command_tells_its_exit_code(bench, piped, code):
    assert piped(bench.stage("true"), "sh", "-c", f"exit {code}").returncode == code


def test_a_command_keeps_its_streams_apart_and_reads_ours(bench, piped):
    done = piped(bench.stage("true"), "sh", "-c", "echo to-err >&2; cat; exit 3", stdin=b"\x00\xff typed\n")

    assert (done.returncode, done.stdout, done.stderr) == (3, b"\x00\xff typed\n", b"to-err\n")


def test_a_script_on_standard_input_is_run(bench, piped):
    done = piped(bench.stage("true"), stdin=b"pwd\nexit 5\n")

    assert done.returncode == 5
    assert lines(done.stdout)[0].endswith("/repository")


def test_much_data_passes_both_ways(bench, piped):
    data = os.urandom(1 << 20) * 4

    done = piped(bench.stage("true"), "sh", "-c", "cat", stdin=data)

    assert done.returncode == 0
    assert done.stdout == data


def test_the_words_of_a_command_arrive_as_they_are(bench, piped):
    words = ["", "a b", "$HOME", "'", "*", "-n", "ü\n"]

    done = piped(bench.stage("true"), "sh", "-c", 'printf "<%s>" "$@"', "sh", *words)

    assert done.stdout.decode() == "".join(f"<{word}>" for word in words)


def test_the_place_is_that_of_the_step(bench, piped):
    staged = bench.stage("true", inputs={"data": {"a.csv": b"1,2\n"}}, environment={"OWN": "value"})

    done = piped(
        staged,
        "sh",
        "-c",
        'cat code.txt "$VH_INPUTS_DIR/data/a.csv" "$VH_CONFIG_DIR/parameters.json"; echo "$OWN"; '
        'echo left > "$VH_OUTPUTS_DIR/out.txt"',
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert lines(done.stdout) == ["the code", "1,2", "{}value"]
    assert (staged.workspace.outputs / "out.txt").read_text() == "left\n"
    assert (staged.workspace.outputs / "out.txt").stat().st_uid == os.getuid()


def test_an_input_cannot_be_changed(isolated, piped):
    staged = isolated.stage("true", inputs={"data": {"a.csv": b"1,2\n"}})

    done = piped(staged, "sh", "-c", 'echo changed > "$VH_INPUTS_DIR/data/a.csv"')

    assert done.returncode != 0
    assert (staged.workspace.inputs / "data" / "a.csv").read_bytes() == b"1,2\n"


def test_the_command_of_the_step_is_there_to_be_run(bench, piped):
    staged = bench.stage("echo one", "x=2; exit $x", "echo never")

    done = piped(staged, "sh", "-c", 'sh "$MLRUN_STEP"; echo "it ended with $?"')

    assert lines(done.stdout) == ["one", "it ended with 2"]


def test_secrets_are_there_and_in_no_file_of_the_work_folder(bench, piped):
    from dataclasses import replace

    staged = bench.stage("true")
    staged = replace(staged, secrets={"TOKEN": "s3cr3t' \"$x"})

    done = piped(staged, "sh", "-c", 'printf %s "$TOKEN"')

    assert done.stdout.decode() == "s3cr3t' \"$x"
    for path in staged.workspace.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert b"s3cr3t" not in path.read_bytes(), path


def test_a_place_can_be_entered_again_and_after_its_job_has_ended(bench, piped):
    result = bench.run("echo made > made.txt", "exit 4")
    staged = bench.again(result)

    first = piped(staged, "sh", "-c", "cat made.txt; echo more >> made.txt")
    second = piped(bench.again(result), "sh", "-c", "cat made.txt")

    assert result.outcome.exit_code == 4
    assert (first.stdout, second.stdout) == (b"made\n", b"made\nmore\n")


def test_what_a_command_leaves_behind_is_ended(bench, piped, alive):
    mark = f"left-{os.getpid()}-{time.monotonic_ns()}"

    done = piped(bench.stage("true"), "sh", "-c", f"(exec sh -c 'sleep 600; : {mark}') >/dev/null 2>&1 </dev/null & :")

    assert done.returncode == 0
    wait_until(lambda: not alive(mark), "the end of a background process")


def test_a_reader_that_goes_away_ends_the_command(bench, command, tmp_path, alive):
    mark = f"endless-{os.getpid()}-{time.monotonic_ns()}"
    process = subprocess.Popen(
        command(bench.stage("true"), "sh", "-c", f"while :; do echo {mark} || exit; done"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert mark.encode() in process.stdout.readline()

    process.stdout.close()

    process.wait(PATIENCE)
    wait_until(lambda: not alive(mark), "the end of the command")


# --- on a terminal


def test_a_shell_opens_in_the_copy_of_the_repository_and_its_exit_code_is_ours(bench, enter):
    shell = enter(bench.stage("true"))

    shell.until(PROMPT)
    shell.send("cat code.txt; test -t 0 && test -t 1 && test -t 2 && echo on-a-$((1))-terminal\r")
    shell.until("the code")
    shell.until("on-a-1-terminal")
    shell.send("exit 9\r")

    assert shell.end() == 9
    assert shell.is_restored()


def test_the_terminal_is_raw_meanwhile_and_echo_comes_from_the_inner_one(bench, enter):
    shell = enter(bench.stage("true"), "sh", "-c", "stty -echo; echo ready; read line; echo got-$line")

    shell.until("ready")
    assert not shell.is_restored()
    shell.send("secret\r")
    shell.until("got-secret")

    assert shell.end() == 0
    assert shell.written.count("secret") == 1
    assert shell.is_restored()


def test_a_shell_has_job_control(bench, enter, alive):
    shell = enter(bench.stage("true"))
    shell.until(PROMPT)
    mark = str(time.monotonic_ns())

    shell.send(f"sleep {mark}\r")
    wait_until(lambda: any(state(pid) == "S" for pid in alive(mark)), "the program runs")
    shell.send("\x1a")
    shell.until("Stopped")
    shell.send("jobs\r")
    shell.until(f"sleep {mark}")
    shell.send("fg\r")
    wait_until(lambda: any(state(pid) == "S" for pid in alive(mark)), "the program goes on")
    shell.send("\x03")
    wait_until(lambda: not alive(mark), "its end")
    shell.send("echo after-$((1 + 1))\r")
    shell.until("after-2")
    shell.send("exit 0\r")

    assert shell.end() == 0
    assert "job control" not in shell.written


def test_ctrl_c_reaches_the_program_and_not_us(bench, enter):
    shell = enter(
        bench.stage("true"), "sh", "-c", "trap 'echo caught; exit 6' INT; echo ready; while :; do sleep 0.1; done"
    )

    shell.until("ready")
    shell.send("\x03")
    shell.until("caught")

    assert shell.end() == 6
    assert shell.is_restored()


def test_ctrl_p_is_not_kept_back(bench, enter):
    shell = enter(
        bench.stage("true"), "sh", "-c", "stty raw -echo; echo ready; dd bs=1 count=3 2>/dev/null | od -An -tx1"
    )

    shell.until("ready")
    for key in ("\x10", "\x11", "\x00"):
        shell.send(key)
    shell.until("10 11 00")

    assert shell.end() == 0


def test_the_size_of_the_terminal_is_passed_on_and_follows(bench, enter):
    shell = enter(
        bench.stage("true"),
        "sh",
        "-c",
        "trap 'stty size' WINCH; echo ready; while :; do stty size; sleep 0.1; done",
        rows=33,
        columns=77,
    )

    shell.until("33 77")
    shell.resize(11, 55)
    shell.until("11 55")
    shell.send("\x03")

    assert shell.end() != 0


def test_typing_cannot_be_done_on_the_terminal_of_the_caller(isolated, enter):
    """TIOCSTI puts bytes into the input of a terminal; there it may work, on ours it must not."""
    program = (
        "import fcntl, termios, os\n"
        "for fd in (0, 1, 2):\n"
        "    try:\n"
        "        for letter in 'PWNED': fcntl.ioctl(fd, termios.TIOCSTI, letter.encode())\n"
        "    except OSError: pass\n"
        "print('tried', os.getpgid(0) > 0)\n"
    )
    if isolated.name == "docker":
        staged = isolated.stage("true", image=isolated.python_image)
    else:
        staged = isolated.stage("true")
    shell = enter(staged, "python3", "-c", program)
    shell.until("tried True")
    assert shell.end() == 0

    # What was typed on our own terminal would be waiting there.
    assert shell.is_restored()
    assert shell.waiting() == 0


def test_ctrl_d_leaves(bench, enter):
    shell = enter(bench.stage("true"))
    shell.until(PROMPT)
    shell.send("sh -c 'exit 3'\r")
    shell.until(PROMPT)
    shell.send("\x04")

    assert shell.end() == 3


# --- ended badly


@pytest.fixture
def busy(bench: Any, enter: Callable[..., Any], alive: Callable[[str], list[int]]) -> Iterator[tuple[Any, str]]:
    """A shell on a terminal with a program that ignores everything it can, and the program's mark."""
    mark = f"busy-{os.getpid()}-{time.monotonic_ns()}"
    shell = enter(
        bench.stage("true"),
        "sh",
        "-c",
        f"trap '' HUP INT TERM; echo ready; sleep 600 & while :; do sleep 1; : {mark}; done",
    )
    shell.until("ready")
    assert alive(mark)
    yield shell, mark
    wait_until(lambda: not alive(mark), "the end of the program")


def test_a_request_to_end_ends_it(busy, alive):
    shell, mark = busy

    shell.process.send_signal(signal.SIGTERM)

    assert shell.end() == 137
    assert shell.is_restored()
    assert not alive(mark)


def test_a_terminal_that_is_closed_ends_it(busy, alive):
    shell, mark = busy

    shell.hang_up()

    assert shell.process.wait(PATIENCE) is not None
    assert not alive(mark)


def test_our_own_death_ends_it(busy, alive):
    shell, mark = busy

    shell.process.kill()

    wait_until(lambda: not alive(mark), "the end of the program")


@pytest.fixture
def contained(bench: Any) -> None:
    """Only the executor that makes containers."""
    if bench.name != "docker":
        pytest.skip("about containers")


def test_no_container_is_left(contained, busy):
    shell, _ = busy
    shell.process.kill()
    client = pytest.importorskip("docker").from_env()
    try:
        wait_until(
            lambda: (
                not client.containers.list(
                    all=True, filters={"label": ["mlrun.shell"], "name": "mlrun-shell-"}, ignore_removed=True
                )
            ),
            "the removal of the container",
        )
    finally:
        client.close()


def test_an_image_that_is_gone_is_told(docker_bench, tmp_path):
    from dataclasses import replace

    from runner.errors import ExitCode, MlrunError
    from runner.job import Identity

    staged = docker_bench.stage("true")
    gone = replace(staged, identity=Identity("sha256:" + "0" * 64, {}))

    with pytest.raises(MlrunError) as caught:
        docker_bench.executor.interact(gone, ["true"])

    assert caught.value.code is ExitCode.IMAGE
