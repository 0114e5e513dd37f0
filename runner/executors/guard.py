"""Bounds the memory and the number of processes of a step that has no control group: looks, says when it is too much,
and notes about how much memory it took. Linux only.

Memory is counted as a container engine counts it: what the processes have for themselves and share among each other,
and files that live in memory; not programs and libraries, which the kernel can read again (proc(5), tmpfs(5)).
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner.crew import Deferred
from runner.executors.limit import memory_sentence
from runner.job import Outcome
from runner.state import Reason

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SECONDS = 0.1
_SECONDS_NEAR = 0.02
"""Between two looks: usually, and at a step that has taken half of its memory."""
_SHARE = 20
"""A look may take one part in so many of the time."""
_SECONDS_PEAK = 1.0
"""Between two looks at a step whose memory has no bound; its first ones come sooner, for most steps are short."""
_KILLED = 137


@dataclass(frozen=True, slots=True)
class Usage:
    """What a step uses: bytes of memory, processes and threads."""

    memory: int
    tasks: int


class Guard:
    """Watches the descendants of one process from its own thread; `kill` ends them, and `verdict` says why. `peak` is
    about how many bytes they had mapped at most, None where nobody has looked in time.

    `folders` are where the step keeps files in memory, as it sees them. None bounds no memory.
    """

    def __init__(self, memory: int | None, tasks: int, folders: Iterable[str], kill: Callable[[], None]) -> None:
        self.verdict: Outcome | None = None
        self.peak: int | None = None
        self._memory = memory
        self._tasks = tasks
        self._folders = tuple(folders)
        self._kill = kill
        self._over = threading.Event()
        self._watching: Deferred | None = None

    def start(self, root: int) -> None:
        """Watch the descendants of process `root` until `close`."""
        self._watching = Deferred(partial(self._watch, root), "guard")
        self._watching.begin(_SECONDS)

    def close(self) -> None:
        """The step is over; idempotent. Not from `kill`."""
        self._over.set()
        if self._watching is not None:
            self._watching.end()

    def _watch(self, root: int) -> None:
        _come_first()
        rest = _SECONDS
        pause = due = 0.0
        while not self._over.wait(pause):
            began = time.monotonic()
            # A step cannot have more processes than the machine has, and those are counted already.
            must = self._memory is not None or machine_tasks() > self._tasks
            family = descendants(root) if must or began >= due else {}
            if began >= due and family:
                self.peak = max(self.peak or 0, sum(map(_most_resident, family)))
                due, rest = began + rest, min(2 * rest, _SECONDS_PEAK)
            usage = self._look(family)
            self.verdict = self._judge(usage)
            if self.verdict is not None:
                # At once, from here: who else ends them may have to wait for its turn among thousands.
                for pid in family:
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                self._kill()
                return
            near = self._memory is not None and 2 * usage.memory > self._memory
            pause = max(_SECONDS_NEAR if near else _SECONDS, _SHARE * (time.monotonic() - began))

    def _look(self, family: Mapping[int, int]) -> Usage:
        tasks = sum(family.values())
        if self._memory is None:
            return Usage(0, tasks)
        files = _files(family, self._folders)
        rough = sum(map(_resident, family)) + files
        # Adding up what processes share takes a walk through their page tables.
        return Usage(rough if rough <= self._memory else _exact(family, files), tasks)

    def _judge(self, usage: Usage) -> Outcome | None:
        if self._memory is not None and usage.memory > self._memory:
            return Outcome(Reason.OOM, _KILLED, memory_sentence(self._memory, usage.memory), oom_killed=True)
        if usage.tasks > self._tasks:
            detail = f"it had {usage.tasks:,} processes and threads, the limit is {self._tasks:,}"
            return Outcome(Reason.KILLED, _KILLED, detail)
        return None


def _come_first() -> None:
    """Let this thread run before all others where that is allowed: among thousands of processes its turn would come too
    late. It runs for a few milliseconds at a time; what it starts is as usual."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        return
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -20)


def machine_tasks() -> int:
    """All processes and threads of the machine; a large number where it does not tell (proc(5), loadavg)."""
    try:
        return int(Path("/proc/loadavg").read_bytes().split()[3].partition(b"/")[2])
    except (OSError, ValueError, IndexError):
        return 1 << 30


def descendants(root: int) -> Mapping[int, int]:
    """The processes that have `root` among their ancestors, each with how many threads it has."""
    children: dict[int, list[int]] = {}
    threads: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError, ValueError, IndexError):
                fields = Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()
                pid = int(name)
                children.setdefault(int(fields[1]), []).append(pid)
                threads[pid] = int(fields[17])
    found = list(children.get(root, ()))
    for pid in found:
        found.extend(children.get(pid, ()))
    return {pid: threads[pid] for pid in found}


def _resident(pid: int) -> int:
    """All memory that a process has mapped, bytes: never less than what counts."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    return 0


def _most_resident(pid: int) -> int:
    """The most memory that a process has ever had mapped, bytes."""
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid}/status").read_bytes()
        return int(status.partition(b"VmHWM:")[2].split(None, 1)[0]) << 10
    return 0


def _exact(family: Iterable[int], files: int) -> int:
    """What counts, each page once. Files in memory that are mapped, too, are counted once."""
    own = shared = 0
    for pid in family:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        except OSError:
            own += _private(pid)
            continue
        sizes = {line.split()[0]: line.split()[1] for line in text.splitlines()[1:] if len(line.split()) > 1}
        own += int(sizes.get(b"Pss_Anon:", 0)) << 10
        shared += int(sizes.get(b"Pss_Shmem:", 0)) << 10
    return own + max(shared, files)


def _private(pid: int) -> int:
    """About what a process has for itself, where the kernel lets nobody look closer."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
        return (int(fields[1]) - int(fields[2])) * _PAGE
    return 0


def _files(family: Iterable[int], folders: Iterable[str]) -> int:
    """The size of files in memory, as the first process sees them that lets us look."""
    for pid in family:
        total, found = 0, False
        for folder in folders:
            with suppress(OSError):
                status = os.statvfs(f"/proc/{pid}/root{folder}")
                total += (status.f_blocks - status.f_bfree) * status.f_frsize
                found = True
        if found:
            return total
    return 0
