"""Parts of files that are nowhere else, written one behind the other until they become an object."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from runner.store.durable import create
from runner.upkeep.chunk import Window

_MOST = 1 << 30
"""Bytes for one call of the kernel."""


class Leftovers:
    """A file at `path`, made with the first part; with `dry` only their size is counted. Methods raise OSError."""

    def __init__(self, path: Path, *, dry: bool = False) -> None:
        self.path = path
        self.size = 0
        """In bytes."""
        self._dry = dry
        self._fd = -1

    def append(self, windows: Iterable[Window]) -> None:
        """Copy these parts of files behind what is there."""
        for window in windows:
            if not self._dry:
                self._copy(window)
            self.size += window.size

    def close(self) -> None:
        """Forget the file, unless somebody has moved it elsewhere; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            with suppress(FileNotFoundError):
                self.path.unlink()

    def _copy(self, window: Window) -> None:
        if self._fd < 0:
            self._fd = create(self.path)
        at = window.begin
        while at < window.end:
            sent = os.sendfile(self._fd, window.fd, at, min(_MOST, window.end - at))
            if not sent:
                raise OSError(errno.EIO, "the file ends too early")
            at += sent
