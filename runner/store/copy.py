"""Objects given out as files: by the cheapest kind of copy that the file system has, of checked content only."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from runner.digest import Digest
from runner.store.assembly import descriptor
from runner.store.clone import Cloner
from runner.store.content import Contents
from runner.store.durable import create, write_all
from runner.store.shelf import Shelf, damaged
from runner.store.tree import EXECUTABLE, LINK, path_bytes

_LINK_FALLBACK = frozenset({errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SOURCE = os.O_RDONLY | os.O_CLOEXEC
_TARGET = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Copier:
    """Makes files out of objects, one by one. Raises OSError, and MlrunError (STORE) for what cannot be had."""

    def __init__(self, shelf: Shelf, contents: Contents) -> None:
        self._shelf = shelf
        self._contents = contents
        self.cloner = Cloner()

    def copy(self, digest: Digest, target: Path, mode: int) -> None:
        """A file of its own: a reflink or a copy."""
        with self._contents.open(digest) as source:
            self._make(target, mode, source)

    def share(self, digest: Digest, target: Path) -> None:
        """A read-only file: a reflink, else a hard link of a whole object, else a copy."""
        with self._contents.open(digest) as source:
            fd = descriptor(source)
            if fd is None or (not self._clone(fd, target) and not self._link(digest, fd, target)):
                self._make(target, 0o444, source)

    def _clone(self, source: int, target: Path) -> bool:
        """Whether a reflink could be made; if not, there is nothing at `target`."""
        if not self.cloner.may_work():
            return False
        fd = create(target, 0o444)
        try:
            os.fchmod(fd, 0o444)
            cloned = self.cloner.clone(source, fd)
        except BaseException:
            _give_up(fd, target)
            raise
        if not cloned:
            _give_up(fd, target)
            return False
        os.close(fd)
        return True

    def _link(self, digest: Digest, source: int, target: Path) -> bool:
        """Whether the open, checked file could be linked; a link moves its ctime, not what is known of it."""
        if not self._shelf.is_writable:
            return False
        try:
            with self._contents.verified.keeping(source):
                os.link(self._shelf.name(digest), target, follow_symlinks=False)
        except FileNotFoundError:
            if not os.path.lexists(target.parent):
                raise
            return False
        except OSError as error:
            if error.errno not in _LINK_FALLBACK:
                raise
            return False
        if os.path.samestat(os.stat(target), os.fstat(source)):
            return True
        target.unlink()
        return False

    def _make(self, target: Path, mode: int, source: BinaryIO) -> None:
        fd = create(target, mode)
        try:
            os.fchmod(fd, mode)
            self.cloner.copy(source, fd)
        except BaseException:
            _give_up(fd, target)
            raise
        os.close(fd)


class TreeCopier:
    """Makes a tree of writable files out of objects, fast: relative to open folders, never through a link."""

    def __init__(self, shelf: Shelf, contents: Contents, cloner: Cloner, mtime_ns: int) -> None:
        self._shelf = shelf
        self._contents = contents
        self._cloner = cloner
        self._times = (mtime_ns, mtime_ns)

    def copy(self, entries: Iterable[tuple[str, str, str, int]], target: Path) -> None:
        """Fill `target`. Raises OSError, or MlrunError (STORE) for objects that are missing or damaged."""
        ordered = sorted(entries)
        self._shelf.claim(Digest(content) for _, mode, content, _ in ordered if mode != LINK)
        stack = [(b"", os.open(target, _FOLDER))]
        try:
            for path, mode, content, size in ordered:
                parent, _, name = path_bytes(path).rpartition(b"/")
                if stack[-1][0] != parent:
                    self._enter(parent, stack)
                folder = stack[-1][1]
                if mode == LINK:
                    os.symlink(path_bytes(content), name, dir_fd=folder)
                    os.utime(name, ns=self._times, dir_fd=folder, follow_symlinks=False)
                else:
                    self._file(folder, name, 0o755 if mode == EXECUTABLE else 0o644, Digest(content), size)
        finally:
            while stack:
                self._leave(stack)

    def _enter(self, path: bytes, stack: list[tuple[bytes, int]]) -> None:
        """Make `path` the open folder on top. Sorted entries have all that lies in a folder in one row."""
        while stack[-1][0] and not (path + b"/").startswith(stack[-1][0] + b"/"):
            self._leave(stack)
        above = stack[-1][0]
        for name in path[len(above) + 1 if above else 0 :].split(b"/"):
            if not name:
                return
            above = above + b"/" + name if above else name
            os.mkdir(name, 0o755, dir_fd=stack[-1][1])
            folder = os.open(name, _FOLDER, dir_fd=stack[-1][1])
            stack.append((above, folder))
            os.fchmod(folder, 0o755)

    def _leave(self, stack: list[tuple[bytes, int]]) -> None:
        _, folder = stack.pop()
        try:
            os.utime(folder, ns=self._times)
        finally:
            os.close(folder)

    def _file(self, folder: int, name: bytes, mode: int, digest: Digest, size: int) -> None:
        data = self._contents.small(digest)
        if data is not None and len(data) != size:
            raise damaged(digest, f"has {len(data):,} bytes instead of {size:,}")
        target = os.open(name, _TARGET, mode, dir_fd=folder)
        try:
            if data is not None:
                write_all(target, data)
            else:
                with self._contents.open(digest, size) as source:
                    self._cloner.copy(source, target)
            os.fchmod(target, mode)
            os.utime(target, ns=self._times)
        finally:
            os.close(target)


def _give_up(fd: int, target: Path) -> None:
    os.close(fd)
    target.unlink(missing_ok=True)
