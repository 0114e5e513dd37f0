"""Destroys the bytes of a file everywhere in a store, for good, and leaves a tombstone.

The tombstone is written first: from then on nobody takes the content in again, and whoever is killed in between leaves
something that the next purge, check or gc ends. The object itself goes last, because it tells what the rest looks like.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.state import FINAL
from runner.store.claim import claimed
from runner.store.durable import disk_errors, sync_folder
from runner.store.history import run_folders, shown_run
from runner.store.reach import named_by_execution
from runner.store.removal import Purged, Removals, Removed
from runner.store.store import Store
from runner.upkeep.anomaly import Touch, place_of
from runner.upkeep.inventory import Inventory
from runner.upkeep.lead import Leads
from runner.upkeep.lineage import Heir, heirs
from runner.upkeep.mention import Trees, mentions, touch_of
from runner.upkeep.release import clear_scratch
from runner.upkeep.trace import Trace, find_traces
from runner.upkeep.turn import alone
from runner.upkeep.unpack import unpack


@dataclass(slots=True)
class Purge:
    """What destroying a file means. `traces` are the places of its bytes, in the order in which they go; `outside`
    counts names of the same files outside the store, `unseen` says what could not be looked at.

    `touched` is who names it, `heirs` what came of it, `users` the executions under way that have it; `claimed` tells
    whether a process under way relies on it. `parts` are objects that hold parts of it for which no record has a name;
    `shared` are files of their own that have parts in common with it, which stay.
    """

    digest: Digest
    size: int
    traces: list[Trace] = field(default_factory=list)
    outside: int = 0
    unseen: list[str] = field(default_factory=list)
    touched: tuple[Touch, ...] = ()
    heirs: list[Heir] = field(default_factory=list)
    users: list[Touch] = field(default_factory=list)
    is_claimed: bool = False
    parts: tuple[Digest, ...] = ()
    shared: tuple[Digest, ...] = ()


def plan_purge(store: Store, digest: Digest) -> Purge:
    """Find out everything about a file before it is destroyed; writes nothing. Raises MlrunError: STORE, and INPUT when
    the store has and had no such content."""
    inventory = Inventory(store.layout)
    with disk_errors(store.layout.root):
        removed = Removals(store.layout).read()
        tombstone = removed.purged.get(digest)
        found = inventory.find(digest)
        sources = {source for copy in inventory.copies(digest) if copy.recipe for source in copy.recipe.sources}
        namers = mentions(store, inventory, {digest, *sources}, Removed())
        named = namers.get(digest, [])
        if found is None and tombstone is None and not named and not inventory.set_aside(digest):
            raise MlrunError(
                f"there is no content `{digest}` in the store",
                code=ExitCode.INPUT,
                hint="`mlrun outputs` and `mlrun inputs` show the digests of files",
            )
        size = found.size if found is not None else tombstone.size if tombstone is not None else 0
        if found is not None and not size:
            raise MlrunError("an empty file holds nothing that could be destroyed", code=ExitCode.INPUT)
        own, shared = sorted(sources.difference(namers)), sorted(sources.intersection(namers))
        traces = find_traces(store.layout, inventory, digest, size, own)
        purge = Purge(digest, size, traces.found, traces.outside, traces.unseen, parts=tuple(own), shared=tuple(shared))
        purge.touched = tuple(dict.fromkeys(mention.touch for mention in named))
        purge.heirs = heirs(store, inventory, digest)
        purge.users = _users(store, inventory, digest)
        purge.is_claimed = digest in claimed(store.layout.claims)
    return purge


def carry_out(store: Store, purge: Purge, by: str, reason: str) -> list[str]:
    """Destroy what a plan is about; gives what could not be destroyed, a line each. `store` must be writable.

    Raises MlrunError: LOCKED when another command moves objects about, DISK, STORE.
    """
    removals = Removals(store.layout)
    if purge.digest not in removals.read().purged:
        names = sorted({touch.name for touch in purge.touched})
        facts = {"digest": purge.digest, "by": by, "reason": reason, "names": names, "size": purge.size}
        removals.append([{"type": "content-purged", **facts, "parts": list(purge.parts)}])
    return _destroy(store, removals.read().purged[purge.digest])[1]


def finish_purges(store: Store) -> list[str]:
    """Destroy whatever is left, or has come back, of content that was purged; gives the places, below the store.

    Nobody may hold the turn (`runner.upkeep.turn`). Raises MlrunError (DISK, STORE, LOCKED).
    """
    try:
        purged = Removals(store.layout).read().purged
    except MlrunError:
        # A damaged journal is told by the check; nothing may be destroyed by what it says.
        return []
    inventory = Inventory(store.layout)
    destroyed: list[str] = []
    for digest, tombstone in purged.items():
        with disk_errors(store.layout.root):
            left = find_traces(store.layout, inventory, digest, tombstone.size, []).found
            if left or any(any(inventory.copies(part)) for part in tombstone.parts):
                destroyed += _destroy(store, tombstone)[0]
    return destroyed


def _destroy(store: Store, tombstone: Purged) -> tuple[list[str], list[str]]:
    """The places that are destroyed, and those that could not be, with the reason."""
    layout, digest = store.layout, tombstone.digest
    with alone(layout) as turn, disk_errors(layout.root):
        kept = unpack(store, turn, [digest]).kept
        clear_scratch(turn)
        done, failed = _unlink_all(store, tombstone, Leads(turn))
    left = [part for part in kept if Inventory(layout).find(part) is not None]
    return done, [*failed, *(f"the object `{part}`: parts of it are in use" for part in left)]


def _unlink_all(store: Store, tombstone: Purged, leads: Leads) -> tuple[list[str], list[str]]:
    layout, inventory = store.layout, Inventory(store.layout)
    named = mentions(store, inventory, set(tombstone.parts), Removed())
    parts = [part for part in tombstone.parts if part not in named and not leads.to(part)]
    size = tombstone.size or next((found.size for found in inventory.copies(tombstone.digest)), 0)
    traces = find_traces(layout, inventory, tombstone.digest, size, parts)
    done, failed = [], list(traces.unseen)
    for trace in traces.found:
        try:
            _unlink(trace.path)
        except OSError as error:
            failed.append(f"{trace.path}: {os.strerror(error.errno or 0)}")
        else:
            done.append(place_of(layout, trace.path))
    return done, failed


def _users(store: Store, inventory: Inventory, digest: Digest) -> list[Touch]:
    """Executions under way that have the file as an input, in their code, or as an output so far."""
    trees, users = Trees(inventory), []
    for folder in run_folders(store.layout):
        try:
            run = shown_run(folder)
        except MlrunError:
            continue
        if run is None or run.state in FINAL:
            continue
        in_code = any(content == digest for _, content, _ in trees.files(run.code.snapshot))
        for execution in run.executions.values():
            if execution.state in FINAL:
                continue
            named = [one for one in named_by_execution(execution) if one.digest == digest]
            users += [touch_of(run, one) for one in named[:1]]
            if in_code and not named:
                about = (execution.id, execution.counter, execution.step)
                users.append(Touch("code", "", run.project.name, run.id, run.counter, *about))
    return users


def _unlink(path: Path) -> None:
    """Durably; a folder of ours that forbids it is opened first."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except PermissionError:
        path.parent.chmod(0o700)
        path.unlink()
    with suppress(FileNotFoundError):
        # A batch of the trash that a removal is destroying meanwhile.
        sync_folder(path.parent)
