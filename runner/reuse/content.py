"""What counts of the content of a file of the code: its words where it is Python, else its bytes.

A file is read once per content and what came out remembered in the store's cache, which can be thrown away.
"""

from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from runner.digest import Digest, is_digest
from runner.errors import MlrunError
from runner.reuse.syntax import MAX_BYTES, grammar, is_python, syntax_key
from runner.store.durable import temporary_name
from runner.store.sealed import seal, unseal
from runner.store.tree import EXECUTABLE, LINK, TreeEntry

Read = Callable[[Digest], bytes]
"""Gives the bytes of an object. Raises MlrunError."""

MOST = 20_000
"""Contents that are remembered, the newest: those of many years, in a file of 3 MB."""


class CodeKey(StrEnum):
    """What a change of a Python file is; the user's setting `code-key`."""

    SYNTAX = "syntax"
    BYTES = "bytes"


class Contents:
    """Keys of the content of files of code: two files with the same do the same, as far as they are only run.

    Used by one thread. Call `keep` at the end, so that the next command need not read the same files again.
    """

    def __init__(self, read: Read, kind: CodeKey, cache: Path | None = None) -> None:
        """`cache` is a file that remembers; without one nothing is kept."""
        self._read = read
        self._kind = kind
        self._cache = cache
        self._known: dict[str, str | None] | None = None
        self._new: dict[str, str | None] = {}

    def key(self, entry: TreeEntry) -> str:
        """What counts of a file; of one that cannot be read all."""
        if self._kind is CodeKey.BYTES or entry.mode == LINK:
            return entry.content
        if not is_python(entry.path) or entry.size > MAX_BYTES:
            return entry.content
        if self._known is None:
            self._known = _remembered(self._cache) if self._cache else {}
        if entry.content not in self._known:
            try:
                data = self._read(Digest(entry.content))
            except MlrunError:
                return entry.content
            self._known[entry.content] = self._new[entry.content] = syntax_key(data)
        key = self._known[entry.content]
        # Without a `#!` the kernel hands it to a shell, which sees other words.
        if key is None or (entry.mode == EXECUTABLE and not self._names_interpreter(entry)):
            return entry.content
        return key

    def same(self, one: TreeEntry, other: TreeEntry) -> bool:
        """Whether two files at one path are the same as far as it counts."""
        return one.content == other.content or self.key(one) == self.key(other)

    def keep(self) -> None:
        """Remember what was found; a cache that cannot be written is none. Of processes that do so at once the last
        wins, and nobody ever sees half a file."""
        if self._cache is None or not self._new:
            return
        merged = _remembered(self._cache) | self._new
        newest = dict(list(merged.items())[-MOST:])
        temporary = self._cache.parent / temporary_name()
        with suppress(OSError):
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(seal({"grammar": grammar(), "keys": newest}))
                temporary.replace(self._cache)
            finally:
                temporary.unlink(missing_ok=True)

    def _names_interpreter(self, entry: TreeEntry) -> bool:
        with suppress(MlrunError):
            return self._read(Digest(entry.content)).startswith(b"#!")
        return False


def _remembered(cache: Path) -> dict[str, str | None]:
    """What the cache tells, if it is as it was written and by a Python of this grammar."""
    try:
        document = unseal(cache.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or document.get("grammar") != grammar():
        return {}
    keys = document.get("keys")
    if not isinstance(keys, dict):
        return {}
    return {name: key for name, key in keys.items() if key is None or (isinstance(key, str) and is_digest(key))}
