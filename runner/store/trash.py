"""What was removed and can be brought back for a while: batches of things moved out of their places by rename.

A batch `trash/ID/` has a file `batch`, written first, and below `objects/`, `packed/`, `runs/` and `work/` the things
under the names that they have in the store. Moving and bringing back may be interrupted anywhere and done again.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.digest import Digest
from runner.store.durable import make_folder, replace_file, sync_folder
from runner.store.identity import is_id, new_id
from runner.store.journal import timestamp
from runner.store.layout import Layout

WEEK = 7 * 24 * 3600
"""Seconds that a batch waits before it may be destroyed."""

PARTS = ("objects", "packed", "runs", "work")


@dataclass(frozen=True, slots=True)
class Batch:
    """Things removed together: `why` is the command that did it, `by` who called it, `time` in UTC (ISO 8601)."""

    id: str
    time: str
    why: str
    by: str


class Trash:
    """The batches of one store. Methods raise OSError."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def batches(self) -> list[Batch]:
        """All batches, oldest first; one whose file cannot be read is told by its id and the time in it."""
        try:
            names = sorted(name for name in os.listdir(self._layout.trash) if is_id(name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [self._read(name) for name in names]

    def begin(self, why: str, by: str) -> Batch:
        """A new, empty batch, durable on return."""
        batch = Batch(new_id(), timestamp(), why, by)
        folder = self.folder(batch)
        make_folder(folder)
        replace_file(folder / "batch", json.dumps(asdict(batch)).encode())
        return batch

    def folder(self, batch: Batch) -> Path:
        """Where a batch lies."""
        return self._layout.trash / batch.id

    def move(self, batch: Batch, path: Path) -> bool:
        """Move a file or folder of the store into the batch; False when it is not there any more."""
        target = self.folder(batch) / path.relative_to(self._layout.root)
        return _move(path, target)

    def find(self, digest: Digest) -> Path | None:
        """An object that waits in the trash, the newest."""
        for path in self._places("objects", digest):
            return path
        return None

    def bring_back(self, digest: Digest) -> bool:
        """Put an object, or its recipe, back into its place if it waits here; whether it did."""
        for part, top in (("objects", self._layout.objects), ("packed", self._layout.packed)):
            for path in self._places(part, digest):
                target = top / digest[:2] / digest
                if _move(path, target):
                    sync_folder(target.parent)
                    return True
        return False

    def contents(self, batch: Batch) -> Iterator[Path]:
        """What waits in a batch: files of objects and recipes, folders of runs and work."""
        top = self.folder(batch)
        for part in PARTS:
            for entry in _entries(top / part):
                yield from _entries(entry) if part in {"objects", "packed"} else [entry]

    def restore(self, batch: Batch) -> None:
        """Put everything of a batch back, durably, and forget the batch. What is there again already stays."""
        top = self.folder(batch)
        touched = set()
        for path in self.contents(batch):
            target = self._layout.root / path.relative_to(top)
            if not target.exists() and _move(path, target):
                touched.add(target.parent)
        for folder in touched:
            sync_folder(folder)
        self.destroy(batch)

    def destroy(self, batch: Batch) -> None:
        """Remove a batch with all that is still in it, for good."""
        folder = self.folder(batch)
        gone = folder.with_name(f".new-{folder.name}")
        with suppress(FileNotFoundError):
            folder.rename(gone)
        for left in self._layout.trash.glob(".new-*"):
            shutil.rmtree(left)

    def _places(self, part: str, digest: Digest) -> Iterator[Path]:
        try:
            names = sorted(filter(is_id, os.listdir(self._layout.trash)), reverse=True)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            path = self._layout.trash / name / part / digest[:2] / digest
            if path.exists():
                yield path

    def _read(self, id: str) -> Batch:
        try:
            return Batch(**json.loads((self._layout.trash / id / "batch").read_bytes()))
        except (OSError, ValueError, TypeError):
            return Batch(id, timestamp(int(id.replace("-", "")[:12], 16) * 1000), "?", "?")


def _move(path: Path, target: Path) -> bool:
    try:
        path.rename(target)
    except FileNotFoundError:
        if not os.path.lexists(path):
            return False
        make_folder(target.parent)
        with suppress(FileNotFoundError):
            path.rename(target)
            return True
        return False
    return True


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
