"""Copies of objects: the cheapest kind that the file system has. Knows no digest but as a file name."""

import errno
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.store.tree import EXECUTABLE, LINK, path_bytes

_FICLONE = 0x40049409
"""ioctl_ficlone(2)."""
_NO_CLONE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM})
_PIECE = 1 << 30
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SOURCE = os.O_RDONLY | os.O_CLOEXEC
_TARGET = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Cloner:
    """Copies file contents: by reflink, and once one was refused, by the kernel's own copy."""

    def __init__(self) -> None:
        self._worked = False
        self._refused = False

    def may_work(self) -> bool:
        """False once a reflink was refused before any was made."""
        return self._worked or not self._refused

    def clone(self, source: int, target: int) -> bool:
        """Make the empty file `target` share the content of `source`; False when the file system does not do that.

        Raises OSError.
        """
        if not self.may_work():
            return False
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno not in _NO_CLONE:
                raise
            self._refused = True
            return False
        self._worked = True
        return True

    def copy(self, source: int, target: int) -> None:
        """Copy a whole file from descriptor to descriptor, `target` being empty. Raises OSError."""
        if self.clone(source, target):
            return
        offset = 0
        while sent := os.sendfile(target, source, offset, _PIECE):
            offset += sent


class TreeCopier:
    """Makes a tree of writable files out of objects, fast: relative to open folders, never through a link."""

    def __init__(self, objects: Path, cloner: Cloner, mtime_ns: int) -> None:
        self._objects = os.fspath(objects)
        self._cloner = cloner
        self._times = (mtime_ns, mtime_ns)

    def copy(self, entries: Iterable[tuple[str, str, str, int]], target: Path) -> None:
        """Fill `target`. Raises OSError, or MlrunError (STORE) for objects that are missing or of another size."""
        stack = [(b"", os.open(target, _FOLDER))]
        try:
            for path, mode, content, size in sorted(entries):
                parent, _, name = path_bytes(path).rpartition(b"/")
                if stack[-1][0] != parent:
                    self._enter(parent, stack)
                folder = stack[-1][1]
                if mode == LINK:
                    os.symlink(path_bytes(content), name, dir_fd=folder)
                    os.utime(name, ns=self._times, dir_fd=folder, follow_symlinks=False)
                else:
                    self._file(folder, name, 0o755 if mode == EXECUTABLE else 0o644, content, size)
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

    def _file(self, folder: int, name: bytes, mode: int, digest: str, size: int) -> None:
        try:
            source = os.open(f"{self._objects}/{digest[:2]}/{digest}", _SOURCE)
        except FileNotFoundError as error:
            raise MlrunError(f"the store is damaged: the object `{digest}` is missing", code=ExitCode.STORE) from error
        try:
            target = os.open(name, _TARGET, mode, dir_fd=folder)
            try:
                self._cloner.copy(source, target)
                if (found := os.fstat(target).st_size) != size:
                    raise MlrunError(
                        f"the store is damaged: the object `{digest}` has {found:,} bytes instead of {size:,}",
                        code=ExitCode.STORE,
                    )
                os.fchmod(target, mode)
                os.utime(target, ns=self._times)
            finally:
                os.close(target)
        finally:
            os.close(source)
