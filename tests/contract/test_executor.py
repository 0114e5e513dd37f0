"""What every executor must do for a step, whatever it is made of."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from runner.job import Handle, LogChunk, Network
from runner.state import Reason
from tests.patience import not_for_ever

# A request to stop that falls between two commands reaches no program, and the shell waits for the next one to end:
# a job that is to be stopped soon does many short things.
IDLE = "while :; do sleep 0.05; done"
CODES = (0, 1, 2, 125, 126, 127, 137, 139, 143, 255)
MEGABYTE = 1_000_000


def after(text: bytes, seconds: float):
    """A listener that stops the job with `seconds` of grace once it has printed `text`."""

    def listen(handle: Handle, chunk: LogChunk) -> None:
        if text in chunk.data:
            handle.stop(seconds)

    return listen


# --- what it can fill


def test_the_disks_that_a_step_can_fill_are_those_of_folders(bench):
    assert all(place.is_absolute() and place.is_dir() for place in bench.executor.disks())


# --- how it ends


def test_a_job_that_ends_with_0_succeeds(bench):
    outcome = bench.run("true").outcome

    assert outcome.succeeded
    assert (outcome.reason, outcome.exit_code, outcome.detail) == (Reason.EXIT, 0, None)


@pytest.mark.parametrize("code", CODES)
def test_the_exit_code_is_that_of_the_command(bench, code):
    outcome = bench.run("true", f"exit {code}", "echo later").outcome

    assert (outcome.reason, outcome.exit_code) == (Reason.EXIT, code)


@pytest.mark.parametrize("code", CODES[1:])
def test_the_exit_code_of_a_program_is_kept(bench, code):
    result = bench.run(f"sh -c 'exit {code}'", "echo later")

    assert (result.outcome.reason, result.outcome.exit_code) == (Reason.EXIT, code)
    assert result.stdout == b""


def test_a_program_killed_inside_the_step_is_the_end_of_the_step_by_itself(bench):
    outcome = bench.run("sh -c 'kill -9 $$'").outcome

    assert (outcome.reason, outcome.exit_code) == (Reason.EXIT, 137)
    assert "signal 9" in outcome.detail


def test_the_failing_command_is_named(bench):
    result = bench.run("cd .", "for i in 1 2\ndo true\ndone", "ls /nonexistent-folder", "echo later")

    assert result.stdout == b""
    assert "command 3 of 4 failed" in result.outcome.detail
    assert "`ls /nonexistent-folder`" in result.outcome.detail


def test_the_failing_command_is_named_when_a_function_or_an_exit_ends_it(bench):
    function = bench.run("fail() {\n  false\n}", "true", "fail").outcome
    leaving = bench.run("true", "exit 9").outcome

    assert "command 3 of 3 failed (exit 1): `fail`" in function.detail
    assert "command 2 of 2 failed (exit 9): `exit 9`" in leaving.detail


def test_a_missing_program_ends_with_127(bench):
    result = bench.run("no-such-program --now")

    assert (result.outcome.reason, result.outcome.exit_code) == (Reason.EXIT, 127)
    assert "no-such-program" in result.outcome.detail
    assert b"no-such-program" in result.stderr


def test_a_syntax_error_fails_the_step(bench):
    result = bench.run("echo (")

    assert result.outcome.reason is Reason.EXIT
    assert result.outcome.exit_code == 2
    assert b"yntax error" in result.stderr


# --- the command list


def test_folder_and_variables_live_on_from_item_to_item(bench):
    result = bench.run("mkdir sub", "cd sub", "export A=1", "B=2", 'echo "$A$B"', "pwd")

    assert result.stdout.splitlines()[0] == b"12"
    assert result.stdout.rstrip().endswith(b"/sub")


def test_a_heredoc_and_a_continued_line_may_span_items(bench):
    result = bench.run("cat <<END", "one $((1 + 1))", "nvidia-smi", "END", "echo a \\", "b")

    assert result.stdout == b"one 2\nnvidia-smi\na b\n"


def test_what_the_shell_forgives_does_not_stop_the_step(bench):
    items = ("false | true", "false || true", "! true", "if false; then echo no; fi", "(false; true) || :")
    result = bench.run(*items[:4], "false && true", "while false; do :; done", "echo end")

    assert result.outcome.succeeded
    assert result.stdout == b"end\n"


def test_a_failure_in_a_subshell_stops_the_step(bench):
    result = bench.run("true", "(cd /; exit 4)", "echo later")

    assert (result.outcome.exit_code, result.stdout) == (4, b"")
    assert "command 2 of 3" in result.outcome.detail


def test_a_background_process_may_be_waited_for(bench):
    result = bench.run("(sleep 0.1; echo late) &", "wait", "echo end")

    assert result.stdout == b"late\nend\n"


def test_without_stopping_at_failures_the_last_command_decides(bench):
    kept = bench.run("false", "echo on", "true", stop_at_failure=False)
    failed = bench.run("echo on", "sh -c 'exit 7'", stop_at_failure=False)

    assert (kept.outcome.exit_code, kept.stdout) == (0, b"on\n")
    assert failed.outcome.exit_code == 7


def test_a_shebang_picks_the_interpreter(bench):
    result = bench.run('#!/bin/sh -u\necho "$0"', "echo second")
    unset = bench.run("#!/bin/sh -u", "echo $NOT_SET", "echo later")
    missing = bench.run("#!/no/such/interpreter", "true")

    assert result.stdout.endswith(b"/control/script\nsecond\n")
    assert unset.outcome.exit_code not in (0, None)
    assert unset.stdout == b""
    assert missing.outcome.exit_code == 127


def test_windows_line_ends_do_no_harm(bench):
    result = bench.run("#!/bin/sh\r\necho one\r\n", "echo two\r\n")
    plain = bench.run("echo one\r\necho two")

    assert result.stdout == b"one\ntwo\n"
    assert plain.stdout == b"one\ntwo\n"


def test_a_bare_probe_for_a_gpu_is_skipped_where_its_tool_is_missing(bench):
    result = bench.run("PATH=/bin:/usr/bin; hash -r", "nvidia-smi", "echo on")
    if result.stderr == b"":
        pytest.skip("this machine has `nvidia-smi`")

    assert result.outcome.succeeded
    assert result.stdout == b"on\n"
    assert b"nvidia-smi" in result.stderr


def test_the_shell_of_the_step_shows_nothing_of_ours(bench):
    result = bench.run("echo $-", "set >$VH_OUTPUTS_DIR/set", "alias 2>/dev/null || :")
    variables = {line.split(b"=")[0] for line in result.output("set").splitlines() if b"=" in line}

    assert set(result.stdout.strip()) & set(b"ETvx") == set()
    assert b"e" in result.stdout
    assert variables & {b"asked", b"rc", b"TINI_KILL_PROCESS_GROUP", b"MLRUN_STORE"} == set()


def test_python_runs_and_imports_from_the_working_directory(bench):
    image = bench.python_image
    if bench.executor.resolve(image) is None:
        pytest.skip(f"docker: image {image} is not here")
    result = bench.run(
        "echo 'x = 6 * 7' >mine.py",
        "python3 -c 'import mine; print(mine.x)'",
        "echo 'import mine; print(mine.x + 1)' >run.py; python3 run.py",
        image=image,
    )
    shebang = bench.run("#!/usr/bin/env python3", "import sys", "sys.exit(7)", image=image)

    assert result.stdout == b"42\n43\n"
    assert shebang.outcome.exit_code == 7


# --- what it prints


def test_both_streams_arrive_byte_by_byte(bench):
    result = bench.run(r"printf '\377\376\000 no newline'; printf 'caf\303\251\r\n\033[1m' >&2")

    assert result.stdout == b"\xff\xfe\x00 no newline"
    assert result.stderr == "café\r\n\x1b[1m".encode()


def test_no_last_byte_is_lost(bench):
    for _ in range(20):
        result = bench.run(f"head -c {MEGABYTE} /dev/zero | tr '\\0' x", f"head -c {MEGABYTE} /dev/zero >&2", "exit 3")
        assert result.stdout == b"x" * MEGABYTE
        assert result.stderr == b"\0" * MEGABYTE
        assert result.outcome.exit_code == 3


def test_output_arrives_while_the_step_runs(bench):
    seen = []
    result = bench.run("echo first", IDLE, listen=lambda handle, chunk: (seen.append(chunk.data), handle.stop(5)))

    assert seen == [b"first\n"] or b"Terminated" in b"".join(seen[1:])
    assert result.outcome.reason is Reason.STOP


def test_a_slow_reader_loses_nothing(bench):
    def slow(handle: Handle, chunk: LogChunk) -> None:
        time.sleep(0.01)

    result = bench.run(f"head -c {MEGABYTE} /dev/zero", "echo end >&2", listen=slow)

    assert (len(result.stdout), result.stderr) == (MEGABYTE, b"end\n")


# --- how it is stopped


def test_stopping_with_grace_lets_the_program_save(bench):
    save = "sleep 0.3; echo saved >$VH_OUTPUTS_DIR/saved; exit 5"
    result = bench.run(
        f"sh -c 'trap \"{save}\" TERM; echo ready; while :; do sleep 0.05; done'",
        "echo later",
        listen=after(b"ready", 20),
    )

    assert result.output("saved") == b"saved\n"
    assert b"later" not in result.stdout
    assert (result.outcome.reason, result.outcome.exit_code in (5, 143)) == (Reason.STOP, True)


def test_stopping_kills_who_ignores_it(bench):
    with not_for_ever():
        result = bench.run("trap '' TERM", "echo ready", IDLE, listen=after(b"ready", 0.5))

    assert result.outcome.reason is Reason.STOP


def test_a_program_that_fails_before_it_is_asked_to_stop_has_failed(bench):
    def late(handle: Handle, chunk: LogChunk) -> None:
        end = time.monotonic() + 60
        while b"\nexit 5" not in (staged.workspace.control / "report").read_bytes() and time.monotonic() < end:
            time.sleep(0.001)
        handle.stop(20)

    staged = bench.stage("echo ready", "exit 5")
    result = bench.finish(staged, late)

    assert (result.outcome.reason, result.outcome.exit_code) == (Reason.EXIT, 5)


def test_stopping_without_grace_kills(bench):
    result = bench.run(
        "trap 'echo saved >$VH_OUTPUTS_DIR/saved' TERM", "echo ready", IDLE,
        listen=after(b"ready", 0),
    )  # fmt: skip

    assert result.outcome.reason is Reason.STOP
    assert not (result.workspace.outputs / "saved").exists()


def test_stopping_again_with_less_grace_kills_sooner(bench):
    def twice(handle: Handle, chunk: LogChunk) -> None:
        if b"ready" in chunk.data:
            handle.stop(600)
            handle.stop(0)

    result = bench.run("trap '' TERM", "echo ready", IDLE, listen=twice)

    assert result.outcome.reason is Reason.STOP


def test_stopping_right_after_the_start_ends_the_job(bench):
    staged = bench.stage("sleep 600")
    handle = bench.executor.start(staged)
    handle.stop(1)

    assert bench.watch(handle, staged.workspace).outcome.reason is Reason.STOP


def test_stopping_a_job_that_has_ended_changes_nothing(bench):
    handle = bench.executor.start(bench.stage("exit 3"))
    list(handle.logs())
    outcome = handle.wait()
    handle.stop(0)
    handle.close()
    handle.stop(5)
    handle.close()

    assert (outcome.reason, outcome.exit_code) == (Reason.EXIT, 3)


def test_any_thread_may_stop_a_job(bench):
    def from_another(handle: Handle, chunk: LogChunk) -> None:
        thread = threading.Thread(target=handle.stop, args=(5,))
        thread.start()
        thread.join()

    assert bench.run("echo ready", IDLE, listen=from_another).outcome.reason is Reason.STOP


def test_nothing_the_step_started_outlives_it(bench, alive):
    beat = 'while :; do echo x >>"$VH_OUTPUTS_DIR/beat"; sleep 0.02; done'
    result = bench.run(
        f"""(setsid sh -c '{beat}' >/dev/null 2>&1 &)""",
        f"""(trap '' TERM HUP; setsid env VH_OUTPUTS_DIR="$VH_OUTPUTS_DIR" sh -c '{beat}' &)""",
        'until [ -s "$VH_OUTPUTS_DIR/beat" ]; do sleep 0.02; done',
    )
    size = len(result.output("beat"))
    time.sleep(0.2)

    assert result.outcome.succeeded
    assert len(result.output("beat")) == size
    assert alive(str(result.workspace.root)) == []


def test_a_stopped_daemon_does_not_outlive_the_step(bench, alive):
    result = bench.run("(setsid sh -c 'sleep 4321.25' &)", "echo ready", IDLE, listen=after(b"ready", 5))

    assert result.outcome.reason is Reason.STOP
    assert alive("4321.25") == []


# --- what it sees


def test_the_working_directory_is_the_repository_and_writable(bench):
    result = bench.run("pwd", "cat code.txt", "echo more >>code.txt; echo new >new.txt", "cat code.txt")

    assert result.stdout.splitlines()[1:] == [b"the code", b"the code", b"more"]
    assert (result.workspace.repository / "new.txt").read_text() == "new\n"


def test_standard_input_is_empty(bench):
    assert bench.run("wc -c").stdout.strip() == b"0"


def test_outputs_are_complete_when_the_job_has_ended(bench):
    result = bench.run(f"mkdir $VH_OUTPUTS_DIR/sub; head -c {MEGABYTE} /dev/zero >$VH_OUTPUTS_DIR/sub/file")

    assert result.output("sub/file") == b"\0" * MEGABYTE


def test_outputs_can_be_read_and_removed_by_us(bench):
    result = bench.run("umask 077; mkdir -p $VH_OUTPUTS_DIR/a/b; echo x >$VH_OUTPUTS_DIR/a/b/c; chmod 400 $_ 2>&1 || :")

    assert result.output("a/b/c") == b"x\n"
    (result.workspace.outputs / "a/b/c").unlink()
    (result.workspace.outputs / "a/b").rmdir()


def test_the_variables_are_those_of_the_job(bench, monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("MLRUN_STORE", "/somewhere")
    monkeypatch.setenv("LD_PRELOAD", "")
    values = {"PLAIN": "1", "ODD": "two words 'and' \"quotes\" $HOME \\ é\nnext line", "EMPTY": "", "PYTHONPATH": "/x"}
    staged = bench.stage("env -0", environment=values)
    result = bench.finish(staged)
    seen = dict(pair.split("=", 1) for pair in result.stdout.decode().split("\0") if pair)
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_", "HOSTNAME"}
    of_the_executor = {"HOME", "PATH", "VIRTUAL_ENV", "TMPDIR", "container", "TERM"}  # the last two are Podman's

    assert {name: seen.get(name) for name in staged.environment} == dict(staged.environment)
    assert set(seen) - set(staged.environment) <= of_the_shell | of_the_executor
    assert seen["HOME"] != os.environ["HOME"] or bench.name == "docker"


def test_the_job_may_set_the_variables_that_the_executor_sets(bench):
    result = bench.run('echo "$HOME $PATH"', environment={"HOME": "/elsewhere", "PATH": "/usr/bin:/bin"})

    assert result.stdout == b"/elsewhere /usr/bin:/bin\n"


def test_a_variable_has_no_power_over_what_starts_the_step(bench, tmp_path):
    marker = tmp_path / "marker"
    (tmp_path / "evil.sh").write_text(f"echo x >{marker}\n")
    values = {"LD_PRELOAD": "/nonexistent/library.so", "BASH_ENV": str(tmp_path / "evil.sh"), "PYTHONSTARTUP": "/x"}
    result = bench.run("true", environment=values)

    assert result.outcome.succeeded
    assert not marker.exists() or not bench.isolates


def test_home_and_the_temporary_folder_are_writable(bench):
    result = bench.run('echo x >"$HOME/file"', 'f=$(mktemp); echo y >"$f"', 'echo z >"${TMPDIR:-/tmp}/z"')

    assert result.outcome.succeeded


def test_inputs_are_there_and_read_only(valohai):
    given = {"data": {"a.csv": b"1,2\n", "b c.csv": b"3\n"}}
    attempts = (
        "echo x >>/valohai/inputs/data/a.csv",
        "echo x >/inputs/data/new",
        "rm -f /valohai/inputs/data/a.csv",
        "chmod 777 /inputs/data/a.csv",
        "mv /valohai/inputs/data /valohai/inputs/other",
        "umount /valohai/inputs/data",
        "mount -o remount,rw /valohai/inputs/data",
    )
    result = valohai.run(
        "cat /valohai/inputs/data/a.csv '/inputs/data/b c.csv'",
        *(f"if {attempt} 2>/dev/null; then echo 'done: {attempt}'; fi" for attempt in attempts),
        inputs=given,
    )
    if valohai.isolates:
        assert result.stdout == b"1,2\n3\n"
    assert (result.workspace.inputs / "data" / "a.csv").read_bytes() == b"1,2\n"


def test_both_names_of_inputs_and_outputs_are_the_same_folders(valohai):
    result = valohai.run(
        "mkdir /valohai/inputs/made; echo x >/valohai/inputs/made/file; cat /inputs/made/file",
        "echo y >/outputs/file; cat /valohai/outputs/file",
        "ls /inputs",
        inputs={"data": {"a": b""}},
    )

    assert result.stdout == b"x\ny\ndata\nmade\n"
    assert result.output("file") == b"y\n"


def test_no_folder_is_made_for_an_empty_input(bench):
    assert bench.run("ls $VH_INPUTS_DIR", inputs={"optional": {}}).stdout in (b"", b"optional\n")


def test_the_configuration_can_be_read_and_not_changed(valohai):
    result = valohai.run(
        "cat /valohai/config/parameters.json", "if echo x 2>/dev/null >/valohai/config/parameters.json; then exit 9; fi"
    )

    assert (result.stdout, result.outcome.exit_code) == (b"{}", 0)


def test_a_step_cannot_see_the_store_other_jobs_the_live_code_or_a_home(isolated):
    other = isolated.run("echo other")
    hidden = [isolated.site.store, other.workspace.root, isolated.site.checkout, isolated.site.home, Path("/run/user")]
    if isolated.name == "docker" and os.environ["HOME"] == "/root":
        hidden.remove(isolated.site.home)
    result = isolated.run(
        *(f"if [ -e '{path}' ] && [ -n \"$(ls -A '{path}')\" ]; then echo '{path}'; fi" for path in hidden)
    )
    seen = [path for path in result.stdout.decode().splitlines() if not _only_interpreter(path)]

    assert result.outcome.succeeded
    assert seen == []


def _only_interpreter(path: str) -> bool:
    """A home shows nothing but the way to an interpreter that lies in it; that is tested with the sandbox."""
    return path == os.environ["HOME"]


def test_a_step_cannot_see_processes_of_the_machine(isolated):
    result = isolated.run("ls /proc | grep -c '^[0-9]'", f"[ ! -e /proc/{os.getpid()}/environ ] || exit 9")

    assert int(result.stdout) < 10
    assert result.outcome.succeeded


def test_without_a_network_there_is_only_the_step_itself(isolated):
    result = isolated.run("tail -n +3 /proc/net/dev", network=Network.NONE)

    assert [line.split(b":")[0].strip() for line in result.stdout.splitlines()] == [b"lo"]


def test_with_the_network_of_the_machine_its_devices_are_there(bench):
    result = bench.run("tail -n +3 /proc/net/dev", network=Network.HOST)
    here = {line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]}

    assert {line.split(b":")[0].strip().decode() for line in result.stdout.splitlines()} == here


def test_a_step_cannot_gain_privileges(isolated):
    result = isolated.run("grep -E 'NoNewPrivs|CapEff' /proc/self/status")
    status = dict(line.split(b":\t") for line in result.stdout.splitlines())

    assert status[b"NoNewPrivs"].strip() == b"1"
    dangerous = sum(1 << bit for bit in (13, 16, 17, 19, 21, 27, 39))
    assert os.getuid() != 0 or int(status[b"CapEff"], 16) & dangerous == 0


# --- devices


def with_devices(bench, devices, *items, **given):
    staged = bench.stage(*items, **given)
    return bench.finish(replace(staged, devices=devices))


SHOW = 'echo "${CUDA_VISIBLE_DEVICES-none} ${NVIDIA_VISIBLE_DEVICES-none}"'


def test_a_sandbox_shows_a_step_its_own_devices_and_no_others(sandbox_bench, tmp_path):
    dev = tmp_path / "dev"
    dev.mkdir()
    for number in range(4):
        (dev / f"nvidia{number}").touch()
    devices = {"nvidia.com/gpu": (f"{dev}/nvidia1", f"{dev}/nvidia3")}
    result = with_devices(sandbox_bench, devices, f"ls {dev}", SHOW)

    assert result.stdout.split(b"\n")[:3] == [b"nvidia1", b"nvidia3", b"0,1 1,3"]


def test_a_plain_process_is_told_which_devices_are_its_own(bench):
    if bench.name != "process":
        pytest.skip("only a plain process sees all devices")
    devices = {"nvidia.com/gpu": ("/dev/nvidia1", "/dev/nvidia3")}

    assert with_devices(bench, devices, SHOW).stdout == b"1,3 1,3\n"
    assert with_devices(bench, {}, SHOW).stdout == b"none none\n"
    own = with_devices(bench, devices, SHOW, environment={"CUDA_VISIBLE_DEVICES": "7"})
    assert own.stdout == b"7 1,3\n"


def test_a_container_that_is_found_again_tells_its_devices(docker_bench):
    devices = {"amd.com/gpu": ("/dev/null",)}
    staged = replace(docker_bench.stage("echo seen"), devices=devices)
    handle = docker_bench.executor.start(staged)
    found = docker_bench.executor.reattach(staged.job.id)

    assert (handle.devices, found.devices) == (devices, devices)
    assert docker_bench.watch(handle, staged.workspace).stdout == b"seen\n"


# --- executors as a whole


def test_the_probe_says_in_a_sentence_that_it_works(bench):
    probe = bench.executor.probe()

    assert (probe.works, probe.hint) == (True, None)
    assert "\n" not in probe.sentence
    assert len(probe.sentence) > 10


def test_the_identity_is_the_same_every_time(bench):
    first, second = (bench.executor.resolve("mlrun-test/busybox:1") for _ in range(2))

    assert first == second
    assert first.id.split(":")[0] in ("sha256", "host")


def test_two_jobs_run_at_the_same_time(bench):
    with_b = threading.Event()
    results = {}

    def run_a() -> None:
        results["a"] = bench.run("echo ready", IDLE, listen=lambda handle, _: (with_b.wait(60), handle.stop(5)))

    thread = threading.Thread(target=run_a)
    thread.start()
    results["b"] = bench.run("echo b >$VH_OUTPUTS_DIR/b")
    with_b.set()
    thread.join(60)

    assert results["b"].outcome.succeeded
    assert results["b"].output("b") == b"b\n"
    assert results["a"].outcome.reason is Reason.STOP
    assert list(results["a"].workspace.outputs.iterdir()) == []


def test_a_job_is_ours_until_it_is_closed(bench, alive):
    staged = bench.stage("echo on")
    handle = bench.executor.start(staged)
    while_running = bench.executor.mine()
    list(handle.logs())
    handle.wait()
    dead = bench.executor.mine()
    handle.close()

    assert staged.job.id in while_running & dead
    assert staged.job.id not in bench.executor.mine()
    assert bench.name == "docker" or alive(staged.job.id) == []


def test_a_job_that_is_closed_while_it_runs_is_killed(bench, alive):
    staged = bench.stage("sleep 4322.75")
    handle = bench.executor.start(staged)
    handle.close()

    assert alive("4322.75") == []
    assert staged.job.id not in bench.executor.mine()


def test_nothing_can_be_learnt_of_a_job_that_never_was(bench):
    assert bench.executor.reattach("00000000-0000-7000-8000-000000000000") is None


def test_a_step_that_cannot_be_told_apart_from_text_is_data(bench):
    result = bench.run("echo '$(touch /tmp/x); `id`; {parameters}'", 'echo "finished with code 0"', "exit 4")

    assert result.stdout == b"$(touch /tmp/x); `id`; {parameters}\nfinished with code 0\n"
    assert result.outcome.exit_code == 4


def test_a_hostile_report_is_not_believed(bench):
    """The wrapper's report is the step's to write; only its own sentence may suffer."""
    control = bench.executor.view(bench.stage("true").workspace).control.rpartition("/")[2]
    result = bench.run(
        f'c=$(dirname "$0"); ls -d "$c" >/dev/null; echo "{control}" >"$c/report"; echo "line 99" >"$c/report"',
        "exit 3",
    )

    assert (result.outcome.reason, result.outcome.exit_code) == (Reason.EXIT, 3)
