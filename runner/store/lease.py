"""Who drives a run, and whether that process still lives. Reads `/proc` (see proc(5)); writes only the lease file."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from runner.store.durable import replace_file
from runner.store.record import Owner

_GONE = frozenset("ZXx")
"""Process states of one that has ended but is not reaped."""


@lru_cache(maxsize=1)
def boot_id() -> str:
    """The id of this boot of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def current_owner() -> Owner:
    """This process."""
    pid = os.getpid()
    status = _process(pid)
    if status is None:
        raise RuntimeError("/proc does not show this process")
    return Owner(host=os.uname().nodename, boot_id=boot_id(), pid=pid, start_time=status[1])


def is_alive(owner: Owner) -> bool | None:
    """Whether the process lives: None when it ran on another host, where nobody here can tell."""
    if owner.host != os.uname().nodename:
        return None
    if owner.boot_id != boot_id():
        return False
    status = _process(owner.pid)
    return status is not None and status[0] not in _GONE and status[1] == owner.start_time


def write_owner(path: Path, owner: Owner) -> None:
    """Write the lease file durably. Raises OSError."""
    replace_file(path, json.dumps(asdict(owner)).encode())


def read_owner(path: Path) -> Owner | None:
    """What the lease file says; None when it is missing or damaged. Raises OSError."""
    try:
        return owner_from(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None


def owner_from(data: Mapping[str, Any]) -> Owner:
    """An owner from its JSON form. Raises KeyError, TypeError or ValueError."""
    return Owner(str(data["host"]), str(data["boot_id"]), int(data["pid"]), int(data["start_time"]))


def _process(pid: int) -> tuple[str, int] | None:
    """State letter and start time (fields 3 and 22); the name before them may hold blanks and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])
