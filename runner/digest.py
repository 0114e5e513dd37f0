"""Content hashes: BLAKE3 in hexadecimal, as `b3sum` prints it. Pure but for `hash_file`, which reads one file."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NewType

from blake3 import blake3

Digest = NewType("Digest", str)
"""64 lower-case hexadecimal digits: the BLAKE3 hash of some bytes."""

Hasher = blake3
"""An incremental hash: `update(bytes)`, `hexdigest()`."""

_is_forked = False

_MMAP_FROM = 1 << 20
_DIGITS = frozenset("0123456789abcdef")


def _note_fork() -> None:
    global _is_forked
    _is_forked = True


os.register_at_fork(after_in_child=_note_fork)


def large_hasher() -> blake3:
    """A hasher for much content, which uses all processors.

    In a forked process it uses one: the library's threads do not outlive a fork, and it would wait for them for ever.
    """
    return blake3(max_threads=1 if _is_forked else blake3.AUTO)


def hash_bytes(data: bytes) -> Digest:
    """The digest of `data`."""
    return Digest(blake3(data).hexdigest())


def is_digest(text: str) -> bool:
    """Whether `text` could be a digest, so that it may become a file name."""
    return len(text) == 64 and set(text) <= _DIGITS


def hash_file(path: Path) -> Digest:
    """The digest of the content of a regular file. Raises OSError."""
    hasher = large_hasher()
    with path.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size >= _MMAP_FROM:
            hasher.update_mmap(path)
        else:
            hasher.update(file.read())
    return Digest(hasher.hexdigest())


def canonical_json(value: Any) -> bytes:
    """One byte string per value: sorted keys, no blanks, UTF-8; lone surrogates (undecodable file names) are kept.

    Raises TypeError for values that JSON does not have and ValueError for NaN and infinities.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogateescape")


def hash_json(value: Any) -> Digest:
    """The digest of the canonical JSON of `value`."""
    return hash_bytes(canonical_json(value))


def hash_pieces(pieces: Iterable[bytes]) -> Digest:
    """The digest of the concatenation of `pieces`."""
    hasher = blake3()
    for piece in pieces:
        hasher.update(piece)
    return Digest(hasher.hexdigest())
