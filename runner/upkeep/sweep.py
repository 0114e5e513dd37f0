"""Carries out a plan: moves garbage into the trash, puts back what somebody relies on, destroys what has waited.

The order makes it safe beside runs, and to be killed anywhere. What executions lose is told first; then things are
moved, those that refer to others before the others; then claims, journals and names are read once more, and what they
rely on is put back. A process claims an object before it looks for it: either its claim is seen here, or it finds the
object gone, and brings it back itself.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from runner.digest import Digest, is_digest
from runner.errors import MlrunError
from runner.process import is_held
from runner.store.claim import remove_left
from runner.store.durable import disk_errors
from runner.store.layout import SHARDS, Layout
from runner.store.recipe import decode_recipe
from runner.store.removal import Removals
from runner.store.trash import Batch, Trash
from runner.upkeep.census import CensusTaker
from runner.upkeep.disk import Heap, entries, weigh_batch
from runner.upkeep.plan import PARTIAL, Left, Plan, Sizes, is_due
from runner.worker.tree import remove_tree

_TOLD_AT_ONCE = 10_000
"""Executions of one entry."""
_NEEDED = 1 << 20
"""Bytes that a removal takes at most before it frees any, about."""


@dataclass(slots=True)
class Swept:
    """What was done. `at_once` tells that nothing of it waits; `batch` is what was moved, None if there was nothing;
    `moved` is how much, `back` how much of it was put back because it is in use by now, `found` how much of earlier
    batches; `destroyed` how much is gone for good; `stuck` tells what could not be removed, and why."""

    at_once: bool = False
    batch: Batch | None = None
    moved: Heap = field(default_factory=Heap)
    back: Heap = field(default_factory=Heap)
    found: Heap = field(default_factory=Heap)
    destroyed: Heap = field(default_factory=Heap)
    stuck: list[str] = field(default_factory=list)


class Sweeper:
    """Carries plans out in one store. Only for the holder of the turn (`runner.upkeep.turn`). Raises MlrunError."""

    def __init__(self, layout: Layout, taker: CensusTaker, by: str) -> None:
        self._layout = layout
        self._taker = taker
        self._by = by
        self._trash = Trash(layout)

    def sweep(self, plan: Plan, moment: datetime, *, at_once: bool = False) -> Swept:
        """Remove what `plan` says, and destroy what has waited for its week; with `at_once` nothing waits. `end` has to
        follow."""
        swept = Swept(at_once)
        with disk_errors(self._layout.root, _NEEDED):
            # Room is made before room is taken: the disk may be full.
            self._settle(plan, swept)
            over = [batch for batch in self._trash.batches() if at_once or is_due(batch, moment)]
            for batch in over:
                self._give_up(batch, swept)
            if over:
                self._destroy(swept)
            for left in plan.stale:
                _remove(left, swept)
            remove_left(self._layout.claims)
            if any(plan.files.values()) or plan.work:
                swept.batch = self._trash.begin("gc", self._by)
                try:
                    self._tell(plan, swept.batch)
                except BaseException:
                    # Nothing was moved: nobody shall find a batch to undo.
                    self._trash.destroy(swept.batch, remove_tree)
                    raise
                try:
                    self._move(plan, swept.batch, swept)
                finally:
                    self._put_back(plan, swept.batch, swept)
                if at_once:
                    self._give_up(swept.batch, swept, plan.files)
        return swept

    def end(self, swept: Swept) -> None:
        """Destroy what was given up, by whomever. That may take long, and others may have their turn meanwhile."""
        if swept.at_once and swept.batch is not None:
            with disk_errors(self._layout.root):
                self._destroy(swept)
        else:
            with suppress(OSError):
                self._trash.destroy_rest(remove_tree)

    def _tell(self, plan: Plan, batch: Batch) -> None:
        """Before anything goes: a missing file must never look like damage."""
        entries_told = [
            {"type": "files-dropped", "executions": plan.losers[at : at + _TOLD_AT_ONCE], "batch": batch.id}
            for at in range(0, len(plan.losers), _TOLD_AT_ONCE)
        ]
        if entries_told:
            Removals(self._layout).append(entries_told)

    def _move(self, plan: Plan, batch: Batch, swept: Swept) -> None:
        for left in plan.work:
            try:
                if self._trash.move(batch, left.path):
                    swept.moved.add(left.heap.size, left.heap.files)
            except PermissionError as error:
                swept.stuck.append(f"{left.path}: {error.strerror}")
        for part, sizes in plan.files.items():
            if sizes:
                moved = self._trash.move_files(batch, part, sizes)
                swept.moved.add(sum(map(sizes.__getitem__, moved)), len(moved))

    def _put_back(self, plan: Plan, batch: Batch, swept: Swept) -> None:
        """What is in use by now comes back; all of it if nobody can tell."""
        try:
            relied_on = self._taker.look_again(plan.census)
        except MlrunError:
            self._trash.restore(batch)
            lost = Removals(self._layout).read().batches.get(batch.id, {})
            tell_restored(self._layout, [id for id, first in lost.items() if first])
            self._trash.destroy(batch, remove_tree)
            raise
        gone = plan.files["packed"] | plan.files["objects"]
        for name in map(bytes.hex, relied_on):
            if name in gone and self._trash.bring_back(Digest(name)):
                swept.back.add(gone[name])
        for source in self._sources(relied_on):
            if not (self._layout.objects / source[:2] / source).exists():
                self._trash.bring_back(source)

    def _sources(self, relied_on: Collection[bytes]) -> Iterator[Digest]:
        """What packed objects in use are made of."""
        for folder in entries(self._layout.packed):
            for entry in entries(folder.path):
                if is_digest(entry.name) and bytes.fromhex(entry.name) in relied_on:
                    with suppress(FileNotFoundError, ValueError):
                        yield from decode_recipe(Path(entry.path).read_bytes()).sources

    def _settle(self, plan: Plan, swept: Swept) -> None:
        """Put back what waits in the trash though something names it: a sweep was killed before it came to that, or
        somebody has named it since. Whoever has claimed something since the plan has brought it back already."""
        batches = self._trash.batches()
        for index, shard in enumerate(SHARDS):
            waiting = [
                entry
                for batch in batches
                for part in ("objects", "packed")
                for entry in entries(self._trash.folder(batch) / part / shard)
                if is_digest(entry.name)
            ]
            kept = plan.census.marks.by_digest(index) if waiting else {}
            for entry in waiting:
                digest = bytes.fromhex(entry.name)
                if digest in kept:
                    size = entry.stat(follow_symlinks=False).st_size
                    if self._trash.bring_back(Digest(entry.name)):
                        swept.found.add(size)

    def _give_up(self, batch: Batch, swept: Swept, sizes: Sizes | None = None) -> None:
        """`sizes` are those of what is in the batch, as far as they are known: the others are looked up."""
        heap = weigh_batch(self._trash.folder(batch), sizes or {})
        self._trash.give_up(batch)
        swept.destroyed.add(heap.size, heap.files)

    def _destroy(self, swept: Swept) -> None:
        try:
            self._trash.destroy_rest(remove_tree)
        except PermissionError as error:
            stuck = f"{os.fsdecode(error.filename or '?')}: {error.strerror}"
            if stuck not in swept.stuck:
                swept.stuck.append(stuck)


def tell_restored(layout: Layout, executions: Collection[str]) -> None:
    """Executions have their files again. Raises MlrunError."""
    if executions:
        Removals(layout).append([{"type": "files-restored", "executions": sorted(executions)}])


def _remove(left: Left, swept: Swept) -> None:
    if left.path.suffix == PARTIAL and not _is_free(left.path.with_suffix(".lock")):
        return
    try:
        if left.path.is_dir() and not left.path.is_symlink():
            remove_tree(left.path)
        else:
            left.path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        swept.stuck.append(f"{left.path}: {error.strerror}")
        return
    swept.destroyed.add(left.heap.size, left.heap.files)


def _is_free(lock: Path) -> bool:
    """Whether nobody holds a lock; one that is not there is not held."""
    try:
        with lock.open("rb") as file:
            return not is_held(file.fileno())
    except OSError:
        return True
