"""The objects: immutable files named by the BLAKE3 hash of their content. Knows nothing of what they mean.

Every write follows one protocol (`docs/store-format.md`): exclusive temporary file, bytes in a loop, hash meanwhile,
mode 0444, fsync, size check, rename, fsync of the folder. Only then is an object acknowledged. After a failed fsync a
file is given up, never synced again: fsync(2) reports a lost write once. Many small files are synced together.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self

from runner.digest import Digest, hash_bytes, large_hasher
from runner.errors import ExitCode, MlrunError
from runner.store.copy import Copier, TreeCopier
from runner.store.durable import create, disk_error, disk_errors, make_folder, sync_folder, temporary_name, write_all
from runner.store.layout import Layout
from runner.store.shelf import Shelf, Where
from runner.store.thread import side_by_side
from runner.store.tree import TreeEntry, encode_tree, read_manifest
from runner.store.volume import Volume, check_written, start_writing

_PIECE = 1 << 20
_SHARE = 16 << 20
"""After so many bytes the disk begins to write, while more of the same file are hashed."""
_SMALL = 1 << 20
"""Up to this size a file is read whole, so that content which is there already is never written again."""
_MANY = 64
"""From so many small files on, one sync of the file system may be faster than one of each."""


_Waiting = tuple[Path, Digest, int]
"""A small file that becomes an object when its gathering ends: where it is, its digest and size."""


class Objects(Shelf):
    """The objects of the store at `layout`, to be read and, if `writable`, written.

    Any number of processes and threads may use the same store. Every method raises MlrunError: DISK when there is no
    space, STORE for other failures of the disk and for missing or damaged objects, POLICY for purged content.
    """

    def __init__(self, layout: Layout, *, writable: bool = True) -> None:
        super().__init__(layout, writable=writable)
        self._scratch = layout.scratch
        self._durable: set[Digest] = set()
        self._gathered: set[Digest] | None = None
        self._waiting: list[_Waiting] = []
        self._copier = Copier(self)

    @contextmanager
    def gathering(self) -> Iterator[Self]:
        """The same objects for taking in many at once: what the block stores is there and durable only when it ends,
        also by an exception. Much faster, as each folder is synced once, and many small files together.

        A small file that is adopted stays at its path until then, and for ever if the end of the block fails.
        """
        with self._together() as (together, volume):
            try:
                yield together
            finally:
                together._take_waiting(volume)

    def put_bytes(self, data: bytes) -> Digest:
        """Store `data`; it is durable when this returns."""
        digest = hash_bytes(data)
        if not self._is_stored(digest, len(data)):
            temporary, fd = self._create_beside(digest, data)
            self._land(fd, temporary, digest, len(data))
            self._confirm(digest)
        return digest

    def put_many(self, items: Iterable[bytes]) -> list[tuple[Digest, int]]:
        """Store many pieces at once, much faster than one by one; all are durable when this returns.

        `items` is walked once and not kept. Gives digest and size in the order of `items`.
        """
        stored: list[tuple[Digest, int]] = []
        fresh: set[Digest] = set()
        with self._together() as (together, volume):
            try:
                for data in items:
                    digest, size = hash_bytes(data), len(data)
                    stored.append((digest, size))
                    if digest not in fresh and not together._is_stored(digest, size):
                        fresh.add(digest)
                        temporary, fd = self._create_beside(digest, data)
                        together._waiting.append((temporary, digest, size))
                        os.close(fd)
                together._take_waiting(volume)
            except BaseException:
                for path, _, _ in together._waiting:
                    path.unlink(missing_ok=True)
                raise
        return stored

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: int = 0) -> tuple[Digest, int]:
        """Store the concatenation of `chunks`, none of which is kept in memory. Gives digest and size.

        `expected` is how many bytes will come, if that is known: a full disk is reported with it.
        """
        hasher = large_hasher()
        size = begun = 0
        temporary = self._scratch / temporary_name()
        fd = self._create(temporary)
        try:
            for chunk in chunks:
                hasher.update(chunk)
                size += len(chunk)
                with disk_errors(self._scratch, max(size, expected)):
                    write_all(fd, chunk)
                if size - begun >= _SHARE:
                    start_writing(fd, begun, size - begun)
                    begun = size
        except BaseException:
            _give_up(fd, temporary)
            raise
        digest = Digest(hasher.hexdigest())
        try:
            stored = self._is_stored(digest, size)
        except BaseException:
            _give_up(fd, temporary)
            raise
        if stored:
            _give_up(fd, temporary)
        else:
            self._land(fd, temporary, digest, size)
            self._confirm(digest)
        return digest, size

    def put_file(self, fd: int) -> tuple[Digest, int]:
        """Store what can be read from an open file, from its current offset on: the bytes hashed are the bytes stored.

        Raises OSError when the file itself cannot be read.
        """
        pieces = _pieces(fd)
        first = next(pieces, memoryview(b""))
        if len(first) < _SMALL:
            return self.put_bytes(bytes(first)), len(first)
        return self.put_stream(chain([first], pieces), os.fstat(fd).st_size)

    def adopt(self, path: Path) -> tuple[Digest, int]:
        """Make a finished file of ours an object and remove it from `path`: no copy on the same file system.

        Nobody may write it any more. A file with other names (hard links) or another owner is copied instead. Content
        that was purged is removed from `path`, too.
        """
        with disk_errors(path):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    raise MlrunError(f"`{path}` is not a regular file", code=ExitCode.OUTPUT)
                if status.st_nlink == 1 and status.st_uid == os.geteuid():
                    if self._gathered is not None and status.st_size < _SMALL:
                        return self._adopt_later(fd, path, status.st_size)
                    adopted = self._adopt(fd, path)
                    if adopted is not None:
                        return adopted
                    os.lseek(fd, 0, os.SEEK_SET)
                stored = self.put_file(fd)
            except MlrunError as error:
                if error.code is ExitCode.POLICY:
                    path.unlink()
                raise
            finally:
                os.close(fd)
            path.unlink()
        return stored

    def put_tree(self, entries: Iterable[tuple[str, str, str, int]]) -> Digest:
        """Store the manifest of a tree (`runner.store.tree`) whose contents are objects already."""
        return self.put_bytes(encode_tree(entries))

    def read_tree(self, digest: Digest) -> tuple[TreeEntry, ...]:
        """The entries of the tree that the object describes."""
        return read_manifest(self, digest)

    def materialise(self, digest: Digest, target: Path, *, writable: bool) -> None:
        """Make the object's content appear at `target`, which must not exist.

        A writable file shares nothing with the object that a write could reach: a reflink or a copy. A read-only one
        may be a hard link of the object itself, so it has to be shown through a read-only mount.
        """
        with disk_errors(target.parent, self.size(digest)):
            if writable:
                self._copier.copy(digest, target, 0o644)
                return
            if self.is_writable and self.find(digest) is Where.PACKED:
                self._unpack(digest)
            self._copier.share(digest, target)

    def copy_tree(self, entries: Iterable[tuple[str, str, str, int]], target: Path, mtime_ns: int) -> None:
        """Fill the existing empty folder `target` with writable copies; every time stamp becomes `mtime_ns`.

        Entries have the form of `TreeEntry`, in any order.
        """
        with disk_errors(target):
            TreeCopier(self, self._copier.cloner, mtime_ns).copy(entries, target)

    def file(self, digest: Digest) -> Path:
        """A path at which the checked content can be read until `close`; a packed object is made whole by a writer."""
        if self.is_writable:
            self.claim([digest])
            if self.find(digest) is Where.PACKED:
                self._unpack(digest)
        return super().file(digest)

    def unlink(self, name: str, /, *, dir_fd: int) -> None:
        """Remove a name in an open folder that `materialise` may have made; raises OSError. By any other way the
        object's content has to be hashed once more."""
        self.verified.unlink(name, dir_fd=dir_fd)

    def _unpack(self, digest: Digest) -> None:
        """Make a packed object whole; its recipe stays."""
        with self.open(digest) as source:
            self.put_stream(iter(partial(source.read, _PIECE), b""), self.size(digest))

    def _adopt(self, fd: int, path: Path) -> tuple[Digest, int] | None:
        """None when the file is on another file system."""
        os.fchmod(fd, 0o444)
        os.fsync(fd)
        hasher = large_hasher()
        size = 0
        for piece in _pieces(fd):
            hasher.update(piece)
            size += len(piece)
        digest = Digest(hasher.hexdigest())
        if self._is_stored(digest, size):
            path.unlink()
            return digest, size
        _check_size(os.fstat(fd).st_size, path, size)
        try:
            self._rename(fd, path, digest)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return None
        self._confirm(digest)
        return digest, size

    @contextmanager
    def _together(self) -> Iterator[tuple[Self, Volume]]:
        """The same objects, whose folders are synced once, at the end; and their file system as it is before that."""
        together = copy(self)
        together._gathered, together._waiting = set(), []
        with disk_errors(self.root):
            volume = Volume(self.root)
        with volume:
            try:
                yield together, volume
            finally:
                with disk_errors(self.root):
                    folders = {digest[:2] for digest in together._gathered}
                    side_by_side(sync_folder, [self.root / name for name in folders])
                self._durable.update(together._gathered)

    def _adopt_later(self, fd: int, path: Path, size: int) -> tuple[Digest, int]:
        os.fchmod(fd, 0o444)
        data = os.read(fd, size + 1)
        _check_size(len(data), path, size)
        digest = hash_bytes(data)
        self.tombstones.check([digest])
        self._waiting.append((path, digest, size))
        return digest, size

    def _take_waiting(self, volume: Volume) -> None:
        """Adopt the small files. The first failure ends it; those that are not objects then stay where they are."""
        waiting = self._waiting
        self.claim(digest for _, digest, _ in waiting)
        if len(waiting) >= _MANY and volume.pays(len(waiting), sum(size for _, _, size in waiting)):
            with disk_errors(self.root):
                volume.sync()
            for file in waiting:
                self._take(file, check_written)
        else:
            # Each file waits for the disk, so several wait together.
            side_by_side(partial(self._take, sync=os.fsync), waiting)

    def _take(self, file: _Waiting, sync: Callable[[int], None]) -> None:
        path, digest, size = file
        with disk_errors(path, size):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                sync(fd)
                _check_size(os.fstat(fd).st_size, path, size)
                if self._is_stored(digest, size):
                    path.unlink()
                    return
                try:
                    self._rename(fd, path, digest)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                    self.put_file(fd)
                    path.unlink()
            finally:
                os.close(fd)
        self._confirm(digest)

    def _is_stored(self, digest: Digest, size: int) -> bool:
        """Whether the object is there, whole, sound and durable; claimed in any case. Another process may be about to
        sync its name: so do we. Raises MlrunError (POLICY) for purged content."""
        self.claim([digest])
        self.tombstones.check([digest])
        try:
            found = os.stat(self.name(digest)).st_size
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_error(error, self.root) from error
        if found != size or not self.is_sound(digest):
            return False
        if digest not in self._durable:
            self._confirm(digest)
        return True

    def _confirm(self, digest: Digest) -> None:
        if self._gathered is not None:
            self._gathered.add(digest)
            return
        with disk_errors(self.root):
            sync_folder(self.path(digest).parent)
        self._durable.add(digest)

    def _create_beside(self, digest: Digest, data: bytes) -> tuple[Path, int]:
        temporary = self.path(digest).parent / temporary_name()
        fd = self._create(temporary)
        try:
            with disk_errors(self.root, len(data)):
                write_all(fd, data)
        except BaseException:
            _give_up(fd, temporary)
            raise
        return temporary, fd

    def _create(self, temporary: Path) -> int:
        with disk_errors(self.root):
            try:
                return _create(temporary)
            except FileNotFoundError:
                make_folder(temporary.parent)
                return _create(temporary)

    def _land(self, fd: int, temporary: Path, digest: Digest, size: int) -> None:
        """Sync and name a written file; its folder is left to the caller."""
        try:
            with disk_errors(self.root, size):
                os.fsync(fd)
                _check_size(os.fstat(fd).st_size, temporary, size)
                self._rename(fd, temporary, digest)
        except BaseException:
            _give_up(fd, temporary)
            raise
        os.close(fd)

    def _rename(self, fd: int, path: Path, digest: Digest) -> None:
        """Name an open file that is synced and has this content."""
        try:
            os.rename(path, self.name(digest))
        except FileNotFoundError:
            make_folder(self.path(digest).parent)
            os.rename(path, self.name(digest))
        # The name has moved the ctime.
        self.verified.note([(digest, os.fstat(fd))])
        # Whoever purges tells it before he removes the file: he may just have looked, and not found this one.
        if self.tombstones.find(digest) is not None:
            self.path(digest).unlink(missing_ok=True)
            self.tombstones.check([digest])


def _create(path: Path) -> int:
    fd = create(path)
    os.fchmod(fd, 0o444)
    return fd


def _check_size(found: int, path: Path, size: int) -> None:
    if found != size:
        raise OSError(errno.EIO, f"it has {found:,} bytes instead of {size:,}", str(path))


def _pieces(fd: int) -> Iterator[memoryview]:
    """Each is good until the next is asked for."""
    buffer = memoryview(bytearray(_PIECE))
    while count := os.readv(fd, [buffer]):
        yield buffer[:count]


def _give_up(fd: int, temporary: Path) -> None:
    os.close(fd)
    temporary.unlink(missing_ok=True)
