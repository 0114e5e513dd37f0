"""Writing over a file of the user's: readers see the old or the new one, and its mode and links stay."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from runner.errors import ExitCode, MlrunError, write_code
from runner.store.durable import create, sync_folder, temporary_name, write_all

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
    """Write a temporary file beside the target and rename it. Raises OSError; then the target is as it was."""
    if status is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = target.parent / temporary_name()
    # A fresh file gets the mode that the umask leaves of the usual one.
    descriptor = create(temporary, 0o666 if status is None else 0o600)
    try:
        try:
            write_all(descriptor, data)
            if status is not None:
                _dress(descriptor, status)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def _dress(descriptor: int, status: os.stat_result) -> None:
    """Give a file the owner, if we may, and the mode of another."""
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        with suppress(PermissionError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & 0o777)
