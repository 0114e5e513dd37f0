"""The objects: immutable files named by the BLAKE3 hash of their content. Knows nothing of what they mean.

One door to four pieces: where objects lie (`shelf`), what they hold (`content`), how bytes become objects (`landing`)
and how objects become files (`copy`).
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from runner.digest import Digest
from runner.errors import MlrunError
from runner.store.content import Contents
from runner.store.copy import Copier, TreeCopier
from runner.store.durable import disk_errors
from runner.store.landing import Landing
from runner.store.layout import Layout
from runner.store.shelf import Shelf, Where
from runner.store.tree import TreeEntry, encode_tree, read_manifest
from runner.store.verified import Verified

_PIECE = 1 << 20


class Objects:
    """The objects of the store at `layout`, to be read and, if `writable`, written.

    Any number of processes and threads may use the same store. Every method raises MlrunError: DISK when there is no
    space, STORE for other failures of the disk and for missing or damaged objects, POLICY for purged content.
    """

    def __init__(self, layout: Layout, *, writable: bool = True) -> None:
        self._shelf = Shelf(layout, writable=writable)
        self._verified = Verified(layout.cache, writable=writable)
        self._contents = Contents(self._shelf, self._verified)
        self._landing = Landing(self._shelf, self._contents, layout.scratch)
        self._copier = Copier(self._shelf, self._contents)

    def close(self) -> None:
        """Rely on nothing any more; idempotent."""
        self._contents.close()
        self._verified.close()
        self._shelf.close()

    def path(self, digest: Digest) -> Path:
        """Where the whole object is, or would be; its content is not checked."""
        return self._shelf.path(digest)

    def find(self, digest: Digest) -> Where | None:
        """In which form the object is there, if at all. Claims nothing, moves nothing, reads no content."""
        return self._shelf.find(digest)

    def has(self, digest: Digest) -> bool:
        """Whether the object is there, in any form; reads no content."""
        return self._shelf.has(digest)

    def size(self, digest: Digest) -> int:
        """Bytes of the object; reads no content."""
        return self._shelf.size(digest)

    def lacking(self, wanted: Iterable[Digest]) -> set[Digest]:
        """Those of very many objects that are not there, in any form; reads no content."""
        return self._shelf.lacking(wanted)

    def missing(self, digest: Digest) -> MlrunError:
        """What to say of an object that is nowhere."""
        return self._shelf.missing(digest)

    def open(self, digest: Digest, size: int | None = None) -> BinaryIO:
        """The object open for reading, its content checked; `size` is what it must have."""
        return self._contents.open(digest, size)

    def read(self, digest: Digest) -> bytes:
        """The content, checked."""
        return self._contents.read(digest)

    def verify(self, digest: Digest) -> bool:
        """Whether the object is there with the content that its name says; all of it is read."""
        return self._contents.verify(digest)

    def is_sound(self, digest: Digest, size: int | None = None) -> bool:
        """Whether the object is there, in any form, and as its name says, as far as that is not known already; `size`
        is what it must have."""
        return self._contents.is_sound(digest, size)

    def file(self, digest: Digest) -> Path:
        """A path at which the checked content can be read until `close`; a packed object is made whole by a writer."""
        self._make_whole(digest)
        return self._contents.file(digest)

    def gathering(self) -> AbstractContextManager[Landing]:
        """For taking in many at once, see `Landing.gathering`: durable when the block ends, and much faster."""
        return self._landing.gathering()

    def put_bytes(self, data: bytes) -> Digest:
        """Store `data`; it is durable when this returns."""
        return self._landing.put_bytes(data)

    def put_many(self, items: Iterable[bytes]) -> list[tuple[Digest, int]]:
        """Store many pieces at once; see `Landing.put_many`. Gives digest and size in the order of `items`."""
        return self._landing.put_many(items)

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: int = 0) -> tuple[Digest, int]:
        """Store the concatenation of `chunks`, `expected` bytes if that is known. Gives digest and size."""
        return self._landing.put_stream(chunks, expected)

    def put_file(self, fd: int) -> tuple[Digest, int]:
        """Store what can be read from an open file; raises OSError when it cannot be read. Gives digest and size."""
        return self._landing.put_file(fd)

    def adopt(self, path: Path) -> tuple[Digest, int]:
        """Make a finished file of ours an object and remove it from `path`; see `Landing.adopt`."""
        return self._landing.adopt(path)

    def put_tree(self, entries: Iterable[tuple[str, str, str, int]]) -> Digest:
        """Store the manifest of a tree (`runner.store.tree`) whose contents are objects already."""
        return self.put_bytes(encode_tree(entries))

    def read_tree(self, digest: Digest) -> tuple[TreeEntry, ...]:
        """The entries of the tree that the object describes."""
        return read_manifest(self, digest)

    def materialise(self, digest: Digest, target: Path, *, writable: bool) -> None:
        """Make the object's content appear at `target`, which must not exist.

        A writable file shares nothing with the object that a write could reach: a reflink or a copy. A read-only one
        may be a hard link of the object itself, so it has to be shown through a read-only mount.
        """
        with disk_errors(target.parent, self.size(digest)):
            if writable:
                self._copier.copy(digest, target, 0o644)
                return
            self._make_whole(digest)
            self._copier.share(digest, target)

    def copy_tree(self, entries: Iterable[tuple[str, str, str, int]], target: Path, mtime_ns: int) -> None:
        """Fill the existing empty folder `target` with writable copies; every time stamp becomes `mtime_ns`.

        Entries have the form of `TreeEntry`, in any order.
        """
        with disk_errors(target):
            TreeCopier(self._shelf, self._contents, self._copier.cloner, mtime_ns).copy(entries, target)

    def unlink(self, name: str, /, *, dir_fd: int) -> None:
        """Remove a name in an open folder that `materialise` may have made; raises OSError. By any other way the
        object's content has to be hashed once more."""
        self._verified.unlink(name, dir_fd=dir_fd)

    def _make_whole(self, digest: Digest) -> None:
        """Let a writer have a packed object whole, for links and paths; its recipe stays."""
        if not self._shelf.is_writable:
            return
        self._shelf.claim([digest])
        if self._shelf.find(digest) is Where.PACKED:
            with self.open(digest) as source:
                self.put_stream(iter(partial(source.read, _PIECE), b""), self.size(digest))
