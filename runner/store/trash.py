"""What was removed and can be brought back for a while: batches of things moved out of their places by rename.

A batch `trash/ID/` has a file `batch`, written first, and below `objects/`, `packed/`, `runs/` and `work/` the things
under the names that they have in the store. Moving and bringing back may be interrupted anywhere and done again, and
several processes may do it at once.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from runner.crew import side_by_side
from runner.digest import Digest
from runner.errors import MlrunError
from runner.store.durable import NEW, make_folder, make_folders, replace_file, sync_folder
from runner.store.identity import is_id, new_id
from runner.store.journal import last_turn, timestamp
from runner.store.layout import Layout
from runner.store.recipe import decode_recipe
from runner.store.sealed import seal, unseal

WEEK = 7 * 24 * 3600
"""Seconds that a batch waits before it may be destroyed."""

PARTS = ("objects", "packed", "work", "runs")
"""What is referred to comes before what refers to it."""
_SHARDED = frozenset({"objects", "packed"})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Batch:
    """Things removed together: `why` is the command that did it, `by` who called it, `time` in UTC (ISO 8601)."""

    id: str
    time: str
    why: str
    by: str

    @property
    def due(self) -> str:
        """From when on it may be destroyed, in UTC (ISO 8601)."""
        moment = datetime.fromisoformat(self.time) + timedelta(seconds=WEEK)
        return timestamp(round(moment.timestamp() * 1e6))


class Trash:
    """The batches of one store. Methods raise OSError."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def batches(self) -> list[Batch]:
        """All batches, oldest first; one whose file cannot be read is told by its id and the time in it."""
        return [self._read(name) for name in reversed(self._names())]

    def begin(self, why: str, by: str) -> Batch:
        """A new, empty batch, durable on return. Where the clock was set back it still is the newest, and waits for its
        week from the last moment on that the store knows of."""
        id = new_id(after=max([self._newest_run(), *self._names()[:1]]))
        batch = Batch(id, max(timestamp(), _time_in(id), self._last_removal()), why, by)
        folder = self.folder(batch)
        make_folder(folder)
        try:
            replace_file(folder / "batch", seal(asdict(batch)))
        except BaseException:
            with suppress(OSError):
                folder.rmdir()
            raise
        return batch

    def folder(self, batch: Batch) -> Path:
        """Where a batch lies."""
        return self._layout.trash / batch.id

    def move(self, batch: Batch, path: Path) -> bool:
        """Move a file or folder of the store into the batch; False when it is not there any more."""
        target = self.folder(batch) / path.relative_to(self._layout.root)
        return _move(path, target)

    def move_files(self, batch: Batch, part: str, names: Iterable[str]) -> list[str]:
        """Move objects (`part` is `objects`) or recipes (`packed`) into the batch; gives those that were still there.

        The folders are there, durably, before anything is moved: one wait for the disk instead of one for each.
        """
        by_shard: dict[str, list[str]] = {}
        for name in names:
            by_shard.setdefault(name[:2], []).append(name)
        target = self.folder(batch) / part
        make_folders(target, by_shard)
        moved: list[str] = []
        for shard, wanted in by_shard.items():
            moved += _move_files(f"{self._layout.root}/{part}/{shard}", f"{target}/{shard}", wanted)
        return moved

    def find(self, digest: Digest, part: str = "objects") -> Path | None:
        """An object that waits in the trash, the newest, or its recipe: `part` is `packed` then."""
        for path in self._places(part, digest):
            return path
        return None

    def bring_back(self, digest: Digest) -> bool:
        """Put an object, or its recipe and what that is made of, back into its place if it waits here. Whether it is
        in its place then: somebody else may have been faster."""
        places = [self._layout.root / part / digest[:2] / digest for part in ("objects", "packed")]
        for target in places:
            for path in self._places(target.parts[-3], digest):
                if target.exists():
                    return True
                if target == places[1]:
                    self._bring_sources(path)
                if _move(path, target):
                    sync_folder(target.parent)
                    return True
        return any(target.exists() for target in places)

    def contents(self, batch: Batch) -> Iterator[Path]:
        """What waits in a batch: files of objects and recipes, folders of work, of runs and of single logs."""
        top = self.folder(batch)
        for part in PARTS:
            for entry in _entries(top / part):
                if part in _SHARDED:
                    yield from _entries(entry)
                elif part == "runs" and not (entry / "journal").exists():
                    yield from _entries(entry / "logs")
                else:
                    yield entry

    def restore(self, batch: Batch) -> None:
        """Put everything of a batch back, durably. What is there again already stays, and the batch is still there:
        `destroy` forgets it when its return was told to whom it concerns."""
        top = self.folder(batch)
        touched: dict[Path, None] = {}
        for path in self.contents(batch):
            relative = path.relative_to(top)
            if relative.parts[0] == "runs":
                # A record comes back after what it names.
                _sync(touched)
            target = self._layout.root / relative
            if not os.path.lexists(target) and _move(path, target):
                touched[target.parent] = None
        _sync(touched)

    def destroy(self, batch: Batch, remove: Callable[[Path], object] = shutil.rmtree) -> None:
        """Remove a batch with all that is still in it, for good, and what is left of others that were about to be;
        `remove` takes away a folder. What was begun is ended by the next call."""
        self.give_up(batch)
        self.destroy_rest(remove)

    def give_up(self, batch: Batch) -> None:
        """From now on nothing comes back from a batch; `destroy_rest` frees its room."""
        folder = self.folder(batch)
        with suppress(FileNotFoundError):
            folder.rename(folder.with_name(f"{NEW}{folder.name}"))

    def destroy_rest(self, remove: Callable[[Path], object] = shutil.rmtree) -> None:
        """Remove what was given up, also by calls that were interrupted, as far as can be. Several processes may do it
        at once. Raises the first OSError."""
        errors: list[OSError] = []
        for left in self._layout.trash.glob(f"{NEW}*"):
            try:
                _empty_shards(left)
                remove(left)
            except FileNotFoundError:
                continue
            except OSError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _bring_sources(self, recipe: Path) -> None:
        """What a recipe refers to is back before the recipe is."""
        try:
            sources = decode_recipe(recipe.read_bytes()).sources
        except (FileNotFoundError, ValueError):
            return
        for source in sources:
            if not (self._layout.objects / source[:2] / source).exists():
                self.bring_back(source)

    def _places(self, part: str, digest: Digest) -> Iterator[Path]:
        for name in self._names():
            path = self._layout.trash / name / part / digest[:2] / digest
            if path.exists():
                yield path

    def _names(self) -> list[str]:
        """The ids of all batches, newest first."""
        try:
            return sorted(filter(is_id, os.listdir(self._layout.trash)), reverse=True)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _read(self, id: str) -> Batch:
        try:
            batch = Batch(**unseal((self._layout.trash / id / "batch").read_bytes()))
            datetime.fromisoformat(batch.time)
        except (OSError, ValueError, TypeError):
            return Batch(id, _time_in(id), "?", "?")
        return batch

    def _newest_run(self) -> str:
        """The id of the newest run that was begun here, empty without any: the clock of another store says nothing."""
        with suppress(FileNotFoundError):
            for name in sorted(filter(is_id, os.listdir(self._layout.runs)), reverse=True):
                if not self._layout.run(name).imported.exists():
                    return name
        return ""

    def _last_removal(self) -> str:
        """When the last thing was removed or brought back, as far as that can be read; empty without any. Who purged
        content may have done it elsewhere."""
        with suppress(OSError, MlrunError):
            entries = last_turn(self._layout.removed)
            return max((entry["time"] for entry in entries if entry["type"] != "content-purged"), default="")
        return ""


def _time_in(id: str) -> str:
    """When an id was made, in UTC (ISO 8601)."""
    return timestamp(int(id.replace("-", "")[:12], 16) * 1000)


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


def _move_files(source: str, target: str, names: Iterable[str]) -> list[str]:
    """Those of the files that were in the folder `source` and are in `target` by now."""
    moved: list[str] = []
    try:
        source_fd = os.open(source, _FOLDER)
    except FileNotFoundError:
        return moved
    try:
        target_fd = os.open(target, _FOLDER)
        try:
            for name in names:
                try:
                    os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
                except FileNotFoundError:
                    continue
                moved.append(name)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)
    return moved


def _empty_shards(batch: Path) -> None:
    """Remove the objects and recipes of a batch, several folders at a time: a file system may wait for the disk with
    every file (ext4 that discards and has no journal). What stays is met, and told, by who removes the batch."""
    side_by_side(_remove_shard, [shard for part in sorted(_SHARDED) for shard in _entries(batch / part)])


def _remove_shard(folder: Path) -> None:
    with suppress(OSError):
        fd = os.open(folder, _FOLDER | os.O_NOFOLLOW)
        try:
            for name in os.listdir(fd):
                with suppress(OSError):
                    os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
        folder.rmdir()


def _sync(folders: dict[Path, None]) -> None:
    while folders:
        sync_folder(folders.popitem()[0])


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(NEW))
    except (FileNotFoundError, NotADirectoryError):
        return []
