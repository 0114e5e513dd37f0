"""How the bounds of a step are kept without a container engine, and what of them cannot be. Linux only.

Processors are bound by affinity (sched_setaffinity(2)); memory and processes by looking (`runner.executors.guard`).
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from math import ceil

from runner.job import Allowance

_turn = count()


def most_tasks() -> int:
    """Processes and threads of one step, so that one which multiplies without end leaves the machine alone."""
    return max(4096, 256 * (os.cpu_count() or 1))


def own_limits() -> list[dict[str, int | str]]:
    """Limits for a container (`Ulimits` of the Engine API) that this process has itself: of the kinds that Podman sets
    unasked, and may not raise where it lacks the right (CAP_SYS_RESOURCE)."""
    found: list[dict[str, int | str]] = []
    for name, number, most in (("nofile", resource.RLIMIT_NOFILE, 1 << 20), ("nproc", resource.RLIMIT_NPROC, 1 << 15)):
        soft, hard = (most if own == resource.RLIM_INFINITY else min(own, most) for own in resource.getrlimit(number))
        found.append({"Name": name, "Soft": soft, "Hard": hard})
    return found


def memory_sentence(limit: int, peak: int) -> str:
    """One sentence for people about a step that wanted more memory than it may have; bytes."""
    return f"out of memory: the limit is {limit / (1 << 20):.0f} MiB, the peak was {peak / (1 << 20):.0f} MiB"


def lacking(executor: str, asked: Allowance) -> Iterator[str]:
    """Which of the bounds that were asked for an executor does not keep, in words."""
    if executor == "docker":
        return
    if asked.cpus is not None and not asked.cpu_set and asked.cpus != int(asked.cpus):
        yield f"{asked.cpus:g} CPUs are rounded up to {ceil(asked.cpus)}"
    if executor == "process":
        if asked.memory is not None or asked.shm is not None:
            yield "`/dev/shm` is that of the machine"
        if asked.devices:
            yield "a step sees every device that you may use, and is only told which are its own"


@contextmanager
def bound_processors(asked: Allowance) -> Iterator[None]:
    """Meanwhile what this thread starts may only use the processors of a step; this thread itself gets all back."""
    own = os.sched_getaffinity(0)
    chosen = choose_processors(asked, own)
    if chosen == own:
        yield
        return
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def choose_processors(asked: Allowance, available: set[int]) -> set[int]:
    """The processors of a step: those it names, else as many as it may use, others for the next step."""
    if asked.cpu_set:
        return available.intersection(asked.cpu_set) or available
    if asked.cpus is None or asked.cpus >= len(available):
        return available
    order, number = sorted(available), ceil(asked.cpus)
    first = next(_turn) * number
    return {order[(first + step) % len(order)] for step in range(number)}
