"""What lies in a store and is none of its own: strange names, odd modes and owners, files of writers that were killed.

Changes nothing.
"""

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runner.digest import is_digest
from runner.escape import printable
from runner.process import is_held, start_time
from runner.store.durable import NEW
from runner.store.layout import SHARDS, Layout
from runner.upkeep.anomaly import Anomaly, note, place_of
from runner.upkeep.disk import names
from runner.upkeep.release import PACK


def strangers(layout: Layout) -> Iterator[Anomaly]:
    """Names among the objects that are none, and files with odd modes or owners."""
    owner = layout.root.stat().st_uid
    for top in (layout.objects, layout.packed):
        known = {*SHARDS, "new"} if top == layout.objects else {*SHARDS, "lock"}
        for name in names(top):
            if name not in known and not name.startswith(NEW):
                yield stranger(layout, top / name)
        for shard in SHARDS:
            yield from _in_shard(layout, top / shard, owner)
    mode = stat.S_IMODE(layout.root.stat().st_mode)
    if mode & 0o077:
        what = f"has mode {mode:04o}: others may look into it"
        yield note("mode", ".", what, f"`chmod 700 {printable(str(layout.root))}`")
    yield from _leftovers(layout)


def stranger(layout: Layout, path: Path, what: str = "is not of the store") -> Anomaly:
    """A note about what should not be there."""
    return note("stranger", place_of(layout, path), what, "look at it and move it away")


def _in_shard(layout: Layout, folder: Path, owner: int) -> Iterator[Anomaly]:
    for name in names(folder):
        path = folder / name
        if name.startswith(NEW):
            continue
        if not is_digest(name) or name[:2] != folder.name:
            yield stranger(layout, path, "is no name of an object here")
            continue
        with suppress(FileNotFoundError):
            status = path.lstat()
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISREG(status.st_mode) and mode != 0o444:
                remedy = f"`chmod 444 {printable(str(path))}`"
                yield note("mode", place_of(layout, path), f"has mode {mode:04o} instead of 0444", remedy)
            if status.st_uid != owner:
                yield note("owner", place_of(layout, path), f"belongs to user {status.st_uid}, the store to {owner}")


def _leftovers(layout: Layout) -> Iterator[Anomaly]:
    """What writers that were killed left in the making."""
    count, size = 0, 0
    for folder in (layout.scratch, *(layout.objects / shard for shard in SHARDS)):
        for name in names(folder):
            if name.startswith(NEW) and not _lives(layout, name):
                with suppress(OSError):
                    count, size = count + 1, size + (folder / name).lstat().st_size
    if count:
        yield note("leftover", "objects", f"holds {count} files, {size:,} bytes, of writers that were killed")


def _lives(layout: Layout, name: str) -> bool:
    if name.startswith(PACK):
        with suppress(OSError), (layout.packed / "lock").open("rb") as lock:
            return is_held(lock.fileno())
        return False
    pid = name.removeprefix(NEW).partition("-")[0]
    return pid.isascii() and pid.isdecimal() and start_time(int(pid)) is not None
