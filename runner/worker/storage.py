"""What the worker asks of the object store: no more than these few methods. Pure."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from runner.digest import Digest
from runner.store.tree import TreeEntry


class ObjectWriter(Protocol):
    """Takes content into the store; what a method returns is durable. Used from several threads.

    All methods raise MlrunError (DISK, STORE).
    """

    def adopt(self, path: Path) -> tuple[Digest, int]:
        """Take over a finished file that nobody can write any more; the name is gone afterwards."""
        ...

    def put_file(self, fd: int) -> tuple[Digest, int]:
        """Copy what an open regular file holds. Raises OSError when the file itself cannot be read."""
        ...

    def gathering(self) -> AbstractContextManager["ObjectWriter"]:
        """A writer for many files: what it takes is durable when the block ends, also by an exception."""
        ...


class ObjectReader(Protocol):
    """Gives content out of the store. Every method raises MlrunError (DISK, STORE)."""

    def materialise(self, digest: Digest, target: Path, *, writable: bool) -> None:
        """Make `target`, which does not exist, with the content of an object: read-only and shared, or a copy."""
        ...

    def read_tree(self, digest: Digest) -> Iterable[TreeEntry]:
        """The entries of a tree manifest."""
        ...

    def copy_tree(self, entries: Iterable[TreeEntry], target: Path, mtime_ns: int) -> None:
        """Fill the empty folder `target` with writable copies; every time stamp becomes `mtime_ns`."""
        ...


class ObjectStore(ObjectReader, ObjectWriter, Protocol):
    """Both."""

    def unlink(self, name: str, /, *, dir_fd: int) -> None:
        """Remove a name in an open folder that may be a link of an object. Raises OSError."""
        ...
