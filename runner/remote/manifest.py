"""What a remote says of one run: its journal, the objects that are there for it, and those that were left out. Pure.

A manifest is canonical JSON, and its file's name ends in the hash of its content: so it cannot be changed unnoticed,
everything that it names is named by digest, and two pushes that know different things write two files.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from runner.digest import Digest, canonical_json, hash_bytes, is_digest
from runner.store.identity import is_id

MOST_BYTES = 256 << 20
"""Of a manifest: about three million objects."""
MOST_JOURNAL = 1 << 30
MOST_SIZE = 1 << 60

_FORMAT = 1
_FIELDS = frozenset({"format", "project", "run", "journal", "objects", "absent"})


@dataclass(frozen=True, slots=True)
class ManifestName:
    """Where a manifest is, and what it must be: `digest` is that of its content, `size` in bytes."""

    project: str
    run: str
    digest: Digest
    size: int = 0

    @classmethod
    def parse(cls, project: str, text: str, size: int) -> Self | None:
        """The name of a file in the folder of a project; None for any other."""
        run, _, digest = text.partition(".")
        if not (is_id(project) and is_id(run) and is_digest(digest)):
            return None
        return cls(project, run, Digest(digest), size)

    @property
    def path(self) -> str:
        """The name at the remote."""
        return f"runs/{self.project}/{self.run}.{self.digest}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`objects` are there, by digest with their sizes in bytes; `absent` says of others of the run why they were not
    sent: `dropped` here before, or `purged` for good."""

    project: str
    run: str
    journal: Digest
    journal_size: int
    objects: Mapping[Digest, int] = field(default_factory=dict)
    absent: Mapping[Digest, str] = field(default_factory=dict)

    def all(self) -> Iterator[tuple[Digest, int]]:
        """Everything that is there for the run, with its size."""
        yield from self.objects.items()
        yield self.journal, self.journal_size

    def is_of_start(self, journal: bytes) -> bool:
        """Whether its record is this journal, or what that was at the end of an earlier turn: then the journal is the
        newer record of the same run."""
        start = journal[: self.journal_size]
        return start.endswith(b"\n") and (len(start), hash_bytes(start)) == (self.journal_size, self.journal)

    def with_record(self, journal: Digest, size: int) -> "Manifest":
        """The same of a newer record of the run, which names all that the older one did."""
        return replace(self, journal=journal, journal_size=size)

    def encode(self) -> tuple[ManifestName, bytes]:
        """Where the file belongs, and its content: one byte string per manifest."""
        data = canonical_json(
            {
                "format": _FORMAT,
                "project": self.project,
                "run": self.run,
                "journal": [self.journal, self.journal_size],
                "objects": sorted(self.objects.items()),
                "absent": sorted(self.absent.items()),
            }
        )
        return ManifestName(self.project, self.run, hash_bytes(data), len(data)), data


def decode_manifest(name: ManifestName, data: bytes) -> Manifest:
    """The manifest of this name. Raises ValueError for anything else."""
    if hash_bytes(data) != name.digest:
        raise ValueError("its content is not what its name says")
    document = json.loads(data)
    if not isinstance(document, dict) or document.get("format") != _FORMAT or set(document) != _FIELDS:
        raise ValueError("it is not a manifest of format 1")
    if (document["project"], document["run"]) != (name.project, name.run):
        raise ValueError("it tells of another run")
    journal, size = _sized([document["journal"]]).popitem()
    objects = _sized(document["objects"])
    absent = {_digest(one[0]): str(one[1]) for one in _pairs(document["absent"])}
    if not set(absent.values()) <= {"dropped", "purged"} or size > MOST_JOURNAL:
        raise ValueError("it says what cannot be")
    return Manifest(name.project, name.run, journal, size, objects, absent)


def join(manifests: Iterable[Manifest]) -> Manifest:
    """What several manifests of one run say together. Raises ValueError when they tell of different journals, or of
    different sizes of one object."""
    first, *others = manifests
    objects, absent = dict(first.objects), dict(first.absent)
    for other in others:
        if (other.journal, other.journal_size) != (first.journal, first.journal_size):
            raise ValueError("there are two different records of it")
        if any(objects.setdefault(digest, size) != size for digest, size in other.objects.items()):
            raise ValueError("there are two sizes of one object")
        absent |= other.absent
    left = {digest: why for digest, why in absent.items() if digest not in objects}
    return Manifest(first.project, first.run, first.journal, first.journal_size, objects, left)


def _sized(pairs: Any) -> dict[Digest, int]:
    found = {_digest(digest): size for digest, size in _pairs(pairs)}
    if not all(
        isinstance(size, int) and not isinstance(size, bool) and 0 <= size < MOST_SIZE for size in found.values()
    ):
        raise ValueError("a size is none")
    return found


def _pairs(value: Any) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(one, list) and len(one) == 2 for one in value):
        raise ValueError("a list of pairs is none")
    return value


def _digest(value: Any) -> Digest:
    if not isinstance(value, str) or not is_digest(value):
        raise ValueError("a digest is none")
    return Digest(value)
