"""A part of the disk that no step may take, on disks that say what a test wants them to."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.errors import ExitCode, MlrunError
from runner.job import Job, Outcome
from runner.state import Reason
from runner.worker.conclusion import conclude
from runner.worker.reserve import Reserve, ReserveWatch

GIB = 1 << 30
HERE = Path("/store")


class Disk:
    """A file system of `size` bytes, `free` of which are left."""

    def __init__(self, size: int, free: int) -> None:
        self.size, self.free = size, free
        self.looks = 0

    def statvfs(self, place: object) -> SimpleNamespace:
        assert place == HERE
        self.looks += 1
        return SimpleNamespace(f_frsize=1, f_blocks=self.size, f_bavail=self.free)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], Disk]:
    def make(size: int, free: int) -> Disk:
        made = Disk(size, free)
        monkeypatch.setattr(os, "statvfs", made.statvfs)
        return made

    return make


@pytest.mark.parametrize(
    ("asked", "size", "least"),
    [
        (5 * GIB, 1000 * GIB, 5 * GIB),
        (None, 1000 * GIB, GIB),
        (None, 50 * GIB, GIB // 2),
        (None, 64 << 20, (64 << 20) // 100),
    ],
)
def test_a_disk_is_short_below_its_reserve_and_not_at_it(
    disk: Callable[[int, int], Disk], asked: int | None, size: int, least: int
) -> None:
    reserve = Reserve((HERE,), asked)
    found = disk(size, least)
    assert reserve.shortage() is None
    found.free -= 1
    assert reserve.shortage() is not None


def test_a_run_below_the_reserve_is_refused_in_one_sentence(disk: Callable[[int, int], Disk]) -> None:
    disk(1000 * GIB, GIB // 2)
    with pytest.raises(MlrunError) as caught:
        Reserve((HERE,), GIB).check()
    assert caught.value.code is ExitCode.DISK
    assert caught.value.message == "the disk of `/store` has less than its reserve of 1 GiB left: 512 MiB"
    assert "reserve" in (caught.value.hint or "")


def test_a_reserve_of_nothing_refuses_nothing_and_starts_no_thread(
    disk: Callable[[int, int], Disk], new_threads: Callable[[], list[threading.Thread]]
) -> None:
    disk(GIB, 0)
    Reserve((HERE,), 0).check()
    with ReserveWatch(Reserve((HERE,), 0), pytest.fail):
        assert not new_threads()


def test_a_disk_that_cannot_be_asked_refuses_nothing(tmp_path: Path) -> None:
    Reserve((tmp_path / "nowhere",), GIB).check()


@pytest.mark.parametrize("free", [GIB, GIB + 1, GIB + (10 << 20), GIB + (100 << 20), 2 * GIB, 100 * GIB])
def test_the_fastest_program_takes_at_most_a_tenth_of_the_reserve_between_two_looks(
    disk: Callable[[int, int], Disk], free: int
) -> None:
    disk(1000 * GIB, free)
    sentence, pause = Reserve((HERE,), GIB).look()
    assert sentence is None
    assert free - 4 * GIB * pause > GIB * 9 // 10
    assert 0 < pause <= 0.5


def test_the_shortest_of_several_disks_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {Path("/store"): 100 * GIB, Path("/layers"): GIB // 4}

    def statvfs(place: Path) -> SimpleNamespace:
        return SimpleNamespace(f_frsize=1, f_blocks=1000 * GIB, f_bavail=free[place])

    monkeypatch.setattr(os, "statvfs", statvfs)
    reserve = Reserve((Path("/store"), Path("/layers")), GIB)
    assert (reserve.shortage() or "").startswith("the disk of `/layers` ")
    free[Path("/layers")] = GIB + 1
    assert reserve.look()[1] < 0.05


def test_a_disk_that_becomes_short_is_told_once(disk: Callable[[int, int], Disk]) -> None:
    found, asked, told = disk(100 * GIB, 2 * GIB), list[Reason](), threading.Event()

    def ask(reason: Reason) -> None:
        asked.append(reason)
        told.set()

    with ReserveWatch(Reserve((HERE,), GIB), ask) as watch:
        found.free = GIB // 2
        assert told.wait(30)
    assert asked == [Reason.DISK]
    assert watch.found == "the disk of `/store` has less than its reserve of 1 GiB left: 512 MiB"


def test_a_watch_that_ends_has_told_nothing(disk: Callable[[int, int], Disk]) -> None:
    disk(100 * GIB, 50 * GIB)
    with ReserveWatch(Reserve((HERE,), GIB), pytest.fail) as watch:
        pass
    assert watch.found is None


@pytest.mark.parametrize("ended", [Reason.KILLED, Reason.EXIT, Reason.STOP])
def test_a_step_that_was_ended_for_the_disk_says_so(job: Job, ended: Reason) -> None:
    outcome = conclude(job, Outcome(ended, 137), Reason.DISK, "the disk is short")
    assert (outcome.reason, outcome.detail) == (Reason.DISK, "the disk is short")


@pytest.mark.parametrize("ended", [Outcome(Reason.EXIT, 0), Outcome(Reason.OOM, 137)])
def test_a_step_that_ended_by_itself_at_that_moment_keeps_its_end(job: Job, ended: Outcome) -> None:
    assert conclude(job, ended, Reason.DISK, "the disk is short") == ended
