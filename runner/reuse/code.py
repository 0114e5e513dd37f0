"""Which of the files that an execution read have changed since. Pure but for what `Contents` reads.

The names, kinds, modes and link targets of the whole code always count, because a look-up that finds nothing leaves no
trace; contents count only where they were read (`runner.worker.witness`). They are compared tree against tree.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from runner.digest import Digest, hash_json
from runner.reuse.content import Contents
from runner.store.record import Reading
from runner.store.tree import LINK, TreeEntry

Counts = Callable[[str], bool]
"""Whether a path counts as code of a step: the `code:` globs of its policy may leave some out."""


def everything(path: str) -> bool:
    """Where no policy says otherwise, every file counts."""
    return True


@dataclass(frozen=True, slots=True)
class Code:
    """The files of one snapshot by path."""

    entries: Mapping[str, TreeEntry]

    @classmethod
    def of(cls, entries: Iterable[TreeEntry]) -> "Code":
        """The code of a tree manifest."""
        return cls({entry.path: entry for entry in entries})

    def names(self, counts: Counts = everything) -> Digest:
        """A digest of the paths that count, with the kind and mode of each and the targets of links."""
        return hash_json(
            [
                [entry.path, entry.mode, entry.content if entry.mode == LINK else None]
                for entry in self.entries.values()
                if counts(entry.path)
            ]
        )


def renamed(before: Code, after: Code, counts: Counts = everything) -> tuple[list[str], list[str], list[str]]:
    """The paths that came, went, and are of another kind, mode or target; what `Code.names` tells apart."""
    was = {path: entry for path, entry in before.entries.items() if counts(path)}
    now = {path: entry for path, entry in after.entries.items() if counts(path)}
    other = [path for path in now if path in was and _name(now[path]) != _name(was[path])]
    return [path for path in now if path not in was], [path for path in was if path not in now], other


def _name(entry: TreeEntry) -> tuple[str, str | None]:
    return entry.mode, entry.content if entry.mode == LINK else None


def changed(
    reading: Reading, before: Code, after: Code, contents: Contents, counts: Counts = everything
) -> tuple[str, ...]:
    """The files that an execution over `before` read and that are others in `after`, in order of their paths.

    Both have the same names as far as they count. Raises MlrunError (STORE) when a content is needed and gone.
    """
    paths = before.entries if reading.code is None else reading.code
    return tuple(
        path
        for path in paths
        if counts(path)
        and path in before.entries
        and (path not in after.entries or not contents.same(before.entries[path], after.entries[path]))
    )
