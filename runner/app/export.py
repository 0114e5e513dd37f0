"""A run as a document of another tool: gathers what its record names, and writes folders and archives.

What a document says is made by `runner.export`, which touches no disk.
"""

import errno
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import IO

from runner.app.signing import sealed
from runner.digest import Digest
from runner.errors import ExitCode, MlrunError, is_full, no_room, write_code
from runner.escape import printable
from runner.export import FORMATS
from runner.export.document import Document, Folder, Stored
from runner.export.subject import Subject, parts_of
from runner.store.durable import create, name_once, sync_folder, temporary_name
from runner.store.imported import read_import
from runner.store.reach import named_by_execution
from runner.store.record import Execution, Run
from runner.store.removal import Removals
from runner.store.store import Store
from runner.store.tombstone import Tombstones
from runner.store.tree import TreeEntry

ARCHIVE = ".zip"
"""The suffix of a path at which a folder becomes an archive."""

_PIECE = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that an archive can tell: the same record gives the same bytes."""


class StoreContents:
    """What the store has of the contents that a run names (`runner.export.subject.Contents`)."""

    def __init__(self, store: Store, executions: Iterable[tuple[Run, Execution]]) -> None:
        self._store = store
        self._tombstones = Tombstones(store.layout)
        self._removed = _removed(store, executions)
        self._gone: dict[Digest, str | None] = {}
        self._sha256: dict[Digest, str] = {}

    def gone(self, digest: Digest) -> str | None:
        """Why it is not here; what waits in the trash can still be read, and is."""
        if digest not in self._gone:
            self._gone[digest] = self._why_gone(digest)
        return self._gone[digest]

    def read(self, digest: Digest) -> bytes:
        """The content, checked."""
        return self._store.objects.read(digest)

    def sha256(self, digest: Digest) -> str:
        """Read once, however many names it has."""
        if digest not in self._sha256:
            hasher = hashlib.sha256()
            with self._store.objects.open(digest) as source:
                for piece in iter(partial(source.read, _PIECE), b""):
                    hasher.update(piece)
            self._sha256[digest] = hasher.hexdigest()
        return self._sha256[digest]

    def tree(self, snapshot: Digest) -> tuple[TreeEntry, ...]:
        """The files of a snapshot of code."""
        return self._store.objects.read_tree(snapshot)

    def _why_gone(self, digest: Digest) -> str | None:
        if self._store.objects.find(digest) is not None:
            return None
        purged = self._tombstones.find(digest)
        if purged is not None:
            return f"was purged on {purged.time[:10]} by {purged.by}: {purged.reason}"
        return self._removed.get(digest, "is missing from the store")


def _removed(store: Store, executions: Iterable[tuple[Run, Execution]]) -> dict[Digest, str]:
    """Why files of executions are not here on purpose, by their digests; of some there may be others that are."""
    dropped = Removals(store.layout).read().dropped
    found: dict[Digest, str] = {}
    for run, execution in executions:
        if (time := dropped.get(execution.id)) is None:
            continue
        told = read_import(store.layout.run(run.id).imported)
        # What did not come along is told before the run is admitted.
        why = f"stayed at `{told.source}`" if told and time <= told.time else f"was removed on {time[:10]}"
        found.update((named.digest, why) for named in named_by_execution(execution))
    return found


def subject_of(store: Store, run: Run, chosen: Execution | None, *, metadata_only: bool = False) -> Subject:
    """The run, or one execution of it, with everything that a document may tell. Raises MlrunError (STORE)."""
    parts = tuple(parts_of(run, chosen, partial(_earlier, store)))
    contents = StoreContents(store, ((part.run, part.execution) for part in parts if part.execution is not None))
    return Subject(run, chosen, parts, store.tags_of(run, chosen), contents, metadata_only)


def _earlier(store: Store, run_id: str) -> Run | None:
    """A run that may have been removed since."""
    try:
        return store.run(run_id)
    except MlrunError:
        if store.layout.run(run_id).journal.exists():
            raise
        return None


def export(store: Store, run: Run, chosen: Execution | None, form: str, *, metadata_only: bool) -> bytes | Folder:
    """The document in the format of this name, signed where that is part of it. Raises MlrunError."""
    document = FORMATS[form].document(subject_of(store, run, chosen, metadata_only=metadata_only))
    return sealed(document) if isinstance(document, Document) else document


def write_folder(store: Store, folder: Folder, target: Path) -> None:
    """Write the files to `target`, a new folder or archive that is seen only when it is whole. Raises MlrunError:
    OUTPUT when it is there already, USAGE when it cannot be made, DISK when there is no room."""
    if os.path.lexists(target):
        raise MlrunError(
            f"`{printable(str(target))}` is there already",
            code=ExitCode.OUTPUT,
            hint="name another place with `-o PATH`",
        )
    beside = target.parent / temporary_name()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if target.suffix.lower() == ARCHIVE:
                _archive(store, folder, beside)
                name_once(beside, target)
            else:
                _fill(store, folder, beside)
                beside.rename(target)
            sync_folder(target.parent)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        if is_full(error):
            raise no_room(str(target.parent)) from error
        raise MlrunError(
            f"cannot write `{printable(str(target))}`: {os.strerror(error.errno or errno.EIO)}",
            code=write_code(error),
            hint="name another place with `-o PATH`",
        ) from error


def _fill(store: Store, folder: Folder, top: Path) -> None:
    top.mkdir()
    folders: set[Path] = {top}
    for path in folder.folders:
        (top / path).mkdir(parents=True, exist_ok=True)
    for path, content in folder.files.items():
        place = top / path
        if place.parent not in folders:
            place.parent.mkdir(parents=True, exist_ok=True)
            folders.update(above for above in place.parents if above.is_relative_to(top))
        mode = 0o777 if isinstance(content, Stored) and content.executable else 0o666
        with open(create(place, mode), "wb") as file:
            _copy(store, content, file)
            file.flush()
            os.fsync(file.fileno())
    for one in folders:
        sync_folder(one)


def _archive(store: Store, folder: Folder, path: Path) -> None:
    with open(create(path, 0o666), "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            for name in folder.folders:
                archive.writestr(zipfile.ZipInfo(f"{name}/", _EPOCH), b"")
            for name, content in folder.files.items():
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                mode = 0o755 if isinstance(content, Stored) and content.executable else 0o644
                entry.external_attr = (0o100000 | mode) << 16
                with archive.open(entry, "w", force_zip64=True) as member:
                    _copy(store, content, member)
        file.flush()
        os.fsync(file.fileno())


def _copy(store: Store, content: bytes | Stored, target: IO[bytes]) -> None:
    if isinstance(content, bytes):
        target.write(content)
        return
    with store.objects.open(content.digest) as source:
        for piece in iter(partial(source.read, _PIECE), b""):
            target.write(piece)
