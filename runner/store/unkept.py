"""The objects of a store that may only be looked at: what is put among them is hashed, and forgotten with the process.

So whoever only asks what a run would do can capture the code and the inputs as the run would, and nothing is written.
"""

import io
import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

from runner.digest import Digest, Hasher, hash_bytes, hash_file
from runner.store.layout import Layout
from runner.store.objects import Objects

_LARGE = 1 << 20
"""Bytes from which a content is not kept: it is read again where it was, if at all."""
_IN_MEMORY = 64 << 20
"""Bytes of contents that stay in memory; what is beyond goes to a nameless temporary file."""
_PIECE = 1 << 20


class UnkeptObjects(Objects):
    """See `Objects`. Used by one thread."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout, writable=False)
        self._spool = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._places: dict[Digest, tuple[int, int]] = {}
        """Where a content begins in the spool, and how long it is."""
        self._elsewhere: dict[Digest, tuple[Path | None, int]] = {}
        """Where a large content can be read again, if anywhere, and its size."""

    def close(self) -> None:
        super().close()
        self._spool.close()

    def has(self, digest: Digest) -> bool:
        return digest in self._places or digest in self._elsewhere or super().has(digest)

    def size(self, digest: Digest) -> int:
        if digest in self._places:
            return self._places[digest][1]
        return self._elsewhere[digest][1] if digest in self._elsewhere else super().size(digest)

    def lacking(self, wanted: Iterable[Digest]) -> set[Digest]:
        return super().lacking({one for one in wanted if one not in self._places and one not in self._elsewhere})

    def is_sound(self, digest: Digest, size: int | None = None) -> bool:
        return digest in self._places or digest in self._elsewhere or super().is_sound(digest, size)

    def open(self, digest: Digest, size: int | None = None) -> BinaryIO:
        if digest in self._places:
            return io.BytesIO(self.read(digest))
        path, _ = self._elsewhere.get(digest, (None, 0))
        return path.open("rb", buffering=0) if path is not None else super().open(digest, size)

    def read(self, digest: Digest) -> bytes:
        if digest not in self._places:
            return super().read(digest)
        start, size = self._places[digest]
        self._spool.seek(start)
        return self._spool.read(size)

    def put_bytes(self, data: bytes) -> Digest:
        digest = hash_bytes(data)
        if digest not in self._places:
            self._places[digest] = self._spool.seek(0, os.SEEK_END), len(data)
            self._spool.write(data)
        return digest

    def put_many(self, items: Iterable[bytes]) -> list[tuple[Digest, int]]:
        return [(self.put_bytes(data), len(data)) for data in items]

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: int = 0) -> tuple[Digest, int]:
        return self._take(chunks, None)

    def put_file(self, fd: int) -> tuple[Digest, int]:
        pieces = iter(lambda: os.read(fd, _PIECE), b"")
        return self._take(pieces, Path(f"/proc/self/fd/{fd}").resolve())

    def adopt(self, path: Path) -> tuple[Digest, int]:
        digest, size = Digest(hash_file(path)), path.stat().st_size
        self._elsewhere.setdefault(digest, (path, size))
        return digest, size

    def _take(self, pieces: Iterable[bytes | memoryview], path: Path | None) -> tuple[Digest, int]:
        hasher, size, kept = Hasher(), 0, bytearray()
        for piece in pieces:
            hasher.update(piece)
            size += len(piece)
            if size <= _LARGE:
                kept += piece
        if size <= _LARGE:
            return self.put_bytes(bytes(kept)), size
        digest = Digest(hasher.hexdigest())
        self._elsewhere.setdefault(digest, (path, size))
        return digest, size
