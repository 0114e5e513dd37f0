"""Brings runs to a remote store: objects first, then their journals, then the manifests that show them.

Killed at any moment, the next push sends what is missing. An object is verified when it is read here; a run that lacks
one without having given it up is refused, and the others go on. Runs whose executions stand for nodes of a run go
along with it, so that it can be understood and used where it arrives. A run that went on since it was pushed has a
longer journal, which takes the place of the one there; a longer one there stays.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.remote.depot import Depot, object_path
from runner.remote.manifest import Manifest, ManifestName, join
from runner.remote.meter import Meter
from runner.state import FINAL
from runner.store.journal import whole_turns
from runner.store.reach import FILES, Named, named_by
from runner.store.record import Run, standing
from runner.store.removal import Removals, Removed
from runner.store.snapshot import Snapshots
from runner.store.store import Store


@dataclass(slots=True)
class Pushed:
    """What a push did: ids of `runs` that are there by now, `known` of them before; `refused` ones with the reason;
    objects and bytes that were `sent`, or there already; `absent` objects that were gone here. `along` are those of
    these runs that nobody asked for and that others lean on, `left_behind` ones that are leaned on and cannot go."""

    runs: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refused: dict[str, MlrunError] = field(default_factory=dict)
    sent: int = 0
    sent_bytes: int = 0
    there: int = 0
    there_bytes: int = 0
    absent: int = 0
    along: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Parcel:
    """A run on its way. `missing` has what is not here, with why that is in order; empty where it is not."""

    run: Run
    journal: Digest
    journal_size: int
    objects: dict[Digest, int] = field(default_factory=dict)
    missing: dict[Digest, str] = field(default_factory=dict)
    before: Manifest | None = None
    went_on: bool = False
    """Whether the remote has an older record of the run."""

    def all(self) -> Iterator[tuple[Digest, int]]:
        """Everything that is to be there."""
        yield from self.objects.items()
        yield self.journal, self.journal_size


def push(store: Store, depot: Depot, runs: Sequence[Run], meter: Meter, *, again: bool = False) -> Pushed:
    """Bring runs that have ended to the remote; with `again`, everything of them, also what seems to be there.

    `store` is writable, so that nothing that is read here can be removed meanwhile. Raises MlrunError where nothing can
    be done at all; what concerns one run is in `refused`.
    """
    depot.prepare()
    return _Push(store, depot, meter, again).push(runs)


class _Push:
    def __init__(self, store: Store, depot: Depot, meter: Meter, again: bool) -> None:
        self._store = store
        self._depot = depot
        self._meter = meter
        self._again = again
        self._result = Pushed()
        self._removed: Removed = Removals(store.layout).read()
        self._gone = depot.tombstones() | frozenset(self._removed.purged)
        self._snapshots = Snapshots(store.objects)
        self._whole: set[str] = set()
        self._failed: dict[Digest, MlrunError] = {}

    def push(self, asked: Sequence[Run]) -> Pushed:
        runs = [*self._leaned_on(asked), *asked]
        names, known = self._manifests(runs)
        if not self._again:
            self._find_whole(known)
        parcels = list(self._parcels(runs, known))
        there = self._sizes(parcels)
        self._send(parcels, there)
        self._depot.remote.settle()
        self._yield_to_purges(parcels)
        for parcel in parcels:
            self._check(parcel, there)
        whole = [parcel for parcel in parcels if parcel.run.id not in self._result.refused]
        self._show(whole, names)
        return self._result

    def _leaned_on(self, asked: Sequence[Run]) -> Iterator[Run]:
        """The other runs whose executions stand for nodes of these, and of those in turn."""
        seen = {run.id for run in asked}
        waiting = list(asked)
        while waiting:
            for id in dict.fromkeys(reused.run for reused in standing(waiting.pop())):
                if id in seen:
                    continue
                seen.add(id)
                run = self._run(id)
                if run is None:
                    self._result.left_behind.append(id)
                    continue
                self._result.along.append(id)
                waiting.append(run)
                yield run

    def _run(self, id: str) -> Run | None:
        """A run that can go; None for one that was removed here, that goes on, or that cannot be read."""
        try:
            run = self._store.run(id)
        except MlrunError:
            return None
        return run if run.state in FINAL else None

    def _manifests(self, runs: Sequence[Run]) -> tuple[dict[str, list[ManifestName]], dict[str, Manifest]]:
        """What the remote says of the runs so far. Who sends all again does so also where that cannot be believed."""
        names: dict[str, list[ManifestName]] = {}
        known: dict[str, Manifest] = {}
        for project in {run.project.id for run in runs}:
            wanted = {run.id for run in runs if run.project.id == project}
            there = self._depot.names(project)
            names |= {run: its for run, its in there.items() if run in wanted}
            for run, found in self._depot.find(project, wanted, there, self._meter.lanes).items():
                if isinstance(found, Manifest):
                    known[run] = found
                elif not self._again:
                    self._result.refused[run] = found
        return names, known

    def _find_whole(self, known: dict[str, Manifest]) -> None:
        """Which manifests keep their word: everything is there, by name and size."""
        there = self._depot.sizes(dict.fromkeys(digest for one in known.values() for digest, _ in one.all()))
        for run, one in known.items():
            if all(there.get(digest) == size for digest, size in one.all() if digest not in self._gone):
                self._whole.add(run)

    def _parcels(self, runs: Sequence[Run], known: dict[str, Manifest]) -> Iterator[_Parcel]:
        for run in runs:
            self._meter.lanes.check()
            if run.id in self._result.refused:
                continue
            try:
                parcel = self._parcel(run, known.get(run.id))
            except MlrunError as error:
                self._result.refused[run.id] = error
                continue
            if parcel is None:
                self._result.runs.append(run.id)
                self._result.known.append(run.id)
            else:
                yield parcel

    def _parcel(self, run: Run, before: Manifest | None) -> _Parcel | None:
        """None when all of the run is there. Raises MlrunError for a run that cannot be pushed."""
        if run.state not in FINAL:
            raise MlrunError(f"run {run.counter} is {run.state}", code=ExitCode.USAGE, hint="wait for its end")
        journal = self._journal(run.id)
        parcel = _Parcel(run, hash_bytes(journal), len(journal))
        if before is not None and before.journal != parcel.journal:
            parcel.went_on = before.is_of_start(journal)
            if not parcel.went_on and self._is_newer_there(before, journal):
                return None
            if not parcel.went_on and not self._again:
                raise self._depot.untrue(run.id, "its record there is not the one here")
        if before is not None and not self._again:
            if not parcel.went_on and not before.absent and run.id in self._whole:
                return None
            parcel.before = before.with_record(parcel.journal, parcel.journal_size)
        gone: dict[Digest, list[Named]] = {}
        for named in named_by(run, self._snapshots.files):
            if named.digest in self._gone:
                parcel.missing[named.digest] = "purged"
            elif named.digest in parcel.objects:
                continue
            elif named.digest not in gone and self._store.objects.has(named.digest):
                size = named.size if named.size is not None else self._store.objects.size(named.digest)
                parcel.objects[named.digest] = size
            else:
                gone.setdefault(named.digest, []).append(named)
        for digest, names in gone.items():
            dropped = all(one.kind in FILES and one.execution in self._removed.dropped for one in names)
            parcel.missing[digest] = "dropped" if dropped else ""
        return parcel

    def _journal(self, run: str) -> bytes:
        return whole_turns(self._store.layout.run(run).journal)

    def _is_newer_there(self, before: Manifest, journal: bytes) -> bool:
        """Whether the remote has a record of which this journal is the beginning; not where it has lost it."""
        if before.journal_size <= len(journal):
            return False
        try:
            return self._depot.journal(before, self._meter.told).startswith(journal)
        except ValueError:
            return False

    def _sizes(self, parcels: Iterable[_Parcel]) -> dict[Digest, int]:
        wanted: dict[Digest, None] = {}
        for parcel in parcels:
            wanted |= dict.fromkeys((digest for digest, _ in parcel.all()), None)
            wanted |= dict.fromkeys((digest for digest, why in parcel.missing.items() if why != "purged"), None)
        return self._depot.sizes(wanted)

    def _send(self, parcels: Sequence[_Parcel], there: dict[Digest, int]) -> None:
        wanted: dict[Digest, tuple[int, str]] = {}
        for parcel in parcels:
            for digest, size in parcel.objects.items():
                wanted.setdefault(digest, (size, ""))
            wanted[parcel.journal] = (parcel.journal_size, parcel.run.id)
        kept = {digest for digest, (size, _) in wanted.items() if there.get(digest) == size and not self._again}
        self._result.there = len(kept)
        self._result.there_bytes = sum(wanted[digest][0] for digest in kept)
        items = [(digest, *one) for digest, one in wanted.items() if digest not in kept]
        self._meter.expect(len(items), sum(size for _, size, _ in items))
        self._meter.lanes.carry(self._send_one, items)
        self._result.sent = len(items) - len(self._failed)
        self._result.sent_bytes = sum(size for digest, size, _ in items if digest not in self._failed)

    def _send_one(self, item: tuple[Digest, int, str]) -> None:
        digest, size, run = item
        try:
            source = self._open(digest, size, run)
        except MlrunError as error:
            self._failed[digest] = error
            return
        self._depot.upload(digest, source, size, self._meter.told)
        self._meter.done()

    def _open(self, digest: Digest, size: int, run: str) -> BinaryIO:
        """An object, checked; or the journal of a run."""
        if not run:
            return self._store.objects.open(digest, size)
        journal = self._journal(run)
        if hash_bytes(journal) != digest:
            raise MlrunError(f"the journal of run `{run}` changed while it was pushed", code=ExitCode.STORE)
        return BytesIO(journal)

    def _yield_to_purges(self, parcels: Sequence[_Parcel]) -> None:
        """What was destroyed there since this began may have come back with it. A tombstone is there before its content
        is removed, so that it is seen either here or by the next who looks."""
        for digest in self._depot.tombstones() - self._gone:
            for parcel in parcels:
                if parcel.objects.pop(digest, None) is not None:
                    parcel.missing[digest] = "purged"
                    self._depot.remote.remove(object_path(digest))

    def _check(self, parcel: _Parcel, there: dict[Digest, int]) -> None:
        """Refuse a run of which something could not be sent; what others brought before is there for it, too."""
        for digest, why in list(parcel.missing.items()):
            if why != "purged" and digest in there:
                parcel.objects[digest] = there[digest]
                del parcel.missing[digest]
        lost = next((digest for digest, why in parcel.missing.items() if not why), None)
        failed = next((self._failed[digest] for digest, _ in parcel.all() if digest in self._failed), None)
        if lost is not None:
            failed = MlrunError(
                f"run {parcel.run.counter} cannot be pushed: the object `{lost}` is missing",
                code=ExitCode.STORE,
                hint="`mlrun store check` says what is damaged; `mlrun pull` brings back what a remote has",
            )
        if failed is not None:
            self._result.refused[parcel.run.id] = failed

    def _show(self, parcels: Sequence[_Parcel], names: dict[str, list[ManifestName]]) -> None:
        """Write the manifests, then remove those that they replace."""
        replaced: list[ManifestName] = []

        def show(parcel: _Parcel) -> None:
            run = parcel.run
            manifest = Manifest(
                run.project.id, run.id, parcel.journal, parcel.journal_size, parcel.objects, parcel.missing
            )
            if parcel.before is not None:
                manifest = join((manifest, parcel.before))
            name = self._depot.write(manifest)
            replaced.extend(old for old in names.get(run.id, ()) if old.path != name.path)

        self._meter.lanes.carry(show, parcels)
        self._depot.remote.settle()
        self._meter.lanes.carry(self._remove, replaced)
        self._result.runs += [parcel.run.id for parcel in parcels]
        self._result.known += [
            one.run.id
            for one in parcels
            if one.before and not one.went_on and one.before.objects.keys() >= one.objects.keys()
        ]
        self._result.absent = len({digest for parcel in parcels for digest in parcel.missing})

    def _remove(self, name: ManifestName) -> None:
        self._depot.remote.remove(name.path)
