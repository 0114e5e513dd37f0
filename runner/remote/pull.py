"""Brings runs from a remote store: their records, and if it is wanted what their executions read and left.

Nothing is believed that does not match its digest, and nothing of a run is admitted before all that was asked for of it
is here: a run that is wrong somewhere is refused, and the others go on. Killed at any moment, the next pull goes on.
Runs whose executions stand for nodes of a run come along with it. A run of another store that went on there has a
longer journal than it had: what was added is taken in. A longer one that is here stays.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.remote.admission import admit, clashes, renew, sweep
from runner.remote.depot import NOTHING, Depot
from runner.remote.intake import Intake
from runner.remote.manifest import Manifest, ManifestName
from runner.remote.meter import Meter
from runner.remote.record import read_record
from runner.remote.remote import NotThere
from runner.state import State
from runner.store.journal import DamagedJournal
from runner.store.reach import FILES, Kind, Named, named_by, snapshots_of
from runner.store.record import Entry, Run, standing
from runner.store.removal import Removals, Removed
from runner.store.snapshot import Snapshots
from runner.store.store import Store

_MOST_RUNS = 200
_MOST_BYTES = 64 << 20
"""Of journals that are held in memory at once."""


@dataclass(slots=True)
class Pulled:
    """What a pull did, by ids of runs: those that are `new` here, `renewed` ones that went on where they came from,
    `restored` ones whose files came back, `known` ones that lacked nothing; `refused` ones with the reason; `received`
    objects and bytes; `absent` objects that nobody has any more; `purged` ones that are here though they were destroyed
    there for good; `destroyed` ones, by digest the name of a file, that are lacking here because of that, though this
    store would take them from anybody else. `along` are runs that were looked at only because executions of theirs
    stand for nodes of pulled ones, `left_behind` such that neither are here nor can be had there."""

    new: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refused: dict[str, MlrunError] = field(default_factory=dict)
    received: int = 0
    received_bytes: int = 0
    absent: int = 0
    purged: list[Digest] = field(default_factory=list)
    destroyed: dict[Digest, str] = field(default_factory=dict)
    along: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Arrival:
    """A run on its way; `journal` is empty for one that is here already, `is_behind` where its record there is older
    than the one here."""

    manifest: Manifest
    run: Run
    journal: bytes
    wanted: dict[Digest, int] = field(default_factory=dict)
    named: list[Named] = field(default_factory=list)
    is_behind: bool = False


def pull(
    store: Store,
    depot: Depot,
    runs: Mapping[str, Collection[str] | None],
    meter: Meter,
    files: frozenset[Kind],
    *,
    accept_purges: bool = False,
) -> Pulled:
    """Bring runs by project: those with these ids, or all that are not here yet; `files` are the kinds of objects that
    are wanted of their executions besides the records.

    What was destroyed for good there is only lacking here: whoever may write to the remote could otherwise forbid this
    store any content. With `accept_purges` this store refuses it, too, unless it has it. Raises MlrunError where
    nothing can be done at all; what concerns one run is in `refused`.
    """
    depot.check()
    return _Pull(store, depot, meter, files, accept_purges).pull(runs)


class _Pull:
    def __init__(self, store: Store, depot: Depot, meter: Meter, files: frozenset[Kind], accept_purges: bool) -> None:
        self._store = store
        self._depot = depot
        self._meter = meter
        self._files = files
        self._accepts = accept_purges
        self._result = Pulled()
        self._removals = Removals(store.layout)
        self._removed: Removed = self._removals.read()
        self._tombstones = depot.tombstones()
        self._intake = Intake(store, depot, meter)
        self._snapshots = Snapshots(store.objects)
        self._looked_at: set[str] = set()
        self._leaned_on: set[str] = set()

    def pull(self, runs: Mapping[str, Collection[str] | None]) -> Pulled:
        self._intake.sweep()
        sweep(self._store.layout)
        for project, wanted in runs.items():
            self._pull_project(project, wanted)
        while along := self._along():
            for project, ids in along.items():
                self._result.along += ids
                self._pull_project(project, ids)
        self._result.received = self._intake.received
        self._result.received_bytes = self._intake.received_bytes
        return self._result

    def _pull_project(self, project: str, wanted: Collection[str] | None) -> None:
        there = self._depot.names(project)
        chosen = self._chosen(project, wanted, there)
        self._looked_at.update(chosen)
        for manifests in self._batches(self._manifests(project, chosen, there)):
            self._pull(manifests)

    def _along(self) -> dict[str, list[str]]:
        """By project, the runs that pulled ones lean on and that are not here; not those that were removed here."""
        new = sorted(self._leaned_on - self._looked_at)
        self._looked_at.update(new)
        lacking = {id for id in new if id not in self._removed.runs and not self._is_here(id)}
        found: dict[str, list[str]] = {}
        for project in self._depot.projects() if lacking else ():
            if not lacking:
                break
            if ids := sorted(lacking.intersection(self._depot.names(project))):
                found[project] = ids
                lacking.difference_update(ids)
        self._result.left_behind += sorted(lacking)
        return found

    def _is_here(self, id: str) -> bool:
        return self._store.layout.run(id).journal.exists()

    def _chosen(self, project: str, wanted: Collection[str] | None, there: Collection[str]) -> list[str]:
        """The runs to look at. Who names none wants those that are not whole here."""
        if wanted is not None:
            for id in set(wanted) - set(there):
                self._result.refused[id] = NotThere(self._depot.remote.shown, f"runs/{project}/{id}")
            return sorted(set(there) & set(wanted))
        return sorted(id for id in there if not self._is_whole(id))

    def _is_whole(self, id: str) -> bool:
        """Whether a run is here with what is asked for, as far as the records tell."""
        if not self._is_here(id):
            return id in self._removed.runs
        try:
            run = self._store.run(id)
        except MlrunError:
            return False
        # One that succeeded is never gone on with.
        may_grow = run.state is not State.SUCCEEDED and self._store.layout.run(id).imported.exists()
        return not may_grow and (not self._files or not self._removed.dropped.keys() & run.executions.keys())

    def _manifests(
        self, project: str, chosen: list[str], there: Mapping[str, list[ManifestName]]
    ) -> Iterator[Manifest]:
        for at in range(0, len(chosen), _MOST_RUNS):
            found = self._depot.find(project, chosen[at : at + _MOST_RUNS], there, self._meter.lanes)
            # In the order of their time, so that their numbers here are, too.
            for id, manifest in sorted(found.items()):
                if isinstance(manifest, MlrunError):
                    self._result.refused[id] = manifest
                else:
                    yield manifest

    def _batches(self, manifests: Iterable[Manifest]) -> Iterator[list[Manifest]]:
        batch: list[Manifest] = []
        for manifest in manifests:
            batch.append(manifest)
            if len(batch) >= _MOST_RUNS or sum(one.journal_size for one in batch) >= _MOST_BYTES:
                yield batch
                batch = []
        if batch:
            yield batch

    def _pull(self, manifests: Sequence[Manifest]) -> None:
        arrivals = self._of_their_own(self._arrive(manifests))
        for want in (self._want_trees, self._want_rest):
            arrivals = self._each(arrivals, want)
            arrivals = self._take(self._fitting(arrivals))
        self._admit(arrivals)

    def _of_their_own(self, arrivals: Sequence[_Arrival]) -> list[_Arrival]:
        wrong = clashes(self._store, [arrival.run for arrival in arrivals])
        for id, what in wrong.items():
            self._result.refused[id] = self._depot.untrue(id, what)
        return [arrival for arrival in arrivals if arrival.run.id not in wrong]

    def _each(self, arrivals: Iterable[_Arrival], work: Callable[[_Arrival], None]) -> list[_Arrival]:
        """Those for which `work` could be done; the others are refused."""
        good = []
        for arrival in arrivals:
            self._meter.lanes.check()
            try:
                work(arrival)
            except MlrunError as error:
                self._result.refused[arrival.run.id] = error
            else:
                good.append(arrival)
        return good

    def _arrive(self, manifests: Sequence[Manifest]) -> list[_Arrival]:
        """The records of the runs: from here, or else from the remote, where they are believed only after a check."""
        found: dict[str, _Arrival] = {}

        def arrive(manifest: Manifest) -> None:
            try:
                found[manifest.run] = self._record(manifest)
            except (ValueError, RecursionError) as error:
                self._result.refused[manifest.run] = self._depot.untrue(manifest.run, str(error))
            except (NotThere, DamagedJournal) as error:
                self._result.refused[manifest.run] = self._depot.untrue(manifest.run, error.message)
            except MlrunError as error:
                if error.code is not ExitCode.STORE:
                    raise
                self._result.refused[manifest.run] = error

        self._meter.lanes.carry(arrive, manifests)
        return [found[manifest.run] for manifest in manifests if manifest.run in found]

    def _record(self, manifest: Manifest) -> _Arrival:
        found = read_record(self._store, self._depot, manifest, self._meter.told)
        return _Arrival(manifest, found.run, found.journal, is_behind=found.is_behind)

    def _want_trees(self, arrival: _Arrival) -> None:
        """First what tells what else there is."""
        for digest in (arrival.run.spec, *snapshots_of(arrival.run)):
            self._want(arrival, digest, None, Kind.CODE)

    def _want_rest(self, arrival: _Arrival) -> None:
        arrival.wanted.clear()
        arrival.named = list(named_by(arrival.run, self._snapshots.files))
        for named in arrival.named:
            if named.kind in self._files or named.kind not in FILES:
                self._want(arrival, named.digest, named.size, named.kind)

    def _want(self, arrival: _Arrival, digest: Digest, size: int | None, kind: Kind) -> None:
        """Raises MlrunError when the remote can give nothing of the size that the record tells."""
        if digest in self._removed.purged:
            return
        there = arrival.manifest.objects.get(digest)
        if there is None or digest in self._tombstones:
            if not self._store.objects.has(digest):
                self._do_without(arrival, digest, kind)
            return
        if size is not None and size != there:
            what = f"the object `{digest}` has {there:,} bytes there, its record tells of {size:,}"
            raise self._depot.untrue(arrival.run.id, what)
        arrival.wanted[digest] = there

    def _do_without(self, arrival: _Arrival, digest: Digest, kind: Kind) -> None:
        """Raises MlrunError for an object that is neither here nor there, unless there is a reason that is enough."""
        if arrival.is_behind:
            return
        why = self._reason(arrival, digest)
        if why == "purged" and kind not in FILES and not self._accepts:
            raise MlrunError(
                f"run `{arrival.run.id}` of the remote `{self._depot.remote.shown}` is refused: a part of its record,"
                f" the object `{digest}`, was destroyed there for good",
                code=ExitCode.POLICY,
                hint="`--accept-purges` takes the run without it, and lets this store refuse that content, too",
            )
        if why is None or (why == "dropped" and kind not in FILES):
            raise self._depot.untrue(arrival.run.id, f"its manifest lacks the object `{digest}`")

    def _reason(self, arrival: _Arrival, digest: Digest) -> str | None:
        """What the remote says of an object that it does not give: `dropped`, `purged` or nothing."""
        if digest in self._tombstones:
            return "purged"
        why = arrival.manifest.absent.get(digest)
        return None if why == "purged" and digest == NOTHING else why

    def _fitting(self, arrivals: Sequence[_Arrival]) -> list[_Arrival]:
        """Those for which the disk has room beside the ones before; the others are refused before they are begun."""
        room = self._intake.room()
        coming: dict[Digest, int] = {}

        def fit(arrival: _Arrival) -> None:
            more = self._intake.lacking({one: size for one, size in arrival.wanted.items() if coming.get(one) != size})
            free = room - sum(coming.values())
            if sum(more.values()) > free:
                raise self._too_large(arrival.run.id, sum(more.values()), max(0, free))
            coming.update(more)

        return self._each(arrivals, fit)

    def _too_large(self, run: str, needs: int, free: int) -> MlrunError:
        return MlrunError(
            f"run `{run}` of the remote `{self._depot.remote.shown}` does not fit the disk of"
            f" `{self._store.layout.root}`: {needs:,} bytes are to come, there is room for {free:,}",
            code=ExitCode.DISK,
            hint="free some space there and pull again; what came of other runs is kept, nothing has to be repaired",
        )

    def _take(self, arrivals: Sequence[_Arrival]) -> list[_Arrival]:
        """Bring what the runs want; those with something that is wrong are refused."""
        good: list[_Arrival] = []
        waiting = list(arrivals)
        while waiting:
            # Two manifests may not agree on a size: each is asked for by itself, and only one can be right.
            wanted: dict[Digest, int] = {}
            beside: list[_Arrival] = []
            for arrival in waiting:
                if all(wanted.get(digest, size) == size for digest, size in arrival.wanted.items()):
                    wanted.update(arrival.wanted)
                    beside.append(arrival)
            good += self._take_together(beside, wanted)
            waiting = [arrival for arrival in waiting if arrival not in beside]
        return [arrival for arrival in arrivals if arrival in good]

    def _take_together(self, arrivals: Sequence[_Arrival], wanted: Mapping[Digest, int]) -> list[_Arrival]:
        wrong = self._intake.take(wanted)

        def check(arrival: _Arrival) -> None:
            first = next((wrong[digest] for digest in arrival.wanted if digest in wrong), None)
            if first is not None:
                raise self._depot.untrue(arrival.run.id, first.message)

        return self._each(arrivals, check)

    def _admit(self, arrivals: Sequence[_Arrival]) -> None:
        """Tell what is lacking before the records are here, and what came back once they are."""
        before = list(self._purges(arrivals))
        purged = self._removed.purged.keys() | {entry["digest"] for entry in before}
        after: list[Entry] = []
        for arrival in arrivals:
            lacking = self._lacking(arrival, purged)
            dropped = self._removed.dropped.keys() & arrival.run.executions.keys()
            if lost := sorted(lacking - dropped):
                before.append({"type": "files-dropped", "executions": lost})
            if back := sorted(dropped - lacking):
                after.append({"type": "files-restored", "executions": back})
            self._told_of(arrival, bool(back)).append(arrival.run.id)
            self._leaned_on.update(reused.run for reused in standing(arrival.run))
        self._tell(before)
        for arrival in arrivals:
            if arrival.journal:
                enter = renew if self._is_here(arrival.run.id) else admit
                enter(self._store, arrival.run, arrival.journal, self._depot.remote.shown)
        self._tell(after)

    def _told_of(self, arrival: _Arrival, is_back: bool) -> list[str]:
        """Where the result names a run."""
        if arrival.journal:
            return self._result.renewed if self._is_here(arrival.run.id) else self._result.new
        return self._result.restored if is_back else self._result.known

    def _tell(self, entries: Sequence[Entry]) -> None:
        if entries:
            self._removals.append(entries)
            self._removed = self._removals.read()

    def _lacking(self, arrival: _Arrival, purged: Collection[Digest]) -> set[str]:
        """The executions that lack a file which is not refused here."""
        lacking: set[str] = set()
        for named in arrival.named:
            if named.kind in FILES and named.digest not in purged and not self._store.objects.has(named.digest):
                lacking.add(named.execution)
                self._result.absent += named.digest not in self._result.destroyed
        return lacking

    def _purges(self, arrivals: Sequence[_Arrival]) -> Iterator[Entry]:
        """What this store is to refuse from now on, since it was destroyed there; what people have to be told of that
        goes into the result."""
        for digest, named in sorted(self._destroyed(arrivals).items()):
            if self._store.objects.has(digest):
                if digest in self._tombstones:
                    self._result.purged.append(digest)
            elif self._accepts:
                said = self._depot.tombstone(digest)
                about = {"by": said.by, "reason": said.reason, "names": list(said.names), "size": said.size}
                yield {"type": "content-purged", "digest": digest, "time": said.time, **about}
            elif named.kind in self._files:
                self._result.destroyed[digest] = named.name

    def _destroyed(self, arrivals: Iterable[_Arrival]) -> dict[Digest, Named]:
        """What was destroyed there and is not refused here, with one of those that have it."""
        return {
            named.digest: named
            for arrival in arrivals
            for named in arrival.named
            if named.digest not in self._removed.purged and self._reason(arrival, named.digest) == "purged"
        }
