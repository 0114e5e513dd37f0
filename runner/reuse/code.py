"""Which of the files that an execution read have changed since. Pure but for what `Contents` reads.

The names, kinds, modes and link targets of the whole code always count, because a look-up that finds nothing leaves no
trace; contents count only where they were read (`runner.worker.witness`). They are compared tree against tree.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from runner.digest import Digest, hash_bytes
from runner.reuse.content import Contents
from runner.reuse.fact import canonical
from runner.store.record import Reading
from runner.store.tree import LINK, TreeEntry

Counts = Callable[[str], bool]
"""Whether a path counts as code of a step: the `code:` globs of its policy may leave some out. Two that are equal say
the same of every path."""


def everything(path: str) -> bool:
    """Where no policy says otherwise, every file counts."""
    return True


class Code:
    """The files of one snapshot by path."""

    def __init__(self, entries: Iterable[TreeEntry]) -> None:
        """The code of a tree manifest."""
        self.entries: Mapping[str, TreeEntry] = {entry.path: entry for entry in entries}
        self._names: dict[Counts, Digest] = {}
        self._renamed: dict[tuple[Code, Counts], Renamed] = {}

    def names(self, counts: Counts = everything) -> Digest:
        """A digest of the paths that count, with the kind and mode of each and the targets of links."""
        if counts not in self._names:
            told = [[entry.path, *_name(entry)] for entry in self.entries.values() if counts(entry.path)]
            self._names[counts] = hash_bytes(canonical(told))
        return self._names[counts]

    def renamed_since(self, before: "Code", counts: Counts) -> "Renamed":
        """See `renamed`. Many nodes ask the same of the same earlier code."""
        if (before, counts) not in self._renamed:
            self._renamed[before, counts] = _renamed(before, self, counts)
        return self._renamed[before, counts]


Renamed = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""The paths that came, went, and are of another kind, mode or target."""


def renamed(before: Code, after: Code, counts: Counts = everything) -> Renamed:
    """In which names two codes differ; what `Code.names` tells apart."""
    return after.renamed_since(before, counts)


def _renamed(before: Code, after: Code, counts: Counts) -> Renamed:
    was = {path: entry for path, entry in before.entries.items() if counts(path)}
    now = {path: entry for path, entry in after.entries.items() if counts(path)}
    other = [path for path in now if path in was and _name(now[path]) != _name(was[path])]
    return [path for path in now if path not in was], [path for path in was if path not in now], other


def _name(entry: TreeEntry) -> tuple[str, str | None]:
    return entry.mode, entry.content if entry.mode == LINK else None


def changed(
    reading: Reading, before: Code, after: Code, contents: Contents, counts: Counts = everything
) -> tuple[str, ...]:
    """The files that an execution over `before` read and that are others in `after`, in order of their paths. One that
    it is said to have read and that was not there is no file that anybody could compare."""
    return tuple(
        path
        for path in read_paths(reading, before, counts)
        if path not in before.entries
        or path not in after.entries
        or not contents.same(before.entries[path], after.entries[path])
    )


def read_paths(reading: Reading, before: Code, counts: Counts = everything) -> tuple[str, ...]:
    """The files whose content counts for an execution over `before`: all of them where nobody knows what it read."""
    return tuple(path for path in (before.entries if reading.code is None else reading.code) if counts(path))
