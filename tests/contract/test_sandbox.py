"""What only the sandbox promises: this machine's Python without this machine's secrets, and no way out."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import venv
import zipfile
from pathlib import Path

import pytest

from runner.errors import MlrunError
from runner.executors import EXECUTORS, Site
from runner.executors.sandbox import SandboxExecutor
from runner.state import Reason

pytestmark = pytest.mark.sandbox


@pytest.fixture
def home(tmp_path):
    """A caller's home with a secret and a virtual environment that has a package and a program of its own."""
    folder = tmp_path / "home"
    environment = folder / "project" / ".venv"
    venv.create(environment, symlinks=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    (packages / "callers.py").write_text("value = 1\n")
    (environment / "bin" / "callers-tool").write_text("#!/bin/sh\necho tool\n")
    (environment / "bin" / "callers-tool").chmod(0o755)
    (folder / ".ssh").mkdir()
    (folder / ".ssh" / "id").write_text("secret")
    (folder / "bin").mkdir()
    (folder / "bin" / "own").write_text("#!/bin/sh\necho own\n")
    (folder / "bin" / "own").chmod(0o755)
    (folder / "notes.txt").write_text("secret")
    return folder


@pytest.fixture
def sandbox(sandbox_bench, home):
    """The sandbox as called from that home, with its environment active."""
    path = os.pathsep.join([f"{home}/bin", f"{home}", "relative", os.environ["PATH"]])
    variables = {"HOME": str(home), "PATH": path, "VIRTUAL_ENV": f"{home}/project/.venv"}
    site = Site(sandbox_bench.site.store, sandbox_bench.site.cache, home / "project", variables)
    sandbox_bench.executor = SandboxExecutor(site)
    sandbox_bench.site = site
    return sandbox_bench


def wheel(folder, name, version, code):
    """A package to install without any network."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", code)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name}-tool = {name}:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


# --- the caller's Python


def test_the_callers_packages_and_programs_are_there(sandbox):
    result = sandbox.run("python -c 'import callers; print(callers.value)'", "callers-tool", "own")

    assert result.stdout == b"1\ntool\nown\n", result.stderr


def test_the_rest_of_the_home_is_not(sandbox, home):
    result = sandbox.run(f"ls -A {home}", f"ls -A {home}/project", f"ls {home}/.ssh 2>&1 || :")

    assert result.stdout.split(b"\n")[:3] == [b"bin", b"project", b".venv"]
    assert b"id" not in result.stdout.splitlines()


def test_a_package_can_be_installed_and_hides_the_callers(sandbox):
    staged = sandbox.stage(
        "pip install --no-index --quiet --disable-pip-version-check ./callers-2.0-py3-none-any.whl",
        "python -c 'import callers; print(callers.value, callers.__file__)'",
        "callers-tool",
        "pip show callers | grep Version",
    )
    wheel(staged.workspace.repository, "callers", "2.0", "value = 2\ndef main(): print('installed')\n")
    result = sandbox.finish(staged)

    assert result.outcome.succeeded, result.stderr
    assert result.stdout.startswith(b"2 /home/step/.python/lib")
    assert result.stdout.endswith(b"installed\nVersion: 2.0\n")
    again = sandbox.run("python -c 'import callers; print(callers.value)'")
    assert again.stdout == b"1\n"


def test_every_python_is_the_private_one(sandbox):
    result = sandbox.run(
        "for name in python python3 pip pip3; do command -v $name; done",
        "python -c 'import sys; print(sys.prefix, sys.version_info[:2])'",
        "python -m pip --version >/dev/null",
    )

    assert [line.rpartition(b"/")[0] for line in result.stdout.splitlines()[:4]] == [b"/home/step/.python/bin"] * 4
    assert result.stdout.splitlines()[4] == f"/home/step/.python {sys.version_info[:2]}".encode()


def test_the_callers_environment_cannot_be_changed(sandbox, home):
    target = next((home / "project/.venv").glob("lib/python*/site-packages/callers.py"))
    result = sandbox.run(
        f"if echo x 2>/dev/null >>{target}; then exit 9; fi", f"if rm {target} 2>/dev/null; then exit 9; fi"
    )

    assert result.outcome.exit_code == 0
    assert target.read_text() == "value = 1\n"


def test_an_editable_install_of_the_project_reads_the_copy(sandbox, home):
    packages = next((home / "project/.venv").glob("lib/python*/site-packages"))
    (packages / "project.pth").write_text(f"{home}/project\n")
    (home / "project" / "live.py").write_text("value = 'live'\n")
    staged = sandbox.stage("python -c 'import live; print(live.value)'", f"ls {home}/project")
    (staged.workspace.repository / "live.py").write_text("value = 'copy'\n")
    result = sandbox.finish(staged)

    assert result.stdout.splitlines()[0] == b"copy", result.stderr


def test_an_editable_install_of_something_else_is_seen(sandbox, home):
    packages = next((home / "project/.venv").glob("lib/python*/site-packages"))
    other = home / "other" / "src"
    other.mkdir(parents=True)
    (other / "elsewhere.py").write_text("value = 'elsewhere'\n")
    (packages / "other.pth").write_text(f"{other}\n")

    assert sandbox.run("python -c 'import elsewhere; print(elsewhere.value)'").stdout == b"elsewhere\n"


def test_the_identity_changes_with_what_is_installed_and_not_otherwise(sandbox, home):
    packages = next((home / "project/.venv").glob("lib/python*/site-packages"))
    before = sandbox.executor.resolve("any")
    same = SandboxExecutor(sandbox.site).resolve("any")
    info = packages / "added-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: added\nVersion: 1.0\n")
    after = sandbox.executor.resolve("any")

    assert before == same
    assert after.id != before.id
    assert "added==1.0" in after.details["distributions"]
    assert {"interpreter", "version", "platform", "system_packages"} <= set(after.details)


def test_a_program_that_is_missing_points_to_the_image(sandbox):
    program = sandbox.run("no-such-program").outcome
    module = sandbox.run("python -c 'import no_such_module'").outcome

    assert "needs image `mlrun-test/busybox:1`" in program.detail
    assert "`no_such_module`" in module.detail
    assert "needs image" in module.detail
    assert (program.exit_code, module.exit_code) == (127, 1)


# --- no way out


def test_hidden_folders_below_a_system_folder_are_covered(sandbox_bench, root):
    folder = Path(tempfile.mkdtemp(prefix="mlrun-test-", dir="/opt"))
    try:
        (folder / "store" / "objects").mkdir(parents=True)
        (folder / "checkout").mkdir()
        (folder / "checkout" / "secret").write_text("x")
        (folder / "tool").write_text("x")
        site = Site(folder / "store", sandbox_bench.site.cache, folder / "checkout")
        sandbox_bench.executor, sandbox_bench.site = SandboxExecutor(site), site
        result = sandbox_bench.run(f"ls -A {folder}", f"ls -A {folder}/store {folder}/checkout")
    finally:
        shutil.rmtree(folder)

    assert result.stdout.decode().splitlines()[:3] == ["checkout", "store", "tool"]
    assert "secret" not in result.stdout.decode()
    assert "objects" not in result.stdout.decode()


def test_an_environment_in_a_covered_project_still_works(sandbox_bench, root):
    folder = Path(tempfile.mkdtemp(prefix="mlrun-test-", dir="/opt"))
    try:
        venv.create(folder / ".venv", symlinks=True)
        packages = next((folder / ".venv").glob("lib/python*/site-packages"))
        (packages / "callers.py").write_text("value = 1\n")
        (folder / "live.py").write_text("secret")
        site = Site(
            sandbox_bench.site.store, sandbox_bench.site.cache, folder, {**os.environ, "VIRTUAL_ENV": f"{folder}/.venv"}
        )
        sandbox_bench.executor = SandboxExecutor(site)
        result = sandbox_bench.run("python -c 'import callers'", f"ls -A {folder}; touch {folder}/x 2>&1 || :")
    finally:
        shutil.rmtree(folder)

    assert result.stdout.startswith(b".venv\n"), result.stderr
    assert b"Read-only" in result.stdout


def test_secrets_in_etc_are_covered_for_root(sandbox_bench, root):
    result = sandbox_bench.run(
        "cat /etc/shadow /etc/gshadow 2>/dev/null || :",
        "ls /etc/passwd",
        "cat /etc/ssh/ssh_host_*_key 2>/dev/null || :",
    )

    assert result.stdout == b"/etc/passwd\n"


def test_a_step_of_root_cannot_change_the_machine(sandbox_bench, root, tmp_path):
    store = sandbox_bench.site.store
    attempts = [
        "mount -o remount,rw /usr", "mount -o remount,rw,bind /etc", "umount /etc", "umount -l /usr", "touch /usr/x",
        "mknod $VH_OUTPUTS_DIR/disk b 7 0", "echo 1 >/proc/sys/vm/swappiness", "echo x >/proc/sys/kernel/hostname",
        "nsenter -t 1 -m true", "mkdir /new", "touch /valohai/new", "cat /proc/1/environ | grep -q HOME",
        "mount -t tmpfs x /mnt", "mount --bind /etc /tmp", "chroot /proc/1/root ls /root/.ssh",
        f"ls /proc/1/root{store}", "unshare -m mount -o remount,rw /usr", "dd if=/dev/loop0 count=1",
        "echo >/sys/power/state",
    ]  # fmt: skip
    result = sandbox_bench.run(*(f"if ({attempt}) >/dev/null 2>&1; then echo '{attempt}'; fi" for attempt in attempts))

    assert result.stdout == b""
    assert result.outcome.succeeded


def test_a_new_user_name_space_is_no_way_out(sandbox_bench):
    attempts = "umount /valohai/inputs/data", "mount --bind /tmp /valohai/inputs", "touch /valohai/inputs/data/new"
    inside = " || ".join(["mount -o remount,rw,bind /usr", *attempts])
    result = sandbox_bench.run(
        f"if unshare -Urm sh -c '{inside}' 2>/dev/null; then ls -A /valohai/inputs /tmp; fi",
        "cat /valohai/inputs/data/a",
        inputs={"data": {"a": b"kept"}},
    )

    assert result.stdout.endswith(b"kept")
    assert (result.workspace.inputs / "data" / "a").read_bytes() == b"kept"


def test_variables_cannot_be_seen_in_the_process_list(sandbox_bench):
    seen = []

    def look(handle, chunk):
        commands = (
            Path(path).read_bytes()
            for path in map(str, Path("/proc").glob("[0-9]*/cmdline"))
            if os.access(path, os.R_OK)
        )
        seen.extend(command for command in commands if b"hunter2" in command)
        handle.stop(0)

    sandbox_bench.run("echo ready; sleep 5", environment={"PASSWORD": "hunter2"}, listen=look)

    assert seen == []


def test_a_long_list_of_inputs_works(sandbox_bench):
    given = {f"input {number}": {"file": b"x"} for number in range(60)}
    result = sandbox_bench.run("cat /valohai/inputs/*/file | wc -c", inputs=given)

    assert result.stdout.strip() == b"60"


def test_odd_names_of_inputs_work(sandbox_bench):
    names = ["--help", "two words", "quote'\"", "ünï", "new\nline", "*"]
    result = sandbox_bench.run("cat /valohai/inputs/*/file | wc -c", inputs={name: {"file": b"x"} for name in names})

    assert result.stdout.strip() == str(len(names)).encode()


# --- its end


def test_a_step_killed_from_outside_is_told_from_one_that_ended(sandbox_bench):
    def kill(handle, chunk):
        for path in Path("/proc").glob("[0-9]*"):
            try:
                command = (path / "cmdline").read_bytes()
            except OSError:
                continue
            if f"mlrun:{handle.id}".encode() in command and command.startswith(b"/bin/sh"):
                os.kill(int(path.name), signal.SIGKILL)

    outcome = sandbox_bench.run("echo ready", "sleep 600", listen=kill).outcome

    assert outcome.reason is Reason.KILLED


def test_a_sandbox_that_cannot_be_made_says_so(sandbox_bench):
    staged = sandbox_bench.stage("true")
    shutil.rmtree(staged.workspace.config)
    outcome = sandbox_bench.finish(staged).outcome

    assert (outcome.reason, outcome.exit_code) == (Reason.START, None)
    assert "config" in outcome.detail


RUNNER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from conftest import Bench
from runner.executors import EXECUTORS, Site
site = Site(Path({store!r}), Path({cache!r}))
bench = Bench({name!r}, EXECUTORS[{name!r}](site), site)
handle = bench.executor.start(bench.stage("echo ready; while :; do echo x >>$VH_OUTPUTS_DIR/beat; sleep 0.02; done"))
for chunk in handle.logs():
    print(handle.id, flush=True)
"""


@pytest.mark.parametrize("name", ["sandbox", "process"])
def test_the_step_dies_with_its_runner(sandbox_bench, tmp_path, name):
    given = {
        "here": str(Path(__file__).parent),
        "store": str(tmp_path / "store"),
        "cache": str(tmp_path / "c"),
        "name": name,
    }
    code = RUNNER.format(**given)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as runner:
        id = runner.stdout.readline().strip().decode()
        runner.kill()
    deadline = time.monotonic() + 60
    while (left := _processes_of(id)) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert id
    assert left == []


def _processes_of(id):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if id.encode() in path.read_bytes():
                found.append(path)
        except OSError:
            continue
    return found


def test_nothing_is_left_of_a_job_that_is_closed_while_bubblewrap_sets_up(sandbox_bench):
    for microseconds in range(0, 6000, 100):
        staged = sandbox_bench.stage("sleep 4377.25")
        handle = sandbox_bench.executor.start(staged)
        time.sleep(microseconds / 1e6)
        handle.close()

        assert staged.job.id not in sandbox_bench.executor.mine()


# --- the probe


def test_the_probe_says_what_is_missing(tmp_path):
    site = Site(tmp_path / "store", tmp_path / "cache", None, {"PATH": str(tmp_path), "HOME": str(tmp_path)})
    probe = EXECUTORS["sandbox"](site).probe()

    assert not probe.works
    assert "bubblewrap" in probe.sentence
    assert "apt install bubblewrap" in probe.hint
    with pytest.raises(MlrunError):
        EXECUTORS["sandbox"](site).resolve("any")


def test_the_probe_passes_on_the_last_words_of_bubblewrap(tmp_path):
    words = "bwrap: setting up uid map: Permission denied"
    (tmp_path / "bwrap").write_text(textwrap.dedent(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n"))
    (tmp_path / "bwrap").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    probe = EXECUTORS["sandbox"](
        Site(tmp_path / "s", tmp_path / "c", None, {"PATH": path, "HOME": str(tmp_path)})
    ).probe()

    assert not probe.works
    assert words in probe.sentence
