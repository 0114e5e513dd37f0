"""Undoing packs around some objects, so that their bytes are nowhere else in the store than in themselves."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runner.digest import Digest, large_hasher
from runner.errors import ExitCode, MlrunError
from runner.store.catalog import read_listing
from runner.store.durable import create, disk_errors, make_folder, sync_folder, write_all
from runner.store.history import recorded_run, run_folders, run_folders_in_trash
from runner.store.layout import RunFolder
from runner.store.packed import blocks, made_by
from runner.store.reach import named_by, named_by_names
from runner.store.recipe import Piece, Recipe
from runner.store.record import Run
from runner.store.snapshot import Snapshots
from runner.store.store import Store
from runner.upkeep.lead import Leads
from runner.upkeep.release import release, scratch_name
from runner.upkeep.turn import Turn


@dataclass(slots=True)
class Unpacked:
    """What is `whole` again, and which leftovers were `dropped`; a living process has claimed what was `kept`, or
    a record that cannot be read may name it."""

    whole: list[Digest] = field(default_factory=list)
    dropped: list[Digest] = field(default_factory=list)
    kept: list[Digest] = field(default_factory=list)


def unpack(store: Store, turn: Turn, digests: Iterable[Digest]) -> Unpacked:
    """Make every packed object whole that needs one of these, or something that one of these needs; drop leftovers.

    Recipes in the trash become whole objects there. Raises MlrunError: DISK, and STORE for what cannot be put together;
    then it stays as it was.
    """
    done = Unpacked()
    with disk_errors(store.layout.root):
        leads = Leads(turn)
        sources = set(digests)
        for digest in tuple(sources):
            sources.update(source for _, recipe in leads.of(digest) for source in recipe.sources)
        leftovers: set[Digest] = set()
        for digest in sorted({digest for source in sources for digest in leads.to(source)}):
            for path, recipe in leads.leading(digest, sources):
                _make_whole(store, digest, path, recipe)
                leftovers |= recipe.sources
            done.whole.append(digest)
        done.dropped, done.kept = _drop(
            store, turn, {one for one in leftovers.difference(digests) if not leads.to(one)}
        )
    return done


def _make_whole(store: Store, digest: Digest, path: Path, recipe: Recipe) -> None:
    """Put the object where it belongs, be that in the trash, then remove the recipe at `path`."""
    target = path.parents[2] / "objects" / digest[:2] / digest
    itself = Recipe((Piece(digest, 0, recipe.size),))
    if not target.exists() or made_by(itself, lambda _: target) != digest:
        temporary = store.layout.scratch / scratch_name()
        try:
            _write(temporary, digest, blocks(recipe, store.objects.path), recipe.size)
            make_folder(target.parent)
            temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    sync_folder(target.parent)
    path.unlink()
    sync_folder(path.parent)


def _write(path: Path, digest: Digest, content: Iterable[memoryview], size: int) -> None:
    hasher = large_hasher()
    fd = create(path)
    try:
        for block in content:
            hasher.update(block)
            with disk_errors(path, size):
                write_all(fd, block)
        if hasher.hexdigest() != digest:
            raise MlrunError(
                f"the store is damaged: the packed object `{digest}` cannot be put together",
                code=ExitCode.STORE,
                hint="`mlrun store check --read-data` says what it concerns",
            )
        os.fchmod(fd, 0o444)
        os.fsync(fd)
    finally:
        os.close(fd)


def _drop(store: Store, turn: Turn, unneeded: set[Digest]) -> tuple[list[Digest], list[Digest]]:
    """Remove what was only stored for recipes; gives what is gone, and what may have been such, too."""
    leftovers, certain = set(unneeded), True
    for names in _names(store) if unneeded else ():
        try:
            for name in names:
                leftovers.discard(name)
        except MlrunError:
            certain = False
    gone = release(turn, sorted(leftovers)) if certain else []
    return gone, sorted(leftovers.difference(gone))


def _names(store: Store) -> Iterator[Iterator[Digest]]:
    """Everything that records and names mean, in parts, each of which may raise MlrunError (STORE) when it is read."""
    snapshots = Snapshots(store.objects)
    for folder in (*run_folders(store.layout), *run_folders_in_trash(store.layout)):
        yield (named.digest for run in _run(folder) for named in named_by(run, snapshots.files))
    yield (meant.digest for meant in named_by_names(store.refs, partial(read_listing, store.objects)))


def _run(folder: RunFolder) -> Iterator[Run]:
    run = recorded_run(folder)
    if run is not None:
        yield run
