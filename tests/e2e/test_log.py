"""Logs of real steps: exact, complete, live, in bounded memory, and never in the way of the step.

The whole sizes: `MLRUN_TEST_LOG_MB=1000 python -m pytest tests/e2e/test_log.py` makes a log of 1 GB and a line of
200 MB, and takes the tail of 200 runs.
"""

import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

LOG_MB = int(os.environ.get("MLRUN_TEST_LOG_MB", "100"))
LINE_MB = LOG_MB // 5
TAILS = LOG_MB // 5
MOST_MEMORY = 100
"""Megabytes that the command may hold at once, whatever a step prints."""

STILL = 0.3
"""Seconds in which a reader that stands still would have read everything."""

FLOOD = """\
import os, sys
block = b"".join(b"%099d\\n" % number for number in range(10_000))
for _ in range(int(sys.argv[1])):
    view = memoryview(block)
    while view:
        view = view[os.write(1, view):]
open(os.environ["VH_OUTPUTS_DIR"] + "/done", "w").close()
"""

METRICS = """\
import json, sys
out = sys.stdout.write
out("{" * 10_000 + "\\n")
out('{"' + "k" * 2_000_000 + '": 1}\\n')
out(json.dumps({"k" * 1_000_000: 1}) + "\\n")
out('{"html": "<script>alert(1)</script>", "a": 1, "a": 2}\\n')
for number in range(int(sys.argv[1])):
    out('{"step": %d, "loss": NaN, "key-%d": Infinity}\\n' % (number, number))
"""

YAML = """\
- step:
    name: flood
    image: busybox
    command: python3 flood.py {parameter-value:size}
    parameters: [{name: size, type: integer}]
- step:
    name: line
    image: busybox
    command: "head -c {parameter-value:size}000000 /dev/zero"
    parameters: [{name: size, type: integer}]
- step:
    name: exact
    image: busybox
    command:
      - printf 'out \\377\\000\\r\\n\\033[1m'
      - sleep 0.1
      - printf 'err \\376\\000' >&2
      - sleep 0.1
      - printf ' end'
- step:
    name: tail
    image: busybox
    command: head -c 1000000 /dev/zero | tr '\\0' x; exit 3
- step:
    name: metrics
    image: busybox
    command: python3 metrics.py {parameter-value:size}
    parameters: [{name: size, type: integer}]
- step:
    name: waits
    image: busybox
    command:
      - echo ready
      - until [ -e "$GO" ]; do sleep 0.02; done
      - echo done; echo oh >&2
    environment-variables: [{name: GO}]
- step:
    name: bar
    image: busybox
    command:
      - printf '\\r10 percent'
      - until [ -e "$GO" ]; do sleep 0.02; done
      - printf '\\r90 percent'; echo
    environment-variables: [{name: GO}]
- step:
    name: long-bar
    image: busybox
    command: 'for i in $(seq 100000); do printf "\\r%060d" $i; done; echo'
- pipeline:
    name: p
    nodes:
      - {name: first, type: execution, step: waits}
      - {name: second, type: execution, step: exact}
    edges:
      - [first.dependency.x, second.dependency.x]
"""


@pytest.fixture
def project(make):
    return make(YAML, {"flood.py": FLOOD, "metrics.py": METRICS})


def let_go(project, until):
    """Let a step that waits go on: its own output folder is a folder of ours."""
    until(lambda: list((project.command.store / "work").glob("*/outputs")), "a step's folder")
    for folder in (project.command.store / "work").glob("*/outputs"):
        (folder / "go").touch()


GO = "GO=/valohai/outputs/go"


@pytest.fixture
def waiting(project, sandbox):
    """A step that waits until it is let go."""
    running = project.start("exec", "--var", GO, "waits")
    running.until("ready")
    return running


# Not measured from here: what a child has held counts from its fork on, and then it is as large as these tests are.
MEASURE = """\
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def exec_with_memory(project, *words):
    """Run `mlrun exec` to its end with its output thrown away; its exit code and the most memory it held, in MB."""
    command = [sys.executable, "-c", MEASURE, "mlrun", "exec", *words]
    done = subprocess.run(command, cwd=project.folder, env=project.command.environment, capture_output=True, check=True)
    code, memory = map(int, done.stdout.split())
    return code, memory / 1000


def printed(project, *words):
    """What `mlrun logs` writes into a pipe, byte for byte."""
    done = subprocess.run(
        ["mlrun", "logs", *words], cwd=project.folder, env=project.command.environment, capture_output=True, check=True
    )
    return done.stdout


# --- exact and complete


def test_each_stream_is_exact_and_both_are_merged_as_they_came(project):
    project.succeeds("exec", "exact")

    assert printed(project, "latest", "--stdout") == b"out \xff\0\r\n\x1b[1m end"
    assert printed(project, "latest", "--stderr") == b"err \xfe\0"
    assert printed(project, "latest") == b"out \xff\0\r\n\x1b[1merr \xfe\0 end"


def test_the_last_bytes_before_the_end_are_never_lost(project):
    for _ in range(TAILS):
        project.fails("exec", "tail")
        assert printed(project, "latest") == b"x" * 1_000_000


def test_a_large_log_takes_no_more_memory_than_a_small_one(project):
    code, memory = exec_with_memory(project, "flood", "--size", str(LOG_MB))

    assert code == 0
    assert memory < MOST_MEMORY
    log = project.show("latest")["log"]
    assert (project.command.store / "objects" / log["stdout"][:2] / log["stdout"]).stat().st_size == LOG_MB * 1_000_000


def test_a_line_without_end_takes_no_more_memory_either(project):
    code, memory = exec_with_memory(project, "line", "--size", str(LINE_MB))

    assert code == 0
    assert memory < MOST_MEMORY
    assert printed(project, "latest").count(b"\0") == LINE_MB * 1_000_000


def test_a_flood_of_metrics_is_capped_and_told(project):
    size = 1000 * LOG_MB
    code, memory = exec_with_memory(project, "metrics", "--size", str(size))
    execution = project.show("latest")

    assert code == 0
    assert memory < MOST_MEMORY
    assert execution["state"] == "succeeded"
    assert execution["metrics"]["step"] == size - 1
    assert execution["metrics"]["loss"] == "NaN"
    assert execution["metrics"]["a"] == 2
    assert execution["metrics"]["html"] == "<script>alert(1)</script>"
    assert len(execution["metrics"]) <= 10_000
    assert any("only in the log" in warning for warning in execution["warnings"])
    assert len(project.succeeds("metrics", "latest", "--json").out) < 5_000_000
    assert max(map(len, project.succeeds("list").out.splitlines())) < 10_000


# --- live


def test_another_terminal_follows_to_the_end(project, waiting, until):
    followers = [project.start("logs", "-f", *words) for words in ([], ["--stdout"], ["--stderr"], ["--tail", "1"])]
    followers[0].until("ready")
    let_go(project, until)
    assert waiting.end().code == 0
    done = [follower.end() for follower in followers]

    assert [end.code for end in done] == [0] * 4
    assert sorted(done[0].out.splitlines()) == ["done", "oh", "ready"]
    assert [end.out for end in done[1:3]] == ["ready\ndone\n", "oh\n"]
    assert "succeeded" in done[0].err


def test_a_node_of_a_pipeline_is_followed_before_it_has_begun(project, sandbox, until):
    running = project.start("pipeline", "--no-reuse", "p", "--var", GO)
    running.until("ready")
    first, second = (project.start("logs", "-f", "--node", node) for node in ("first", "second"))
    first.until("ready")
    let_go(project, until)

    assert running.end().code == 0
    assert "done" in first.end().out
    assert second.process.wait(30) == 0
    assert second.out.read_bytes() == b"out \xff\0\r\n\x1b[1merr \xfe\0 end"
    assert project.mlrun("logs", "--node", "third").code == 2


def test_a_follower_that_stands_still_does_not_hold_up_the_step(project, waiting, until):
    follower = project.start("logs", "-f")
    follower.until("ready")
    follower.signal(signal.SIGSTOP)
    try:
        let_go(project, until)
        assert waiting.end().code == 0
    finally:
        follower.signal(signal.SIGCONT)
    assert "done" in follower.end().out


def test_a_terminal_that_stands_still_does_not_hold_up_the_step(project, until):
    process = subprocess.Popen(
        ["mlrun", "exec", "flood", "--size", "50"],
        cwd=project.folder,
        env=project.command.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        until(lambda: [run for run in project.runs() if run["state"] == "succeeded"], "the end of the run")
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert len(out) < 50_000_000
    assert b"of its output are not shown here: `mlrun logs` has all of it" in err
    assert len(printed(project, "latest")) == 50_000_000


def test_a_slow_reader_loses_nothing_as_long_as_it_reads(project):
    process = subprocess.Popen(
        ["mlrun", "exec", "flood", "--size", "20"],
        cwd=project.folder,
        env=project.command.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    size = 0
    with process.stdout:
        while block := process.stdout.read(1 << 18):
            size += len(block)
            time.sleep(0.005)
    assert process.wait(60) == 0
    assert size == 20_000_000


def test_a_progress_bar_is_seen_on_a_terminal_before_its_line_ends(project, sandbox, until):
    main, side = pty.openpty()
    environment = {**project.command.environment, "TERM": "xterm"}
    process = subprocess.Popen(
        ["mlrun", "exec", "--var", GO, "bar"], cwd=project.folder, env=environment, stdin=side, stdout=side, stderr=side
    )
    os.close(side)
    shown = read_until(main, b"10 percent")
    let_go(project, until)
    shown += read_until(main, None)
    os.close(main)

    assert process.wait(30) == 0
    assert shown.index(b"10 percent") < shown.index(b"90 percent\r\n")
    assert b"\r\x1b[K" in shown


def read_until(terminal: int, text: bytes | None) -> bytes:
    """What comes from a terminal until `text` does, or its end."""
    seen = b""
    deadline = time.monotonic() + 60
    while text is None or text not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 1)[0]:
            try:
                block = os.read(terminal, 1 << 16)
            except OSError:
                return seen
            if not block:
                return seen
            seen += block
    return seen


def test_a_long_progress_bar_is_one_line_in_a_pipe(project):
    done = project.succeeds("exec", "long-bar")

    assert done.out == f"{100_000:060d}\n"
    assert printed(project, "latest").count(b"\r") == 100_000
    assert project.succeeds("logs", "--json").json_lines()[-1]["text"] == f"{100_000:060d}"
