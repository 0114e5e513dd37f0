"""Damage as a bad disk or a careless program makes it."""

import os
from pathlib import Path


def flip(path: Path, offset: int = -1) -> None:
    """Flip a bit of a file in place, keeping size and modification time."""
    before = path.stat()
    fd = os.open(path, os.O_RDWR)
    try:
        at = offset % before.st_size
        # Until the clock that stamps files has moved on: nothing else shows the change.
        while True:
            byte = os.pread(fd, 1, at)[0]
            os.pwrite(fd, bytes([byte ^ 1]), at)
            os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
            if os.fstat(fd).st_ctime_ns != before.st_ctime_ns:
                break
            os.pwrite(fd, bytes([byte]), at)
    finally:
        os.close(fd)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
