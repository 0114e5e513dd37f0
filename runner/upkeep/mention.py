"""Who names an object: every record and every name of a store, walked one by one. Reads only."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.digest import Digest
from runner.errors import MlrunError
from runner.store.catalog import decode_listing
from runner.store.datum import Datum
from runner.store.history import recorded_run, run_before_damage, run_folders, run_folders_in_trash
from runner.store.naming import Refs
from runner.store.reach import FILES, Kind, Meant, Named, named_by, named_by_names
from runner.store.record import Run
from runner.store.removal import Removed
from runner.store.store import Store
from runner.store.tree import LINK, decode_tree
from runner.upkeep.anomaly import Touch
from runner.upkeep.inventory import Inventory

_REMEMBERED = 2
"""Trees that are kept in memory: runs that follow each other often have the same code, and a tree may be large."""


class Trees:
    """The files of code snapshots, read without changing anything; a tree that cannot be had has none."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._kept: OrderedDict[Digest, tuple[tuple[str, Digest, int], ...]] = OrderedDict()

    def files(self, digest: Digest) -> Iterator[tuple[str, Digest, int]]:
        """Path, digest and size of each file."""
        if digest not in self._kept:
            self._kept[digest] = tuple(self._read(digest))
            if len(self._kept) > _REMEMBERED:
                self._kept.popitem(last=False)
        return iter(self._kept[digest])

    def _read(self, digest: Digest) -> Iterator[tuple[str, Digest, int]]:
        try:
            entries = decode_tree(self._inventory.content(digest) or b"")
        except ValueError:
            return
        for path, mode, content, size in entries:
            if mode != LINK:
                yield path, Digest(content), size


@dataclass(frozen=True, slots=True)
class Mention:
    """That a record names an object, and the files outside the store that may have the same content."""

    touch: Touch
    elsewhere: tuple[Path, ...] = ()


Namers = dict[Digest, list[Mention]]
"""Who names each of some objects."""


def touch_of(run: Run, named: Named) -> Touch:
    """Whom it concerns that an object is damaged."""
    execution = run.executions.get(named.execution)
    about = (execution.id, execution.counter, execution.step) if execution else ("", 0, "")
    return Touch(str(named.kind), named.name, run.project.name, run.id, run.counter, *about)


def named_data(refs: Refs, inventory: Inventory) -> Iterator[Meant]:
    """What all names mean, read without changing anything; a list that cannot be had has no files. Raises MlrunError
    (STORE) for names that cannot be read."""

    def read(manifest: Digest) -> Iterable[Datum]:
        try:
            return decode_listing(inventory.content(manifest) or b"")
        except ValueError:
            return ()

    return named_by_names(refs, read)


def mentions(store: Store, inventory: Inventory, digests: Collection[Digest], removed: Removed) -> Namers:
    """Who names these objects, but for executions that gave their files up. Reads all records, those of runs that wait
    in the trash among them."""
    found: Namers = {}
    if not digests:
        return found
    trees = Trees(inventory)
    for folder in (*run_folders(store.layout), *run_folders_in_trash(store.layout)):
        try:
            run = recorded_run(folder)
        except MlrunError as error:
            run = run_before_damage(error)
        if run is None or run.id != folder.path.name:
            continue
        for named in named_by(run, trees.files):
            if named.digest in digests and not gave_up(named, removed):
                mention = Mention(touch_of(run, named), tuple(_elsewhere(store, run, named)))
                found.setdefault(named.digest, []).append(mention)
    try:
        for meant in named_data(store.refs, inventory):
            if meant.digest in digests:
                found.setdefault(meant.digest, []).append(Mention(Touch(meant.kind, meant.name)))
    except MlrunError:
        # Names that cannot be read are an anomaly of their own.
        pass
    return found


def gave_up(named: Named, removed: Removed) -> bool:
    """Whether an execution lost this file of its on purpose."""
    return named.kind in FILES and named.execution in removed.dropped


def _elsewhere(store: Store, run: Run, named: Named) -> Iterator[Path]:
    work = store.layout.work_folder(named.execution) if named.execution else None
    match named.kind:
        case Kind.INPUT if work is not None:
            yield from _origins(run, named)
            yield work / "inputs" / named.name
        case Kind.OUTPUT if work is not None:
            yield work / "outputs" / named.name
        case Kind.LOG:
            yield store.layout.run(run.id).logs / named.execution / named.name
        case Kind.METRICS:
            yield store.layout.run(run.id).logs / named.execution / "metrics"
        case Kind.CODE if named.name:
            if work is not None:
                yield work / "repository" / named.name
            yield Path(run.project.root) / named.name
        case Kind.SPEC:
            yield Path(run.project.root) / named.name


def _origins(run: Run, named: Named) -> Iterator[Path]:
    """The files of this machine that an input was read from."""
    for given in run.executions[named.execution].job.get("inputs", ()):
        for file in given["files"]:
            origin = str(file.get("origin") or "").removeprefix("file://")
            if file["digest"] == named.digest and origin.startswith("/"):
                yield Path(origin)
