"""Faults around a run, and files that mean harm: the run holds to what it was started with."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

COMMAND = Path(sysconfig.get_path("scripts")) / "mlrun"

YAML = """\
- step:
    name: wait
    image: busybox
    command:
      - echo ready
      - 'i=0; while [ ! -e "$VH_OUTPUTS_DIR/go" ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done'
      - cat code.txt
      - ls
"""


def test_a_step_sees_its_snapshot_whatever_becomes_of_the_checkout(make):
    project = make(YAML.replace('"$VH_OUTPUTS_DIR/go"', "go"), {"code.txt": "first\n", "other.txt": ""})
    running = project.start("exec", "wait")
    running.until("ready")
    for number in range(50):
        project.write("code.txt", f"edit {number}\n")
        project.write(f"new-{number}.txt", "")
    (project.folder / "other.txt").unlink()
    project.write("valohai.yaml", "- step: {}\n")
    (copy,) = (found.parent for found in (project.command.store / "work").glob("*/repository/other.txt"))
    (copy / "go").touch()

    done = running.end()

    assert done.code == 0, str(done)
    assert done.out.split() == ["ready", "first", "code.txt", "go", "other.txt", "valohai.yaml"]


def test_ctrl_c_does_not_wait_for_a_registry_that_hangs(make, docker):
    docker("mlrun-test/busybox:1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        image = f"127.0.0.1:{server.getsockname()[1]}/nothing:1"
        project = make(f"- step: {{name: get, image: '{image}', command: 'true'}}\n")
        running = project.start("exec", "--executor", "docker", "get")
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            running.signal(signal.SIGINT)
            done = running.end()

    assert done.code == 130, str(done)
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% MARKER", "--upload-pack=touch MARKER", "file:///etc", "https://example.com/a\rb"]
)
def test_a_hostile_submodule_is_never_fetched(make, tmp_path, url):
    marker = tmp_path / "marker"
    project = make("- step: {name: a, image: busybox, command: ls}\n")
    said = url.replace("MARKER", str(marker)).replace("\r", "\\r")
    project.write(".gitmodules", f'[submodule "evil"]\n\tpath = evil\n\turl = "{said}"\n')
    head = project.git("rev-parse", "HEAD").strip()
    project.git("update-index", "--add", "--cacheinfo", f"160000,{head},evil")
    project.git("commit", "--quiet", "--message", "a submodule")
    (project.folder / "evil").mkdir()

    done = project.succeeds("exec", "a")
    project.succeeds("lint")

    assert not marker.exists()
    assert "evil" in done.err


def test_stars_upon_stars_and_braces_upon_braces_end_soon(make):
    files = {f"data/{a}/{b}/{c}.txt": "" for a in range(8) for b in range(8) for c in range(8)}
    stars = "data/**/**/**/**/**/**/*.txt"
    braces = "echo '" + "{" * 1000 + "}" * 1000 + '\' && ls -R \\"$VH_INPUTS_DIR/data\\" | grep -c txt'
    project = make(
        f'- step: {{name: a, image: busybox, command: "{braces}", inputs: [{{name: data, default: "{stars}", '
        f"keep-directories: full}}]}}\n",
        files,
    )
    # A pattern that is tried over and over never ends; the command gets a bounded time.
    done = project.succeeds("exec", "a")

    assert done.out.splitlines() == ["{" * 1000 + "}" * 1000, "512"]


@pytest.mark.parametrize("address", ["file:///etc/shadow", "/proc/self/environ", "/etc/hostname"])
def test_a_file_outside_the_project_is_nothing_that_a_repository_may_ask_for(make, address):
    project = make(
        f"- step: {{name: a, image: busybox, command: 'true', inputs: [{{name: data, default: '{address}'}}]}}\n"
    )

    project.refused("exec", "a", code=40)


# --- the clock, and a runner that stands still


@pytest.fixture
def clock(tmp_path):
    """A clock that can be set while programs run: variables for the command, and a file that says the time."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("no libfaketime: `apt-get install libfaketime`")
    said = tmp_path / "clock"
    said.write_text("+0\n")
    # Once the clock has jumped, libfaketime makes of the short sleep in `Popen.wait` one of years.
    (tmp_path / "sitecustomize.py").write_text(
        "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"
    )
    variables = {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(said),
        "FAKETIME_NO_CACHE": "1",
        # A clock that jumps leaves the time stamps of files alone.
        "NO_FAKE_STAT": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(tmp_path),
    }
    return said, variables


def let_go(project):
    """Let the step `wait` end, wherever its folder is."""
    (copy,) = (found.parent for found in (project.command.store / "work").glob("*/repository/valohai.yaml"))
    (copy / "go").touch()


def alone_in(project, folder, **variables):
    """The project with a store of its own, so that others' runs and clocks do not count."""
    return project.with_variables(MLRUN_STORE=str(folder / "store"), MLRUN_EXECUTOR="process", **variables)


GO = YAML.replace('"$VH_OUTPUTS_DIR/go"', "go").replace("      - cat code.txt\n", "")


@pytest.mark.parametrize("jump", ["-1h", "+2d", "@1970-01-01 00:00:01", "@2040-02-03 04:05:06"])
def test_a_clock_that_jumps_spoils_no_duration_no_order_and_no_lease(make, tmp_path, clock, jump):
    said, variables = clock
    plain = alone_in(make(f"{GO}- step: {{name: quick, image: busybox, command: 'true'}}\n"), tmp_path)
    # The interpreter is asked once, and with a wrong clock libfaketime spoils the wait for its answer.
    plain.succeeds("exec", "quick")
    project = plain.with_variables(**variables)
    running = project.start("exec", "wait")
    running.until("ready")

    said.write_text(f"{jump}\n")
    during = project.runs()
    let_go(project)
    done = running.end()
    later = project.start("exec", "wait")
    later.until("ready")
    let_go(project)
    assert later.end().code == 0
    said.write_text("+0\n")
    last = project.start("exec", "wait")
    last.until("ready")
    let_go(project)
    assert last.end().code == 0

    assert [run["state"] for run in during] == ["running", "succeeded"]
    assert done.code == 0, str(done)
    runs = project.runs()
    assert [run["state"] for run in runs] == ["succeeded"] * 4
    assert all(0 <= run["duration"] < 60 for run in runs)
    assert [run["counter"] for run in runs] == [4, 3, 2, 1]
    assert project.show("run:latest")["counter"] == 4


def test_a_runner_that_stands_still_keeps_its_run(make, tmp_path):
    project = alone_in(make(GO.replace("ready", "ready\n      - sleep 0.01")), tmp_path)
    running = project.start("exec", "wait")
    running.until("ready")

    running.signal(signal.SIGSTOP)
    seen = project.runs()
    other = project.mlrun("lint")
    second = project.with_variables(MLRUN_EXECUTOR="process").start("exec", "wait")
    second.until("ready")
    while_both = [run["state"] for run in project.runs()]
    running.signal(signal.SIGCONT)
    for found in (project.command.store / "work").glob("*/repository/valohai.yaml"):
        (found.parent / "go").touch()

    assert (running.end().code, second.end().code, other.code) == (0, 0, 0)
    assert [run["state"] for run in seen] == ["running"]
    assert while_both == ["running", "running"]
    assert [run["state"] for run in project.runs()] == ["succeeded", "succeeded"]


# --- who, where, and with how little

SMALL = "- step: {name: a, image: busybox, command: echo done > $VH_OUTPUTS_DIR/out}\n"


@pytest.mark.parametrize("mask", ["000", "077", "022"])
def test_whatever_the_umask_the_store_is_its_owners_alone(make, tmp_path, mask):
    project = alone_in(make(SMALL), tmp_path)
    words = ["sh", "-c", f'umask {mask} && exec "$0" "$@"', str(COMMAND), "exec", "a"]

    done = subprocess.run(words, cwd=project.folder, env=project.command.environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    store = project.command.store
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    modes = {path: path.lstat().st_mode for path in store.rglob("*") if not path.is_symlink()}
    private = [path for path in store.iterdir() if path.is_dir()]
    assert [path for path in private if stat.S_IMODE(modes[path]) != 0o700] == []
    assert project.show()["state"] == "succeeded"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("home", [None, "/nonexistent"])
def test_a_user_without_a_name_or_a_home_is_told_what_to_set(make, tmp_path, home):
    project = alone_in(make(SMALL), tmp_path, HOME=home)
    place = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mlrun-nobody-"))
    try:
        shutil.copytree(project.folder, place / "project")
        subprocess.run(["chown", "-R", "54321:54321", place], check=True)
        # `setpriv` still has all rights when it starts a program; the shell has only those of the user.
        user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "sh", "-c", 'exec "$@"', "sh"]
        environment = {**project.command.environment, "TMPDIR": str(place), "PATH": "/usr/bin:/bin"}
        command = [*user, *command_for(user, environment)]

        def call():
            return subprocess.run(
                [*command, "exec", "a"], cwd=place / "project", env=environment, capture_output=True, text=True
            )

        environment["MLRUN_STORE"] = str(place / "store")
        told = call()
        del environment["MLRUN_STORE"]
        refused = call()
    finally:
        shutil.rmtree(place)

    assert told.returncode == 0, told.stderr
    assert "Traceback" not in refused.stderr
    if home is None:
        assert (refused.returncode, "MLRUN_STORE" in refused.stderr) == (2, True), refused.stderr
    else:
        assert refused.returncode == 30, refused.stderr


def command_for(user, environment):
    """How this user calls `mlrun`: with the interpreter of these tests, or with the machine's where that is closed."""
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    environment["PYTHONPATH"] += f"{os.pathsep}{Path(__file__).parents[2]}"
    call = "import sys; from runner.cli.main import main; sys.argv[0] = 'mlrun'; main()"
    for python in (sys.executable, shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin")):
        if (
            python
            and not subprocess.run(
                [*user, python, "-c", call, "exec", "--help"], env=environment, capture_output=True
            ).returncode
        ):
            return [python, "-c", call]
    pytest.skip("another user may not run the interpreter of these tests, and there is no other one of its version")


@pytest.mark.parametrize("files", [64, 32, 16, 12])
def test_with_few_open_files_it_works_or_says_so(make, tmp_path, files):
    project = alone_in(make(SMALL), tmp_path)
    words = ["sh", "-c", f'ulimit -n {files} && exec "$0" "$@"', str(COMMAND), "exec", "a"]

    done = subprocess.run(words, cwd=project.folder, env=project.command.environment, capture_output=True, text=True)

    assert "Traceback" not in done.stderr
    assert done.returncode != 3, done.stderr
    if files >= 64:
        assert done.returncode == 0, done.stderr
    elif done.returncode:
        assert "Too many open files" in done.stderr
    project.succeeds("exec", "a")


WEIGH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
"""Runs a command and prints its peak in KiB. A small process of its own: what a child has held counts from before its
exec on, and there it is as large as who started it."""


def test_large_and_many_files_are_taken_in_with_little_memory(make, tmp_path):
    size, count = (int(os.environ.get(name, few)) for name, few in (("FAULT_GB", 1), ("FAULT_FILES", 3000)))
    command = f'for i in $(seq {count}); do echo $i; done | split -l 1 -a 5 - "$VH_OUTPUTS_DIR/"'
    project = alone_in(
        make(
            f"- step:\n    name: a\n    image: busybox\n    command:\n      - '{command}'\n"
            "    inputs: [{name: data, default: big.bin}]\n",
            {".gitignore": "big.bin\n"},
        ),
        tmp_path,
    )
    with (project.folder / "big.bin").open("wb") as file:
        file.write(os.urandom(64 << 20))
        file.truncate(size << 30)

    done = subprocess.run(
        [sys.executable, "-c", WEIGH, COMMAND, "exec", "a"],
        cwd=project.folder,
        env=project.command.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout)

    print(f"{size} GiB and {count:,} files with {peak >> 10} MiB of memory at most")
    assert len(project.show("latest")["outputs"]) == count
    assert peak < 256 << 10, f"{peak >> 10} MB"
