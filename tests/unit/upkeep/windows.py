"""Open files with any content, for tests of what compares parts of files."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, settings

from runner.upkeep.chunk import Window, whole

Opened = Callable[[bytes], Window]
"""Gives all of an open file with this content."""
WITH_FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@contextmanager
def opening() -> Iterator[Opened]:
    """The files are closed at the end of the block."""

    def make(data: bytes) -> Window:
        fd = os.memfd_create("content")
        os.write(fd, data)
        files.append(fd)
        return whole(fd)

    files: list[int] = []
    yield make
    for fd in files:
        os.close(fd)
