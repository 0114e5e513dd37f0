"""Brings objects from a remote into the store: what is not here, each hashed before it gets its name.

A small one is taken whole; a large one grows in `cache/parts/DIGEST` and is gone on with after a kill, by whoever asks
for it next and from whatever remote, because the name says what it has to become.
"""

import fcntl
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

from runner.digest import Digest, hash_bytes, large_hasher
from runner.errors import ExitCode, MlrunError
from runner.process import try_lock
from runner.remote.depot import Depot, object_path
from runner.remote.meter import Meter
from runner.remote.remote import NotThere, read_whole
from runner.store.durable import disk_errors, write_all
from runner.store.landing import Landing
from runner.store.store import Store

_SMALL = 1 << 20
_PIECE = 4 << 20
_PAUSE = 0.1
_WEEK = 7 * 24 * 3600
_PART = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Wrong(MlrunError):
    """An object of a remote that is not what its name says, or is not there though a manifest says so."""

    def __init__(self, digest: Digest, shown: str, what: str) -> None:
        super().__init__(f"the object `{digest}` of the remote `{shown}` {what}", code=ExitCode.STORE)


class Intake:
    """Takes objects of one remote into one store, which is writable."""

    def __init__(self, store: Store, depot: Depot, meter: Meter) -> None:
        self._objects = store.objects
        self._root = store.layout.root
        self._parts = store.layout.cache / "parts"
        self._depot = depot
        self._meter = meter
        self._wrong: dict[tuple[Digest, int], Wrong] = {}
        """By what was asked for: a wrong size, which a manifest made up, says nothing of the right one."""
        self.received = 0
        """Objects that came over the wire so far."""
        self.received_bytes = 0

    def take(self, wanted: Mapping[Digest, int]) -> Mapping[Digest, Wrong]:
        """Bring these objects, each with its size in bytes; gives those that are refused, and why. What is here with
        the right size is not asked for. Raises MlrunError: INPUT when the remote goes away, DISK, STORE."""
        lacking = self.lacking(wanted)
        self._meter.expect(len(lacking), sum(lacking.values()))
        with self._objects.gathering() as gathering:

            def take(item: tuple[Digest, int]) -> None:
                self._take(gathering, *item)

            self._meter.lanes.carry(take, self._new(lacking.items()))
        return {item[0]: wrong for item, wrong in self._wrong.items() if wanted.get(item[0]) == item[1]}

    def lacking(self, wanted: Mapping[Digest, int]) -> dict[Digest, int]:
        """Those that are not here with the right size, in bytes. Raises MlrunError (STORE)."""
        return {digest: size for digest, size in wanted.items() if not self._is_here(digest, size)}

    def room(self) -> int:
        """Bytes that the disk of the store can still take. Raises MlrunError (STORE)."""
        with disk_errors(self._root):
            status = os.statvfs(self._root)
        return status.f_bavail * status.f_frsize

    def sweep(self) -> None:
        """Remove parts of downloads that nobody has gone on with for a week."""
        with suppress(FileNotFoundError):
            for path in self._parts.iterdir():
                if path.stat(follow_symlinks=False).st_mtime < time.time() - _WEEK:
                    path.unlink(missing_ok=True)

    def _new(self, items: Iterable[tuple[Digest, int]]) -> list[tuple[Digest, int]]:
        """Those that were not refused before."""
        return [item for item in items if item not in self._wrong]

    def _is_here(self, digest: Digest, size: int) -> bool:
        return self._objects.has(digest) and self._objects.size(digest) == size

    def _take(self, objects: Landing, digest: Digest, size: int) -> None:
        self._meter.lanes.check()
        try:
            if size <= _SMALL:
                self._take_small(objects, digest, size)
            else:
                self._take_large(digest, size)
        except NotThere:
            self._wrong[digest, size] = self._refused(digest, "is not there")
        except Wrong as wrong:
            self._wrong[digest, size] = wrong
        else:
            self.received += 1
            self.received_bytes += size
            self._meter.done()

    def _take_small(self, objects: Landing, digest: Digest, size: int) -> None:
        data = read_whole(self._depot.remote, object_path(digest), size, self._meter.told)
        if len(data) != size or hash_bytes(data) != digest:
            raise self._refused(digest, "has other content than its name says")
        objects.put_bytes(data)

    def _take_large(self, digest: Digest, size: int) -> None:
        path = self._parts / digest
        with disk_errors(path, size):
            self._parts.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(self._lock(path)) as file:
                if self._is_here(digest, size):
                    path.unlink(missing_ok=True)
                    return
                begun = os.fstat(file.fileno()).st_size > 0
                try:
                    whole = self._grow(file, digest, size)
                    if not whole and begun:
                        # What was there may be what a power cut left of it.
                        os.ftruncate(file.fileno(), 0)
                        whole = self._grow(file, digest, size)
                except NotThere:
                    if not begun:
                        path.unlink(missing_ok=True)
                    raise
                if not whole:
                    path.unlink(missing_ok=True)
                    raise self._refused(digest, "has other content than its name says")
                self._objects.adopt(path)

    def _lock(self, path: Path) -> BinaryIO:
        """The part, which no other process writes. It is waited for, but not longer than somebody wants this one."""
        while True:
            file = os.fdopen(os.open(path, _PART, 0o600), "r+b", buffering=0)
            try:
                if not try_lock(file.fileno(), fcntl.LOCK_EX):
                    time.sleep(_PAUSE)
                elif _is_still(file, path):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()
            self._meter.lanes.check()

    def _grow(self, file: BinaryIO, digest: Digest, size: int) -> bool:
        """Bring what is missing of a part; whether it is the object then."""
        hasher, at = large_hasher(), 0
        os.ftruncate(file.fileno(), min(size, os.fstat(file.fileno()).st_size))
        file.seek(0)
        while piece := file.read(_PIECE):
            self._meter.told(len(piece))
            hasher.update(piece)
            at += len(piece)
        for piece in self._depot.remote.download(object_path(digest), at, size, self._meter.told):
            write_all(file.fileno(), piece)
            hasher.update(piece)
            at += len(piece)
        return at == size and hasher.hexdigest() == digest

    def _refused(self, digest: Digest, what: str) -> Wrong:
        return Wrong(digest, self._depot.remote.shown, what)


def _is_still(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is the one with this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
