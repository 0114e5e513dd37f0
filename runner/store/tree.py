"""The manifest of a tree: its files and links, their content named by digest. Pure but for `read_manifest`.

Canonical JSON (`runner.digest`): `{"entries":[[path,mode,content,size],…],"format":1}`, sorted by the bytes of the
path. Modes are git's words: `100644` a file, `100755` an executable file, both with the digest as content; `120000` a
symbolic link with its target as content. Undecodable bytes of names stand as they are.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from runner.digest import Digest, canonical_json, is_digest
from runner.errors import ExitCode, MlrunError

FILE = "100644"
EXECUTABLE = "100755"
LINK = "120000"
_MODES = frozenset({FILE, EXECUTABLE, LINK})


class TreeEntry(NamedTuple):
    """A file or link of a tree. `size` is the content's length in bytes."""

    path: str
    mode: str
    content: str
    size: int


class Reader(Protocol):
    """Gives the bytes of an object."""

    def read(self, digest: Digest) -> bytes:
        """The whole content. Raises MlrunError (STORE)."""
        ...


def path_bytes(path: str) -> bytes:
    """The bytes of a path as the file system has them."""
    return path.encode("utf-8", "surrogateescape")


def encode_tree(entries: Iterable[tuple[str, str, str, int]]) -> bytes:
    """The manifest of `entries`, which may come in any order. Raises ValueError for an impossible tree."""
    ordered = sorted((TreeEntry(*entry) for entry in entries), key=lambda entry: path_bytes(entry.path))
    _check(ordered)
    return canonical_json({"entries": ordered, "format": 1})


def decode_tree(data: bytes) -> tuple[TreeEntry, ...]:
    """The entries of a manifest, sorted. Raises ValueError for anything that `encode_tree` would not have made."""
    document = json.loads(data.decode("utf-8", "surrogateescape"))
    if not isinstance(document, dict) or document.get("format") != 1:
        raise ValueError("it is not a tree manifest of format 1")
    try:
        entries = tuple(TreeEntry(*entry) for entry in document["entries"])
        _check(entries)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not a tree manifest: {error}") from error
    return entries


def read_manifest(objects: Reader, digest: Digest) -> tuple[TreeEntry, ...]:
    """The entries of the tree that the object `digest` describes. Raises MlrunError (STORE)."""
    try:
        return decode_tree(objects.read(digest))
    except ValueError as error:
        raise MlrunError(f"the object `{digest}` is no tree: {error}", code=ExitCode.STORE) from error


def _check(entries: Iterable[TreeEntry]) -> None:
    """Paths must stay below their root and differ; then a copy can never write outside its folder."""
    before = b""
    for path, mode, content, size in entries:
        raw = path_bytes(path)
        if not raw or b"\0" in raw or not {b"", b".", b".."}.isdisjoint(raw.split(b"/")):
            raise ValueError(f"`{path!r}` cannot be a path of a tree")
        if raw <= before:
            raise ValueError(f"`{path!r}` is there twice or out of order")
        if mode not in _MODES or not isinstance(content, str) or not isinstance(size, int) or size < 0:
            raise ValueError(f"`{path!r}` is neither a file nor a link")
        if not content or "\0" in content if mode == LINK else not is_digest(content):
            raise ValueError(f"`{path!r}` has no content")
        before = raw
