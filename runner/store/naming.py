"""The names of one store, as files below `refs/`. Knows no run and no index.

Each name has one small file, replaced atomically; `refs/log` tells who set what and when. A change is written to the
log first and then to the files, so a crash in between is mended by whoever changes something next. A version is made
once and never changed: its files are listed in an object.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import extent
from runner.store.change import Change
from runner.store.durable import NEW, disk_errors, make_folder, replace_file, sync_folder
from runner.store.extent import Extent
from runner.store.head import (
    ACCEPTED,
    ALIAS,
    PIN,
    READERS,
    TAG,
    Head,
    Key,
    acceptances_in,
    alias_in,
    applied,
    collection_in,
    heads_of,
    kept,
    key_of,
    name_in,
    pin_in,
    tagging_in,
)
from runner.store.journal import Journal, read, shared
from runner.store.record import Entry
from runner.store.ref import Acceptance, Alias, Author, Collection, CollectionKind, Pin, Tagging
from runner.store.sealed import seal, unseal


class Refs:
    """The names below one folder. Reading takes no lock and sees whole states only.

    Every method raises MlrunError: STORE for damaged files, DISK, LOCKED.
    """

    def __init__(self, root: Path, seen: Path, told: Mapping[Key, Head | None] | None = None) -> None:
        """Names below `root`; `seen` keeps how long their log was, and stands outside. `told` hides the files of these
        names."""
        self._root = root
        self._seen = seen
        self._told = told or {}

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

    def accepted(self, key: Digest) -> tuple[Acceptance, ...]:
        """What the user has accepted for work of this base key, oldest first."""
        head = self._head((ACCEPTED, key))
        return () if head is None else acceptances_in(head)

    def acceptances(self) -> list[Acceptance]:
        """All that the user has accepted, oldest first."""
        found = (one for head in self._heads(ACCEPTED) for one in acceptances_in(head))
        return sorted(found, key=lambda one: (one.time, one.code))

    def history(self) -> list[Entry]:
        """Every change in order: entries with `type`, `time`, `by` and what was changed."""
        with disk_errors(self._root):
            try:
                return read(self._log)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def as_logged(self) -> "Refs":
        """These names as the log tells them, whatever has become of their files; to be read only. Raises MlrunError
        (STORE) when the log has lost turns."""
        if self.has_lost_turns():
            raise self._lost()
        return Refs(self._root, self._seen, self._completed())

    def has_lost_turns(self) -> bool:
        """Whether the log lacks what it once told: then nobody knows all names that were set."""
        return extent.is_cut(self._log, self._seen)

    @contextmanager
    def changing(self, by: Author) -> Iterator[Change]:
        """Change names, alone: what the block asks for is durable when it ends, and nothing of it if it raises."""
        with shared(self._log) as (journal, last):
            change = Change(self, by)
            before = Extent(*journal.extent)
            # A writer that was killed leaves at most one turn that did not reach the files.
            self._put(last)
            yield change
            if change.entries:
                self._put(journal.append(change.entries))
                extent.follow(journal, before, self._log, self._seen)

    def mend(self) -> int:
        """Put every file that is damaged or missing together again from the log; how many were.

        Raises MlrunError (STORE), and changes nothing, when the log has lost turns.
        """
        if self.has_lost_turns():
            raise self._lost()
        if not extent.bytes_of(self._log):
            return 0
        with shared(self._log) as (journal, _):
            return self._settle(journal, self._completed())

    def rebuild(self, by: Author) -> int:
        """Like `mend`, and files that say something else than the log, too. When the log has lost turns those stay as
        they are, are told in it as kept `by` whoever asks, and it raises MlrunError (STORE) that once: from here on it
        tells all names that are left."""
        if not self.has_lost_turns():
            if not extent.bytes_of(self._log):
                return 0
            with shared(self._log) as (journal, _):
                return self._settle(journal, heads_of(self.history()))
        with shared(self._log) as (journal, _):
            told = heads_of(self.history())
            heads = self._completed()
            heads |= {key: head for key, head in self._in_files().items() if key not in heads}
            journal.append([kept(key, head, by) for key, head in heads.items() if head and head != told.get(key)])
            self._settle(journal, heads)
        raise self._lost()

    def _in_files(self) -> dict[Key, Head]:
        """What the files hold that can be read."""
        found: dict[Key, Head] = {}
        for folder in READERS:
            for path in self._paths(folder):
                with suppress(MlrunError):
                    head = self._read(path)
                    if head is not None and self._path(key := (folder, name_in(folder, head))) == path:
                        found[key] = head
        return found

    def _completed(self) -> dict[Key, Head | None]:
        """What the files hold, with the last turn of the log, and what the log comes to where one cannot be read: it
        may have begun after a loss, and then tells less than a file does."""
        entries = self.history()
        heads = heads_of(entries)
        for key in heads:
            with suppress(MlrunError):
                heads[key] = self._head(key) or heads[key]
        for entry in entries:
            if entry["time"] == entries[-1]["time"]:
                heads[key_of(entry)] = applied(heads[key_of(entry)], entry)
        return heads

    def _settle(self, journal: Journal, heads: dict[Key, Head | None]) -> int:
        count = self._write(heads)
        extent.settle(journal, self._log, self._seen)
        return count

    def _lost(self) -> MlrunError:
        return MlrunError(
            f"the log of names `{self._log}` has lost what it once told",
            code=ExitCode.STORE,
            hint="restore it from a backup, or let `mlrun store rebuild` go on with the names that are left",
        )

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
        return self._told[key] if key in self._told else self._read(self._path(key))

    def _paths(self, folder: str) -> list[Path]:
        with disk_errors(self._root):
            try:
                return [entry for entry in (self._root / folder).iterdir() if not entry.name.startswith(NEW)]
            except (FileNotFoundError, NotADirectoryError):
                return []

    def _heads(self, folder: str) -> list[Head]:
        told = {self._path(key): head for key, head in self._told.items() if key[0] == folder}
        found = [*told.values(), *(self._read(path) for path in self._paths(folder) if path not in told)]
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
