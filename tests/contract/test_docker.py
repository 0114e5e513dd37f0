"""What only containers promise: a job outlives its runner, the engine tells its end, an image is what it says."""

import io
import os
import signal
import tarfile
import threading
import time
import uuid
from dataclasses import replace

import pytest

from runner.errors import ExitCode, MlrunError
from runner.executors import EXECUTORS, Site
from runner.job import Identity, Network
from runner.state import Reason
from tests.patience import not_for_ever

pytestmark = pytest.mark.docker

QUIET = 0.1
"""Seconds after a line at which an engine is killed: what it holds in its own memory at that moment is lost."""

GO = "until [ -e $VH_OUTPUTS_DIR/go ]; do sleep 0.02; done"


@pytest.fixture
def docker(docker_bench):
    return docker_bench


@pytest.fixture
def dockerd(docker):
    """Only where the engine is Docker."""
    if "Podman" in docker.executor.probe().sentence:
        pytest.skip("about Docker's own ways, and this engine is Podman")


@pytest.fixture
def api(docker):
    """The engine, asked directly."""
    from docker import APIClient

    client = APIClient(base_url=docker.executor._url, version="auto")
    yield client
    client.close()


@pytest.fixture
def made(api):
    """Makes throw-away images out of files and Dockerfile instructions."""
    names = []

    def make(changes, files=None):
        name = f"mlrun-test/made:{uuid.uuid4().hex}"
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            for path, content in (files or {}).items():
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(content), 0o755
                archive.addfile(member, io.BytesIO(content))
        if files is None:
            container = api.create_container("mlrun-test/busybox:1", "true")
            api.commit(container, name.rpartition(":")[0], name.rpartition(":")[2], changes=changes)
            api.remove_container(container)
        else:
            repository, _, tag = name.rpartition(":")
            api.import_image_from_data(data.getvalue(), repository, tag, changes)
        names.append(name)
        return name

    yield make
    for name in names:
        api.remove_image(name, force=True)


@pytest.fixture
def orphan(docker):
    """Starts jobs whose runner is gone; only its connections are closed, as the kernel would."""
    handles = []

    def start(staged):
        handles.append(docker.executor.start(staged))

    yield start
    for handle in handles:
        handle._attached.close()


def another(docker):
    """The executor of another runner, with the same store."""
    return EXECUTORS["docker"](docker.site)


# --- who comes back


def test_a_running_job_can_be_taken_over_with_its_whole_log(docker, orphan):
    staged = docker.stage("echo one", GO, "echo two >&2", "exit 3")
    orphan(staged)
    time.sleep(0.3)
    successor = another(docker)
    handle = successor.reattach(staged.job.id)
    (staged.workspace.outputs / "go").touch()
    result = docker.watch(handle, staged.workspace)

    assert (result.stdout, result.stderr) == (b"one\n", b"two\n")
    assert (result.outcome.reason, result.outcome.exit_code) == (Reason.EXIT, 3)
    assert "command 4 of 4 failed" in result.outcome.detail
    assert staged.job.id not in successor.mine()
    successor.close()


def test_the_end_of_a_job_that_ended_alone_can_be_learnt(docker, orphan):
    staged = docker.stage("echo one; exit 5")
    orphan(staged)
    time.sleep(1)
    result = docker.watch(docker.executor.reattach(staged.job.id), staged.workspace)

    assert (result.stdout, result.outcome.exit_code) == (b"one\n", 5)
    assert docker.executor.reattach(staged.job.id) is None


def test_a_job_that_was_made_and_never_started_is_not_run_by_looking_at_it(docker, api):
    id = str(uuid.uuid4())
    labels = {"mlrun.execution": id, "mlrun.store": str(docker.site.store)}
    mounts = {"Type": "bind", "Source": str(docker.site.store), "Target": "/valohai/control"}
    config = {"Image": "mlrun-test/busybox:1", "Cmd": ["true"], "Labels": labels, "HostConfig": {"Mounts": [mounts]}}
    api.create_container_from_config(config, f"mlrun-{id}")
    assert id in docker.executor.mine()
    result = docker.watch(docker.executor.reattach(id), docker.stage("true").workspace)

    assert (result.outcome.reason, result.outcome.exit_code, result.stdout) == (Reason.START, None, b"")
    assert id not in docker.executor.mine()


def test_jobs_of_another_store_are_not_ours(docker, tmp_path):
    staged = docker.stage("true")
    handle = docker.executor.start(staged)
    other = EXECUTORS["docker"](replace(docker.site, store=tmp_path / "elsewhere"))
    try:
        assert other.mine() == frozenset()
        assert staged.job.id in docker.executor.mine()
    finally:
        handle.close()
        other.close()


def test_a_job_is_never_started_twice(docker):
    staged = docker.stage("true")
    handle = docker.executor.start(staged)
    with pytest.raises(MlrunError) as refusal:
        docker.executor.start(staged)
    handle.close()

    assert refusal.value.code is ExitCode.EXECUTOR


# --- how it ended


def limited(docker, api, *items):
    """Run a job whose memory is limited once it is there."""
    staged = docker.stage(GO, *items)
    handle = docker.executor.start(staged)
    api.update_container(f"mlrun-{staged.job.id}", mem_limit="32m", memswap_limit="32m")
    (staged.workspace.outputs / "go").touch()
    return docker.watch(handle, staged.workspace).outcome


def test_running_out_of_memory_is_told_from_a_kill(docker, dockerd, api):
    outcome = limited(docker, api, "tail /dev/zero")

    assert (outcome.reason, outcome.exit_code, outcome.oom_killed) == (Reason.OOM, 137, True)
    assert "32 MiB" in outcome.detail


def test_a_step_that_survives_a_lack_of_memory_succeeds_with_a_warning(docker, dockerd, api):
    outcome = limited(docker, api, "tail /dev/zero || true", "exit 0")

    assert outcome.succeeded
    assert outcome.oom_killed
    assert "memory" in outcome.detail


def test_a_kill_from_outside_is_told_from_the_code_137(docker, api):
    def kill(handle, chunk):
        (name,) = (found["Id"] for found in api.containers() if f"/mlrun-{staged.job.id}" in found["Names"])
        os.kill(api.inspect_container(name)["State"]["Pid"], signal.SIGKILL)

    if os.geteuid() != 0:
        pytest.skip("only root may kill what the engine runs")
    staged = docker.stage("echo ready", "sleep 600")
    outcome = docker.finish(staged, kill).outcome

    assert outcome.reason is Reason.KILLED
    assert docker.run("exit 137").outcome.reason is Reason.EXIT


def test_a_container_that_somebody_removes_is_reported(docker, api):
    staged = docker.stage("echo ready", "sleep 600")
    outcome = docker.finish(
        staged, lambda handle, chunk: api.remove_container(f"mlrun-{staged.job.id}", force=True)
    ).outcome

    assert (outcome.reason, outcome.exit_code) == (Reason.KILLED, None)
    assert "removed" in outcome.detail


# --- images


def test_an_image_that_is_not_here_is_not_resolved(docker):
    assert docker.executor.resolve("mlrun-test/no-such-image:1") is None


@pytest.mark.parametrize(
    "name", ["--privileged", "-v=/:/h", "a b", "x;id", "", "Upper/case", "a" * 300, "a:b:c", "a@b"]
)
def test_what_cannot_be_an_image_is_refused_before_any_request(docker, name):
    for ask in (docker.executor.resolve, lambda image: list(docker.executor.pull(image))):
        with pytest.raises(MlrunError) as refusal:
            ask(name)
        assert refusal.value.code is ExitCode.IMAGE
        assert refusal.value.hint


def test_an_image_that_cannot_be_fetched_is_an_error_with_a_hint(docker):
    with pytest.raises(MlrunError) as refusal:
        list(docker.executor.pull("127.0.0.1:1/no-such-image:1"))

    assert refusal.value.code is ExitCode.IMAGE
    assert "no registry answered" in refusal.value.message
    assert "--executor sandbox" in refusal.value.hint
    assert "\n" not in refusal.value.message


def test_an_image_that_is_gone_at_the_start_is_an_error(docker):
    staged = replace(docker.stage("true"), identity=Identity("sha256:" + "0" * 64, {}))
    with pytest.raises(MlrunError) as refusal:
        docker.executor.start(staged)

    assert refusal.value.code is ExitCode.IMAGE


def test_the_resolved_image_runs_even_when_its_name_has_moved_on(docker, api, made):
    first, second = made(["ENV WHICH=first"]), made(["ENV WHICH=second"])
    staged = docker.stage("echo $WHICH", image=first)
    repository, _, tag = first.rpartition(":")
    api.tag(second, repository, tag, force=True)

    assert docker.finish(staged).stdout == b"first\n"


def test_the_entry_point_of_an_image_is_not_run(docker, made):
    image = made(['ENTRYPOINT ["/bin/false"]', 'CMD ["nonsense"]', "WORKDIR /usr"])
    result = docker.run("pwd", image=image)

    assert (result.stdout, result.outcome.exit_code) == (b"/valohai/repository\n", 0)


def test_the_variables_of_an_image_are_kept_and_the_jobs_win(docker, made):
    image = made(["ENV OF_IMAGE=1", "ENV BOTH=image"])
    result = docker.run("echo $OF_IMAGE $BOTH $TINI_KILL_PROCESS_GROUP", image=image, environment={"BOTH": "job"})

    assert result.stdout == b"1 job\n"


def test_an_image_with_a_user_of_its_own_can_leave_outputs(docker, made):
    image = made(["USER 4321:4321"])
    result = docker.run(
        "id -u", "echo x >$VH_OUTPUTS_DIR/file", "echo y >new.txt", "mkdir /inputs/own", "false", image=image
    )

    assert result.stdout == b"4321\n"
    assert result.output("file") == b"x\n"
    assert "command 5 of 5" in result.outcome.detail


def test_an_image_without_a_shell_is_the_reason(docker, dockerd, made):
    image = made([], {"bin/only": b"#!/bin/false\n"})
    outcome = docker.run("true", image=image).outcome

    assert (outcome.reason, outcome.exit_code) == (Reason.IMAGE, None)
    assert "`/bin/sh`" in outcome.detail


# --- what a container is


def test_a_container_has_no_more_rights_than_a_step_needs(docker, dockerd, api):
    staged = docker.stage("true", inputs={"data": {"a": b""}})
    handle = docker.executor.start(staged)
    found = api.inspect_container(f"mlrun-{staged.job.id}")
    handle.close()
    host = found["HostConfig"]

    assert (host["Privileged"], host["Binds"], host["AutoRemove"]) == (False, None, False)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert {"CAP_MKNOD", "CAP_NET_RAW", "CAP_AUDIT_WRITE"} == {
        f"CAP_{name.removeprefix('CAP_')}" for name in host["CapDrop"]
    }
    assert host["LogConfig"]["Type"] == "json-file"
    assert {mount["Type"] for mount in host["Mounts"]} == {"bind"}
    assert {mount["Target"] for mount in host["Mounts"] if mount.get("ReadOnly")} == {
        "/valohai/inputs/data", "/inputs/data", "/valohai/config", "/valohai/control",
    }  # fmt: skip
    assert found["Config"]["Labels"]["mlrun.execution"] == staged.job.id


def test_a_source_folder_that_is_missing_is_refused_and_not_made(docker):
    staged = docker.stage("true")
    (staged.workspace.config / "parameters.json").unlink()
    staged.workspace.config.rmdir()
    with pytest.raises(MlrunError) as refusal:
        docker.executor.start(staged)

    assert refusal.value.code is ExitCode.EXECUTOR
    assert not staged.workspace.config.exists()


def test_the_socket_of_the_engine_is_not_in_the_container(docker):
    result = docker.run("ls /var/run/docker.sock /run/docker.sock 2>/dev/null || :", network=Network.NONE)

    assert result.stdout == b""


@pytest.fixture
def ordinary(docker, monkeypatch):
    """Stages a job for a caller who is not root; this process stays root, and only says that it is not."""
    if os.geteuid() != 0:
        pytest.skip("this run is an ordinary caller already")

    def stage(*items):
        staged = docker.stage(*items)
        for path in (staged.workspace.root, *staged.workspace.root.rglob("*")):
            os.chown(path, 4321, 4321)
        monkeypatch.setattr(os, "getuid", lambda: 4321)
        monkeypatch.setattr(os, "getgid", lambda: 4322)
        return staged

    return stage


MESS = "mkdir -p {0}/a/b; echo x >{0}/a/b/c; chmod 600 {0}/a/b/c; chmod 700 {0}/a"


def owners(folder):
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in folder.rglob("*")}


def test_an_ordinary_caller_gets_the_outputs_that_root_left(docker, ordinary):
    result = docker.finish(ordinary(MESS.format("$VH_OUTPUTS_DIR")))

    assert result.outcome.succeeded
    assert owners(result.workspace.outputs) == {(4321, 4322)}


def test_an_ordinary_caller_gets_what_a_killed_step_left_everywhere(docker, api, ordinary):
    messes = [MESS.format(folder) for folder in ("$VH_OUTPUTS_DIR", "$VH_REPOSITORY_DIR", "$VH_INPUTS_DIR")]
    result = docker.finish(ordinary(*messes, "echo ready", "sleep 600"), lambda handle, chunk: handle.stop(0))
    workspace = result.workspace

    assert result.outcome.reason is Reason.STOP
    assert owners(workspace.outputs) | owners(workspace.inputs) == {(4321, 4322)}
    assert all(uid == 4321 for uid, _ in owners(workspace.repository))
    assert not any("give-back" in name for found in api.containers(all=True) for name in found["Names"])


# --- an engine that goes away


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DOCKER_HOST": "unix:///no/such/socket"}, "there is no socket `/no/such/socket`"),
        ({"DOCKER_HOST": "ssh://elsewhere"}, "another machine"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, "does not answer"),
    ],
)
def test_the_probe_names_the_socket_and_the_cause(tmp_path, variables, words):
    executor = EXECUTORS["docker"](Site(tmp_path, tmp_path, None, variables))
    with not_for_ever():
        probe = executor.probe()

    assert not probe.works
    assert words in probe.sentence
    with pytest.raises(MlrunError) as refusal:
        executor.resolve("a:1")
    assert (refusal.value.code, refusal.value.message) == (ExitCode.EXECUTOR, probe.sentence)


def test_an_engine_that_dies_and_comes_back_is_the_reason_and_not_a_kill(mortal):
    """The job goes on while the engine is away, and is killed by its return."""
    bench, engine = mortal
    staged = bench.stage("echo one", "i=0; while sleep 0.2; do i=$((i+1)); echo $i; done")
    seen = []

    def kill(handle, chunk):
        seen.append(chunk.data)
        if len(seen) == 5:
            time.sleep(QUIET)
            engine.crash()
            time.sleep(0.5)
            engine.revive(spare=False)

    result = bench.finish(staged, kill)
    lines = result.stdout.split()

    assert result.outcome.reason is Reason.RUNTIME
    assert "restarted" in result.outcome.detail
    assert lines[1:] == [str(number).encode() for number in range(1, len(lines))]


def test_a_job_that_outlives_its_engine_ends_with_its_own_code_and_whole_log(mortal):
    bench, engine = mortal
    seen = []

    def kill(handle, chunk):
        seen.append(chunk.data)
        if len(seen) == 5:
            time.sleep(QUIET)
            engine.crash()
            time.sleep(0.5)
            engine.revive(spare=True)

    result = bench.run(
        "i=0; while [ $i -lt 25 ]; do i=$((i+1)); echo $i; echo e$i >&2; sleep 0.2; done", "exit 7", listen=kill
    )

    assert (result.outcome.reason, result.outcome.exit_code) == (Reason.EXIT, 7)
    assert result.stdout.split() == [str(number).encode() for number in range(1, 26)]
    assert result.stderr.split() == [f"e{number}".encode() for number in range(1, 26)]


def test_an_engine_that_is_restarted_in_good_order_is_the_reason_too(mortal):
    bench, engine = mortal
    restart = threading.Thread(target=engine.restart)
    result = bench.run(
        "echo ready",
        "while sleep 0.05; do :; done",
        listen=lambda handle, chunk: restart.start() if b"ready" in chunk.data else None,
    )
    restart.join()

    assert result.outcome.reason is Reason.RUNTIME


def test_a_request_to_stop_from_elsewhere_is_the_programs_own_end(docker, dockerd, api):
    def ask(handle, chunk):
        if b"ready" in chunk.data:
            api.kill(f"mlrun-{staged.job.id}", "TERM")

    staged = docker.stage("echo ready", "while sleep 0.05; do :; done")
    outcome = docker.finish(staged, ask).outcome

    assert (outcome.reason, outcome.exit_code) == (Reason.EXIT, 143)
