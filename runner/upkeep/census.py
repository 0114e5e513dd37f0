"""Reads what records, names and living processes rely on, once through the whole store. Writes nothing."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from sys import intern
from uuid import UUID

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.state import FINAL, State
from runner.store.claim import claimed
from runner.store.column import reused_executions
from runner.store.datum import SCHEME, Datum, datum_id
from runner.store.durable import disk_errors
from runner.store.history import recorded_run, run_folders, run_folders_in_trash, shown_run
from runner.store.identity import is_id
from runner.store.layout import RunFolder
from runner.store.reach import FILES, Kind, named_by, named_by_names
from runner.store.record import Execution, Run
from runner.store.removal import Removed
from runner.store.store import Store
from runner.upkeep.mark import BINS, Marks, Mentions, mentioned, raw
from runner.upkeep.retention import Fact, Use

_MAKERS = re.compile(rb'"execution":"([0-9a-f-]{36})"')

_ReadTree = Callable[[Digest], Iterator[tuple[str, Digest, int]]]


@dataclass(slots=True)
class Census:
    """What a store holds on to.

    `marks` is what stays whatever becomes of executions: what belongs to the records themselves, what names mean, and
    what living processes have claimed. `facts` are about all executions, `outputs` the names of what each of them
    left, `named` tells why somebody wants one kept. `stands` are, by run, the executions that stand for its nodes,
    `held` tells why a run keeps one of these.
    `settled` are the runs whose journals told their end, each with the bytes that its journal had: it may be resumed.
    `taken_out` is what runs in the trash name.
    """

    facts: list[Fact] = field(default_factory=list)
    outputs: list[tuple[str, ...]] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    named: dict[str, str] = field(default_factory=dict)
    stands: dict[Use, tuple[str, ...]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    taken_out: Mentions = field(default_factory=Mentions)


class CensusTaker:
    """Looks at one store, which may be in use but must be open for reading only: looking claims nothing. Methods raise
    MlrunError (STORE) for whatever cannot be read: nobody knows then what it names."""

    def __init__(
        self,
        store: Store,
        removed: Removed,
        mend: Callable[[], object] | None = None,
        watch: Callable[[Run], object] | None = None,
    ) -> None:
        """`mend` brings the files of names up to their log, else that is asked itself: files may be gone. `watch` gets
        every run that is read, for who wants to know something else about it."""
        self._mend = mend
        self._watch = watch
        self._layout = store.layout
        self._ended_runs = store.ended_runs
        self._refs = store.refs
        self._objects = store.objects
        self._purged = removed.purged
        self._read: set[Digest] = set()
        """Lists of other objects that were read: they never change."""

    def look(self) -> Census:
        """Everything."""
        census = Census()
        self._add_claims(census)
        # Before the journals: a run may end meanwhile.
        ended = self._ended_runs()
        for folder in run_folders(self._layout):
            self._add_run(census, folder)
        lost = ended - census.settled.keys()
        # It may have been removed meanwhile.
        if lost and (lost := lost & self._ended_runs()):
            raise _unknown(f"the index knows the end of run `{min(lost)}`, and no journal tells it")
        self._add_names(census)
        _add_uses(census)
        for folder in run_folders_in_trash(self._layout):
            self._add_taken_out(census, folder)
        if any(fact.got for fact in census.facts):
            # Most of the time of a store with many outputs: not where nobody asks for it.
            census.facts = list(map(_with_made, census.facts, census.outputs))
        return census

    def look_again(self, census: Census) -> set[bytes]:
        """What is relied on since `census` was made, and some of what was: claims first, then the journals that were
        not settled or have grown, then names. Whoever gives up a claim has written a journal or a name before."""
        later = Census(settled=census.settled)
        self._add_claims(later)
        for folder in run_folders(self._layout):
            settled = census.settled.get(folder.path.name)
            if settled is None or settled != _size(folder):
                self._add_run(later, folder)
        self._add_names(later)
        for fact in later.facts:
            later.marks.add(fact.files)
        standing = {id for ids in later.stands.values() for id in ids}
        for fact in census.facts if standing else ():
            if fact.id in standing:
                later.marks.add(fact.files)
        return {digest for index in range(BINS) for digest, _ in later.marks.shard(index)}

    def _add_claims(self, census: Census) -> None:
        with disk_errors(self._layout.claims):
            census.marks.add(raw(claimed(self._layout.claims)))

    def _add_names(self, census: Census) -> None:
        """What aliases, versions and pins mean."""
        refs = self._refs
        if self._mend is not None:
            self._mend()
        else:
            refs = refs.as_logged()
        for pin in refs.pins():
            if pin.datum is not None:
                self._add_datum(census, pin.datum, f"its file `{printable(pin.datum.name)}` is pinned")
            census.named[pin.id] = "pinned" if pin.what == "execution" else "its run is pinned"
        for fact in census.facts:
            if fact.run in census.named:
                census.named.setdefault(fact.id, census.named[fact.run])
        # The lists of versions are not understood but searched, which is faster.
        for meant in named_by_names(refs, lambda _: ()):
            if meant.datum is not None:
                self._add_datum(census, meant.datum, f"aliased as `{printable(meant.name)}`")
            else:
                self._add_version(census, meant.digest, f"{meant.kind} `{printable(meant.name)}`")

    def _add_datum(self, census: Census, datum: Datum, why: str) -> None:
        census.marks.add(raw([datum.digest]))
        if datum.execution:
            census.named.setdefault(datum.execution, why)

    def _add_version(self, census: Census, manifest: Digest, name: str) -> None:
        census.marks.add(raw([manifest]))
        if manifest in self._read:
            return
        document = self._document(manifest, name)
        census.marks.add(mentioned(document))
        for execution in _MAKERS.findall(document):
            census.named.setdefault(execution.decode("ascii"), f"in {name}")

    def _add_run(self, census: Census, folder: RunFolder) -> None:
        # Asked before it is read: what is written meanwhile is seen by who looks again.
        size = _size(folder)
        run, settled = _readable(folder)
        if run is None:
            return
        if self._watch is not None:
            self._watch(run)
        if settled:
            census.settled[run.id] = size
        going = run.state not in FINAL
        if standing := tuple(sorted(map(intern, reused_executions(run)))):
            census.stands[Use(run.id, run.counter, run.finished or run.created)] = standing
            if going:
                census.held |= dict.fromkeys(standing, f"it stands for a node of run {run.counter}, which is under way")
        files: dict[str, dict[Kind, list[str]]] = {id: {} for id in run.executions}
        for named in named_by(run, self._tree_reader(census, run)):
            if named.kind in FILES:
                files[named.execution].setdefault(named.kind, []).append(named.digest)
            else:
                census.marks.add(raw([named.digest]))
        census.facts += (_fact(run, one, files[id], going=going) for id, one in run.executions.items())
        census.outputs += (tuple(output.name for output in one.outputs) for one in run.executions.values())

    def _tree_reader(self, census: Census, run: Run) -> _ReadTree:
        """Marks all that a tree could name, which is faster than to understand it, and tells nothing."""

        def read(tree: Digest) -> Iterator[tuple[str, Digest, int]]:
            if tree not in self._read:
                census.marks.add(mentioned(self._document(tree, f"the code of run {run.counter} (`{run.id}`)")))
            return iter(())

        return read

    def _document(self, digest: Digest, what: str) -> bytes:
        if digest in self._purged:
            return b""
        try:
            document = self._objects.read(digest)
        except MlrunError as error:
            raise _unknown(f"the list of what belongs to {what}: {error.message}") from error
        self._read.add(digest)
        return document

    def _add_taken_out(self, census: Census, folder: RunFolder) -> None:
        """A run in the trash holds on to nothing, but what only it names is no mystery either."""

        def read(tree: Digest) -> Iterator[tuple[str, Digest, int]]:
            if tree not in self._read:
                census.taken_out.add(mentioned(self._objects.read(tree)))
            return iter(())

        try:
            run = recorded_run(folder)
            for named in named_by(run, read) if run else ():
                census.taken_out.add(raw([named.digest]))
        except MlrunError:
            return


def _add_uses(census: Census) -> None:
    """What later runs make of the executions that stand for their nodes."""
    newest: dict[str, Use] = {}
    for use in sorted(census.stands):
        newest |= dict.fromkeys(census.stands[use], use)
        if use.run in census.named:
            why = f"it stands for a node of run {use.counter}, which is pinned"
            census.held |= dict.fromkeys(census.stands[use], why)
    if newest:
        census.facts = [fact._replace(use=newest.get(fact.id)) for fact in census.facts]


def _readable(folder: RunFolder) -> tuple[Run | None, bool]:
    """The run as readers see it, and whether its journal tells its end: then nobody needs to ask for its owner."""
    try:
        run = recorded_run(folder)
        settled = run is not None and run.state in FINAL
        return (run if settled else shown_run(folder)), settled
    except MlrunError as error:
        raise _unknown(f"run `{folder.path.name}`: {error.message}") from error


def _size(folder: RunFolder) -> int:
    """Bytes of the journal of a run, -1 without one."""
    try:
        return folder.journal.stat().st_size
    except OSError:
        return -1


def _unknown(what: str) -> MlrunError:
    return MlrunError(
        f"nobody knows what may be removed, because something cannot be read: {what}",
        code=ExitCode.STORE,
        hint="`mlrun store check` looks closer; nothing was removed",
    )


def _fact(run: Run, execution: Execution, files: dict[Kind, list[str]], *, going: bool) -> Fact:
    origins = (
        str(file.get("origin", "")) for given in execution.job.get("inputs", ()) for file in given.get("files", ())
    )
    return Fact(
        id=execution.id,
        run=run.id,
        project=intern(run.project.id),
        project_name=intern(run.project.name),
        step=intern(execution.step),
        counter=execution.counter,
        ended=execution.finished or execution.created,
        succeeded=execution.state is State.SUCCEEDED,
        open=going,
        outputs=raw(files.get(Kind.OUTPUT, ())),
        inputs=raw(files.get(Kind.INPUT, ())),
        logs=raw(files.get(Kind.LOG, ())),
        made=b"",
        got=b"".join(UUID(origin[len(SCHEME) :]).bytes for origin in origins if _is_datum(origin)),
    )


def _with_made(fact: Fact, outputs: tuple[str, ...]) -> Fact:
    return fact._replace(made=b"".join(UUID(datum_id(fact.id, name)).bytes for name in outputs))


def _is_datum(origin: str) -> bool:
    return origin.startswith(SCHEME) and is_id(origin[len(SCHEME) :])
