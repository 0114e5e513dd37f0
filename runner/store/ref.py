"""Names that can be moved: aliases of data, and datasets and models with their versions. Knows no run and no index.

Each name has one small file below `refs/`, replaced atomically; `refs/log` tells who set what and when. A change is
written to the log first and then to the files, so a crash in between is mended by whoever changes something next.
A version is made once and never changed: its files are listed in an object.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from runner.digest import Digest, hash_bytes, is_digest
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.store.datum import Datum
from runner.store.durable import disk_errors, make_folder, replace_file, sync_folder
from runner.store.identity import is_id
from runner.store.journal import Journal, read
from runner.store.record import Entry

CollectionKind = Literal["dataset", "model"]
KINDS: tuple[CollectionKind, ...] = ("dataset", "model")
LATEST = "latest"
"""Always the newest version; no version and no alias of one can have this name."""

REF_ENTRY_TYPES = ("alias-set", "alias-removed", "version-made", "version-aliased")

_ALIAS = "alias"
_LONGEST = 500
"""Characters of a name."""
_PATIENCE = 60.0
_PAUSE = 0.02

Author = Mapping[str, str]
"""Who set a name: `user`, and `execution` when a step asked for it."""

_Key = tuple[str, str]
"""Folder and name."""
_Head = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Alias:
    """A name of one datum."""

    name: str
    datum: Datum
    time: str
    by: Author


@dataclass(frozen=True, slots=True)
class Version:
    """A list of data under a name. `manifest` is the object that lists them, `files` and `size` (bytes) sum them up;
    `notes` are what was said about it, JSON values."""

    name: str
    manifest: Digest
    files: int
    size: int
    time: str
    by: Author
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collection:
    """A dataset or a model: its versions, oldest first, and names of some of them."""

    kind: CollectionKind
    name: str
    versions: tuple[Version, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The names of the versions, oldest first."""
        return [version.name for version in self.versions]

    def find(self, name: str) -> Version | None:
        """The version that `name` means: its own name before an alias; `latest` is the newest."""
        if name == LATEST:
            return self.versions[-1] if self.versions else None
        target = self.aliases.get(name)
        by_name = {version.name: version for version in self.versions}
        return by_name.get(name) or (None if target is None else by_name.get(target))


def name_problem(name: str) -> str | None:
    """Why `name` cannot be that of an alias, a dataset, a model or a version; None if it can."""
    if not name.strip():
        return "is empty"
    if len(name) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if "/" in name:
        return "holds a `/`"
    if any(ord(char) < 0x20 or 0xD800 <= ord(char) <= 0xDFFF for char in name):
        return "holds what is no text"
    return None


class Refs:
    """The names below one folder. Reading takes no lock and sees whole states only.

    Every method raises MlrunError: STORE for damaged files, DISK, LOCKED.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def alias(self, name: str) -> Alias | None:
        """What an alias points to."""
        head = self._head((_ALIAS, name))
        return None if head is None else _alias(head)

    def aliases(self) -> list[Alias]:
        """All aliases by name."""
        return [_alias(head) for head in self._heads(_ALIAS)]

    def collection(self, kind: CollectionKind, name: str) -> Collection | None:
        """A dataset or a model."""
        head = self._head((kind, name))
        return None if head is None else _collection(kind, head)

    def collections(self, kind: CollectionKind) -> list[Collection]:
        """All datasets or models by name."""
        return [_collection(kind, head) for head in self._heads(kind)]

    def history(self) -> list[Entry]:
        """Every change in order: entries with `type`, `time`, `by` and what was changed."""
        with disk_errors(self._root):
            try:
                return read(self._log)
            except (FileNotFoundError, NotADirectoryError):
                return []

    @contextmanager
    def changing(self, by: Author) -> Iterator["Change"]:
        """Change names, alone: what the block asks for is durable when it ends, and nothing of it if it raises."""
        journal, entries = self._take_log()
        with journal:
            change = Change(self, by)
            # A writer that was killed leaves at most one turn that did not reach the files.
            self._put(_last_turn(entries))
            yield change
            if change.entries:
                self._put(journal.append(change.entries))

    @property
    def _log(self) -> Path:
        return self._root / "log"

    def _take_log(self) -> tuple[Journal, list[Entry]]:
        with disk_errors(self._root):
            if not self._log.exists():
                make_folder(self._root)
                os.close(os.open(self._log, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
                sync_folder(self._root)
            deadline = time.monotonic() + _PATIENCE
            while (taken := Journal.take_over(self._log)) is None:
                if time.monotonic() > deadline:
                    raise MlrunError(
                        f"`{self._log}` was locked by another process for {_PATIENCE:.0f} s",
                        code=ExitCode.LOCKED,
                        hint="wait for other `mlrun` commands to end",
                    )
                time.sleep(_PAUSE)
        return taken

    def _put(self, entries: Sequence[Entry]) -> None:
        """Bring the files up to what the log says."""
        heads: dict[_Key, _Head | None] = {}
        for entry in entries:
            key = _key(entry)
            heads[key] = _applied(heads[key] if key in heads else self._head(key), entry)
        for key, head in heads.items():
            if head == self._head(key):
                continue
            path = self._path(key)
            with disk_errors(path):
                make_folder(path.parent)
                if head is None:
                    path.unlink(missing_ok=True)
                    sync_folder(path.parent)
                else:
                    replace_file(path, json.dumps(head, separators=(",", ":")).encode("ascii"))

    def _path(self, key: _Key) -> Path:
        """Names are any text, file names are not: so a hash of the name stands for it."""
        return self._root / key[0] / hash_bytes(key[1].encode("utf-8", "surrogatepass"))

    def _head(self, key: _Key) -> _Head | None:
        return self._read(self._path(key))

    def _heads(self, folder: str) -> list[_Head]:
        with disk_errors(self._root):
            try:
                paths = [entry for entry in (self._root / folder).iterdir() if not entry.name.startswith(".new-")]
            except (FileNotFoundError, NotADirectoryError):
                return []
        found = (self._read(path) for path in paths)
        return sorted((head for head in found if head is not None), key=lambda head: str(head["name"]))

    def _read(self, path: Path) -> _Head | None:
        with disk_errors(path):
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        try:
            head: _Head = json.loads(data)
            _ = _alias(head) if path.parent.name == _ALIAS else _collection("dataset", head)
        except (ValueError, KeyError, TypeError) as error:
            raise MlrunError(
                f"the store is damaged: `{path}` cannot be understood",
                code=ExitCode.STORE,
                hint=f"delete it and set the name again; `{self._log}` tells what it was",
            ) from error
        return head


class Change:
    """What a block of `Refs.changing` asks for, on top of what is there; raises MlrunError (USAGE) for bad names."""

    def __init__(self, refs: Refs, by: Author) -> None:
        self.entries: list[Entry] = []
        self._refs = refs
        self._by = dict(by)
        self._collections: dict[_Key, Collection] = {}

    def set_alias(self, name: str, datum: Datum) -> None:
        """Let `name` mean `datum` from here on."""
        _check(name, "alias")
        if is_id(name) or is_digest(name):
            shown = printable(name)
            raise MlrunError(f"the alias `{shown}` would hide the datum of that id", code=ExitCode.USAGE)
        self._add({"type": "alias-set", "name": name, "datum": asdict(datum)})

    def remove_alias(self, name: str) -> None:
        """Let `name` mean nothing; what it meant stays in the log."""
        self._add({"type": "alias-removed", "name": name})

    def collection(self, kind: CollectionKind, name: str) -> Collection:
        """The dataset or model as it is by now; without versions if there is none yet."""
        return self._collections.get((kind, name)) or self._refs.collection(kind, name) or Collection(kind, name)

    def make_version(
        self,
        collection: tuple[CollectionKind, str],
        version: str,
        manifest: Digest,
        data: Sequence[Datum],
        notes: Mapping[str, Any],
    ) -> None:
        """Add a version, which must not exist yet."""
        kind, name = collection
        _check(name, kind)
        _check(version, "version")
        found = self.collection(kind, name)
        if version == LATEST:
            shown = f"`{LATEST}` is always the newest version of {kind} `{printable(name)}`"
            raise MlrunError(f"{shown}, so none can have this name", code=ExitCode.USAGE)
        if version in found.names():
            shown = f"{kind} `{printable(name)}` has a version `{printable(version)}`"
            raise MlrunError(f"{shown} already, and versions do not change", code=ExitCode.USAGE)
        entry = {
            "type": "version-made",
            "kind": kind,
            "name": name,
            "version": version,
            "manifest": manifest,
            "files": len(data),
            "size": sum(datum.size for datum in data),
            "notes": dict(notes),
        }
        self._add(entry)
        made = Version(version, manifest, len(data), int(str(entry["size"])), "", self._by, dict(notes))
        self._collections[kind, name] = Collection(kind, name, (*found.versions, made), found.aliases)

    def alias_version(self, collection: tuple[CollectionKind, str], alias: str, version: str) -> None:
        """Let `alias` mean a version of the collection, one that exists by now."""
        kind, name = collection
        _check(alias, "alias")
        if alias == LATEST:
            return
        self._add({"type": "version-aliased", "kind": kind, "name": name, "alias": alias, "version": version})

    def _add(self, entry: Entry) -> None:
        self.entries.append({**entry, "by": self._by})


def _check(name: str, what: str) -> None:
    problem = name_problem(name)
    if problem is not None:
        raise MlrunError(f"the name of the {what} `{printable(name)[:80]}` {problem}", code=ExitCode.USAGE)


def _key(entry: Entry) -> _Key:
    return str(entry.get("kind", _ALIAS)), str(entry["name"])


def _applied(head: _Head | None, entry: Entry) -> _Head | None:
    """The file's content after an entry; applying one twice changes nothing more."""
    said = {"time": entry["time"], "by": entry["by"]}
    match entry["type"]:
        case "alias-set":
            return {"name": entry["name"], "datum": entry["datum"], **said}
        case "alias-removed":
            return None
    before = head or {"name": entry["name"], "versions": [], "aliases": {}}
    if entry["type"] == "version-aliased":
        return {**before, "aliases": {**before["aliases"], entry["alias"]: entry["version"]}}
    if any(version["name"] == entry["version"] for version in before["versions"]):
        return before
    made = {key: entry[key] for key in ("manifest", "files", "size", "notes")}
    return {**before, "versions": [*before["versions"], {"name": entry["version"], **made, **said}]}


def _last_turn(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries that were written together: they have one time."""
    start = len(entries)
    while start and entries[start - 1]["time"] == entries[-1]["time"]:
        start -= 1
    return entries[start:]


def _alias(head: _Head) -> Alias:
    return Alias(str(head["name"]), Datum(**head["datum"]), head["time"], head["by"])


def _collection(kind: CollectionKind, head: _Head) -> Collection:
    return Collection(kind, str(head["name"]), tuple(Version(**one) for one in head["versions"]), head["aliases"])
