"""Where objects lie, and their content as it is read: never a byte that its name does not vouch for.

An object lies whole in `objects/`, or its recipe in `packed/`, or either of them in the trash. A writer claims it
before it looks, and brings it back from the trash; a reader reads it where it is. Writes no object.
"""

import errno
import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from runner.digest import Digest, Hasher, hash_bytes, large_hasher
from runner.errors import ExitCode, MlrunError
from runner.store.assembly import Assembly, descriptor
from runner.store.claim import Claims
from runner.store.durable import disk_error
from runner.store.layout import Layout
from runner.store.packed import read_recipe
from runner.store.presence import without_file
from runner.store.recipe import Recipe
from runner.store.tombstone import Tombstones, purged_error
from runner.store.trash import Trash
from runner.store.verified import HASHED, Verified

_PIECE = 1 << 20
_LOOKS = 4
"""How often an object is looked for: others may move it from one place to another in between."""
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What says nothing of the object."""
_OPEN = os.O_RDONLY | os.O_CLOEXEC


class Where(StrEnum):
    """In which form the store has an object."""

    WHOLE = "whole"
    PACKED = "packed"
    TRASH = "trash"
    """Only in the trash: removed, and to be had back for a while."""


class _Place(NamedTuple):
    where: Where
    path: Path
    is_recipe: bool


class Shelf:
    """The objects of a store. Usable from several threads. Every method raises MlrunError: STORE for what is missing,
    damaged or cannot be read, POLICY for what was purged, DISK when there is no space for a claim."""

    def __init__(self, layout: Layout, *, writable: bool) -> None:
        self.root = layout.objects
        """The folder of whole objects."""
        self.is_writable = writable
        self.tombstones = Tombstones(layout.removed)
        self._root = os.fspath(layout.objects)
        self._packed = layout.packed
        self._trash = Trash(layout)
        self._claims = Claims(layout.claims) if writable else None
        self._temporary: dict[Digest, BinaryIO] = {}
        self.verified = Verified(layout.cache, writable=writable)

    def close(self) -> None:
        """Rely on nothing any more; idempotent."""
        self.verified.close()
        if self._claims is not None:
            self._claims.close()
        while self._temporary:
            self._temporary.popitem()[1].close()

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
        return os.path.exists(self.name(digest)) or self._locate(digest) is not None

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
        return {digest for digest in without_file(self._root, asked) if self._locate(digest) is None}

    def small(self, digest: Digest) -> bytes | None:
        """The content if it is whole, here and small; None for anything else. The fast way for many."""
        try:
            fd = os.open(self.name(digest), _OPEN)
            try:
                data = os.read(fd, HASHED)
            finally:
                os.close(fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(digest, error) from error
        # Anything else is found out, and told, by who reads it the long way.
        return data if len(data) < HASHED and hash_bytes(data) == digest else None

    def open(self, digest: Digest, size: int | None = None) -> BinaryIO:
        """The object open for reading, its content checked; `size` is what it must have."""
        self.claim([digest])
        for _ in range(_LOOKS):
            place = self._locate(digest)
            if place is None:
                break
            try:
                found, file = self._assembly(digest, place.path) if place.is_recipe else _open(place.path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise unreadable(digest, error) from error
            try:
                if size is not None and size != found:
                    raise damaged(digest, f"has {found:,} bytes instead of {size:,}")
                if not place.is_recipe:
                    self._check(digest, file)
            except BaseException:
                file.close()
                raise
            return file
        raise self.missing(digest)

    def read(self, digest: Digest) -> bytes:
        """The content, checked."""
        self.claim([digest])
        data = self.small(digest)
        if data is None:
            with self.open(digest) as file:
                data = _rest(digest, file)
            if hash_bytes(data) != digest:
                raise _altered(digest)
        return data

    def file(self, digest: Digest) -> Path:
        """A path at which the checked content can be read until `close`. A packed object gets an unnamed temporary
        file; a writer may put it back into `objects/` first."""
        with self.open(digest) as source:
            if descriptor(source) is not None:
                place = self._locate(digest)
                if place is not None and not place.is_recipe:
                    return place.path
                raise self.missing(digest)
            if digest not in self._temporary:
                file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object
                while piece := source.read(_PIECE):
                    file.write(piece)
                file.flush()
                self._temporary[digest] = file
        return Path(f"/proc/self/fd/{self._temporary[digest].fileno()}")

    def verify(self, digest: Digest) -> bool:
        """Whether the object is there with the content that its name says; all of it is read."""
        place = self._locate(digest)
        if place is None:
            return False
        try:
            _, file = self._assembly(digest, place.path) if place.is_recipe else _open(place.path)
        except (FileNotFoundError, MlrunError):
            return False
        except OSError as error:
            raise unreadable(digest, error) from error
        with file:
            return _digest_of(digest, file) == digest

    def is_sound(self, digest: Digest) -> bool:
        """Whether the object is there, whole and as its name says, as far as that is not known already."""
        try:
            with self.path(digest).open("rb", buffering=0) as file:
                self._check(digest, file)
        except (OSError, MlrunError):
            return False
        return True

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

    def _locate(self, digest: Digest) -> _Place | None:
        """Where the object is, brought back from the trash by a writer."""
        place = self._look(digest)
        if place is None or place.where is not Where.TRASH or self._claims is None:
            return place
        try:
            self._trash.bring_back(digest)
        except OSError as error:
            raise disk_error(error, place.path) from error
        return self._look(digest)

    def _look(self, digest: Digest) -> _Place | None:
        # Twice, because it may be put back from the last place into the first while this looks.
        for _ in range(2):
            whole, recipe = Path(self.name(digest)), self._packed / digest[:2] / digest
            if whole.exists():
                return _Place(Where.WHOLE, whole, False)
            if recipe.exists():
                return _Place(Where.PACKED, recipe, True)
            for part in ("objects", "packed"):
                path = self._trash.find(digest, part)
                if path is not None:
                    return _Place(Where.TRASH, path, part == "packed")
        return None

    def _size(self, digest: Digest) -> int:
        for _ in range(_LOOKS):
            place = self._locate(digest)
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

    def _check(self, digest: Digest, file: BinaryIO) -> None:
        """Raise unless the open file has the content that its name says; its position stays at the start."""
        fd = file.fileno()
        before = os.fstat(fd)
        if before.st_size >= HASHED and self.verified.knows(digest, fd):
            return
        if _digest_of(digest, file) != digest:
            raise _altered(digest)
        file.seek(0)
        self.verified.note_found(digest, before, os.fstat(fd))

    def _assembly(self, digest: Digest, path: Path) -> tuple[int, BinaryIO]:
        """The stream over a recipe, its sources and what they make checked. Raises FileNotFoundError if it is gone."""
        with _open(path)[1] as note:
            before, fd = os.fstat(note.fileno()), note.fileno()
            recipe = read_recipe(path)
            if recipe is None:
                raise FileNotFoundError(errno.ENOENT, "the recipe is gone", str(path))
            self.claim(recipe.sources)
            try:
                if not self.verified.knows(digest, fd):
                    with self._stream(recipe) as stream:
                        if _digest_of(digest, stream) != digest:
                            raise _altered(digest)
                    self.verified.note_found(digest, before, os.fstat(fd), small=True)
                return recipe.size, self._stream(recipe)
            except FileNotFoundError as error:
                source = Digest(os.path.basename(error.filename))
                # Who unpacks an object removes its recipe first, and then what only the recipe needed.
                if self._locate(source) is None and read_recipe(path) == recipe:
                    raise self.missing(source) from error
                raise

    def _stream(self, recipe: Recipe) -> BinaryIO:
        """Raises FileNotFoundError if a source is not whole any more."""
        with ExitStack() as opened:
            sources: dict[Digest, BinaryIO] = {}
            for source in sorted(recipe.sources):
                place = self._locate(source)
                if place is None or place.is_recipe:
                    # It was packed in this moment, and the recipe that leads to it was written anew before that.
                    raise FileNotFoundError(errno.ENOENT, "a source is not whole any more", source)
                sources[source] = opened.enter_context(_open(place.path)[1])
                self._check(source, sources[source])
            opened.pop_all()
        return Assembly(recipe, sources).buffered()


def damaged(digest: Digest, what: str) -> MlrunError:
    """What to say of an object that is not what its name says."""
    return MlrunError(
        f"the store is damaged: the object `{digest}` {what}",
        code=ExitCode.STORE,
        hint="`mlrun store check` puts it aside and tells what it belongs to; running again what made it makes it anew",
    )


def unreadable(digest: Digest, error: OSError) -> MlrunError:
    """What to say of an object that cannot be read."""
    if error.errno in _OURS:
        return disk_error(error, Path(error.filename or "."))
    return damaged(digest, f"cannot be read: {os.strerror(error.errno or errno.EIO)}")


def _altered(digest: Digest) -> MlrunError:
    return damaged(digest, "has other content than its name says")


def _open(path: Path) -> tuple[int, BinaryIO]:
    file = path.open("rb", buffering=0)
    return os.fstat(file.fileno()).st_size, file


def _rest(digest: Digest, file: BinaryIO) -> bytes:
    try:
        return file.read()
    except OSError as error:
        raise unreadable(digest, error) from error


def _digest_of(digest: Digest, file: BinaryIO) -> Digest:
    """The digest of what an object's file holds from here on: read, not mapped, for a bad disk must not kill us."""
    view = memoryview(bytearray(HASHED))
    try:
        count = file.readinto(view)  # type: ignore[attr-defined]
        # Several threads cost more than they gain for little.
        hasher = large_hasher() if count == HASHED else Hasher()
        while count:
            hasher.update(view[:count])
            if len(view) < _PIECE:
                view = memoryview(bytearray(_PIECE))
            count = file.readinto(view)  # type: ignore[attr-defined]
    except OSError as error:
        raise unreadable(digest, error) from error
    return Digest(hasher.hexdigest())
