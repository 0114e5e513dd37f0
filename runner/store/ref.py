"""Names that can be moved, and what is kept, marked or accepted: aliases, datasets and models, pins, tags, and
executions that stand for other work. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.digest import Digest
from runner.store.datum import Datum

CollectionKind = Literal["dataset", "model"]
KINDS: tuple[CollectionKind, ...] = ("dataset", "model")
LATEST = "latest"
"""Always the newest version; no version and no alias of one can have this name."""

Thing = Literal["run", "execution", "datum"]
"""What can be pinned; runs and executions can have tags, too."""

_LONGEST = 500
"""Characters of a name."""

Author = Mapping[str, str]
"""Who set a name: `user`, and `execution` when a step asked for it."""


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


@dataclass(frozen=True, slots=True)
class Pin:
    """A run, an execution or a datum that keeps its files until somebody takes the pin away. `datum` is what was
    pinned, if it was one."""

    id: str
    what: Thing
    time: str
    by: Author
    note: str | None = None
    datum: Datum | None = None


@dataclass(frozen=True, slots=True)
class Tagging:
    """The runs and executions that were given a tag, by id, and those from which it was taken away though they began
    with it."""

    name: str
    has: Mapping[str, Thing] = field(default_factory=dict)
    without: Mapping[str, Thing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What the user has said: that an execution of a run stands for work of another base key, as long as the files that
    it read are as they were then, of which `code` is a digest (`runner.reuse.decide.reading_key`)."""

    code: Digest
    execution: str
    run: str
    time: str
    by: Author


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


def tag_problem(tag: str) -> str | None:
    """Why `tag` cannot be a tag; None if it can."""
    return name_problem(tag.replace("/", " "))
