"""The parts of an RO-Crate: a graph of entities with ids that grows, and the files that it holds. Values only."""

import mimetypes
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from runner.digest import Digest
from runner.export.document import Stored
from runner.export.subject import Subject
from runner.export.telling import clean, file_name, portable
from runner.state import DONE, FINAL
from runner.store.record import Code, Execution, Run
from runner.store.tree import LINK

SCHEMA = "http://schema.org"

Entity = dict[str, Any]


def ref(entity: Entity | str) -> Entity:
    """A reference to an entity."""
    return {"@id": entity if isinstance(entity, str) else entity["@id"]}


def refs(entities: Iterable[Entity]) -> list[Entity]:
    """References, each once, in order."""
    return [ref(id) for id in dict.fromkeys(entity["@id"] for entity in entities)]


def local(*parts: str) -> str:
    """An id inside the document, of any texts."""
    return "#" + "/".join(quote(clean(part), safe="") for part in parts)


def moment(time: str) -> str:
    """As the profiles recommend it: milliseconds, and the offset in digits."""
    return datetime.fromisoformat(time).isoformat(timespec="milliseconds")


class Graph:
    """Entities by id, in the order they came; the same one may be told again with more."""

    def __init__(self) -> None:
        self._entities: dict[str, Entity] = {}
        self._links: set[tuple[str, str, str]] = set()

    def add(self, id: str, type: str | list[str], **properties: Any) -> Entity:
        """A new entity, or the one that has this id already. Properties without value are left out."""
        if id not in self._entities:
            told = {name: value for name, value in properties.items() if value not in (None, "", [])}
            self._entities[id] = {"@id": id, "@type": type} | told
        return self._entities[id]

    def link(self, entity: Entity, name: str, *others: Entity) -> None:
        """Let an entity refer to others as well."""
        for other in others:
            link = (entity["@id"], name, other["@id"])
            if link not in self._links:
                self._links.add(link)
                entity.setdefault(name, []).append(ref(other))

    def has(self, id: str) -> bool:
        """Whether the entity is there."""
        return id in self._entities

    def entities(self) -> list[Entity]:
        """All of them; where there is one reference, without a list, as RO-Crate recommends it."""
        return [{name: _compact(value) for name, value in one.items()} for one in self._entities.values()]


def _compact(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) else value


class Payload:
    """The files of a crate, and the entities that describe them. Files that are not here, and all of them where only
    metadata are wanted, get ids that no file has."""

    def __init__(self, subject: Subject, graph: Graph, root: Entity) -> None:
        self._subject = subject
        self._graph = graph
        self._root = root
        self.files: dict[str, bytes | Stored] = {}
        self.folders: dict[str, None] = {}

    def file(self, place: str, id: str, name: str, digest: Digest, size: int | None = None, **more: Any) -> Entity:
        """A file of the store, to lie at `place`; `id` stands for it where it does not come along."""
        gone = self._subject.contents.gone(digest)
        absent = gone is not None or self._subject.metadata_only
        where = portable(place)
        described = self._graph.add(
            local(id) if absent else quote(where),
            "File",
            name=file_name(name),
            contentSize=None if size is None else str(size),
            encodingFormat=mimetypes.guess_type(where)[0] or "application/octet-stream",
            identifier=f"blake3:{digest}",
            sha256=None if absent else self._subject.contents.sha256(digest),
            description=f"The content is not here: it {clean(gone)}." if gone else None,
            **more,
        )
        if not absent:
            self.files[where] = Stored(digest)
            self._graph.link(self._root, "hasPart", described)
        return described

    def text(self, place: str, content: bytes, **properties: Any) -> Entity:
        """A file that is made here; it always comes along."""
        described = self._graph.add(quote(place), "File", **properties)
        self.files[place] = content
        self._graph.link(self._root, "hasPart", described)
        return described

    def code(self, run: Run, code: Code) -> Entity:
        """The folder of the code of a run, or of a node of it, its regular files with their usual names."""
        gone = self._subject.contents.gone(code.snapshot)
        absent = gone is not None or self._subject.metadata_only
        place = f"code/{code.snapshot[:16]}/"
        id = local("code", code.snapshot) if absent else place
        if self._graph.has(id):
            return self._graph.add(id, "Dataset")
        notes = [f"not captured: {file_name(path)}" for path in code.not_captured]
        if gone is None and not absent:
            for entry in self._subject.contents.tree(code.snapshot):
                if entry.mode == LINK:
                    notes.append(f"symbolic link: {file_name(entry.path)} → {file_name(entry.content)}")
                elif reason := self._subject.contents.gone(Digest(entry.content)):
                    notes.append(f"{file_name(entry.path)} {clean(reason)}")
                else:
                    kept = Stored(Digest(entry.content), executable=entry.mode == "100755")
                    self.files[place + portable(entry.path)] = kept
        if gone is not None:
            notes.append(f"The content is not here: it {clean(gone)}.")
        told = self._graph.add(
            id,
            "Dataset",
            name=f"code of run {run.counter}",
            version=code.identifier,
            identifier=f"blake3:{code.snapshot}",
            description="\n".join(notes) or "The files of the project as they were when the run began.",
        )
        if not absent:
            self.folders[place.rstrip("/")] = None
            self._graph.link(self._root, "hasPart", told)
        return told


def status(what: Run | Execution) -> str:
    """The `actionStatus`, as the profiles write it."""
    if what.state not in FINAL:
        return f"{SCHEMA}/ActiveActionStatus"
    return f"{SCHEMA}/{'Completed' if what.state in DONE else 'Failed'}ActionStatus"


def schema_type(value: Any) -> str:
    """What a parameter's value is to schema.org."""
    match value:
        case bool():
            return "Boolean"
        case int():
            return "Integer"
        case float():
            return "Float"
        case list() if value:
            return schema_type(value[0])
    return "Text"
