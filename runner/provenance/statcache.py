"""Which files were hashed already: a file per tree in the store's cache, thrown away without loss.

A file counts as unchanged while device, inode, size, mtime and ctime are the same. An entry is kept only if the file
had been at rest for a moment when it was hashed, because a change within the clock's granularity moves none of these
(the "racy git" problem, described in git's Documentation/technical/racy-git.txt).

The file has a line of JSON, then four columns, so that 100,000 entries are read in a moment: names, each ended by NUL;
hashes and git's ids, each ended by a newline, empty for a link; and the marks. The line has the hash of all columns.
"""

import json
import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.digest import Digest, hash_bytes
from runner.store.durable import create, temporary_name, write_all

_FORMAT = 2
_REST = 50_000_000
"""Nanoseconds: several ticks of the coarsest kernel clock that stamps files."""
_COARSE_REST = 2_000_000_000
"""The same where a file system keeps whole seconds (or, as FAT, two)."""
_SECOND = 1_000_000_000

_MARK = struct.Struct("<5Q")
_LINK = Digest("")
_WORD = (1 << 64) - 1
"""Times before 1970 are negative."""


def mark(status: os.stat_result) -> bytes:
    """What must stay the same, in 40 bytes: device, inode, size, mtime and ctime."""
    return _MARK.pack(
        status.st_dev & _WORD,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns & _WORD,
        status.st_ctime_ns & _WORD,
    )


Known = tuple[bytes, Digest, str]
"""What is known of a path: its mark, its digest and git's id of the content, both empty for a link. A plain tuple, as
the garbage collector looks at a hundred thousand of anything else again and again."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What a whole tree came to: while `question` (all that decides besides the files noted) and every mark are the
    same, `snapshot` is its manifest; `dirty` tells whether it differs from the commit."""

    question: str
    snapshot: Digest
    dirty: bool


class StatCache:
    """Digests by path, valid while the mark holds. Used by one capture at a time."""

    def __init__(self, folder: Path | None, root: Path, *, keep: bool = True) -> None:
        """What is known of `root` by a file in `folder`; without `keep` nothing is written there."""
        self._file = folder / f"stat-{hash_bytes(os.fsencode(root))[:32]}" if folder else None
        self._keep = keep
        self.whole: Whole | None = None
        self._known: dict[str, Known] = {}
        self._seen: dict[str, Known] = {}
        self._load()

    def __len__(self) -> int:
        """How many paths of this capture are known by now."""
        return len(self._seen)

    def find(self, path: str, status: os.stat_result) -> tuple[Digest, str] | None:
        """The digest and git's blob id of an unchanged file."""
        known = self._known.get(path)
        if known is None or not known[1] or known[0] != mark(status):
            return None
        self._seen[path] = known
        return known[1:]

    def note(self, path: str, status: os.stat_result, digest: Digest = _LINK, blob: str = "") -> None:
        """Remember a file that was hashed, or a link that was read, while its status was `status`."""
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        coarse = status.st_mtime_ns % _SECOND == 0 and status.st_ctime_ns % _SECOND == 0
        if time.time_ns() - changed > (_COARSE_REST if coarse else _REST):
            self._seen[path] = mark(status), digest, blob

    def rename_blob(self, path: str, blob: str) -> None:
        """Remember that git knows the content of `path` under another id."""
        if path in self._seen:
            self._seen[path] = *self._seen[path][:2], blob

    def marks(self) -> Iterator[tuple[str, bytes]]:
        """Every path of the capture before and its mark, in its order."""
        return ((path, known[0]) for path, known in self._known.items())

    def contents(self) -> set[Digest]:
        """The digests of all files of the capture before."""
        return {digest for _, digest, _ in self._known.values() if digest}

    def save(self, whole: Whole | None = None) -> None:
        """Write what this capture saw, if it differs; a failure costs only time."""
        if self._file is None or not self._keep or (self._seen == self._known and whole == self.whole):
            return
        temporary = self._file.with_name(temporary_name())
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fd = create(temporary)
            try:
                write_all(fd, _encode(self._seen, whole))
            finally:
                os.close(fd)
            temporary.replace(self._file)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _load(self) -> None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            self._known, self.whole = _decode(self._file.read_bytes()) if self._file else ({}, None)


def _encode(rows: dict[str, Known], whole: Whole | None) -> bytes:
    names = "".join(f"{path}\0" for path in rows).encode("utf-8", "surrogateescape")
    digests = "".join(f"{row[1]}\n" for row in rows.values()).encode("ascii")
    blobs = "".join(f"{row[2]}\n" for row in rows.values()).encode("ascii")
    columns = b"".join((names, digests, blobs, *(row[0] for row in rows.values())))
    header = {
        "format": _FORMAT,
        "check": hash_bytes(columns),
        "columns": [len(names), len(digests), len(blobs)],
        "whole": asdict(whole) if whole else None,
    }
    return json.dumps(header).encode("ascii") + b"\n" + columns


def _decode(data: bytes) -> tuple[dict[str, Known], Whole | None]:
    """Raises ValueError, KeyError or TypeError for anything that `_encode` would not have made."""
    line, _, columns = data.partition(b"\n")
    header = json.loads(line)
    if header["format"] != _FORMAT or hash_bytes(columns) != header["check"]:
        raise ValueError("it is damaged, or of another version")
    names, digests, blobs = header["columns"]
    ends = (names, names + digests, names + digests + blobs)
    paths = columns[: ends[0]].decode("utf-8", "surrogateescape").split("\0")[:-1]
    marks = (found[0] for found in struct.iter_unpack(f"{_MARK.size}s", columns[ends[2] :]))
    rows = zip(
        marks,
        map(Digest, columns[ends[0] : ends[1]].decode("ascii").split("\n")[:-1]),
        columns[ends[1] : ends[2]].decode("ascii").split("\n")[:-1],
        strict=True,
    )
    return dict(zip(paths, rows, strict=True)), Whole(**header["whole"]) if header["whole"] else None
