"""How much a store takes, in parts; and fast, for its quota, by remembering what has not changed.

What the quota counts are whole objects, recipes, the trash, the quarantine and work folders: all that can be removed.
Records and caches are not counted. A folder of objects is counted again only when its time stamp has changed.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.store.durable import disk_errors
from runner.store.identity import is_id
from runner.store.layout import SHARDS, Layout
from runner.store.memo import keep, recall
from runner.upkeep.disk import Heap, entries, weigh, weigh_work

PARTS = ("whole", "packed", "trash", "work", "quarantine", "records", "cache")
COUNTED = frozenset(PARTS[:5])
"""Those that a quota is about."""

_REMEMBERED = "usage.json"
_SETTLED = 2.0
"""Seconds after which a time stamp can be believed: a change in the same tick of the clock does not show in it."""
_QUIET = 3600.0
"""Seconds after which nobody writes into a work folder any more, most likely; `mlrun du` counts it anew in any case."""


def measure(layout: Layout) -> dict[str, Heap]:
    """Files and bytes of every part, counted one by one. Raises MlrunError (STORE)."""
    with disk_errors(layout.root):
        records = _sum([*map(weigh, (layout.runs, layout.refs, layout.removed, layout.claims)), *_index(layout)])
        return {
            "whole": weigh(layout.objects),
            # Without the file of the lock, which is no recipe.
            "packed": _sum([weigh(layout.packed / shard) for shard in SHARDS]),
            "trash": weigh(layout.trash),
            "work": weigh_work(layout.work),
            "quarantine": weigh(layout.quarantine),
            "records": records,
            "cache": weigh(layout.cache),
        }


def check_quota(layout: Layout, quota: int | None) -> None:
    """Raise MlrunError (DISK) when the store has more than `quota` bytes; None allows any number."""
    if quota is None:
        return
    sizes = counted_sizes(layout, remember=True)
    total = sum(sizes.values())
    if total > quota:
        raise quota_error(total, quota, sizes["trash"])


def counted_sizes(layout: Layout, *, remember: bool) -> Mapping[str, int]:
    """Bytes of every part that a quota is about. With `remember` the store keeps what was counted, so that the next
    time takes milliseconds. Raises MlrunError (STORE)."""
    with disk_errors(layout.root):
        memory = _Memory.load(layout.cache / _REMEMBERED)
        sizes = memory.count(layout)
        if remember:
            memory.save()
    return sizes


def quota_error(total: int, quota: int, trash: int) -> MlrunError:
    """What to say to who has more than allowed; sizes in bytes."""
    frees = (
        "`mlrun gc --now` empties its trash, which is enough"
        if total - trash <= quota
        else "`mlrun gc` says what may go"
    )
    return MlrunError(
        f"the store has {total:,} bytes, its quota is {quota:,}",
        code=ExitCode.DISK,
        hint=f"{frees}; `mlrun du` says what takes the room, and `quota` in the settings how much it may take",
    )


@dataclass(slots=True)
class _Memory:
    """What was counted before: by folder, relative to the store, its time stamp (ns) and the bytes in it. `seen` is
    what can be believed the next time."""

    path: Path
    known: dict[str, tuple[int, int]]
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "_Memory":
        """What is kept at `path`; nothing if that cannot be used."""
        try:
            told = recall(path)
            return cls(path, {str(name): (int(stamp), int(size)) for name, (stamp, size) in told.items()})
        except (ValueError, TypeError, AttributeError):
            return cls(path, {})

    def count(self, layout: Layout) -> Mapping[str, int]:
        """Bytes of every part that counts. Raises OSError."""
        trash = 0
        for batch in entries(layout.trash):
            top = Path(batch.path)
            trash += self._shards(layout, top / "objects") + self._shards(layout, top / "packed")
            trash += weigh(top / "runs").size + weigh_work(top / "work").size
        work = (
            self._size(entry.path, f"work/{entry.name}", _QUIET if is_id(entry.name) else None, weigh_work)
            for entry in entries(layout.work)
        )
        return {
            "whole": self._shards(layout, layout.objects) + weigh(layout.scratch).size,
            "packed": self._shards(layout, layout.packed),
            "trash": trash,
            "work": sum(work),
            "quarantine": weigh(layout.quarantine).size,
        }

    def save(self) -> None:
        """For the next time; where that cannot be, it takes longer."""
        if self.seen != self.known:
            keep(self.path, self.seen)

    def _shards(self, layout: Layout, top: Path) -> int:
        name = os.path.relpath(top, layout.root)
        return sum(self._size(f"{top}/{shard}", f"{name}/{shard}", _SETTLED) for shard in SHARDS)

    def _size(self, folder: str, name: str, settled: float | None, weighed: Callable[[str], Heap] = weigh) -> int:
        """Bytes of a folder that can be believed not to have changed for as long as its time stamp has not, once that
        is `settled` seconds old."""
        try:
            stamp = os.stat(folder).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return 0
        known = self.known.get(name)
        size = known[1] if known and known[0] == stamp else weighed(folder).size
        if settled is not None and time.time() - stamp / 1e9 > settled:
            self.seen[name] = stamp, size
        return size


def _index(layout: Layout) -> list[Heap]:
    return [weigh(entry.path) for entry in entries(layout.root) if entry.name.startswith(layout.index.name)]


def _sum(heaps: list[Heap]) -> Heap:
    total = Heap()
    for heap in heaps:
        total.add(heap.size, heap.files)
    return total
