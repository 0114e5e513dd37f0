"""How secrets reach a step, whatever it runs in: it has them, and nobody else sees them."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import MlrunError
from runner.executors import secret
from runner.state import Reason

VALUE = "s3cret-'quoted'-\"$(touch /tmp/pwned)\"-\\ and\na second line é"
SEEN = b"s3cret-"


@pytest.fixture
def with_secrets(bench):
    """A job with two secrets."""

    def stage(*items, **given):
        return replace(bench.stage(*items, **given), secrets={"TOKEN": VALUE, "OTHER": "s3cret-other"})

    return stage


def in_memory():
    """What our user has in memory file systems for steps."""
    return [path for path in Path("/dev/shm").glob(f"mlrun-{os.geteuid()}-{os.getpid()}-*") if path.is_dir()]


def test_a_step_has_its_secrets_byte_for_byte(bench, with_secrets):
    result = bench.finish(with_secrets('printf "%s|%s" "$TOKEN" "$OTHER"'))

    assert result.outcome.succeeded, result
    assert result.stdout.decode() == f"{VALUE}|s3cret-other"
    assert result.stderr == b""
    assert not os.path.exists("/tmp/pwned")


def test_every_interpreter_gets_them(bench, with_secrets):
    if bench.name == "docker":
        pytest.skip("the small image has no Python")
    result = bench.finish(with_secrets("#!/usr/bin/env python3", "import os", "print(len(os.environ['TOKEN']))"))

    assert result.stdout.split() == [str(len(VALUE)).encode()]


def test_nothing_about_a_running_step_shows_them_but_the_step_itself(bench, with_secrets):
    staged = with_secrets("echo ready", "read -r line </dev/null || sleep 0.5", "exit 3")
    found: list[str] = []

    def look(handle, chunk):
        if b"ready" not in chunk.data:
            return
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                for name in ("cmdline", "environ"):
                    try:
                        data = Path(entry.path, name).read_bytes()
                    except OSError:
                        continue
                    command = Path(entry.path, "cmdline").read_bytes() if name == "environ" else data
                    is_step = (b"control/script" in command and b"mlrun:" not in command) or command.startswith(
                        b"sleep"
                    )
                    if SEEN in data and not is_step:
                        found.append(f"{name} of {command!r}")

    result = bench.finish(staged, look)

    assert result.outcome.exit_code == 3
    assert found == []


def test_no_file_below_the_store_has_them(bench, with_secrets):
    bench.finish(with_secrets("true"))
    files = [path for path in bench.site.store.rglob("*") if path.is_file() and not path.is_symlink()]

    assert files
    assert [path for path in files if SEEN in path.read_bytes()] == []


def test_the_file_is_there_while_the_step_runs_and_gone_afterwards(bench, with_secrets):
    during = []
    bench.finish(with_secrets("echo ready", "sleep 0.2"), lambda *_: during.extend(in_memory()))

    assert during
    assert {path.stat().st_mode & 0o777 for path in during if path.exists()} <= {0o700}
    assert in_memory() == []


def test_the_file_is_gone_when_nothing_could_be_started(bench, with_secrets, monkeypatch):
    staged = with_secrets("true")
    monkeypatch.setattr("runner.executors.wrapper.prepare", lambda *_: (_ for _ in ()).throw(OSError("no")))

    with pytest.raises(MlrunError):
        bench.executor.start(staged)
    assert in_memory() == []


def test_a_step_cannot_change_the_file(bench, with_secrets):
    if bench.executor.view(with_secrets().workspace).control != "/valohai/control":
        pytest.skip("nothing can be mounted here")
    result = bench.finish(with_secrets("echo x >/valohai/control/secrets", "echo later"))

    assert result.outcome.reason is Reason.EXIT
    assert result.stdout == b""


def test_what_a_killed_runner_left_is_removed_by_the_next(tmp_path):
    code = (
        "import os, sys; from runner.executors import secret; "
        "path = secret.place('some-job'); path.parent.mkdir(mode=0o700); path.write_text('x'); "
        "print(path.parent, flush=True); os.kill(os.getpid(), 9)"
    )
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
    own = secret.place("another-job").parent
    own.mkdir(mode=0o700)
    try:
        assert os.path.isdir(dead)
        secret.remove_leftovers()
        assert not os.path.exists(dead)
        assert own.is_dir()
    finally:
        secret.withdraw("another-job")
    assert not own.exists()


def test_only_such_files_are_removed(tmp_path):
    kept = tmp_path / "folder" / "secrets"
    kept.parent.mkdir()
    kept.touch()
    secret.discard(kept)
    secret.discard(Path("/dev/shm/../shm/secrets"))

    assert kept.exists()
    assert Path("/dev/shm").is_dir()


def test_without_memory_to_put_them_in_the_step_is_refused(bench, with_secrets, monkeypatch):
    monkeypatch.setattr(secret, "_mounts_in_memory", set)

    with pytest.raises(MlrunError, match="no file system in memory"):
        bench.executor.start(with_secrets("true"))


@pytest.mark.docker
def test_an_engine_tells_nothing_of_them(docker_bench):
    docker = docker_bench
    staged = replace(docker.stage("echo ready", "sleep 0.5"), secrets={"TOKEN": VALUE})
    told = []

    def look(handle, chunk):
        engine = docker.executor._connect()
        told.append(json.dumps(engine.inspect(f"mlrun-{staged.job.id}")))

    docker.finish(staged, look)

    assert told
    assert "/valohai/control/secrets" in told[0]
    assert [text for text in told if "s3cret-" in text] == []


@pytest.mark.docker
def test_an_image_with_a_user_of_its_own_can_read_them(docker_bench):
    from docker import APIClient

    docker = docker_bench
    docker.executor.probe()
    api = APIClient(base_url=docker.executor._url, version="auto")
    name = "mlrun-test/made:secret"
    container = api.create_container("mlrun-test/busybox:1", "true")
    api.commit(container, "mlrun-test/made", "secret", changes=["USER 1234:1234"])
    api.remove_container(container)
    try:
        staged = replace(docker.stage('id -u; printf %s "$TOKEN"', image=name), secrets={"TOKEN": VALUE})
        result = docker.finish(staged)
    finally:
        api.remove_image(name, force=True)
        api.close()

    assert result.stdout.decode() == f"1234\n{VALUE}"
