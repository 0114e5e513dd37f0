"""Damaged objects are set aside, never deleted, and restored where good bytes of them can be found."""

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.digest import Digest, hash_pieces
from runner.errors import MlrunError
from runner.escape import printable
from runner.store.durable import NEW, make_folder, sync_folder
from runner.store.layout import Layout
from runner.store.shelf import Where
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep.anomaly import Anomaly, note
from runner.upkeep.disk import names
from runner.upkeep.inventory import RECIPE, Found, Inventory

_PIECE = 1 << 20


class Quarantine:
    """The damaged objects of a store that can be written. Methods raise OSError."""

    def __init__(self, layout: Layout, inventory: Inventory) -> None:
        self._layout = layout
        self._inventory = inventory

    def take(self, digest: Digest, found: Found) -> Path | None:
        """Move a damaged copy out of its place, durably; where it lies. None when it is good at a second look, or was
        moved or replaced meanwhile."""
        with self._alone():
            try:
                before = found.path.lstat()
                if self._inventory.problem(found, digest) is None:
                    return None
                target = self._free_name(f"{digest}{RECIPE}" if found.is_recipe else digest)
                found.path.rename(target)
            except FileNotFoundError:
                return None
            after = target.lstat()
            if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino) and not found.path.exists():
                # Somebody put another one into its place since: that was not looked at.
                target.rename(found.path)
                return None
            sync_folder(target.parent)
            sync_folder(found.path.parent)
        return target

    def _free_name(self, name: str) -> Path:
        target, number = self._layout.quarantine / name, 1
        while os.path.lexists(target):
            number += 1
            target = self._layout.quarantine / f"{name}~{number}"
        return target

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two checks at once must not choose the same name."""
        make_folder(self._layout.quarantine)
        fd = os.open(self._layout.quarantine, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def quarantined(layout: Layout) -> Iterator[Anomaly]:
    """What earlier checks set aside, as notes."""
    for name in sorted(names(layout.quarantine)):
        if not name.startswith(NEW):
            yield note("quarantined", f"quarantine/{printable(name)}", "was set aside as damaged")


def restore(store: Store, inventory: Inventory, digest: Digest, candidates: Iterable[Path]) -> str | None:
    """Put a good copy of an object into its place; what was done, in words, or None when there is no good copy.

    Nothing is taken that does not match the digest. Raises MlrunError (DISK, STORE) and OSError.
    """
    for found in list(inventory.copies(digest)):
        with suppress(FileNotFoundError):
            if inventory.problem(found, digest) is not None:
                continue
            if found.place is not Where.TRASH:
                return "a good copy is in its place"
            _bring_back(store, digest, found, inventory.whole(digest))
            return "restored from the trash"
    for path in dict.fromkeys(candidates):
        with suppress(OSError, ValueError):
            if _take_in(store, digest, path) and _is_whole(inventory, digest):
                return f"restored from `{path}`"
    return None


def _is_whole(inventory: Inventory, digest: Digest) -> bool:
    found = inventory.find(digest)
    return found is not None and inventory.problem(found, digest) is None


def _bring_back(store: Store, digest: Digest, found: Found, target: Path) -> None:
    """Raises FileNotFoundError when it was moved meanwhile."""
    if found.recipe is not None:
        Trash(store.layout).bring_back(digest)
        return
    make_folder(target.parent)
    found.path.rename(target)
    sync_folder(target.parent)


def _take_in(store: Store, digest: Digest, path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or hash_pieces(iter(lambda: os.read(fd, _PIECE), b"")) != digest:
            return False
        os.lseek(fd, 0, os.SEEK_SET)
        try:
            return store.objects.put_file(fd)[0] == digest
        except MlrunError:
            # It stays missing, which is what is told.
            return False
    finally:
        os.close(fd)
