"""What a format gives: one document, or a folder of files. Values only."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.digest import Digest


@dataclass(frozen=True, slots=True)
class Document:
    """One file, whose bytes may go to standard output.

    With `signed_as`, a media type, it goes out in an envelope signed by the user (`runner.app.signing.sealed`).
    """

    content: bytes
    signed_as: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A file whose content is an object of the store."""

    digest: Digest
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """Files by their paths below a folder that gets this name where the user gives none. Paths are relative, in normal
    form, and have only characters that every file system and archive has. `folders` are there even if they are empty.
    """

    name: str
    files: Mapping[str, bytes | Stored]
    folders: tuple[str, ...] = ()


def json_document(value: Any) -> Document:
    """A JSON text for people and programs. Lone surrogates become escapes; raises ValueError for NaN and infinities."""
    return Document(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """The bytes of `json_document`."""
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def json_lines(values: Iterable[Any]) -> Document:
    """One JSON text a line (NDJSON)."""
    return Document(b"".join(json.dumps(value, allow_nan=False).encode() + b"\n" for value in values))
