"""Bytes become objects. Every write follows one protocol (`docs/store-format.md`): exclusive temporary file, bytes in a
loop, hash meanwhile, mode 0444, fsync, size check, rename, fsync of the folder. Only then is an object acknowledged.

After a failed fsync a file is given up, never synced again: fsync(2) reports a lost write once. Many small files are
synced together.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from runner.crew import side_by_side
from runner.digest import Digest, hash_bytes, large_hasher
from runner.errors import ExitCode, MlrunError
from runner.store.content import Contents
from runner.store.durable import create, disk_error, disk_errors, make_folder, sync_folder, temporary_name, write_all
from runner.store.shelf import Shelf
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


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What a gathering has taken so far: objects whose names are not durable yet, and files that wait for its end."""

    named: set[Digest] = field(default_factory=set)
    waiting: list[_Waiting] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Landing:
    """Takes in bytes for one shelf; files that are begun without a known digest lie in `scratch`. `durable` are objects
    whose names this process knows to be on the disk.

    Usable from several threads. Every method raises MlrunError: DISK when there is no space, STORE for other failures
    of the disk, POLICY for purged content.
    """

    shelf: Shelf
    contents: Contents
    scratch: Path
    durable: set[Digest] = field(default_factory=set)
    gathered: _Gathered | None = None

    @contextmanager
    def gathering(self) -> Iterator["Landing"]:
        """Another one for taking in many at once: what the block stores is there and durable only when it ends, also by
        an exception. Much faster, as each folder is synced once, and many small files together.

        A small file that is adopted stays at its path until then, and for ever if the end of the block fails.
        """
        with self._together() as (together, waiting, volume):
            try:
                yield together
            finally:
                together._take_all(waiting, volume)

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
        with self._together() as (together, waiting, volume):
            try:
                for data in items:
                    digest, size = hash_bytes(data), len(data)
                    stored.append((digest, size))
                    if digest not in fresh and not together._is_stored(digest, size):
                        fresh.add(digest)
                        temporary, fd = self._create_beside(digest, data)
                        waiting.append((temporary, digest, size))
                        os.close(fd)
                together._take_all(waiting, volume)
            except BaseException:
                for path, _, _ in waiting:
                    path.unlink(missing_ok=True)
                raise
        return stored

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: int = 0) -> tuple[Digest, int]:
        """Store the concatenation of `chunks`, none of which is kept in memory. Gives digest and size.

        `expected` is how many bytes will come, if that is known: a full disk is reported with it.
        """
        hasher = large_hasher()
        size = begun = 0
        temporary = self.scratch / temporary_name()
        fd = self._create(temporary)
        try:
            for chunk in chunks:
                hasher.update(chunk)
                size += len(chunk)
                with disk_errors(self.scratch, max(size, expected)):
                    write_all(fd, chunk)
                if size - begun >= _SHARE:
                    start_writing(fd, begun, size - begun)
                    begun = size
            digest = Digest(hasher.hexdigest())
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
                    if self.gathered is not None and status.st_size < _SMALL:
                        waiting = self._wait(fd, path, status.st_size)
                        self.gathered.waiting.append(waiting)
                        return waiting[1:]
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
        if not self._moved(fd, path, digest):
            return None
        self._confirm(digest)
        return digest, size

    @contextmanager
    def _together(self) -> Iterator[tuple["Landing", list[_Waiting], Volume]]:
        """One whose folders are synced once, at the end; what waits for that, and the file system as it is before."""
        gathered = _Gathered()
        with disk_errors(self.shelf.root):
            volume = Volume(self.shelf.root)
        with volume:
            try:
                yield replace(self, gathered=gathered), gathered.waiting, volume
            finally:
                with disk_errors(self.shelf.root):
                    folders = {digest[:2] for digest in gathered.named}
                    side_by_side(sync_folder, [self.shelf.root / name for name in folders])
                self.durable.update(gathered.named)

    def _wait(self, fd: int, path: Path, size: int) -> _Waiting:
        os.fchmod(fd, 0o444)
        data = os.read(fd, size + 1)
        _check_size(len(data), path, size)
        digest = hash_bytes(data)
        self.shelf.tombstones.check([digest])
        return path, digest, size

    def _take_all(self, waiting: list[_Waiting], volume: Volume) -> None:
        """Adopt the small files. The first failure ends it; those that are not objects then stay where they are."""
        self.shelf.claim(digest for _, digest, _ in waiting)
        if len(waiting) >= _MANY and volume.pays(len(waiting), sum(size for _, _, size in waiting)):
            with disk_errors(self.shelf.root):
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
                if not self._moved(fd, path, digest):
                    self.put_file(fd)
                    path.unlink()
            finally:
                os.close(fd)
        self._confirm(digest)

    def _is_stored(self, digest: Digest, size: int) -> bool:
        """Whether the object is there, whole, sound and durable; claimed in any case. Another process may be about to
        sync its name: so do we. Raises MlrunError (POLICY) for purged content."""
        self.shelf.claim([digest])
        self.shelf.tombstones.check([digest])
        try:
            found = os.stat(self.shelf.name(digest)).st_size
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_error(error, self.shelf.root) from error
        if found != size or not self.contents.is_sound(digest):
            return False
        if digest not in self.durable:
            self._confirm(digest)
        return True

    def _confirm(self, digest: Digest) -> None:
        """Make the name of an object durable, now or with the others of its gathering."""
        if self.gathered is not None:
            self.gathered.named.add(digest)
            return
        with disk_errors(self.shelf.root):
            sync_folder(self.shelf.path(digest).parent)
        self.durable.add(digest)

    def _create_beside(self, digest: Digest, data: bytes) -> tuple[Path, int]:
        temporary = self.shelf.path(digest).parent / temporary_name()
        fd = self._create(temporary)
        try:
            with disk_errors(self.shelf.root, len(data)):
                write_all(fd, data)
        except BaseException:
            _give_up(fd, temporary)
            raise
        return temporary, fd

    def _create(self, temporary: Path) -> int:
        with disk_errors(self.shelf.root):
            try:
                return _create(temporary)
            except FileNotFoundError:
                make_folder(temporary.parent)
                return _create(temporary)

    def _land(self, fd: int, temporary: Path, digest: Digest, size: int) -> None:
        """Sync and name a written file; its folder is left to the caller."""
        try:
            with disk_errors(self.shelf.root, size):
                os.fsync(fd)
                _check_size(os.fstat(fd).st_size, temporary, size)
                self._rename(fd, temporary, digest)
        except BaseException:
            _give_up(fd, temporary)
            raise
        os.close(fd)

    def _moved(self, fd: int, path: Path, digest: Digest) -> bool:
        """Whether a file that is synced could be named as it is; not from another file system."""
        try:
            self._rename(fd, path, digest)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        return True

    def _rename(self, fd: int, path: Path, digest: Digest) -> None:
        """Name an open file that is synced and has this content."""
        name = self.shelf.path(digest)
        try:
            os.rename(path, name)
        except FileNotFoundError:
            make_folder(name.parent)
            os.rename(path, name)
        # The name has moved the ctime.
        self.contents.verified.note([(digest, os.fstat(fd))])
        # Whoever purges tells it before he removes the file: he may just have looked, and not found this one.
        if self.shelf.tombstones.find(digest) is not None:
            name.unlink(missing_ok=True)
            self.shelf.tombstones.check([digest])


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
