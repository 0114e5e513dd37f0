"""What counts of the content of a file of the code: its syntax tree where it is Python, else its bytes.

A tree is read once per content and remembered in the store's cache, which can be thrown away.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from runner.digest import Digest
from runner.reuse.syntax import MAX_BYTES, grammar, is_python, syntax_key
from runner.store.durable import temporary_name
from runner.store.tree import LINK, TreeEntry

Read = Callable[[Digest], bytes]
"""Gives the bytes of an object. Raises MlrunError (STORE)."""


class CodeKey(StrEnum):
    """What a change of a Python file is; the user's setting `code-key`."""

    SYNTAX = "syntax"
    BYTES = "bytes"


class Contents:
    """Keys of the content of files of code: two files with the same do the same, as far as they are only run.

    Used by one thread. Call `keep` at the end, so that the next command need not read the same trees again.
    """

    def __init__(self, read: Read, kind: CodeKey, cache: Path | None = None) -> None:
        """`cache` is a file that remembers; without one nothing is kept."""
        self._read = read
        self._kind = kind
        self._cache = cache
        self._known: dict[str, str | None] | None = None
        self._is_new = False

    def key(self, entry: TreeEntry) -> str:
        """What counts of a file. Raises MlrunError (STORE) when its bytes are needed and cannot be had."""
        if self._kind is CodeKey.BYTES or entry.mode == LINK:
            return entry.content
        if not is_python(entry.path) or entry.size > MAX_BYTES:
            return entry.content
        known = self._load()
        if entry.content not in known:
            known[entry.content] = syntax_key(self._read(Digest(entry.content)))
            self._is_new = True
        return known[entry.content] or entry.content

    def same(self, one: TreeEntry, other: TreeEntry) -> bool:
        """Whether two files at one path are the same as far as it counts. Raises MlrunError (STORE)."""
        return one.content == other.content or self.key(one) == self.key(other)

    def keep(self) -> None:
        """Remember what was found; a cache that cannot be written is none."""
        if self._cache is None or not self._is_new or self._known is None:
            return
        temporary = self._cache.parent / temporary_name()
        with suppress(OSError):
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"grammar": grammar(), "keys": self._known}), encoding="ascii")
            temporary.replace(self._cache)

    def _load(self) -> dict[str, str | None]:
        if self._known is None:
            self._known = dict(_remembered(self._cache)) if self._cache else {}
        return self._known


def _remembered(cache: Path) -> Mapping[str, str | None]:
    try:
        document = json.loads(cache.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or document.get("grammar") != grammar():
        return {}
    keys = document.get("keys")
    if not isinstance(keys, dict):
        return {}
    return {digest: key for digest, key in keys.items() if key is None or isinstance(key, str)}
