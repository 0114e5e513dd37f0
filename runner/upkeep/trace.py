"""Every place of a store where the bytes of one file are: as an object, in parts, in work folders, half written.

Reads much: files are compared by size first, then by content. What only begins with the file's first bytes counts where
nobody else's files are: among files that writers and downloads left half done.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner.digest import Digest, hash_pieces
from runner.store.durable import NEW
from runner.store.layout import SHARDS, Layout
from runner.store.shelf import Where
from runner.upkeep.disk import names
from runner.upkeep.inventory import Found, Inventory

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Trace:
    """A file with bytes of the content: `what` says in words what it is, `size` in bytes."""

    path: Path
    what: str
    size: int


@dataclass(slots=True)
class Traces:
    """What was found, in the order in which it is to be destroyed: the last is the object itself. `outside` counts
    further names (hard links) of these files somewhere else, `unseen` are places that could not be looked at."""

    found: list[Trace] = field(default_factory=list)
    outside: int = 0
    unseen: list[str] = field(default_factory=list)


def find_traces(layout: Layout, inventory: Inventory, digest: Digest, size: int, parts: list[Digest]) -> Traces:
    """Where the bytes of the object are. `parts` are objects that hold parts of it and nothing that a record names.

    Raises OSError.
    """
    traces = Traces()
    copies = list(inventory.copies(digest))
    traces.found += _same_files(layout, digest, size, traces.unseen)
    traces.found += _unfinished(layout, inventory, copies)
    traces.found += _remembered(layout, digest)
    traces.found += (Trace(path, "a damaged copy", path.lstat().st_size) for path in inventory.set_aside(digest))
    for part in parts:
        traces.found += (Trace(one.path, "parts of it", one.size) for one in inventory.copies(part))
    for copy in reversed(copies):
        what = "the recipe" if copy.is_recipe else "the object"
        where = " in the trash" if copy.place is Where.TRASH else ""
        traces.found.append(Trace(copy.path, what + where, copy.path.lstat().st_size))
    traces.outside = _outside(traces.found)
    return traces


def _same_files(layout: Layout, digest: Digest, size: int, unseen: list[str]) -> Iterator[Trace]:
    """Files of the same content in work folders, logs, batches of the trash, and half-written ones."""
    tops = [layout.work, *(layout.runs / name / "logs" for name in names(layout.runs))]
    for name in names(layout.trash):
        # What waits under the names of objects is found by these.
        inside = [name] if name.startswith(NEW) else [f"{name}/work", f"{name}/runs"]
        tops += [layout.trash / one for one in inside]
    for top in tops:
        for path in _files(top, unseen):
            with suppress(FileNotFoundError):
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode) or status.st_size != size or not size:
                    continue
                try:
                    same = _digest(path) == digest
                except OSError as error:
                    unseen.append(f"{path}: {os.strerror(error.errno or 0)}")
                    continue
                if same:
                    yield Trace(path, "a file of a work folder" if top == layout.work else "a copy", size)


def _unfinished(layout: Layout, inventory: Inventory, copies: list[Found]) -> Iterator[Trace]:
    """What writers and downloads left half done, if it is how the content begins."""
    whole = next((copy for copy in copies if copy.problem is None), None)
    if whole is None:
        return
    paths = [layout.scratch / name for name in names(layout.scratch)]
    for shard in SHARDS:
        folder = layout.objects / shard
        paths += (folder / name for name in names(folder) if name.startswith(NEW))
    downloads = layout.cache / "downloads"
    paths += (downloads / name for name in names(downloads) if name.endswith(".part"))
    for path in paths:
        with suppress(FileNotFoundError):
            size = path.lstat().st_size
            if 0 < size <= whole.size and _begins(inventory, whole, path):
                yield Trace(path, "a half-written copy", size)


def _remembered(layout: Layout, digest: Digest) -> Iterator[Trace]:
    """What the cache knows about the content."""
    checksums = layout.cache / "checksums" / digest[:2] / f"{digest}.json"
    if checksums.exists():
        yield Trace(checksums, "its checksums", checksums.stat().st_size)
    downloads = layout.cache / "downloads"
    for name in names(downloads):
        if not name.endswith(".json") or name.endswith(".part.json"):
            continue
        with suppress(OSError, ValueError, AttributeError):
            if json.loads((downloads / name).read_bytes()).get("digest") == digest:
                for end in (".part", ".part.json", ".json"):
                    path = downloads / (name.removesuffix(".json") + end)
                    if path.exists():
                        yield Trace(path, "of its download", path.stat().st_size)


def _files(top: Path, unseen: list[str]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            unseen.append(f"{error.filename}: {os.strerror(error.errno or 0)}")

    for folder, _, files in os.walk(top, onerror=note):
        yield from (Path(folder, name) for name in files)


def _digest(path: Path) -> Digest:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return hash_pieces(iter(lambda: os.read(fd, _PIECE), b""))
    finally:
        os.close(fd)


def _begins(inventory: Inventory, whole: Found, path: Path) -> bool:
    """Whether the content begins with all that is in the file."""
    with suppress(OSError), path.open("rb") as file:
        for block in inventory.blocks(whole):
            piece = file.read(len(block))
            if piece != bytes(block[: len(piece)]):
                return False
            if len(piece) < len(block):
                return True
        return not file.read(1)
    return False


def _outside(found: list[Trace]) -> int:
    """Names of the same files that are not among these."""
    links: dict[tuple[int, int], int] = {}
    for path in {trace.path for trace in found}:
        with suppress(FileNotFoundError):
            status = path.lstat()
            key = status.st_dev, status.st_ino
            links[key] = links.get(key, status.st_nlink) - 1
    return sum(links.values())
