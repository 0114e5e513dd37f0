"""Folders for work that nobody records: below the store's work folder, removed at the end.

A lock tells that the process lives to which one belongs (flock(2): it falls with the process). One whose process was
killed is found by that, and removed by the next run.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.process import is_held
from runner.store.durable import disk_errors
from runner.store.identity import is_id, new_id
from runner.store.verified import Unlink
from runner.worker.tree import remove_tree

_PREFIX, _KEPT, _LOCK = "scratch-", "kept-", "lock"


@contextmanager
def scratch_folder(work: Path, unlink: Unlink = os.unlink) -> Iterator[Path]:
    """A new folder below `work`, removed in the end unless `keep` was called on it. Raises MlrunError (DISK, STORE)."""
    folder = work / f"{_PREFIX}{new_id()}"
    with disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True)
        # Locked under another name first: a folder that has a lock always has one that is held.
        fd = os.open(folder / "new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.rename(folder / "new", folder / _LOCK)
    try:
        yield folder
    finally:
        remove(folder, unlink)
        os.close(fd)


def keep(folder: Path) -> Path:
    """Let a scratch folder stay: gives its new path. Raises MlrunError."""
    kept = folder.with_name(_KEPT + folder.name.removeprefix(_PREFIX))
    with disk_errors(folder):
        folder.rename(kept)
    return kept


def abandoned(work: Path) -> list[Path]:
    """The scratch folders whose process has ended."""
    with suppress(OSError):
        found = [Path(entry.path) for entry in os.scandir(work) if entry.name.startswith(_PREFIX)]
        return [folder for folder in found if _is_free(folder / _LOCK)]
    return []


def jobs(folder: Path) -> list[str]:
    """The ids of the jobs that ran in a scratch folder."""
    with suppress(OSError):
        return [name for name in os.listdir(folder) if is_id(name)]
    return []


def remove(folder: Path, unlink: Unlink = os.unlink) -> None:
    """Remove a scratch folder; what cannot be removed stays."""
    with suppress(OSError):
        remove_tree(folder, unlink)


def _is_free(lock: Path) -> bool:
    try:
        fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not is_held(fd)
    except OSError:
        return False
    finally:
        os.close(fd)
