"""Whatever stops a writer, what it acknowledged is there, and the next command needs no repair."""

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.digest import Digest
from runner.errors import ExitCode
from runner.state import FINAL
from runner.store.journal import read
from runner.store.store import Store

SCRIPT = Path(__file__).with_name("script.py")
KILL_ROUNDS = 30
POINTS = 5
KILLED = {-signal.SIGKILL, 128 + signal.SIGKILL}

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def tell_runs_for_ever(root: Path) -> None:
    spec = importlib.util.spec_from_file_location("script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    number = 0
    with Store.open(root, create=True) as store:
        while True:
            script.tell_a_run(store, f"{os.getpid()} {number}")
            number += 1


def writer_process(root: Path) -> tuple[int, int]:
    """A process that tells runs until it is killed, and where its acknowledgements can be read."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(send, 1)
        try:
            tell_runs_for_ever(root)
        finally:
            os._exit(1)
    os.close(send)
    return child, receive


def object_files(root: Path) -> list[Path]:
    """Everything that stands where an object does."""
    return [path for path in (root / "objects").rglob("*") if path.is_file() and not path.name.startswith(".new-")]


def check(root: Path, acknowledged: Iterator[str] | list[str]) -> None:
    """Everything acknowledged is whole; everything else is recognisably unfinished; nothing needs a repair."""
    with Store.open(root, create=False) as store:
        before = [(row["id"], row["state"]) for row in store.runs()]
    with Store.open(root, create=True) as store:
        store.reconcile()
        assert store.reconcile() == ()
        after = [(row["id"], row["state"]) for row in store.runs()]
        assert after == before
        assert {state for _, state in after} <= FINAL
        counters = [row["counter"] for row in store.executions("p")]
        assert len(set(counters)) == len(counters)
        for line in acknowledged:
            kind, *facts = line.split()
            if kind == "object":
                assert store.objects.verify(Digest(facts[0])), line
            elif kind == "run":
                assert len(read(store.layout.run(facts[0]).journal)) >= int(facts[1]), line
        for path in object_files(root):
            assert store.objects.verify(Digest(path.name)), path
        known = {id for id, _ in after}
        assert {path.name for path in store.layout.runs.iterdir()} == known
        assert not store.rebuild()
        assert [(row["id"], row["state"]) for row in store.runs()] == after


def test_writers_killed_at_random_moments_lose_nothing_they_acknowledged(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    root = tmp_path / "store"
    acknowledged: list[str] = []
    for _ in range(KILL_ROUNDS):
        children = [writer_process(root) for _ in range(2)]
        time.sleep(chance.uniform(0, 0.06))
        for child, receive in children:
            os.kill(child, signal.SIGKILL)
            with open(receive) as lines:
                acknowledged += [line for line in lines if line.endswith("\n")]
            assert os.waitpid(child, 0)[1] == signal.SIGKILL
    if not root.exists():
        pytest.fail("no writer lived long enough to begin")
    check(root, acknowledged)
    assert sum(line.startswith("object") for line in acknowledged) > KILL_ROUNDS


def traced(root: Path, calls: str, fault: str, point: int) -> tuple[int, list[str]]:
    """Run the script with a fault at the `point`-th of some system calls."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e"]
    done = subprocess.run(
        [*command, f"inject={calls}:{fault}:when={point}", sys.executable, SCRIPT, root],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def points(last: int, count: int = POINTS) -> list[int]:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return sorted(random.Random(seed).sample(range(1, last + 1), count))


@needs_strace
@pytest.mark.parametrize(
    ("calls", "last"), [("fsync,fdatasync,rename,mkdir,unlink,ftruncate", 30), ("write,pwrite64", 20)]
)
def test_a_kill_at_any_change_of_the_disk_loses_nothing(tmp_path: Path, calls: str, last: int) -> None:
    root = tmp_path / "store"
    Store.open(root, create=True).close()
    for point in points(last):
        code, acknowledged = traced(root, calls, "signal=KILL", point)
        assert code in KILLED
        check(root, acknowledged)


@needs_strace
@pytest.mark.parametrize(
    ("calls", "error", "expected"),
    [
        ("fsync,fdatasync", "EIO", {ExitCode.STORE}),
        ("fsync,fdatasync", "ENOSPC", {ExitCode.DISK, ExitCode.STORE}),
        ("write,pwrite64", "ENOSPC", {ExitCode.DISK}),
    ],
)
def test_a_failed_call_is_reported_and_nothing_lost_is_acknowledged(
    tmp_path: Path, calls: str, error: str, expected: set[ExitCode]
) -> None:
    root = tmp_path / "store"
    Store.open(root, create=True).close()
    for point in points(13):
        code, acknowledged = traced(root, calls, f"error={error}", point)
        # The index may fail alone at an end that is in the journal already: then the run goes on.
        assert code == 0 or code in expected, acknowledged
        check(root, acknowledged)


@needs_strace
@pytest.mark.parametrize("fault", ["error=EIO", "signal=KILL"])
@pytest.mark.parametrize("calls", ["syncfs", "sync_file_range"])
def test_small_files_synced_together_are_never_acknowledged_when_that_fails(
    tmp_path: Path, calls: str, fault: str
) -> None:
    root = tmp_path / "store"
    Store.open(root, create=True).close()
    for point in [1] if calls == "syncfs" else points(70, 2):
        before = len(object_files(root))
        code, acknowledged = traced(root, calls, fault, point)
        assert code in (KILLED if "KILL" in fault else {ExitCode.STORE})
        others = sum(line.startswith("object") for line in acknowledged)
        assert others == 8
        assert len(object_files(root)) - before == others + point - 1
        check(root, acknowledged)


@needs_strace
def test_a_store_killed_while_it_is_made_is_finished_by_the_next_command(tmp_path: Path) -> None:
    for point in (1, 2, 100, 261, 262, 263, 264):
        root = tmp_path / f"store {point}"
        code, _ = traced(root, "mkdir,fsync,rename", "signal=KILL", point)
        assert code in KILLED
        code, acknowledged = traced(root, "mkdir", "delay_enter=0", 1)
        assert code == 0
        check(root, acknowledged)
