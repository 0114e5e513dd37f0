"""What of the machine a step gets: every executor that bounds a thing bounds it for real."""

import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import ExitCode, MlrunError
from runner.executors import child, creation, sandbox
from runner.executors.guard import descendants
from runner.job import Allowance, HostMount, Staged
from runner.state import Reason

MEGABYTE = 1 << 20
HUNGRY = "(head -c 500000000 /dev/zero; sleep 5) | tail"
"""Holds all that it reads, for it waits for the end of a line; long enough for whoever looks now and then."""


def allowed(staged: Staged, *mounts: HostMount, **asked: object) -> Staged:
    return replace(staged, job=replace(staged.job, allowance=Allowance(**asked), mounts=mounts))


# --- memory


@pytest.fixture
def telling(bench):
    """Only executors that are told when the kernel ends a process for its memory."""
    if "Podman" in bench.executor.probe().sentence and not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("with control groups of version 1 Podman does not tell a lack of memory")
    return bench


def test_a_step_that_takes_too_much_memory_ends_with_its_limit_and_its_peak(telling):
    staged = allowed(telling.stage(f"{HUNGRY} >/dev/null", "echo later"), memory=64 * MEGABYTE)
    outcome = telling.finish(staged).outcome

    assert (outcome.reason, outcome.oom_killed, outcome.succeeded) == (Reason.OOM, True, False)
    assert outcome.detail.startswith("out of memory: the limit is 64 MiB, the peak was ")
    assert int(outcome.detail.split()[-2]) >= 64


def test_many_processes_together_may_not_take_more_than_one(telling):
    waiting = "(head -c 40000000 /dev/zero; sleep 20) | tail >/dev/null &"
    staged = allowed(telling.stage(waiting, waiting, waiting, "wait", "sleep 20"), memory=80 * MEGABYTE)
    outcome = telling.finish(staged).outcome

    assert outcome.oom_killed


def test_a_step_that_keeps_to_its_memory_is_left_alone(bench):
    staged = allowed(bench.stage("head -c 20000000 /dev/zero | tail | wc -c"), memory=200 * MEGABYTE)
    result = bench.finish(staged)

    assert result.outcome.succeeded
    assert result.stdout.strip() == b"20000000"


def test_memory_that_processes_share_counts_once(bench):
    if bench.executor.resolve(bench.python_image) is None:
        pytest.skip(f"docker: image {bench.python_image} is not here")
    program = [
        "#!/usr/bin/env python3",
        "import os, time",
        "held = bytearray(os.urandom(1 << 20)) * 80",
        "children = []",
        "for _ in range(4):",
        "    pid = os.fork()",
        "    if pid == 0:",
        "        time.sleep(1.5)",
        "        os._exit(0)",
        "    children.append(pid)",
        "for pid in children:",
        "    os.waitpid(pid, 0)",
        "print(len(held) >> 20)",
    ]
    result = bench.finish(allowed(bench.stage(*program, image=bench.python_image), memory=200 * MEGABYTE))

    assert result.outcome.succeeded, result.outcome
    assert result.stdout == b"80\n"


def test_files_in_shared_memory_count_as_memory(isolated, telling):
    staged = allowed(
        isolated.stage("head -c 200000000 /dev/zero >/dev/shm/a", "sleep 20"),
        memory=64 * MEGABYTE,
        shm=500 * MEGABYTE,
    )
    outcome = isolated.finish(staged).outcome

    assert outcome.reason is Reason.OOM


def test_shared_memory_has_the_size_that_was_asked_for(isolated):
    result = isolated.finish(allowed(isolated.stage("df -k /dev/shm"), shm=32 * MEGABYTE))

    assert b" 32768 " in result.stdout


def test_a_step_gets_more_shared_memory_than_an_engine_gives_by_itself(isolated):
    result = isolated.run("df -k /dev/shm | tail -n 1")

    assert int(result.stdout.split()[1]) > 65536


def test_a_child_that_is_out_of_memory_and_that_the_step_survives_is_a_warning(docker_bench):
    items = ("tail /dev/zero || true", "echo on")
    result = docker_bench.finish(allowed(docker_bench.stage(*items), memory=32 * MEGABYTE))

    assert (result.outcome.succeeded, result.outcome.oom_killed, result.stdout) == (True, True, b"on\n")


# --- processors


def test_a_step_runs_on_the_processors_that_it_names(bench):
    one = sorted(os.sched_getaffinity(0))[-1]
    own = os.sched_getaffinity(0)
    result = bench.finish(allowed(bench.stage("grep Cpus_allowed_list /proc/self/status"), cpu_set=(one,)))

    assert result.stdout.split()[-1] == str(one).encode()
    assert os.sched_getaffinity(0) == own


def test_a_count_of_processors_bounds_a_step_without_an_engine(bench):
    if bench.name == "docker":
        pytest.skip("an engine bounds the time of all processors together")
    result = bench.finish(allowed(bench.stage("grep -o 'Cpus_allowed_list.*' /proc/self/status"), cpus=1.0))

    assert result.stdout.split()[-1].isdigit()


def test_an_engine_gives_a_step_its_share_of_the_processors(docker_bench):
    group = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"
    staged = allowed(docker_bench.stage(f"cat {group} 2>/dev/null || cat /sys/fs/cgroup/cpu.max"), cpus=0.5)
    result = docker_bench.finish(staged)

    assert result.stdout.split()[0] == b"50000"


def test_more_processors_than_there_are_mean_all_of_them(bench):
    result = bench.finish(allowed(bench.stage("echo on"), cpus=99999.0))

    assert result.stdout == b"on\n"


# --- processes


def test_a_step_that_multiplies_without_end_is_stopped_by_a_limit(bench, monkeypatch):
    for module in (child, creation, sandbox):
        monkeypatch.setattr(module, "most_tasks", lambda: 60)
    many = "i=0; while [ $i -lt 400 ]; do sleep 20 & i=$((i + 1)); done; wait"
    outcome = bench.run(many).outcome

    assert not outcome.succeeded
    if bench.name == "process" or (bench.name == "sandbox" and os.geteuid() == 0):
        assert outcome.reason is Reason.KILLED
        assert "processes and threads, the limit is 60" in outcome.detail
    assert bench.run("echo others go on").outcome.succeeded


def test_a_step_that_doubles_itself_is_ended_and_nothing_of_it_is_left(bench, monkeypatch):
    for module in (child, creation, sandbox):
        monkeypatch.setattr(module, "most_tasks", lambda: 300)
    before = set(descendants(os.getpid()))
    is_watched = bench.name == "process" or (bench.name == "sandbox" and os.geteuid() == 0)
    # Who is counted has to be there until all are, however slowly they come.
    rest = f"sleep {60 if is_watched else 5}"
    # Twice as many each time, but not without end: this machine is shared.
    staged = bench.stage(f"f() {{ [ $1 -ge 10 ] || {{ f $(($1 + 1)) & f $(($1 + 1)) & {rest}; }}; }}", "f 0", rest)
    outcome = bench.finish(staged).outcome

    if is_watched:
        assert outcome.reason is Reason.KILLED
    assert bench.run("echo on").outcome.succeeded
    assert set(descendants(os.getpid())) <= before


# --- steps that others hold


def test_a_container_that_somebody_has_paused_can_be_stopped(docker_bench):
    docker_sdk = pytest.importorskip("docker")
    with closing(docker_sdk.APIClient(base_url=os.environ.get("DOCKER_HOST"))) as api:
        staged = docker_bench.stage("echo ready", "sleep 600")

        def pause(handle, chunk):
            if b"ready" in chunk.data:
                api.pause(f"mlrun-{staged.job.id}")
                handle.stop(0.5)

        outcome = docker_bench.finish(staged, pause).outcome

    assert outcome.reason is Reason.STOP


# --- host folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = Path(os.path.realpath(tmp_path)) / "a:b c"
    made.mkdir()
    made.chmod(0o777)
    (made / "file").write_text("from the host\n")
    return made


def test_a_granted_folder_is_seen_and_may_be_written_to(valohai, folder):
    staged = valohai.stage("cat /mnt/data/file", "echo new >/mnt/data/new")
    result = valohai.finish(allowed(staged, HostMount(str(folder), "/mnt/data", False)))

    assert result.stdout == b"from the host\n"
    assert (folder / "new").read_text() == "new\n"


def test_a_folder_granted_for_reading_cannot_be_changed(isolated, folder):
    staged = isolated.stage("cat /mnt/data/file", "echo x >/mnt/data/new || echo refused", "rm /mnt/data/file || :")
    result = isolated.finish(allowed(staged, HostMount(str(folder), "/mnt/data", True)))

    assert result.stdout == b"from the host\nrefused\n"
    assert os.listdir(folder) == ["file"]


def test_one_file_and_a_folder_within_another_are_mounted_too(isolated, folder):
    (folder / "in").mkdir()
    mounts = (
        HostMount(str(folder / "file"), "/mnt/data/in/one", True),
        HostMount(str(folder), "/mnt/data", True),
    )
    (folder / "in" / "one").touch()
    result = isolated.finish(allowed(isolated.stage("cat /mnt/data/in/one /mnt/data/file"), *mounts))

    assert result.stdout == b"from the host\n" * 2


def test_a_folder_that_an_earlier_step_has_replaced_by_a_link_is_refused(bench, folder):
    staged = allowed(bench.stage("cat /mnt/data/passwd"), HostMount(str(folder), "/mnt/data", True))
    shutil.rmtree(folder)
    folder.symlink_to("/etc")

    with pytest.raises(MlrunError, match="leads to `/etc`") as caught:
        bench.executor.start(staged)
    assert caught.value.code is ExitCode.POLICY


def test_a_mount_into_a_folder_of_this_machine_hides_nothing_else_of_a_plain_process(bench, folder):
    if bench.name != "process" or not bench.executor._has_mounts:
        pytest.skip("about plain processes of root")
    staged = bench.stage("cat /usr/local/own/data/file", "test -e /usr/bin/env", "ls /usr/local")
    result = bench.finish(allowed(staged, HostMount(str(folder), "/usr/local/own/data", True)))

    assert result.outcome.succeeded
    assert b"own\n" in result.stdout
    assert not os.path.lexists("/usr/local/own")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_plain_process_that_cannot_mount_gets_no_folder_that_must_not_change(bench, folder, read_only, monkeypatch):
    if bench.name != "process":
        pytest.skip("about plain processes")
    monkeypatch.setitem(vars(bench.executor), "_has_mounts", False)
    staged = allowed(bench.stage(f"echo new >'{folder}/new'"), HostMount(str(folder), str(folder), read_only))

    if read_only:
        with pytest.raises(MlrunError, match="cannot be kept from writing") as caught:
            bench.executor.start(staged)
        assert caught.value.code is ExitCode.EXECUTOR
    else:
        assert bench.finish(staged).outcome.succeeded


# --- variables that have power over programs


def test_variables_of_a_step_act_only_inside_it(bench, tmp_path):
    marker = tmp_path / "marker"
    trap = tmp_path / "trap.sh"
    trap.write_text(f"touch {marker}\n")
    result = bench.run(
        'echo "$DOCKER_HOST $GIT_DIR"',
        "true",
        environment={
            "LD_PRELOAD": "",
            "DOCKER_HOST": "tcp://192.0.2.1:1",
            "GIT_DIR": "/elsewhere",
            "LD_LIBRARY_PATH": "/elsewhere",
            "PYTHONPATH": "/elsewhere",
            "PYTHONSTARTUP": str(trap),
        },
    )

    assert result.outcome.succeeded
    assert result.stdout == b"tcp://192.0.2.1:1 /elsewhere\n"
    assert os.environ.get("GIT_DIR") is None
    assert not marker.exists()


def test_a_library_that_a_step_preloads_is_not_loaded_outside(isolated, tmp_path):
    library = tmp_path / "library.so"
    library.write_bytes(b"no library")
    result = isolated.run("echo on", environment={"LD_PRELOAD": str(library), "BASH_ENV": str(library)})

    # Inside it cannot be found, which a dynamic linker tells for each program; one outside would have found it.
    assert b"on\n" in result.stdout
    assert b"invalid ELF header" not in result.stderr
