"""What this process may take of the machine: less than there is where it is kept to some processors (taskset(1), batch
systems), or where a control group (cgroups(7)) of a container, a job or a session bounds it. Linux only.
"""

import math
import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")

_BOUNDING = frozenset({"cpu", "memory", "pids"})
"""Controllers of version 1 that bound what is asked for here."""


@dataclass(frozen=True, slots=True)
class Share:
    """What programs may take: processors, more than 0 and perhaps a part of one, and bytes of memory."""

    processors: float
    memory: int

    @property
    def places(self) -> int:
        """How many programs that compute have a processor each, at least one; a part of a processor is one."""
        return max(1, math.ceil(self.processors))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What control groups let a process take, infinite where they say nothing: processors, which may be a part of one,
    bytes of memory, and processes and threads."""

    processors: float = math.inf
    memory: float = math.inf
    tasks: float = math.inf


def own_share() -> Share:
    """That of this process and of what it starts."""
    bounds = _own_bounds()
    return Share(min(len(os.sched_getaffinity(0)), bounds.processors), int(min(machine_memory(), bounds.memory)))


def share_of(executor: str) -> Share:
    """That of the steps of an executor, by its name. Those of an engine are in groups that the engine makes, not in
    those of this process."""
    if executor == "docker":
        return Share(len(os.sched_getaffinity(0)), machine_memory())
    return own_share()


def machine_memory() -> int:
    """What there is for all, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def tasks() -> float:
    """How many processes and threads the user, or the group that this process is in, may have, those of other programs
    among them; infinite without a bound."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    return min(math.inf if soft == resource.RLIM_INFINITY else soft, _own_bounds().tasks)


@cache
def _own_bounds() -> Bounds:
    """As they were when they were first asked for; none where /proc does not tell."""
    try:
        # The names of groups are bytes.
        membership = _MEMBERSHIP.read_text(errors="surrogateescape")
    except OSError:
        return Bounds()
    return group_bounds(_GROUPS, membership)


def group_bounds(groups: Path, membership: str) -> Bounds:
    """The least bounds of the groups that a process is in and of all above them, of either version. `groups` is where
    their file systems are mounted, `membership` what /proc/PID/cgroup has: lines of `NUMBER:CONTROLLERS:PATH`."""
    found = [_bounds_in(folder) for folder in _folders(groups, membership)]
    return Bounds(
        min((one.processors for one in found), default=math.inf),
        min((one.memory for one in found), default=math.inf),
        min((one.tasks for one in found), default=math.inf),
    )


def _folders(groups: Path, membership: str) -> Iterator[Path]:
    """Those of all groups that may have bounds, outer ones too. In a container without a namespace of its own the path
    is that of the host: its group is then the first one here, and groups below that are not found."""
    for line in membership.split("\n"):
        _, _, told = line.partition(":")
        controllers, _, path = told.partition(":")
        relative = PurePosixPath(path.lstrip("/"))
        for top in _tops(groups, controllers):
            yield top
            yield from (top / part for part in (relative, *relative.parents) if part.parts and ".." not in part.parts)


def _tops(groups: Path, controllers: str) -> Iterable[Path]:
    """Where the groups with these controllers are mounted; version 2, which names none, may be beside version 1."""
    if not controllers:
        return groups, groups / "unified"
    names = controllers.split(",")
    # The kernel may name them in another order than the folder does, which has links from each of them.
    return [groups / name for name in (controllers, *names)] if _BOUNDING.intersection(names) else ()


def _bounds_in(folder: Path) -> Bounds:
    """What one group says; version 1 has files of other names, and an enormous number for memory without a bound."""
    quota = _numbers(folder / "cpu.max") or [
        *_numbers(folder / "cpu.cfs_quota_us"),
        *_numbers(folder / "cpu.cfs_period_us"),
    ]
    return Bounds(
        quota[0] / quota[1] if len(quota) == 2 else math.inf,
        min(_numbers(folder / "memory.max") + _numbers(folder / "memory.limit_in_bytes"), default=math.inf),
        min(_numbers(folder / "pids.max"), default=math.inf),
    )


def _numbers(file: Path) -> list[float]:
    """Those in a file, infinite for `max` (version 2) and -1 (version 1), which mean no bound; none where it is not
    there, or says something else than positive numbers."""
    with suppress(OSError, ValueError):
        numbers = [math.inf if word in ("max", "-1") else float(word) for word in file.read_text().split()]
        return numbers if all(number > 0 for number in numbers) else []
    return []
