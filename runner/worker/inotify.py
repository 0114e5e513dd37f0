"""The kernel's own news of what happens in folders: inotify(7), through libc. Knows no outputs.

Linux only. Needs no privilege. Watches see what other processes do, also through bind mounts and in containers.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

ATTRIB = 0x00000004
CLOSE_WRITE = 0x00000008
OPEN = 0x00000020
MOVED_FROM = 0x00000040
MOVED_TO = 0x00000080
CREATE = 0x00000100
OVERFLOW = 0x00004000
IS_FOLDER = 0x40000000

_ONLY_FOLDERS = 0x01000000
_NONBLOCK = os.O_NONBLOCK
_CLOEXEC = os.O_CLOEXEC
_EVENT = struct.Struct("iIII")
_BUFFER = 1 << 20
"""Holds the longest queue of usual names that there may be (fs.inotify.max_queued_events is 16,384), so that one call,
in which other threads of this process may run, makes room for all that comes next."""

_libc = ctypes.CDLL(None, use_errno=True)


class Event(NamedTuple):
    """Something happened to `name` in the folder with the number `watch`; `mask` says what."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """One queue of events, for one thread."""

    def __init__(self) -> None:
        """Raises OSError where there is none to be had (EMFILE, ENOSYS)."""
        self._fd = _checked(_libc.inotify_init1(_NONBLOCK | _CLOEXEC))

    def watch(self, folder: int, mask: int) -> int:
        """Be told of `mask` in an open folder; its number. Raises OSError (ENOSPC: the user has too many watches)."""
        path = f"/proc/self/fd/{folder}".encode()
        return _checked(_libc.inotify_add_watch(self._fd, path, mask | _ONLY_FOLDERS))

    def fileno(self) -> int:
        """For select(2): it can be read when there are events."""
        return self._fd

    def read(self) -> list[Event]:
        """The events that have come; none if there are none. Raises OSError."""
        return list(parse(self.take()))

    def take(self) -> bytes:
        """The same as the kernel wrote them: cheaper, where room in the queue counts. Raises OSError."""
        try:
            return os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Let the queue and its watches go."""
        os.close(self._fd)


def parse(data: bytes) -> Iterator[Event]:
    """The events of what `Inotify.take` gave."""
    place = 0
    while place < len(data):
        watch, mask, _, size = _EVENT.unpack_from(data, place)
        place += _EVENT.size
        yield Event(watch, mask, data[place : place + size].rstrip(b"\0"))
        place += size


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno() or errno.EIO
        raise OSError(number, os.strerror(number))
    return int(result)
