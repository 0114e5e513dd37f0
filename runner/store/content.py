"""The content of objects as it is read: never a byte that its name does not vouch for. Writes no object."""

import errno
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from runner.digest import Digest, Hasher, hash_bytes, large_hasher
from runner.errors import MlrunError
from runner.store.assembly import Assembly, descriptor
from runner.store.packed import read_recipe, recipe_in
from runner.store.recipe import Recipe
from runner.store.shelf import LOOKS, Shelf, damaged, unreadable
from runner.store.verified import HASHED, Verified

_PIECE = 1 << 20
_OPEN = os.O_RDONLY | os.O_CLOEXEC


class Contents:
    """What the objects on a shelf hold, checked. Usable from several threads. Every method raises MlrunError: STORE for
    what is missing, damaged or cannot be read, POLICY for what was purged, DISK when there is no space for a claim."""

    def __init__(self, shelf: Shelf, verified: Verified) -> None:
        self.verified = verified
        self._shelf = shelf
        self._temporary: dict[Digest, BinaryIO] = {}

    def close(self) -> None:
        """Let temporary files go; idempotent."""
        while self._temporary:
            self._temporary.popitem()[1].close()

    def small(self, digest: Digest) -> bytes | None:
        """The content if it is whole, here and small; None for anything else. The fast way for many."""
        try:
            fd = os.open(self._shelf.name(digest), _OPEN)
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
        self._shelf.claim([digest])
        for _ in range(LOOKS):
            place = self._shelf.locate(digest)
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
        raise self._shelf.missing(digest)

    def read(self, digest: Digest) -> bytes:
        """The content, checked."""
        self._shelf.claim([digest])
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
                place = self._shelf.locate(digest)
                if place is not None and not place.is_recipe:
                    return place.path
                raise self._shelf.missing(digest)
            if digest not in self._temporary:
                file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object
                while piece := source.read(_PIECE):
                    file.write(piece)
                file.flush()
                self._temporary[digest] = file
        return Path(f"/proc/self/fd/{self._temporary[digest].fileno()}")

    def verify(self, digest: Digest) -> bool:
        """Whether the object is there with the content that its name says; all of it is read."""
        place = self._shelf.locate(digest)
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

    def is_sound(self, digest: Digest, size: int | None = None) -> bool:
        """Whether the object is there, in any form, and as its name says, as far as that is not known already; `size`
        is what it must have."""
        self._shelf.claim([digest])
        try:
            if (data := self.small(digest)) is not None:
                return size is None or size == len(data)
            self.open(digest, size).close()
        except MlrunError:
            return False
        return True

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
            # By its descriptor: what is known is known of this file, and another may have its name by now.
            recipe = recipe_in(note.read(), digest)
            self._shelf.claim(recipe.sources)
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
                if self._shelf.locate(source) is None and read_recipe(path) == recipe:
                    raise self._shelf.missing(source) from error
                raise

    def _stream(self, recipe: Recipe) -> BinaryIO:
        """Raises FileNotFoundError if a source is not whole any more."""
        with ExitStack() as opened:
            sources: dict[Digest, BinaryIO] = {}
            for source in sorted(recipe.sources):
                place = self._shelf.locate(source)
                if place is None or place.is_recipe:
                    # It was packed in this moment, and the recipe that leads to it was written anew before that.
                    raise FileNotFoundError(errno.ENOENT, "a source is not whole any more", source)
                sources[source] = opened.enter_context(_open(place.path)[1])
                self._check(source, sources[source])
            opened.pop_all()
        return Assembly(recipe, sources).buffered()


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
