"""Whether a process lives, and whether a living one holds a file: one answer for leases, locks and leftovers.

Reads `/proc` (proc(5)) and asks for locks (flock(2)); writes nothing.
"""

import fcntl
import os
from functools import lru_cache
from pathlib import Path

_GONE = frozenset("ZXx")
"""States of a process that has ended but is not reaped."""


@lru_cache(maxsize=1)
def boot_id() -> str:
    """The id of this boot of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def start_time(pid: int) -> int | None:
    """When a process of this machine began, in clock ticks since boot (field 22 of `/proc/PID/stat`); None for one
    that has ended. A number that was given out again belongs to a process with another start time."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name of the program stands before these and may hold blanks and brackets.
    state, *fields = text[text.rindex(")") + 2 :].split()
    return None if state in _GONE else int(fields[18])


def own_start_time() -> int:
    """That of this process."""
    found = start_time(os.getpid())
    if found is None:
        raise RuntimeError("/proc does not show this process")
    return found


def is_held(fd: int) -> bool:
    """Whether a living process holds an exclusive lock on the file that is open as `fd`; a lock falls with the last
    process that has it. If not, `fd` has a shared one until it is closed. Raises OSError where the file system has no
    locks: then nobody can tell."""
    return not try_lock(fd, fcntl.LOCK_SH)


def lock_holder(fd: int) -> int | None:
    """The process with the exclusive flock(2) on the file that is open as `fd`; None where `/proc/locks` shows none, as
    of a process outside this container. Raises OSError."""
    inode = str(os.fstat(fd).st_ino)
    for line in Path("/proc/locks").read_text("ascii", "replace").splitlines():
        # 1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF
        fields = line.split()
        if len(fields) > 5 and fields[1::2][:2] == ["FLOCK", "WRITE"] and fields[5].rpartition(":")[2] == inode:
            return int(fields[4]) if fields[4].isdecimal() and fields[4] != "0" else None
    return None


def command_words(pid: int) -> list[str]:
    """The command line of a process, empty where it may not be read."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
    return [word.decode("utf-8", "replace") for word in words if word]


def try_lock(fd: int, kind: int) -> bool:
    """Take a lock (`fcntl.LOCK_EX` or `LOCK_SH`) unless somebody holds it; whether nobody did. Raises OSError."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
