"""Where an object is: whole, packed, in the trash or set aside as damaged. Reads names, sizes and recipes only.

Objects move while others look: from `objects/` to the trash and back, or into a recipe and out of it. So whoever finds
none looks again before it is called missing.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.digest import Digest, Hasher, hash_bytes, is_digest, large_hasher
from runner.store import packed
from runner.store.identity import is_id
from runner.store.layout import Layout
from runner.store.recipe import Recipe, decode_recipe
from runner.store.shelf import OURS, Where
from runner.upkeep.disk import names

_LOOKS = 3
"""A whole tour of all places each: an object would have to be moved just ahead of every one of them."""
_BLOCK = 1 << 20
_LARGE = 16 << 20
"""From here on one object is worth several cores."""
FORBIDDEN = "may not be read by this user"
"""What is wrong with a copy of which nobody can tell whether it is damaged."""
RECIPE = ".recipe"
"""The end of the name of a recipe that is set aside."""


class Halted(Exception):
    """Reading was stopped before its end."""


@dataclass(frozen=True, slots=True)
class Found:
    """A copy of an object at `path`. `size` in bytes; `problem` is why it cannot be right, None if it may be."""

    place: Where
    path: Path
    size: int
    recipe: Recipe | None = None
    problem: str | None = None

    @property
    def is_recipe(self) -> bool:
        """Whether there is, or should be, a recipe at `path`."""
        return self.path.parent.parent.name == "packed"


class Inventory:
    """What lies where in one store. Methods raise OSError but for what is not there."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def find(self, digest: Digest) -> Found | None:
        """The object where a reader would take it from; None when it is nowhere. One with a problem is given only when
        there is no other."""
        whole = self.whole_copy(digest)
        if whole is not None and whole.problem is None:
            return whole
        worst: Found | None = None
        for _ in range(_LOOKS):
            worst = None
            for found in self.copies(digest):
                if found.problem is None:
                    return found
                worst = worst or found
        return worst

    def copies(self, digest: Digest) -> Iterator[Found]:
        """Every copy: whole, packed, then those in the trash, newest first."""
        for place, top in self._tops():
            yield from _object_at(place or Where.WHOLE, top / "objects" / digest[:2] / digest)
            yield from self._recipe_at(place or Where.PACKED, top / "packed" / digest[:2] / digest)

    def whole_copy(self, digest: Digest) -> Found | None:
        """The whole object in its place."""
        return next(_object_at(Where.WHOLE, self.whole(digest)), None)

    def whole(self, digest: Digest) -> Path:
        """Where the object is, or would be, as a whole."""
        return self._layout.objects / digest[:2] / digest

    def shard(self, shard: str) -> list[Digest]:
        """Everything of which there is a copy anywhere and whose name begins with these two digits, in order."""
        found: set[str] = set()
        for _, top in self._tops():
            for part in ("objects", "packed"):
                found.update(name for name in names(top / part / shard) if is_digest(name) and name[:2] == shard)
        return [Digest(name) for name in sorted(found)]

    def blocks(self, found: Found) -> Iterator[bytes | memoryview]:
        """The bytes of a copy, block by block; a block is good until the next is asked for. They come from the disk,
        not from memory, where that can be had."""
        if found.recipe is not None:
            yield from packed.blocks(found.recipe, self.whole)
            return
        buffer = memoryview(bytearray(min(_BLOCK, max(1, found.size))))
        fd = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while count := os.readv(fd, [buffer]):
                yield buffer[:count]
        finally:
            os.close(fd)

    def problem(self, found: Found, digest: Digest, halt: Callable[[], bool] = lambda: False) -> str | None:
        """What is wrong with a copy, by its bytes; None if nothing is. Raises FileNotFoundError when it was moved, and
        Halted as soon as `halt` says so."""
        if found.problem is not None:
            return found.problem
        hasher = large_hasher() if found.size >= _LARGE else Hasher()
        try:
            for block in self.blocks(found):
                hasher.update(block)
                if halt():
                    raise Halted
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in OURS:
                raise
            if isinstance(error, PermissionError):
                return FORBIDDEN
            return f"cannot be read: {os.strerror(error.errno or errno.EIO)}"
        return None if hasher.hexdigest() == digest else "has other content than its name says"

    def content(self, digest: Digest) -> bytes | None:
        """The checked bytes of a small object; None when they cannot be had."""
        for _ in range(_LOOKS):
            for found in self.copies(digest):
                with suppress(OSError):
                    data = b"".join(map(bytes, self.blocks(found))) if found.problem is None else b""
                    if hash_bytes(data) == digest:
                        return data
        return None

    def set_aside(self, digest: Digest) -> list[Path]:
        """The damaged copies that lie in the quarantine."""
        folder = self._layout.quarantine
        return [folder / name for name in sorted(names(folder)) if name.startswith(digest)]

    def _recipe_at(self, place: Where, path: Path) -> Iterator[Found]:
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return
        except PermissionError:
            yield Found(place, path, 0, problem=FORBIDDEN)
            return
        except OSError as error:
            if error.errno in OURS:
                raise
            yield Found(place, path, 0, problem=f"has a recipe that cannot be read: {os.strerror(error.errno or 0)}")
            return
        try:
            recipe = decode_recipe(data)
        except ValueError as error:
            yield Found(place, path, 0, problem=f"has a recipe that cannot be understood: {error}")
            return
        yield Found(place, path, recipe.size, recipe, self._missing_source(recipe))

    def _missing_source(self, recipe: Recipe) -> str | None:
        ends: dict[Digest, int] = {}
        for source, offset, length in recipe.pieces:
            ends[source] = max(ends.get(source, 0), offset + length)
        for source, end in ends.items():
            try:
                size = self.whole(source).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return f"is made of the object `{source}`, which is missing"
            if size < end:
                return f"is made of the object `{source}`, which is too short"
        return None

    def _tops(self) -> Iterator[tuple[Where | None, Path]]:
        yield None, self._layout.root
        for name in sorted(filter(is_id, names(self._layout.trash)), reverse=True):
            yield Where.TRASH, self._layout.trash / name


def _object_at(place: Where, path: Path) -> Iterator[Found]:
    with suppress(FileNotFoundError, NotADirectoryError):
        status = path.lstat()
        problem = None if stat.S_ISREG(status.st_mode) else "is no regular file"
        yield Found(place, path, status.st_size, problem=problem)
