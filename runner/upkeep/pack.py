"""Packing: older versions of large files become recipes over ranges of the newest one, which stays whole.

Whatever happens in between, every object can be read: leftovers are stored first, then recipes, each only after what it
makes was hashed; then recipes that lead to what is about to go are led elsewhere; and only then whole objects are
removed. Whoever is killed leaves at most what the next pack finishes, or removes.
"""

import os
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner.digest import Digest, is_digest
from runner.errors import ExitCode, MlrunError
from runner.store.catalog import read_listing
from runner.store.claim import claimed
from runner.store.durable import disk_errors
from runner.store.history import run_folders, shown_run
from runner.store.layout import SHARDS, Layout, RunFolder
from runner.store.memo import keep, recall
from runner.store.packed import Packed, made_by
from runner.store.recipe import Recipe, encode_recipe, make_recipe
from runner.store.ref import KINDS
from runner.store.store import Store
from runner.upkeep.chunk import average_size, whole
from runner.upkeep.delta import LEFTOVER, Delta
from runner.upkeep.lead import Leads
from runner.upkeep.leftover import Leftovers
from runner.upkeep.mark import mentioned, spelled, split
from runner.upkeep.release import clear_scratch, release, scratch_name
from runner.upkeep.succession import Succession, Successions
from runner.upkeep.turn import Turn

LEAST = 1 << 20
"""Smaller files stay whole, in bytes."""

_SAVED = 0.2
"""What a recipe must save of the object, or it stays whole: reading it takes longer."""
_BLOCK = 4096
"""Bytes that a small file takes on the disk."""
_PIECE = 90
"""Bytes of a piece in a recipe, about."""


@dataclass(slots=True)
class Report:
    """What was packed, or would be: `objects` in `groups` of versions, which took `before` bytes and take `after`.

    `unlike` were left whole because packing them saves too little, `busy` because somebody uses them, and `damaged`
    because they, or what they were compared with, cannot be read or do not hold what their name says.
    """

    groups: int = 0
    objects: int = 0
    before: int = 0
    after: int = 0
    unlike: int = 0
    busy: int = 0
    damaged: list[Digest] = field(default_factory=list)


def pack(store: Store, turn: Turn | None, *, least: int = LEAST, again: bool = True) -> Report:
    """Pack what can be packed; without a turn only find out what that would save.

    `least` in bytes. Without `again`, files that were found unlike the newest one before are not looked at once more.
    Raises MlrunError (DISK, STORE).
    """
    with disk_errors(store.layout.root):
        if turn is not None:
            clear_scratch(turn)
        packer = _Packer(store, turn, again=again)
        for succession in find_successions(store, least):
            packer.pack(succession)
        packer.end()
    return packer.report


def find_successions(store: Store, least: int) -> list[Succession]:
    """What in the store are versions of each other. Runs and versions that cannot be read are left out."""
    large = _large_objects(store.layout, least)
    if len(large) < 2:
        return []
    successions = Successions(large)
    for folder in run_folders(store.layout):
        with suppress(MlrunError, OSError):
            run = shown_run(folder) if _names_any(folder, large) else None
            if run is not None:
                successions.add_run(run)
    for kind in KINDS:
        for collection in store.refs.collections(kind):
            aliased = set(collection.aliases.values())
            for number, version in enumerate(collection.versions):
                with suppress(MlrunError):
                    data = read_listing(store.objects, version.manifest)
                    successions.add_version((kind, collection.name), (version.time, number), data)
                    if version.name in aliased:
                        successions.keep_whole(datum.digest for datum in data)
    successions.keep_whole(alias.datum.digest for alias in store.refs.aliases())
    return successions.found()


def _large_objects(layout: Layout, least: int) -> set[Digest]:
    """Whole objects of at least so many bytes."""
    found = set()
    for shard in SHARDS:
        with suppress(FileNotFoundError), os.scandir(layout.objects / shard) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if is_digest(entry.name) and entry.stat(follow_symlinks=False).st_size >= least:
                        found.add(Digest(entry.name))
    return found


def _names_any(folder: RunFolder, digests: set[Digest]) -> bool:
    """Whether a journal holds one of these: most do not, and need not be understood. Raises OSError."""
    return not digests.isdisjoint(map(spelled, split(mentioned(folder.journal.read_bytes()))))


_Taken = dict[Digest, Recipe]
"""Objects that were taken apart; some pieces may be of `LEFTOVER`."""


class _Packer:
    """Packs the successions of one store, one after the other. Methods raise OSError and MlrunError (DISK, STORE)."""

    def __init__(self, store: Store, turn: Turn | None, *, again: bool) -> None:
        self.report = Report()
        self._store = store
        self._layout = store.layout
        self._packed = Packed(store.layout.packed)
        self._turn = turn
        self._leads: Leads | None = None
        self._unlike = _Unlike(store.layout.cache / "unlike.json")
        self._again = again

    def pack(self, succession: Succession) -> None:
        """Pack what is older than the newest version that is whole."""
        there = [digest for digest in (succession.newest, *succession.older) if self._path(digest).is_file()]
        base, older = there[0:1], there[1:]
        used = claimed(self._layout.claims)
        self.report.busy += len(used.intersection(older))
        older = [digest for digest in older if digest not in used and (self._again or digest not in self._unlike)]
        if not older or not self._is_sound(base[0]):
            return
        with closing(Leftovers(self._layout.scratch / scratch_name(), dry=self._turn is None)) as leftovers:
            taken = self._take_apart(base[0], older, leftovers)
            gone = list(taken) if self._turn is None else self._write(self._turn, taken, leftovers)
            self.report.busy += len(taken) - len(gone)
            if gone:
                self._tell({digest: taken[digest] for digest in gone}, leftovers.size)

    def end(self) -> None:
        """Remember what does not pay."""
        if self._turn is not None:
            self._unlike.save(lambda digest: self._path(digest).exists())

    def _is_sound(self, base: Digest) -> bool:
        """Whether others may be described by this object. A recipe of its own would lead back to it one day."""
        if self._turn is None or not self._packed.path(base).exists():
            return True
        if not self._store.objects.verify(base):
            self.report.damaged.append(base)
            return False
        self._packed.remove(base)
        return True

    def _take_apart(self, base: Digest, older: list[Digest], leftovers: Leftovers) -> _Taken:
        """What pays, as recipes that were found to be right; what they need besides `base` is in `leftovers`."""
        taken: _Taken = {}
        with self._path(base).open("rb", buffering=0) as file:
            window = whole(file.fileno())
            largest = max(self._path(digest).stat().st_size for digest in (base, *older))
            delta = Delta(base, window, average_size(largest))
            for digest in older:
                recipe = self._known(digest, older) or self._new(digest, delta, leftovers)
                if recipe is not None:
                    taken[digest] = recipe
        return taken

    def _known(self, digest: Digest, older: list[Digest]) -> Recipe | None:
        """The recipe that it has already, from a pack that was killed or because somebody needed it whole."""
        with suppress(MlrunError):
            recipe = self._packed.find(digest)
            if recipe is not None and recipe.sources.isdisjoint(older) and self._makes(recipe, digest, self._path):
                return recipe
        return None

    def _new(self, digest: Digest, delta: Delta, leftovers: Leftovers) -> Recipe | None:
        """A recipe if that pays and makes the object; what it needs besides is in `leftovers` then."""
        with self._path(digest).open("rb", buffering=0) as file:
            try:
                old = whole(file.fileno())
                parts = delta.take_apart(old)
            except OSError:
                delta.undo()
                self.report.damaged.append(digest)
                return None
            recipe = make_recipe(parts.pieces)
            cost = parts.cost + max(_BLOCK, _PIECE * len(recipe.pieces))
            if old.size - cost < _SAVED * old.size:
                delta.undo()
                self._unlike.add(digest)
                self.report.unlike += 1
                return None
            leftovers.append(parts.leftovers)
        if self._makes(recipe, digest, lambda source: leftovers.path if source == LEFTOVER else self._path(source)):
            return recipe
        self.report.damaged.append(digest)
        return None

    def _makes(self, recipe: Recipe, digest: Digest, locate: Callable[[Digest], Path]) -> bool:
        """Whether a recipe is right; not asked where nothing is written."""
        with suppress(OSError):
            return self._turn is None or made_by(recipe, locate) == digest
        return False

    def _write(self, turn: Turn, taken: _Taken, leftovers: Leftovers) -> list[Digest]:
        """Make the recipes known and remove the whole objects; gives those that are gone."""
        name = self._stored(leftovers) if taken else None
        if name is None:
            return []
        named = {digest: _named(recipe, name) for digest, recipe in taken.items()}
        leads = self._leads = self._leads or Leads(turn)
        for digest, recipe in named.items():
            leads.put(digest, recipe)
        leads.redirect(named)
        return release(turn, named)

    def _stored(self, leftovers: Leftovers) -> Digest | None:
        """The leftovers as an object; None when just these bytes were purged."""
        try:
            return self._store.objects.adopt(leftovers.path)[0] if leftovers.size else LEFTOVER
        except MlrunError as error:
            if error.code is not ExitCode.POLICY:
                raise
            return None

    def _tell(self, gone: _Taken, leftovers: int) -> None:
        self.report.groups += 1
        self.report.objects += len(gone)
        self.report.before += sum(recipe.size for recipe in gone.values())
        self.report.after += leftovers + sum(max(_BLOCK, len(encode_recipe(recipe))) for recipe in gone.values())

    def _path(self, digest: Digest) -> Path:
        return self._layout.objects / digest[:2] / digest


class _Unlike:
    """Objects that were found too unlike the newest version, kept in the cache: to compare them takes long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        told = recall(path)
        self._known = {Digest(one) for one in told if isinstance(one, str)} if isinstance(told, list) else set()

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._known

    def add(self, digest: Digest) -> None:
        """Remember one more."""
        self._known.add(digest)

    def save(self, matters: Callable[[Digest], bool]) -> None:
        """Keep those that matter for the next time, if that can be."""
        keep(self._path, sorted(filter(matters, filter(is_digest, self._known))))


def _named(recipe: Recipe, leftover: Digest) -> Recipe:
    return make_recipe(
        piece._replace(source=leftover) if piece.source == LEFTOVER else piece for piece in recipe.pieces
    )
