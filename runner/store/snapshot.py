"""The files of code snapshots, some of which are kept in memory: runs that follow each other share theirs."""

from collections.abc import Iterator
from threading import Lock

from runner.digest import Digest
from runner.store.objects import Objects
from runner.store.tree import LINK

_REMEMBERED = 8


class Snapshots:
    """Reads tree manifests from the objects. Usable from several threads."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._lock = Lock()
        self._kept: dict[Digest, tuple[tuple[str, Digest, int], ...]] = {}

    def files(self, digest: Digest) -> Iterator[tuple[str, Digest, int]]:
        """Path, digest and size of each file of a tree. Raises MlrunError (STORE)."""
        with self._lock:
            if digest not in self._kept:
                entries = self._objects.read_tree(digest)
                files = tuple((one.path, Digest(one.content), one.size) for one in entries if one.mode != LINK)
                if len(self._kept) >= _REMEMBERED:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[digest] = files
            return iter(self._kept[digest])
