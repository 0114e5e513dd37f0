"""Jobs of steps that are in a pool run while they have a place in it, whoever else on this machine has the others."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runner.crew import nothing
from runner.engine.callback import Worker
from runner.escape import printable
from runner.events import Listener, Noticed
from runner.job import Job
from runner.plan.model import Plan
from runner.settings import Settings, cache_folder
from runner.store.pool import Held, Pools
from runner.worker.report import Finished, JobListener
from runner.worker.stopper import Stopper

_LOOK_AGAIN = 0.1
"""Seconds between two looks for what another run has."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pooling:
    """How the jobs of a run share pools with those of others: `pools` by step, `sizes` by pool."""

    places: Pools
    pools: Mapping[str, str]
    sizes: Mapping[str, int]

    def bound(self, work: Worker, emit: Listener) -> Worker:
        """What does `work` as soon as there is a place for the job in the pool of its step; a job that is stopped
        meanwhile needs none."""

        def wait(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
            held = self._wait(job, stopper, emit)
            try:
                return work(job, stopper, listener)
            finally:
                held.let_go()

        return wait if self.pools else work

    def joined(self, follow: Worker) -> Worker:
        """What does `follow` for a job that runs since before, which has a place from now on if there is one."""

        def join(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
            held = self._take(job) or _NOTHING
            try:
                return follow(job, stopper, listener)
            finally:
                held.let_go()

        return join if self.pools else follow

    def close(self) -> None:
        """Let everything go; idempotent."""
        self.places.close()

    def _wait(self, job: Job, stopper: Stopper, emit: Listener) -> Held:
        def tell() -> None:
            pool, step = printable(self.pools[job.step]), printable(job.step)
            emit(Noticed(f"step `{step}` waits for pool `{pool}`, held by another run"))

        return wait_for(lambda: self._take(job), stopper, tell) or _NOTHING

    def _take(self, job: Job) -> Held | None:
        pool = self.pools.get(job.step)
        if pool is None:
            return _NOTHING
        party, count = (job.id, 1) if job.gang is None else (job.gang.id, len(job.gang.addresses))
        return self.places.take(pool, self.sizes[pool], party, count)


def make_pooling(plan: Plan, settings: Settings, cache: Path) -> Pooling:
    """For the run of a plan: of its pools those that have a size. The places are those of the user, whatever the store;
    of who has no home those of the store, whose folder `cache` is."""
    pools = {node.step.name: node.pool for node in plan.nodes.values() if node.pool in settings.pools}
    folder = cache_folder(os.environ) or cache
    return Pooling(Pools(folder / "pools"), {step: pool for step, pool in pools.items() if pool}, settings.pools)


def wait_for(take: Callable[[], T | None], stopper: Stopper, tell: Callable[[], None]) -> T | None:
    """What `take` gives, once it gives something; None for a job that is stopped meanwhile. `tell` is called once if
    that is not at once."""
    told = False
    while (taken := take()) is None:
        if not told:
            tell()
            told = True
        if stopper.wait(_LOOK_AGAIN):
            return None
    return taken


_NOTHING = Held((), nothing)
"""There is no place to let go."""
