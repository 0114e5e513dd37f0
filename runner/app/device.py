"""Every job has devices of its own, in whatever runs this user has under way on this machine.

A device is held by its place among those of the same name, until its job is over or this process dies.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.app.grant import EVERY
from runner.app.pool import wait_for
from runner.crew import nothing
from runner.engine.callback import Worker
from runner.escape import printable
from runner.events import Listener, Noticed
from runner.executors.device import units
from runner.job import NO_DEVICES, Devices, Job
from runner.settings import cache_folder
from runner.store.pool import Held, Pools
from runner.worker.report import Finished, JobListener
from runner.worker.run import Running
from runner.worker.stopper import Stopper

Equipped = Callable[[Job, Stopper, JobListener, Devices], Finished]
"""Runs one job with devices of this machine, or follows one."""


@dataclass(frozen=True, slots=True)
class Lot:
    """The devices that a job has, and what lets them go, idempotent."""

    devices: Devices
    let_go: Callable[[], None]


class Allotter:
    """Gives jobs devices. `find` tells where those of a name are. Usable from several threads."""

    def __init__(self, places: Pools, find: Callable[[str], Sequence[str]] = units) -> None:
        self._places = places
        self._find = find

    def bound(self, work: Equipped, emit: Listener) -> Worker:
        """What does `work` as soon as there are devices for the job; a job that is stopped meanwhile needs none."""

        def wait(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
            lot = self.wait(job, stopper, emit)
            try:
                return work(job, stopper, listener, lot.devices)
            finally:
                lot.let_go()

        return wait

    def joined(self, follow: Equipped, running: Mapping[str, Running]) -> Worker:
        """What does `follow` for a job of `running`, jobs by id that run since before: it keeps what it has."""

        def join(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
            lot = self.keep(job, running[job.id].handle.devices)
            try:
                return follow(job, stopper, listener, lot.devices)
            finally:
                lot.let_go()

        return join

    def wait(self, job: Job, stopper: Stopper, emit: Listener) -> Lot:
        """The devices of a job, once there are as many as it may have; none for one that is stopped meanwhile."""
        self._tell_shared(job, emit)

        def tell() -> None:
            names = ", ".join(f"`{printable(name)}`" for name in sorted(job.allowance.devices))
            emit(Noticed(f"step `{printable(job.step)}` waits for {names}, held by another run"))

        return wait_for(lambda: self.take(job), stopper, tell) or Lot(NO_DEVICES, nothing)

    def take(self, job: Job) -> Lot | None:
        """The devices of a job: all that it may have or, while there are not as many, None.

        The members of a gang have theirs together, as places of a pool (`runner.store.pool.Pools.take`), and share them
        where there are fewer than they ask for. Everybody goes through the names in the same order, so that no two jobs
        take turns in keeping each other from what both need.
        """
        held: list[Held] = []
        devices = dict[str, tuple[str, ...]]()
        party, members, index = (job.id, 1, 0)
        if job.gang is not None:
            party, members, index = job.gang.id, len(job.gang.addresses), job.gang.index
        for name, count in sorted(job.allowance.devices.items()):
            paths = self._find(name)
            own = _own(count, paths)
            got = self._places.take(name, len(paths), party, own * members)
            if got is None:
                for one in held:
                    one.let_go()
                return None
            held.append(got)
            devices[name] = tuple(paths[number] for number in _share(got.numbers, index, own))
        return Lot(devices, lambda: _let_go(held))

    def keep(self, job: Job, devices: Devices) -> Lot:
        """For a job that has these devices since before, whether or not others have them meanwhile."""
        held: list[Held] = []
        for name, paths in devices.items():
            there = {path: number for number, path in enumerate(self._find(name))}
            held.append(self._places.keep(name, [there[path] for path in paths if path in there], job.id))
        return Lot(devices, lambda: _let_go(held))

    def borrow(self, job: Job) -> tuple[Lot, bool]:
        """Devices at once, and whether they are shared, because not as many are free."""
        lot = self.take(job)
        if lot is not None:
            return lot, False
        paths = {name: self._find(name) for name in job.allowance.devices}
        first = {name: paths[name][: _own(count, paths[name])] for name, count in job.allowance.devices.items()}
        return Lot({name: tuple(own) for name, own in first.items()}, nothing), True

    def close(self) -> None:
        """Let everything go; idempotent."""
        self._places.close()

    def _tell_shared(self, job: Job, emit: Listener) -> None:
        if job.gang is None or job.gang.index > 0:
            return
        members = len(job.gang.addresses)
        for name, count in job.allowance.devices.items():
            there = self._find(name)
            if _own(count, there) * members > len(there):
                step = printable(job.step)
                emit(Noticed(f"the {members} members of step `{step}` share {len(there)} of `{printable(name)}`"))


def make_allotter(cache: Path) -> Allotter:
    """The devices are those of the user, whatever the store; of who has no home those of the store, whose folder
    `cache` is."""
    return Allotter(Pools((cache_folder(os.environ) or cache) / "devices"))


def _own(count: int, paths: Sequence[str]) -> int:
    """How many of these a job has that may have `count`."""
    return len(paths) if count == EVERY else min(count, len(paths))


def _share(numbers: Sequence[int], index: int, count: int) -> list[int]:
    """Of the places of a party those of one of its members: `count` of them, others than the next member's as far as
    there are enough."""
    return [numbers[(index * count + turn) % len(numbers)] for turn in range(count)]


def _let_go(held: Sequence[Held]) -> None:
    for one in held:
        one.let_go()
