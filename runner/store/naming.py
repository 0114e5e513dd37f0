"""The names of one store, as files below `refs/`. Knows no run and no index.

Each name has one small file, replaced atomically; `refs/log` tells who set what and when. A change is written to the
log first and then to the files, so a crash in between is mended by whoever changes something next. A version is made
once and never changed: its files are listed in an object.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.change import Change
from runner.store.durable import NEW, disk_errors, make_folder, replace_file, sync_folder
from runner.store.head import (
    ALIAS,
    PIN,
    READERS,
    TAG,
    Head,
    Key,
    alias_in,
    applied,
    collection_in,
    key_of,
    pin_in,
    tagging_in,
)
from runner.store.journal import read, shared
from runner.store.record import Entry
from runner.store.ref import Alias, Author, Collection, CollectionKind, Pin, Tagging
from runner.store.sealed import seal, unseal


class Refs:
    """The names below one folder. Reading takes no lock and sees whole states only.

    Every method raises MlrunError: STORE for damaged files, DISK, LOCKED.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def alias(self, name: str) -> Alias | None:
        """What an alias points to."""
        head = self._head((ALIAS, name))
        return None if head is None else alias_in(head)

    def aliases(self) -> list[Alias]:
        """All aliases by name."""
        return sorted(map(alias_in, self._heads(ALIAS)), key=lambda alias: alias.name)

    def collection(self, kind: CollectionKind, name: str) -> Collection | None:
        """A dataset or a model."""
        head = self._head((kind, name))
        return None if head is None else collection_in(kind, head)

    def collections(self, kind: CollectionKind) -> list[Collection]:
        """All datasets or models by name."""
        return sorted((collection_in(kind, head) for head in self._heads(kind)), key=lambda one: one.name)

    def pin(self, id: str) -> Pin | None:
        """The pin of a run, an execution or a datum."""
        head = self._head((PIN, id))
        return None if head is None else pin_in(head)

    def pins(self) -> list[Pin]:
        """All pins, the oldest first."""
        return sorted(map(pin_in, self._heads(PIN)), key=lambda pin: (pin.time, pin.id))

    def tags(self) -> list[Tagging]:
        """All tags that were given or taken away, by name."""
        return sorted(map(tagging_in, self._heads(TAG)), key=lambda tag: tag.name)

    def history(self) -> list[Entry]:
        """Every change in order: entries with `type`, `time`, `by` and what was changed."""
        with disk_errors(self._root):
            try:
                return read(self._log)
            except (FileNotFoundError, NotADirectoryError):
                return []

    @contextmanager
    def changing(self, by: Author) -> Iterator[Change]:
        """Change names, alone: what the block asks for is durable when it ends, and nothing of it if it raises."""
        with shared(self._log) as (journal, last):
            change = Change(self, by)
            # A writer that was killed leaves at most one turn that did not reach the files.
            self._put(last)
            yield change
            if change.entries:
                self._put(journal.append(change.entries))

    def rebuild(self) -> int:
        """Put every file that is damaged, missing or behind together again from the log; how many were."""
        if not self.history():
            return 0
        with shared(self._log):
            heads: dict[Key, Head | None] = {}
            for entry in self.history():
                heads[key_of(entry)] = applied(heads.get(key_of(entry)), entry)
            return self._write(heads)

    @property
    def _log(self) -> Path:
        return self._root / "log"

    def _put(self, entries: Sequence[Entry]) -> None:
        """Bring the files up to what the log says."""
        heads: dict[Key, Head | None] = {}
        for entry in entries:
            key = key_of(entry)
            heads[key] = applied(heads[key] if key in heads else self._head(key), entry)
        self._write(heads)

    def _write(self, heads: dict[Key, Head | None]) -> int:
        changed = {key: head for key, head in heads.items() if not self._is_so(key, head)}
        for key, head in changed.items():
            path = self._path(key)
            with disk_errors(path):
                make_folder(path.parent)
                if head is None:
                    path.unlink(missing_ok=True)
                    sync_folder(path.parent)
                else:
                    replace_file(path, seal(head))
        return len(changed)

    def _is_so(self, key: Key, head: Head | None) -> bool:
        with suppress(MlrunError):
            return head == self._head(key)
        return False

    def _path(self, key: Key) -> Path:
        """Names are any text, file names are not: so a hash of the name stands for it."""
        return self._root / key[0] / hash_bytes(key[1].encode("utf-8", "surrogatepass"))

    def _head(self, key: Key) -> Head | None:
        return self._read(self._path(key))

    def _heads(self, folder: str) -> list[Head]:
        with disk_errors(self._root):
            try:
                paths = [entry for entry in (self._root / folder).iterdir() if not entry.name.startswith(NEW)]
            except (FileNotFoundError, NotADirectoryError):
                return []
        found = (self._read(path) for path in paths)
        return [head for head in found if head is not None]

    def _read(self, path: Path) -> Head | None:
        with disk_errors(path):
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        try:
            head: Head = unseal(data)
            READERS[path.parent.name](head)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MlrunError(
                f"the store is damaged: `{path}` cannot be understood",
                code=ExitCode.STORE,
                hint=f"`mlrun store rebuild` puts it together again from `{self._log}`",
            ) from error
        return head
