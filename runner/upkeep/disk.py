"""What lies in folders: names, small files, and how many bytes. What vanishes meanwhile is nothing. Only reads."""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(slots=True)
class Heap:
    """Some files and their bytes."""

    files: int = 0
    size: int = 0

    def add(self, size: int, files: int = 1) -> None:
        """Put some more on it."""
        self.files += files
        self.size += size

    def __bool__(self) -> bool:
        return self.files > 0


def entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """What lies in a folder, in any order; nothing where there is none. Raises OSError where it may not be read."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def names(folder: Path) -> list[str]:
    """The names in a folder, in any order; none where there is no folder. Raises OSError."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def content_of(path: Path) -> bytes | None:
    """What a small file holds: None where there is none, nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return b""


def weigh(path: Path | str) -> Heap:
    """A file, or all files below a folder, links not followed. What may not be read counts nothing."""
    return _weigh(path, most_links=None)


def weigh_work(path: Path | str) -> Heap:
    """The same for folders in which steps worked: files with other names cost nothing, as they are objects."""
    return _weigh(path, most_links=1)


def weigh_batch(folder: Path, known: Mapping[str, Mapping[str, int]] = MappingProxyType({})) -> Heap:
    """A batch of the trash, without the note about itself. `known` has the sizes of files by their names, for parts in
    which no other files are."""
    total = Heap()
    for part in entries(folder):
        if part.is_dir(follow_symlinks=False):
            if part.name in known:
                heap = _add_up(part.path, known[part.name])
            else:
                heap = (weigh_work if part.name == "work" else weigh)(part.path)
            total.add(heap.size, heap.files)
    return total


def _add_up(part: str, sizes: Mapping[str, int]) -> Heap:
    heap = Heap()
    for shard in entries(part):
        with suppress(OSError):
            for name in os.listdir(shard.path):
                heap.add(sizes.get(name, 0))
    return heap


def _weigh(path: Path | str, most_links: int | None) -> Heap:
    heap = Heap()
    for status in _statuses(os.fspath(path)):
        if stat.S_ISREG(status.st_mode):
            heap.add(status.st_size if most_links is None or status.st_nlink <= most_links else 0)
    return heap


def _statuses(path: str) -> Iterator[os.stat_result]:
    with suppress(OSError):
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode):
            yield status
            return
    waiting = [path]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as found:
            for entry in found:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        yield entry.stat(follow_symlinks=False)
