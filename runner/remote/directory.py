"""A remote that is a folder: on another disk, on a network file system, shared by a group. Follows no links.

Small files are written at once and get their names together, when one sync of the file system has made all of them
durable; a large one is synced by itself. Modes follow the caller's umask, so that a group can share the folder.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NamedTuple

from runner.crew import side_by_side
from runner.errors import is_full
from runner.remote.remote import Item, NotThere, Told, full, too_many, unreachable, vanished
from runner.store.durable import NEW, sync_folder, temporary_name, write_all
from runner.store.volume import Volume, check_written

SCRATCH = "new"
"""The folder of uploads under way, beside those that they go to."""
DAY = 24 * 3600

_PIECE = 16 << 20
_SMALL = 1 << 20
_MOST_WAITING = 2000
_MANY = 64
_MOST_OPEN = 300
"""Folders that stay open: those of the objects are 256."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO is opened at once and then refused, not waited for.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class _Waiting(NamedTuple):
    """A written file that has no name yet: the name it is to have, where it is, its size in bytes."""

    name: str
    temporary: str
    size: int


class Directory:
    """The remote below `root`, which is made by the first upload."""

    lanes = 8

    def __init__(self, root: Path, shown: str) -> None:
        self.shown = shown
        self._root = root
        self._lock = Lock()
        self._waiting: list[_Waiting] = []
        self._volume: Volume | None = None
        self._touched: set[str] = set()
        self._open_folders: dict[str, int] = {}

    def items(self, folder: str, most: int) -> list[Item]:
        """The regular files of a folder."""
        entries = self._entries(folder, most)
        return [Item(name, status.st_size) for name, status in entries if stat.S_ISREG(status.st_mode)]

    def folders(self, folder: str, most: int) -> list[str]:
        """Those in a folder, links excepted."""
        return [name for name, status in self._entries(folder, most) if stat.S_ISDIR(status.st_mode)]

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """One stat of each."""
        found: dict[str, int] = {}
        with self._errors():
            for name in names:
                folder, _, last = name.rpartition("/")
                try:
                    with self._folder(folder) as fd:
                        status = os.stat(last, dir_fd=fd, follow_symlinks=False)
                except OSError as error:
                    if error.errno not in _ABSENT:
                        raise
                    continue
                if stat.S_ISREG(status.st_mode):
                    found[name] = status.st_size
        with self._lock:
            # Whoever put them there may not have synced their names yet: who relies on them does.
            self._touched.update(name.rpartition("/")[0] for name in found)
        return found

    def upload(self, name: str, source: BinaryIO, size: int, told: Told) -> None:
        """Write a temporary file; a large one is synced and named here, small ones by `settle`."""
        self._make(name.rpartition("/")[0])
        self._make(SCRATCH)
        temporary = f"{SCRATCH}/{temporary_name()}"
        with self._errors(size):
            with self._lock:
                if self._volume is None:
                    self._volume = Volume(self._root)
            try:
                self._write(temporary, source, size, told)
            except BaseException:
                self._give_up(temporary)
                raise
            if size >= _SMALL:
                self._rename(temporary, name)
            with self._lock:
                self._touched.add(name.rpartition("/")[0])
                if size < _SMALL:
                    self._waiting.append(_Waiting(name, temporary, size))
                many = self._waiting if len(self._waiting) >= _MOST_WAITING else []
                if many:
                    self._waiting = []
            self._name(many)

    def settle(self) -> None:
        """Name what waits, and sync every folder that got a name."""
        with self._errors():
            waiting, self._waiting = self._waiting, []
            self._name(waiting)
            touched, self._touched = self._touched, set()
            side_by_side(self._sync_folder, touched)

    def download(self, name: str, offset: int, size: int, told: Told) -> Iterator[bytes]:
        """Read from the file."""
        with self._errors(), closing(self._open(name)) as file:
            file.seek(offset)
            while offset < size and (piece := file.read(min(_PIECE, size - offset))):
                offset += len(piece)
                told(len(piece))
                yield piece

    def remove(self, name: str) -> bool:
        """Unlink it, and sync the folder."""
        folder, _, last = name.rpartition("/")
        with self._errors():
            try:
                with self._folder(folder) as fd:
                    os.unlink(last, dir_fd=fd)
                    os.fsync(fd)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                return False
        return True

    def sweep(self) -> None:
        """Look at the age of each file in the scratch folder."""
        with suppress(OSError), self._folder(SCRATCH) as fd, os.scandir(fd) as entries:
            for entry in entries:
                if entry.name.startswith(NEW) and entry.stat(follow_symlinks=False).st_mtime < time.time() - DAY:
                    os.unlink(entry.name, dir_fd=fd)

    def close(self) -> None:
        """Give up what was not settled."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            self._give_up(one.temporary)
        with self._lock:
            if self._volume is not None:
                self._volume.__exit__()
                self._volume = None
            while self._open_folders:
                os.close(self._open_folders.popitem()[1])

    def _entries(self, folder: str, most: int) -> list[tuple[str, os.stat_result]]:
        found: list[tuple[str, os.stat_result]] = []
        with self._errors():
            try:
                with self._folder(folder) as fd, os.scandir(fd) as entries:
                    for entry in entries:
                        if len(found) >= most:
                            raise too_many(self.shown, folder, most)
                        with suppress(FileNotFoundError):
                            found.append((entry.name, entry.stat(follow_symlinks=False)))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
        return found

    def _write(self, temporary: str, source: BinaryIO, size: int, told: Told) -> None:
        folder, _, last = temporary.rpartition("/")
        with self._folder(folder) as at:
            fd = os.open(last, _WRITE, 0o444, dir_fd=at)
        try:
            written = 0
            while piece := source.read(_PIECE):
                write_all(fd, piece)
                if size >= _SMALL:
                    # The disk begins to write while the next piece is read.
                    os.posix_fadvise(fd, written, len(piece), os.POSIX_FADV_DONTNEED)
                written += len(piece)
                told(len(piece))
            if written != size:
                raise unreachable(self.shown, f"{written:,} bytes were read instead of {size:,}")
            if size >= _SMALL:
                os.fsync(fd)
        finally:
            os.close(fd)

    def _name(self, waiting: list[_Waiting]) -> None:
        """Make the files durable, then give each its name."""
        volume = self._volume
        if volume is not None and len(waiting) >= _MANY and volume.pays(len(waiting), sum(one.size for one in waiting)):
            volume.sync()
            for one in waiting:
                self._name_one(one, check_written)
        else:
            # Each file waits for the disk, so several wait together.
            side_by_side(partial(self._name_one, sync=os.fsync), waiting)

    def _name_one(self, one: _Waiting, sync: Callable[[int], None]) -> None:
        with self._folder(SCRATCH) as folder:
            fd = os.open(one.temporary.rpartition("/")[2], _READ, dir_fd=folder)
        try:
            sync(fd)
        finally:
            os.close(fd)
        self._rename(one.temporary, one.name)

    def _rename(self, temporary: str, name: str) -> None:
        folder, _, last = name.rpartition("/")
        with self._folder(SCRATCH) as source, self._folder(folder) as target:
            os.rename(temporary.rpartition("/")[2], last, src_dir_fd=source, dst_dir_fd=target)

    def _give_up(self, temporary: str) -> None:
        with suppress(OSError), self._folder(SCRATCH) as folder:
            os.unlink(temporary.rpartition("/")[2], dir_fd=folder)

    def _make(self, folder: str) -> None:
        """Make a folder below the root, and the root, with the caller's umask; a link in its place is refused."""
        with self._errors():
            # The root stays open: another that takes its name would lack what was put into this one.
            if not self._is_there(""):
                for path in (*reversed(self._root.parents), self._root):
                    with suppress(FileExistsError):
                        path.mkdir()
                        sync_folder(path.parent)
                self._is_there("")
            if self._is_there(folder):
                return
            above = ""
            for part in folder.split("/"):
                with self._folder(above) as fd, suppress(FileExistsError):
                    os.mkdir(part, dir_fd=fd)
                    os.fsync(fd)
                above = f"{above}/{part}" if above else part

    def _is_there(self, folder: str) -> bool:
        """Whether a folder is below the root; then it stays open, as those do that everything goes through."""
        try:
            with self._folder(folder) as fd, self._lock:
                if folder not in self._open_folders and len(self._open_folders) < _MOST_OPEN:
                    self._open_folders[folder] = os.dup(fd)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _folder(self, folder: str) -> Iterator[int]:
        """A folder below the root, open; no link on the way is followed. Raises OSError."""
        kept = self._open_folders.get(folder)
        if kept is not None:
            yield kept
            return
        top = self._open_folders.get("")
        fd = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW) if top is None else os.dup(top)
        try:
            for part in folder.split("/") if folder else ():
                below = os.open(part, _FOLDER, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def _sync_folder(self, folder: str) -> None:
        with self._folder(folder) as fd:
            os.fsync(fd)

    def _open(self, name: str) -> BinaryIO:
        folder, _, last = name.rpartition("/")
        try:
            with self._folder(folder) as at:
                fd = os.open(last, _READ, dir_fd=at)
        except OSError as error:
            if error.errno in _ABSENT:
                raise NotThere(self.shown, name) from error
            raise
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise NotThere(self.shown, name, "is no regular file")
        return os.fdopen(fd, "rb", buffering=0)

    @contextmanager
    def _errors(self, needs: int = 0) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if is_full(error):
                raise full(self.shown, needs) from error
            if error.errno == errno.ENOENT:
                # Whoever reads asks for what may be absent by itself; who writes has made the folders.
                raise vanished(self.shown) from error
            raise unreachable(self.shown, os.strerror(error.errno) if error.errno else str(error)) from error
