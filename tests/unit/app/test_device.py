"""Each job has devices of its own, waits for them, and lets them go; members of a gang have theirs together."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event as ThreadEvent
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.app.device import Allotter
from runner.events import Event, Noticed
from runner.job import Allowance, Devices, Gang, Job, Script
from runner.store.pool import Pools
from runner.worker.report import Finished, JobListener
from runner.worker.run import Running
from runner.worker.stopper import Stopper
from tests.patience import PATIENCE

GPU, AMD = "nvidia.com/gpu", "amd.com/gpu"
MACHINE = {GPU: ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia2", "/dev/nvidia3"], AMD: ["/dev/dri/renderD128"]}
LISTENER = cast("JobListener", None)
FINISHED = cast("Finished", "finished")

HOLD = """
import sys
from pathlib import Path
from runner.store.pool import Pools
pools = Pools(Path(sys.argv[1]))
print(pools.take("nvidia.com/gpu", 4, "other", 1).numbers, flush=True)
sys.stdin.read()
"""


def job(id: str, count: int = 1, gang: Gang | None = None, amd: int | None = None) -> Job:
    allowance = Allowance(devices={GPU: count} if amd is None else {GPU: count, AMD: amd})
    return Job(id, "train", "i", Script(()), "s", {}, (), {}, gang=gang, allowance=allowance)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "devices"


@pytest.fixture
def allotter(file: Path) -> Iterator[Allotter]:
    made = Allotter(Pools(file), lambda name: MACHINE.get(name, []))
    yield made
    made.close()


def numbers(devices: Devices) -> str:
    return "".join(path[-1] for path in devices[GPU])


def own(allotter: Allotter, one: Job) -> str | None:
    lot = allotter.take(one)
    return None if lot is None else numbers(lot.devices)


def test_jobs_of_one_process_have_different_devices_until_there_are_none(allotter: Allotter) -> None:
    first = allotter.take(job("a"))
    assert first is not None
    assert first.devices == {GPU: ("/dev/nvidia0",)}
    assert [own(allotter, job(id, 1 + (id == "b"))) for id in "bcd"] == ["12", "3", None]
    first.let_go()
    first.let_go()
    assert own(allotter, job("d")) == "0"


def test_jobs_of_other_processes_have_others_and_free_them_when_they_die(allotter: Allotter, file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "(0,)\n"
        assert own(allotter, job("a", 3)) == "123"
        assert own(allotter, job("b")) is None
        process.kill()
    assert own(allotter, job("b")) == "0"


def test_a_job_that_may_have_all_has_all_or_waits(allotter: Allotter) -> None:
    one = allotter.take(job("a"))
    assert one is not None
    assert own(allotter, job("b", -1)) is None
    one.let_go()
    assert own(allotter, job("b", -1)) == "0123"


def test_who_lacks_one_kind_holds_none_of_another(allotter: Allotter) -> None:
    assert own(allotter, job("a", 3)) == "012"
    assert own(allotter, job("b", 2, amd=1)) is None
    assert own(allotter, job("c", 1, amd=1)) == "3"


def test_a_job_without_devices_has_none_and_waits_for_nobody(allotter: Allotter) -> None:
    assert own(allotter, job("a", -1)) == "0123"
    lot = allotter.take(Job("b", "train", "i", Script(()), "s", {}, (), {}))
    assert lot is not None
    assert lot.devices == {}


def test_the_members_of_a_gang_have_theirs_together_and_each_its_own(allotter: Allotter) -> None:
    members = [job(f"m{index}", 2, Gang("g", index, ("1", "2"))) for index in range(2)]
    first = allotter.take(members[0])
    assert first is not None
    assert numbers(first.devices) == "01"
    assert own(allotter, job("another")) is None, "the others of the gang need not wait for it"
    assert own(allotter, members[1]) == "23"


def test_a_gang_that_outnumbers_the_devices_shares_them_and_is_told_so_once(allotter: Allotter) -> None:
    told: list[Event] = []
    members = [job(f"m{index}", 1, Gang("g", index, tuple("123456"))) for index in range(6)]
    lots = [allotter.wait(member, Stopper(), told.append) for member in members]
    assert [numbers(lot.devices) for lot in lots] == ["0", "1", "2", "3", "0", "1"]
    assert told == [Noticed("the 6 members of step `train` share 4 of `nvidia.com/gpu`")]


def test_a_job_that_runs_since_before_keeps_what_it_has(allotter: Allotter) -> None:
    had: Devices = {GPU: ("/dev/nvidia1", "/dev/nvidia3", "/dev/nvidia9")}
    running = cast("Running", SimpleNamespace(handle=SimpleNamespace(devices=had)))
    seen: list[Any] = []

    def follow(one: Job, stopper: Stopper, listener: JobListener, devices: Devices) -> Finished:
        seen.extend([devices, own(allotter, job("b")), own(allotter, job("c")), own(allotter, job("d"))])
        return FINISHED

    allotter.joined(follow, {"a": running})(job("a", 3), Stopper(), LISTENER)
    assert seen == [had, "0", "2", None]
    assert own(allotter, job("d", 2)) == "13"


def test_who_only_looks_borrows_what_is_not_free(allotter: Allotter) -> None:
    lot, is_shared = allotter.borrow(job("a", 3))
    assert (numbers(lot.devices), is_shared) == ("012", False)
    lot, is_shared = allotter.borrow(job("b", 2))
    assert (numbers(lot.devices), is_shared) == ("01", True)


def begin(allotter: Allotter, stopper: Stopper, told: list[Event], ran: list[str]) -> tuple[Thread, ThreadEvent]:
    waits = ThreadEvent()

    def tell(event: Event) -> None:
        told.append(event)
        waits.set()

    def work(one: Job, stopper: Stopper, listener: JobListener, devices: Devices) -> Finished:
        ran.append(f"{one.id} {dict(devices)} {stopper.asked}")
        return FINISHED

    thread = Thread(target=allotter.bound(work, tell), args=(job("b"), stopper, LISTENER), daemon=True)
    thread.start()
    return thread, waits


def test_a_job_waits_until_another_run_lets_go_and_tells_so_once(allotter: Allotter) -> None:
    told, ran = list[Event](), list[str]()
    other = allotter.take(job("a", -1))
    assert other is not None
    thread, waits = begin(allotter, Stopper(), told, ran)
    assert waits.wait(PATIENCE)
    assert ran == []
    other.let_go()
    thread.join(PATIENCE)
    assert ran == ["b {'nvidia.com/gpu': ('/dev/nvidia0',)} None"]
    assert told == [Noticed("step `train` waits for `nvidia.com/gpu`, held by another run")]
    assert own(allotter, job("c", -1)) == "0123", "its own are free again"


def test_a_job_that_is_stopped_while_it_waits_gives_up(allotter: Allotter) -> None:
    told, ran, stopper = list[Event](), list[str](), Stopper()
    other = allotter.take(job("a", -1))
    assert other is not None
    thread, waits = begin(allotter, stopper, told, ran)
    assert waits.wait(PATIENCE)
    stopper.stop(5)
    thread.join(PATIENCE)
    assert ran == ["b {} stop"]
    other.let_go()
    assert own(allotter, job("c", -1)) == "0123", "it never had any"
