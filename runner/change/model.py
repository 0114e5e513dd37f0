"""What is known about a change: items, their details, what becomes of nodes. Pure.

Everything that comes from a file is a `Foreign` text: whoever shows it has to make it harmless for the place where it
is shown. All other words are ours.
"""

from dataclasses import dataclass
from enum import StrEnum

from runner.drawing.model import Drawing
from runner.errors import Problem


class Foreign(str):
    """Text out of a file, of any length and with any characters."""

    __slots__ = ()


Phrase = tuple[str, ...]
"""A sentence in pieces; the pieces that are `Foreign` are shown as code."""


class Kind(StrEnum):
    """What happened to a thing. `RENAMED` may have been changed besides; `MOVED` stands for another order."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    RENAMED = "renamed"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the way from an item to a detail: our noun, and the name that the file gives it."""

    noun: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """One thing that differs within an item. `path` leads to it; `key` is a key of the file, None when the thing at
    the end of the path is meant as a whole. `before` and `after` are shown texts, both None where they stay hidden."""

    kind: Kind
    path: tuple[Part, ...]
    key: str | None = None
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item that differs. `was` is its name on the base side if that is another; `remarks` are the keys that differ
    and only describe; `broken` tells that the item cannot be understood on the head side."""

    sort: str
    name: str
    kind: Kind
    was: str | None = None
    details: tuple[Detail, ...] = ()
    remarks: tuple[str, ...] = ()
    broken: bool = False


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file of the repository that differs. `names` is true when more than its content does: it is new or gone, or
    its kind, its execution bit or the target of the link has changed. `holds_others` tells that it stands for all files
    below it, as a submodule does."""

    path: str
    kind: Kind
    names: bool
    holds_others: bool = False


class Fate(StrEnum):
    """What becomes of a node when everything was run at the base and is run again at the head."""

    RUNS_AGAIN = "runs-again"
    DEPENDS = "depends"
    MAY_RUN_AGAIN = "may-run-again"
    STAYS_VALID = "stays-valid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fate of a node or of a single step, with its reasons; `own` tells that it is the node's own definition, or a
    file that its command names, that differs; `upstream` are the nodes whose outputs it depends on (`DEPENDS`)."""

    name: str
    step: str | None
    fate: Fate
    reasons: tuple[Phrase, ...] = ()
    own: bool = False
    upstream: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineChange:
    """What a change means for a pipeline of the head side, or for one that is gone: its verdicts are empty then.
    A drawing is there only where something in it is marked."""

    name: str
    verdicts: tuple[Verdict, ...] = ()
    before: Drawing | None = None
    after: Drawing | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that a change means. `steps` are the verdicts of steps that no pipeline runs; `problems` are the
    errors that only the head side has; `absent` names the sides (`base`, `head`) that lack the file, `unreadable` those
    where it is no list of items at all: then no items are compared."""

    items: tuple[ItemChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    pipelines: tuple[PipelineChange, ...] = ()
    steps: tuple[Verdict, ...] = ()
    problems: tuple[Problem, ...] = ()
    absent: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing differs that anybody could notice."""
        return not (self.items or self.files or self.problems or self.unreadable)
