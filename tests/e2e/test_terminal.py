"""The command in pipes, on terminals and in poor surroundings: no traceback, nothing raw, nothing lost."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Sequence
from functools import partial

import pytest

YAML = """\
- step:
    name: talk
    image: busybox
    command: for i in $(seq {parameter-value:lines}); do echo "line $i"; done
    parameters:
      - {name: lines, type: integer, default: 3}
- step:
    name: rude
    image: busybox
    command:
      - printf 'plain \\033[2J\\033[31mred\\033]0;title\\007 back\\rover\\n'
      - printf '\\377\\376 bytes\\n'
      - printf 'no newline'
- step:
    name: fail
    image: busybox
    command: ["seq 100000", exit 5]
- step:
    name: bar
    image: busybox
    command: for i in 1 2 3; do printf "\\r$i of 3"; sleep 0.1; done; echo
- step:
    name: ümläut ✓
    image: busybox
    command: echo grüße
- step:
    name: ask
    image: busybox
    command: if read answer; then echo "got $answer"; else echo nobody there; fi
- pipeline:
    name: p
    nodes:
      - {name: one, type: execution, step: talk}
      - {name: two, type: execution, step: rude}
    edges:
      - [one.dependency.x, two.dependency.x]
- task:
    name: many
    step: talk
    type: grid_search
    parameters:
      - {name: lines, style: multiple, rules: {items: [1, 2, 3]}}
- pipeline:
    name: careful
    nodes:
      - {name: first, type: execution, step: talk}
      - {name: sweep, type: task, task: many}
      - name: last
        type: execution
        step: talk
        actions: [{when: node-starting, then: require-approval}]
    edges:
      - [first.dependency.x, sweep.dependency.x]
      - [sweep.dependency.x, last.dependency.x]
"""
COMMAND = "mlrun"


def on_terminal(
    project,
    *words: str,
    columns: int = 100,
    rows: int = 30,
    term: str = "xterm-256color",
    question: str = "",
    answer: str = "",
) -> tuple[int, str]:
    """Run the command on a terminal of its own; gives its exit code and everything it wrote there. Once it has written
    the `question`, the `answer` is typed."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**project.command.environment, "TERM": term}
    process = subprocess.Popen(
        [COMMAND, *words],
        cwd=project.folder,
        env=environment,
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
        preexec_fn=partial(_own, side),
    )
    os.close(side)
    written = bytearray()
    try:
        while block := os.read(main, 1 << 16):
            written += block
            if answer and question.encode() in written:
                os.write(main, answer.encode())
                answer = ""
    except OSError:
        # The other side is closed: that is how a terminal ends on Linux.
        pass
    finally:
        os.close(main)
        code = process.wait(30)
    return code, written.decode("utf-8", "replace")


def _own(fd: int) -> None:
    """Let a terminal be that of this session: whoever is in its foreground may read from it."""
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def piped(project, script: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in the project."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"],
        cwd=project.folder,
        env=project.command.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def words_of(text: str) -> Sequence[str]:
    return text.replace("\r", "\n").split()


# --- pipes


def test_a_reader_that_goes_away_is_no_error(shared):
    shared.succeeds("exec", "talk")
    shared.succeeds("exec", "talk", "--lines=100000")

    for script in (
        "mlrun list | head -n 1",
        "mlrun show | head -n 1",
        "mlrun logs | head -n 1",
        "mlrun --help | head -n 1",
    ):
        done = piped(shared, script)
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1


def test_a_run_goes_on_when_the_reader_of_its_log_goes_away(shared):
    done = piped(shared, "mlrun exec talk --lines=100000 | head -n 2")

    assert done.stdout == "line 1\nline 2\n"
    assert "Traceback" not in done.stderr
    run = shared.show()
    assert run["state"] == "succeeded"
    assert len(shared.log().splitlines()) == 100000


def test_the_exit_code_of_a_run_does_not_depend_on_who_reads(shared):
    for option in ("", "--json", "--executor process"):
        assert piped(shared, f"mlrun exec {option} fail | head -n 1").returncode == 1
        assert piped(shared, f"mlrun exec {option} fail > /dev/full").returncode == 1
    assert [run["state"] for run in shared.runs()[:6]] == ["failed"] * 6


def test_closed_streams_are_no_error(shared):
    for redirection in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        for command in ("mlrun --version", "mlrun list", "mlrun exec talk"):
            done = piped(shared, f"{command} {redirection}")
            assert "Traceback" not in done.stderr
            assert "Exception" not in done.stderr
            assert done.returncode == 0, (redirection, command, done)


def test_a_full_disk_under_stdout_is_told(shared):
    done = piped(shared, "mlrun list > /dev/full")

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def test_nothing_but_data_is_on_stdout_when_piped(shared):
    done = shared.succeeds("exec", "talk")

    assert done.out == "line 1\nline 2\nline 3\n"
    assert "\x1b" not in done.out + done.err


def test_a_step_has_nothing_to_read(shared):
    assert shared.mlrun("exec", "ask", stdin="yes\n").out == "nobody there\n"


# --- surroundings


@pytest.mark.parametrize(
    "variables",
    [
        {"LANG": "C", "LC_ALL": "C"},
        {"PYTHONIOENCODING": "ascii"},
        {"LANG": None, "TERM": None},
        {"TERM": "dumb"},
        {"NO_COLOR": "1"},
        {"PYTHONUNBUFFERED": "1", "PYTHONOPTIMIZE": "2"},
        {"COLUMNS": "20"},
    ],
    ids=["C", "ascii", "nothing", "dumb", "no-color", "python", "narrow"],
)
def test_poor_surroundings_change_no_data(shared, variables):
    poor = shared.with_variables(**variables)

    poor.succeeds("exec", "ümläut ✓")
    for words in (
        ["list"],
        ["show"],
        ["logs"],
        ["metrics"],
        ["outputs"],
        ["exec", "ümläut ✓", "--help"],
        ["pipeline", "--no-reuse", "p"],
    ):
        poor.succeeds(*words)
    assert poor.show("run:latest")["state"] == "succeeded"


def test_the_current_folder_may_be_gone(shared, tmp_path):
    gone = tmp_path / "gone"
    script = f"mkdir {gone}; cd {gone}; rmdir {gone}; mlrun list; mlrun exec talk; mlrun --version"

    done = piped(shared, script)

    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    assert done.stdout.startswith("mlrun ")


def test_a_home_that_is_not_there_is_not_made(shared, tmp_path):
    homeless = shared.with_variables(HOME=str(tmp_path / "gone"))

    assert homeless.succeeds("exec", "talk").out.startswith("line 1")
    assert not (tmp_path / "gone").exists()


# --- terminals


def test_a_pipeline_on_a_terminal_shows_its_nodes_and_leaves_the_final_table(shared):
    code, text = on_terminal(shared, "pipeline", "--no-reuse", "p")

    assert code == 0
    assert "Traceback" not in text
    final = text[text.rindex("node ") :]
    assert "one" in final
    assert "succeeded" in final
    assert "\x1b[?25h" in text, "the cursor is shown again"


def test_a_step_on_a_terminal_prints_its_log(shared):
    code, text = on_terminal(shared, "exec", "talk")

    assert code == 0
    assert "line 1\r\nline 2\r\nline 3\r\n" in text


@pytest.mark.parametrize("words", [("exec", "rude"), ("pipeline", "--no-reuse", "p"), ("logs",)], ids=" ".join)
def test_control_codes_of_a_step_do_not_reach_the_terminal(shared, words):
    shared.succeeds("exec", "rude")

    code, text = on_terminal(shared, *words)

    assert code == 0
    for evil in ("\x1b[2J", "\x1b[31mred", "\x1b]0;", "\x07"):
        assert evil not in text


def test_a_pipe_gets_the_log_byte_for_byte(shared):
    shared.succeeds("exec", "rude")

    done = subprocess.run(
        [COMMAND, "logs", "latest"],
        cwd=shared.folder,
        env=shared.command.environment,
        capture_output=True,
        check=True,
    )

    assert done.stdout == b"plain \x1b[2J\x1b[31mred\x1b]0;title\x07 back\rover\n\xff\xfe bytes\nno newline"


def test_no_colours_where_nobody_wants_them(shared):
    for variables, term in (({"NO_COLOR": "1"}, "xterm"), ({}, "dumb")):
        code, text = on_terminal(shared.with_variables(**variables), "pipeline", "--no-reuse", "p", term=term)
        assert code == 0
        assert "\x1b[3" not in text
        assert "two │ over" in text


@pytest.mark.parametrize(("columns", "rows"), [(20, 5), (40, 10), (300, 80)])
def test_terminals_of_any_size(shared, columns, rows):
    for words in (("pipeline", "p"), ("list",), ("show",), ("exec", "talk", "--help")):
        code, text = on_terminal(shared, *words, columns=columns, rows=rows)
        assert code == 0, text
        assert "Traceback" not in text


ASKED = "approve `last` (node-starting)?"


@pytest.mark.parametrize(("answer", "state"), [("y\r", "succeeded"), ("\rwhat\rn\r", "stopped")])
@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_whoever_is_at_the_terminal_is_asked_for_an_approval(shared, answer, state, term):
    code, text = on_terminal(shared, "pipeline", "--no-reuse", "careful", term=term, question=ASKED, answer=answer)

    assert (code == 0) == (state == "succeeded"), text
    assert "Traceback" not in text
    assert shared.show()["nodes"]["last"]["state"] == state


def test_a_run_that_nobody_can_be_asked_about_parks_and_says_what_lets_it_go_on(shared):
    done = shared.mlrun("pipeline", "--no-reuse", "careful")

    assert done.code == 60
    number = shared.show("run:latest")["counter"]
    assert f"`mlrun approve run:{number} last`" in done.err
    assert "awaiting-approval" in done.out


def test_an_error_on_a_terminal_is_still_one_line_and_a_hint(shared):
    code, text = on_terminal(shared, "exec", "tlak")

    assert code == 2
    lines = text.splitlines()
    assert len(lines) == 2
    assert "error:" in lines[0]
    assert "did you mean `talk`?" in lines[1]
