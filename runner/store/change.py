"""What is to become of names: the entries that a block of `Refs.changing` asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from runner.digest import Digest, is_digest
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.store.datum import Datum
from runner.store.identity import is_id
from runner.store.record import Entry
from runner.store.ref import LATEST, Author, Collection, CollectionKind, Thing, Version, name_problem, tag_problem


class Known(Protocol):
    """What can be asked about the names that there are."""

    def collection(self, kind: CollectionKind, name: str) -> Collection | None:
        """A dataset or a model."""


class Change:
    """What a block of `Refs.changing` asks for, on top of what is there; raises MlrunError (USAGE) for bad names."""

    def __init__(self, known: Known, by: Author) -> None:
        self.entries: list[Entry] = []
        self._known = known
        self._by = dict(by)
        self._collections: dict[tuple[str, str], Collection] = {}

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
        return self._collections.get((kind, name)) or self._known.collection(kind, name) or Collection(kind, name)

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

    def pin(self, what: Thing, id: str, note: str | None = None, datum: Datum | None = None) -> None:
        """Keep the files of a run, an execution or a datum; again with another note. `datum` is the one of that id."""
        self._add({"type": "pinned", "what": what, "id": id, "note": note, "datum": datum and asdict(datum)})

    def unpin(self, id: str) -> None:
        """Let what has this id go the way of everything else."""
        self._add({"type": "unpinned", "id": id})

    def tag(self, what: Thing, id: str, tag: str, *, own: bool) -> None:
        """Give a run or an execution a tag; `own` if it began with it."""
        problem = tag_problem(tag)
        if problem is not None:
            raise MlrunError(
                f"the tag `{printable(tag)[:80]}` {problem}",
                code=ExitCode.USAGE,
                hint="a tag is a word or a few, without control characters",
            )
        self._add({"type": "tagged", "name": tag, "what": what, "id": id, "own": own})

    def untag(self, what: Thing, id: str, tag: str, *, own: bool) -> None:
        """Take a tag away; `own` if the run or execution began with it."""
        self._add({"type": "untagged", "name": tag, "what": what, "id": id, "own": own})

    def accept(self, key: Digest, code: Digest, execution: str, run: str) -> None:
        """Let an execution of a run stand for work of another base key, while its code is in the state `code`."""
        self._add({"type": "accepted", "name": key, "code": code, "execution": execution, "run": run})

    def unaccept(self, key: Digest, code: Digest) -> None:
        """Let nothing but equal work stand for work of this base key and state of the code."""
        self._add({"type": "unaccepted", "name": key, "code": code})

    def _add(self, entry: Entry) -> None:
        self.entries.append({**entry, "by": self._by})


def _check(name: str, what: str) -> None:
    problem = name_problem(name)
    if problem is not None:
        raise MlrunError(f"the name of the {what} `{printable(name)[:80]}` {problem}", code=ExitCode.USAGE)
