"""Whatever stops, starves or damages a store: what it acknowledged is there, and the next command needs no repair.

Short forms; `make test-faults` runs the full ones. `run.py` is the program.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")
CANNOT = 10
SEED = os.environ.get("FAULT_SEED") or "20240229"
ENVIRONMENT = dict(os.environ)
"""As it was before the guards of the tests took the container engine away; the program makes homes of its own."""


def suffers(suite: str) -> str:
    """Run a suite, which must lose nothing; gives what it printed. Skips, with the reason, where it cannot be run."""
    seed = [] if "MLRUN_TEST_SEARCH" in os.environ else ["--seed", SEED]
    command = [sys.executable, str(RUN), "--short", *seed, suite]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=ENVIRONMENT)
    print(done.stdout)
    if done.returncode == CANNOT:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    if f"{suite}: skipped: " in done.stdout:
        pytest.skip(done.stdout.split(f"{suite}: skipped: ")[1].splitlines()[0])
    return done.stdout


def test_a_run_that_is_killed_at_any_change_of_the_disk_loses_nothing() -> None:
    assert "kill: pipeline" in suffers("kill")


def test_upkeep_that_is_killed_at_any_change_of_the_disk_loses_nothing() -> None:
    assert "kill: gc after a kill" in suffers("upkeep")


def test_a_call_that_fails_is_told_and_nothing_is_acknowledged_that_it_lost() -> None:
    assert "EIO at a sync: exec" in suffers("error")


def test_a_file_that_cannot_be_read_is_told_and_nothing_is_lost() -> None:
    assert "EIO at a read of an object" in suffers("read")


def test_a_flipped_bit_is_found_and_never_served() -> None:
    assert "flipped bits" in suffers("flip")


def test_many_processes_on_one_store_lose_nothing() -> None:
    assert "runs at once" in suffers("crowd")


def test_removals_beside_many_writers_lose_nothing_that_a_record_names() -> None:
    assert "gc beside 16 writers" in suffers("collect")


def test_writers_killed_at_random_moments_lose_nothing() -> None:
    assert "two writers" in suffers("random")


@pytest.mark.docker
def test_a_run_killed_with_its_container_leaves_nothing_that_has_to_be_mended() -> None:
    assert "containers" in suffers("container")


@pytest.mark.root
def test_a_power_cut_loses_nothing_that_was_acknowledged() -> None:
    assert "must lose" in suffers("cut")


@pytest.mark.root
def test_a_disk_that_fails_and_turns_read_only_loses_nothing() -> None:
    assert "turns read-only" in suffers("failing")


def test_a_full_disk_is_told_and_needs_only_room() -> None:
    assert "no inodes: exec" in suffers("full")
