"""An object store laid over the store: what is put into it lies in a folder that is thrown away, and is not synced."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from runner.digest import Digest, Hasher, hash_file
from runner.store.durable import create, disk_errors, write_all
from runner.store.identity import new_id
from runner.store.objects import Objects
from runner.store.record import OutputFile
from runner.store.tree import TreeEntry

_PIECE = 1 << 20


class Overlay:
    """An object store that reads from another one and keeps what is put into it in a folder of its own."""

    def __init__(self, base: Objects, folder: Path) -> None:
        self._base = base
        self._folder = folder

    def adopt(self, path: Path) -> tuple[Digest, int]:
        """See `runner.worker.storage.ObjectWriter`."""
        with disk_errors(path):
            self._folder.mkdir(exist_ok=True)
            path.chmod(0o444)
            digest, size = Digest(hash_file(path)), path.stat().st_size
            path.replace(self._folder / digest)
        return digest, size

    def put_file(self, fd: int) -> tuple[Digest, int]:
        """See `runner.worker.storage.ObjectWriter`."""
        temporary = self._folder / new_id()
        with disk_errors(temporary):
            self._folder.mkdir(exist_ok=True)
            target = create(temporary, 0o444)
        hasher, size = Hasher(), 0
        with open(target, "wb", buffering=0) as file:
            for piece in _pieces(fd):
                hasher.update(piece)
                size += len(piece)
                with disk_errors(temporary):
                    write_all(file.fileno(), piece)
        digest = Digest(hasher.hexdigest())
        with disk_errors(temporary):
            temporary.replace(self._folder / digest)
        return digest, size

    @contextmanager
    def gathering(self) -> Iterator[Self]:
        """See `runner.worker.storage.ObjectWriter`; here nothing is durable anyway."""
        yield self

    def materialise(self, digest: Digest, target: Path, *, writable: bool) -> None:
        """See `runner.worker.storage.ObjectReader`."""
        own = self._folder / digest
        if not own.exists():
            self._base.materialise(digest, target, writable=writable)
            return
        with disk_errors(target):
            if writable:
                shutil.copyfile(own, target)
            else:
                target.hardlink_to(own)

    def unlink(self, name: str, /, *, dir_fd: int) -> None:
        """See `runner.worker.storage.ObjectStore`."""
        self._base.unlink(name, dir_fd=dir_fd)

    def read_tree(self, digest: Digest) -> Iterable[TreeEntry]:
        """See `runner.worker.storage.ObjectReader`."""
        return self._base.read_tree(digest)

    def copy_tree(self, entries: Iterable[TreeEntry], target: Path, mtime_ns: int) -> None:
        """See `runner.worker.storage.ObjectReader`."""
        self._base.copy_tree(entries, target, mtime_ns)

    def open(self, digest: Digest, size: int | None = None) -> BinaryIO:
        """An object for reading, which must have `size` bytes. Raises MlrunError (STORE)."""
        own = self._folder / digest
        return own.open("rb", buffering=0) if own.exists() else self._base.open(digest, size)


def _pieces(fd: int) -> Iterator[bytes]:
    """What a file holds from where its descriptor stands. Raises OSError."""
    while piece := os.read(fd, _PIECE):
        yield piece


Take = Callable[[Overlay, Sequence[OutputFile]], None]
"""Does something with outputs before they are thrown away."""
