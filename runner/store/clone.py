"""The content of one file given to another: by reflink, and where the file system has none by the kernel's own copy."""

import errno
import fcntl
import os
from typing import BinaryIO

from runner.store.assembly import descriptor
from runner.store.durable import write_all

_FICLONE = 0x40049409
"""ioctl_ficlone(2)."""
_NO_CLONE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM})
_SENT = 1 << 30
_PIECE = 1 << 20


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

    def copy(self, source: BinaryIO, target: int) -> None:
        """Copy an object, open at its start, into the empty file `target`. Raises OSError."""
        fd = descriptor(source)
        if fd is None:
            while piece := source.read(_PIECE):
                write_all(target, piece)
        elif not self.clone(fd, target):
            offset = 0
            while sent := os.sendfile(target, fd, offset, _SENT):
                offset += sent
            if offset != os.fstat(fd).st_size:
                raise OSError(errno.EIO, f"only {offset:,} bytes of an object could be copied")
