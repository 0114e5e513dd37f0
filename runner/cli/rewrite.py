"""Writing over a file of the user's: readers see the old or the new one, and its mode and links stay."""

import errno
import os
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path

from runner.errors import ExitCode, MlrunError, write_code
from runner.store.durable import replace_file

_HINTS = {
    errno.ENOSPC: "make room on the disk that has its folder",
    errno.EDQUOT: "make room: your quota is used up",
    errno.ENOENT: "make its folder first",
}


def rewrite_file(path: Path, before: bytes | None, after: bytes) -> None:
    """Put `after` in place of a file that held `before` when it was read; None for a file that is made now.

    A symbolic link stays one, and what it leads to is replaced. Raises MlrunError: USAGE when somebody else has
    changed the file meanwhile or it may not be written, DISK when there is no room. Never waits for a pipe or a device.
    """
    target = Path(os.path.realpath(path))
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "a pipe, socket or device"
            raise MlrunError(f"`{path}` cannot be written: it is {kind}", code=ExitCode.USAGE, hint="name a file")
        status = os.stat(target) if before is not None else None
        if before != (target.read_bytes() if target.exists() else None):
            raise MlrunError(f"`{path}` has been changed meanwhile", code=ExitCode.USAGE, hint="run it again")
        _replace(target, after, status)
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "check its permissions and those of its folder")
        raise MlrunError(f"`{path}` cannot be written: {error.strerror}", code=write_code(error), hint=hint) from None


def _replace(target: Path, data: bytes, status: os.stat_result | None) -> None:
    """Write the file, a new one with the mode that the umask leaves of the usual one. Raises OSError."""
    if status is None:
        replace_file(target, data, 0o666)
        return
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    replace_file(target, data, prepare=partial(_dress, status=status))


def _dress(descriptor: int, status: os.stat_result) -> None:
    """Give a file the owner, if we may, and the mode of another."""
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        with suppress(PermissionError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & 0o777)
