"""Which files were hashed already: a file per tree in the store's cache, thrown away without loss.

A file counts as unchanged while device, inode, size, mtime and ctime are the same. An entry is kept only if the file
had been at rest for a moment when it was hashed, because a change within the clock's granularity moves none of these
(the "racy git" problem, described in git's Documentation/technical/racy-git.txt).
"""

import json
import os
import time
from pathlib import Path

from runner.digest import Digest, hash_bytes

_REST = 50_000_000
"""Nanoseconds: several ticks of the coarsest kernel clock that stamps files."""
_COARSE_REST = 2_000_000_000
"""The same where a file system keeps whole seconds (or, as FAT, two)."""
_SECOND = 1_000_000_000

Fingerprint = tuple[int, int, int, int, int]


def fingerprint(status: os.stat_result) -> Fingerprint:
    """What must stay the same: device, inode, size, mtime and ctime."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class StatCache:
    """Digests by path, valid while the fingerprint holds. Used by one capture at a time."""

    def __init__(self, folder: Path | None, root: Path) -> None:
        self._file = folder / f"stat-{hash_bytes(os.fsencode(root))[:32]}.json" if folder else None
        self._known = self._load()
        self._seen: dict[str, list[object]] = {}

    def _load(self) -> dict[str, list[object]]:
        try:
            known = json.loads(self._file.read_bytes()) if self._file else {}
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def find(self, path: str, status: os.stat_result) -> tuple[Digest, str] | None:
        """The digest and git's blob id of an unchanged file."""
        row = self._known.get(path)
        if not isinstance(row, list) or len(row) != 7 or row[:5] != [*fingerprint(status)]:
            return None
        self._seen[path] = row
        return Digest(str(row[5])), str(row[6])

    def note(self, path: str, status: os.stat_result, digest: Digest, blob: str) -> None:
        """Remember a file that was hashed while its status was `status`."""
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        coarse = status.st_mtime_ns % _SECOND == 0 and status.st_ctime_ns % _SECOND == 0
        if time.time_ns() - changed > (_COARSE_REST if coarse else _REST):
            self._seen[path] = [*fingerprint(status), digest, blob]

    def rename_blob(self, path: str, blob: str) -> None:
        """Remember that git knows the content of `path` under another id."""
        if path in self._seen:
            self._seen[path] = [*self._seen[path][:6], blob]

    def save(self) -> None:
        """Write what this capture saw, if it differs; a failure costs only time."""
        if self._file is None or self._seen == self._known:
            return
        temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._seen), encoding="ascii")
            temporary.replace(self._file)
        except OSError:
            temporary.unlink(missing_ok=True)
