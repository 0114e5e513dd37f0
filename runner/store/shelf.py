"""Where objects lie, whole, packed, in the trash or nowhere. Reads names, sizes and recipes, never the content.

An object lies whole in `objects/`, or its recipe in `packed/`, or either of them in the trash. A writer claims it
before it looks, and brings it back from the trash; a reader takes it where it is.
"""

import errno
import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.store.claim import Claims
from runner.store.durable import disk_error
from runner.store.layout import Layout
from runner.store.packed import read_recipe
from runner.store.presence import without_file
from runner.store.tombstone import Tombstones, purged_error
from runner.store.trash import Trash

LOOKS = 4
"""How often an object is looked for: others may move it from one place to another in between."""
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What says nothing of the object."""


class Where(StrEnum):
    """In which form the store has an object."""

    WHOLE = "whole"
    PACKED = "packed"
    TRASH = "trash"
    """Only in the trash: removed, and to be had back for a while."""


class Place(NamedTuple):
    """The file of an object, or of its recipe."""

    where: Where
    path: Path
    is_recipe: bool


class Shelf:
    """The places of the objects of a store. Usable from several threads. Every method raises MlrunError: STORE for what
    is missing or cannot be read, DISK when there is no space for a claim."""

    def __init__(self, layout: Layout, *, writable: bool) -> None:
        self.root = layout.objects
        """The folder of whole objects."""
        self.is_writable = writable
        self.tombstones = Tombstones(layout)
        self._root = os.fspath(layout.objects)
        self._packed = layout.packed
        self._trash = Trash(layout)
        self._claims = Claims(layout.claims) if writable else None

    def close(self) -> None:
        """Rely on nothing any more; idempotent."""
        if self._claims is not None:
            self._claims.close()

    def claim(self, digests: Iterable[Digest]) -> None:
        """Rely on objects until `close`: whoever removes them meanwhile puts them back. To be called before looking."""
        if self._claims is not None:
            self._claims.claim(digests)

    def name(self, digest: Digest) -> str:
        """`path` as text."""
        return f"{self._root}/{digest[:2]}/{digest}"

    def path(self, digest: Digest) -> Path:
        """Where the whole object is, or would be; its content is not checked."""
        return Path(self.name(digest))

    def find(self, digest: Digest) -> Where | None:
        """In which form the object is there, if at all. Claims nothing, moves nothing, reads no content."""
        place = self._look(digest)
        return None if place is None else place.where

    def has(self, digest: Digest) -> bool:
        """Whether the object is there, in any form; reads no content."""
        self.claim([digest])
        return os.path.exists(self.name(digest)) or self.locate(digest) is not None

    def size(self, digest: Digest) -> int:
        """Bytes of the object; reads no content."""
        self.claim([digest])
        try:
            return os.stat(self.name(digest)).st_size
        except FileNotFoundError:
            return self._size(digest)
        except OSError as error:
            raise unreadable(digest, error) from error

    def lacking(self, wanted: Iterable[Digest]) -> set[Digest]:
        """Those of very many objects that are not there, in any form; reads no content."""
        asked = set(wanted)
        self.claim(asked)
        return {digest for digest in without_file(self._root, asked) if self.locate(digest) is None}

    def missing(self, digest: Digest) -> MlrunError:
        """What to say of an object that is nowhere."""
        purged = self.tombstones.find(digest)
        if purged is not None:
            return purged_error(purged)
        return MlrunError(
            f"the object `{digest}` is missing from the store",
            code=ExitCode.STORE,
            hint="`mlrun store check` tells whether it was removed or lost; `mlrun pull` brings what a remote has",
        )

    def locate(self, digest: Digest) -> Place | None:
        """Where the object is, brought back from the trash by a writer."""
        place = self._look(digest)
        if place is None or place.where is not Where.TRASH or self._claims is None:
            return place
        try:
            self._trash.bring_back(digest)
        except OSError as error:
            raise disk_error(error, place.path) from error
        return self._look(digest)

    def _look(self, digest: Digest) -> Place | None:
        # Twice, because it may be put back from the last place into the first while this looks.
        for _ in range(2):
            whole, recipe = Path(self.name(digest)), self._packed / digest[:2] / digest
            if whole.exists():
                return Place(Where.WHOLE, whole, False)
            if recipe.exists():
                return Place(Where.PACKED, recipe, True)
            for part in ("objects", "packed"):
                path = self._trash.find(digest, part)
                if path is not None:
                    return Place(Where.TRASH, path, part == "packed")
        return None

    def _size(self, digest: Digest) -> int:
        for _ in range(LOOKS):
            place = self.locate(digest)
            if place is None:
                break
            try:
                if not place.is_recipe:
                    return place.path.stat().st_size
            except FileNotFoundError:
                continue
            except OSError as error:
                raise unreadable(digest, error) from error
            recipe = read_recipe(place.path)
            if recipe is not None:
                return recipe.size
        raise self.missing(digest)


def damaged(digest: Digest, what: str) -> MlrunError:
    """What to say of an object that is not what its name says."""
    return MlrunError(
        f"the store is damaged: the object `{digest}` {what}",
        code=ExitCode.STORE,
        hint="`mlrun store check` puts it aside and tells what it belongs to; running again what made it makes it anew",
    )


def unreadable(digest: Digest, error: OSError) -> MlrunError:
    """What to say of an object that cannot be read."""
    if error.errno in OURS:
        return disk_error(error, Path(error.filename or "."))
    return damaged(digest, f"cannot be read: {os.strerror(error.errno or errno.EIO)}")
