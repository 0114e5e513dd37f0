"""Who drives a run, and whether that process still lives. Writes only the lease file."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.process import boot_id, own_start_time, start_time
from runner.store.durable import replace_file
from runner.store.record import Owner


def current_owner() -> Owner:
    """This process."""
    return Owner(host=os.uname().nodename, boot_id=boot_id(), pid=os.getpid(), start_time=own_start_time())


def is_alive(owner: Owner) -> bool | None:
    """Whether the process lives: None when it ran on another host, where nobody here can tell."""
    if owner.host != os.uname().nodename:
        return None
    return owner.boot_id == boot_id() and start_time(owner.pid) == owner.start_time


def write_owner(path: Path, owner: Owner) -> None:
    """Write the lease file durably. Raises OSError."""
    replace_file(path, encode_owner(owner))


def encode_owner(owner: Owner) -> bytes:
    """What the lease file holds."""
    return json.dumps(asdict(owner)).encode("ascii")


def read_owner(path: Path) -> Owner | None:
    """What the lease file says; None when it is missing or damaged. Raises OSError."""
    try:
        return owner_from(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None


def owner_from(data: Mapping[str, Any]) -> Owner:
    """An owner from its JSON form. Raises KeyError, TypeError or ValueError."""
    return Owner(str(data["host"]), str(data["boot_id"]), int(data["pid"]), int(data["start_time"]))
