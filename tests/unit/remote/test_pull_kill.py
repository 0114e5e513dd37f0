"""Pulls that are killed, and pulls at the same time, do no harm."""

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.remote.intake import Intake
from runner.state import State
from runner.store.claim import claimed
from runner.store.store import Store
from tests.unit.remote.scene import check_honest, removed

PULL = """
import os, signal, sys
from pathlib import Path
from runner.remote import admission
from runner.remote.depot import Depot
from runner.remote.kind import open_remote
from runner.remote.lane import Lanes
from runner.remote.meter import Meter
from runner.remote.pull import pull
from runner.store.reach import FILES
from runner.store.store import Store

root, remote, project, at, step = sys.argv[1:]
count = [0]

def die(*rest):
    os.kill(os.getpid(), signal.SIGKILL)

def show(meter):
    count[0] += 1
    if count[0] == int(at):
        die()

if step:
    setattr(admission, step, die)
with Store.open(Path(root), create=True) as store:
    store.reconcile()
    found = pull(store, Depot(open_remote(remote)), {project: None}, Meter(Lanes(3), show), FILES)
    assert not found.refused, found.refused
"""


def start_pull(root: Path, remote: Path, project: str, at: int = 0, step: str = "") -> "subprocess.Popen[bytes]":
    """Pull in a process of its own, which dies at its `at`th piece, or instead of a step of an admission."""
    words = [sys.executable, "-c", PULL, str(root), str(remote), project, str(at), step]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL)


def test_a_pull_that_is_killed_anywhere_loses_nothing_and_goes_on(
    places: Any, mine: Any, remote: Path, tmp_path: Path
) -> None:
    runs = [mine.run("a", "b", size=size) for size in (10, 3_000_000, 10)]
    mine.push(remote, *runs)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    for round, at in enumerate(sorted(random.Random(seed).sample(range(1, 60), 8))):
        root = tmp_path / f"killed-{round}"
        Store.open(root, create=True).close()
        assert start_pull(root, remote, runs[0].project.id, at).wait() in {0, -signal.SIGKILL}
        killed = places(root.name)
        check_honest(killed)
        killed.store.reconcile()
        assert not killed.pull(remote).refused
        assert {row["id"] for row in killed.store.runs()} == {run.id for run in runs}
        check_honest(killed)


def test_a_kill_between_the_steps_of_an_admission_needs_no_repair(
    places: Any, mine: Any, remote: Path, tmp_path: Path
) -> None:
    run = mine.run()
    mine.push(remote, run)
    steps = ["write_import", "_write", "_name", "sync_folder", "Removals"]
    for step in steps:
        root = tmp_path / f"at-{step}"
        Store.open(root, create=True).close()

        assert start_pull(root, remote, run.project.id, step=step).wait() == -signal.SIGKILL
        again = places(root.name)
        check_honest(again)
        again.store.reconcile()
        check_honest(again)
        again.pull(remote)
        assert [(row["id"], row["state"]) for row in again.store.runs()] == [(run.id, State.SUCCEEDED)]
        check_honest(again)


def test_four_processes_pull_the_same_runs_at_once(places: Any, mine: Any, remote: Path, tmp_path: Path) -> None:
    runs = [mine.run("a", "b", size=size) for size in (10, 10, 6_000_000, 10, 10)]
    mine.push(remote, *runs)
    root = tmp_path / "shared"
    Store.open(root, create=True).close()

    children = [start_pull(root, remote, runs[0].project.id) for _ in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    shared = places("shared")
    assert {row["id"] for row in shared.store.runs()} == {run.id for run in runs}
    counters = [row["counter"] for row in shared.store.runs()]
    assert len(set(counters)) == len(counters)
    assert not removed(shared).dropped
    assert not list(shared.store.layout.runs.glob(".new-*"))
    check_honest(shared)


def test_nothing_that_is_on_its_way_can_be_removed(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    seen: list[set[str]] = []

    class Watching(Intake):
        def take(self, wanted: Any) -> Any:
            wrong = super().take(wanted)
            seen.append(set(wanted) - claimed(yours.store.layout.claims))
            return wrong

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.remote.pull.Intake", Watching)
        yours.pull(remote)
    assert seen and not any(seen)
