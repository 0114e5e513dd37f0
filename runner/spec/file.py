"""A file of the user's → its bytes, if it is a regular one of bearable size. Knows nothing of what is in it."""

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ExitCode, MlrunError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What kind of file is meant: its greatest size in bytes, the exit code where it cannot be had, and the hints for a
    thing of another kind, for a missing file and for one that is too large."""

    most: int
    code: ExitCode
    other: str
    missing: str
    large: str


def read_file(path: Path, shown: str, wanted: Wanted) -> bytes:
    """The bytes of a file. Never waits for a pipe or a device. Raises MlrunError with the code that is wanted."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise _unreadable(error, shown, wanted) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
            raise MlrunError(f"`{shown}` is {kind}, not a file", code=wanted.code, hint=wanted.other)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(wanted.most + 1)
    except OSError as error:
        raise _unreadable(error, shown, wanted) from None
    finally:
        os.close(descriptor)
    if len(data) > wanted.most:
        raise MlrunError(f"`{shown}` has more than {wanted.most >> 20} MiB", code=wanted.code, hint=wanted.large)
    return data


def _unreadable(error: OSError | ValueError, shown: str, wanted: Wanted) -> MlrunError:
    if isinstance(error, ValueError):
        return MlrunError(f"`{shown}` is no name of a file", code=wanted.code, hint=wanted.other)
    messages: Mapping[int | None, tuple[str, str | None]] = {
        errno.ENOENT: (f"there is no `{shown}`", wanted.missing),
        errno.ENOTDIR: (f"there is no `{shown}`", wanted.missing),
        errno.EACCES: (f"`{shown}` may not be read", "check its permissions"),
        errno.ELOOP: (f"`{shown}` is a symbolic link that leads back to itself", "remove the link"),
        errno.ENXIO: (f"`{shown}` is a pipe, socket or device, not a file", wanted.other),
    }
    message, hint = messages.get(error.errno, (f"`{shown}` cannot be read: {error.strerror}", None))
    return MlrunError(message, code=wanted.code, hint=hint)
