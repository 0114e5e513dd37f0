"""Looks at everything in a store but the content of its objects, and says what does not fit. Changes nothing.

Others may write meanwhile. So what is derived is read before what it is derived from (the index before a journal, a
journal before the objects it names), and a run that looks wrong is looked at once more at the end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.state import FINAL
from runner.store.agreement import Indexed, IndexFile
from runner.store.history import recorded_run, run_before_damage, run_folders
from runner.store.layout import RunFolder
from runner.store.lease import encode_owner, is_alive, read_owner
from runner.store.reach import named_by
from runner.store.record import Run
from runner.store.removal import Removed
from runner.store.row import is_final
from runner.store.shelf import Where
from runner.store.store import Store
from runner.upkeep.anomaly import Anomaly, Report, Touch, note
from runner.upkeep.chain import read_removed
from runner.upkeep.disk import content_of
from runner.upkeep.inventory import Found, Inventory
from runner.upkeep.mention import Trees, gave_up, named_data

REBUILD = "`mlrun store rebuild` builds the index again from the journals"
_BACKUP = "restore this file from a backup; other runs are not affected"

Suspects = dict[Digest, str]
"""Objects that are not there as a record needs them, and how."""


@dataclass(slots=True)
class Survey:
    """One look at the records of a store. `is_over` tells when the time is over."""

    store: Store
    inventory: Inventory
    report: Report
    is_over: Callable[[], bool]
    removed: Removed = field(default_factory=Removed)
    suspects: Suspects = field(default_factory=dict)
    waiting: set[Digest] = field(default_factory=set)
    """Objects that a record names and that lie in the trash only."""
    _purged: set[Digest] = field(default_factory=set)
    _seen: set[Digest] = field(default_factory=set)
    """Trees whose files were looked at: most runs have the code of others."""
    _doubtful: list[str] = field(default_factory=list)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def runs(self, behind: str) -> str:
        """Look at every run whose id comes after `behind`; the id of the last one if the time was over, else empty."""
        trees = Trees(self.inventory)
        index = self._index()
        try:
            return self._runs(behind, index, trees)
        finally:
            if index is not None:
                index.close()

    def _runs(self, behind: str, index: IndexFile | None, trees: Trees) -> str:
        last = behind
        for folder in run_folders(self.store.layout):
            if folder.path.name <= behind:
                continue
            if self.is_over():
                self.report.whole = False
                return last
            if any(self._run(folder, index, trees, count=True)):
                self._doubtful.append(folder.path.name)
            last = folder.path.name
        for id in self._doubtful:
            self.report.anomalies += self._run(self.store.layout.run(id), index, trees, count=False)
        if index is not None:
            self.report.anomalies += self._whole_index(index)
        return ""

    def record(self, id: str) -> list[Anomaly]:
        """What is wrong with the journal, the lease and the rows of one run; its objects are not looked at."""
        index = self._index()
        try:
            wrong = self._run(self.store.layout.run(id), index, Trees(self.inventory), count=False)
        finally:
            if index is not None:
                index.close()
        return [*self.report.anomalies, *wrong]

    def names(self) -> None:
        """Look at what aliases, datasets and models mean."""
        try:
            for meant in named_data(self.store.refs, self.inventory):
                self.report.names += 1
                self._look(meant.digest, meant.size)
        except MlrunError:
            # The file that cannot be understood is told by who compares it with the log.
            return

    def _index(self) -> IndexFile | None:
        """The index, if it can be read; otherwise an anomaly."""
        try:
            index = IndexFile.open(self.store.layout)
            problem = None if index is None else index.problem()
        except MlrunError as error:
            index, problem = None, error.message if error.code is ExitCode.STORE else None
            if problem is None:
                self.report.anomalies.append(note("index-busy", "index.sqlite", f"is being written: {error.message}"))
        if problem is not None:
            self.report.anomalies.append(
                Anomaly("index-damaged", "index.sqlite", f"is damaged: {problem}", remedy=REBUILD)
            )
        return index

    def _run(self, folder: RunFolder, index: IndexFile | None, trees: Trees, *, count: bool) -> list[Anomaly]:
        """What is wrong with a run; with `count`, all of it is counted and its objects are looked at."""
        if not folder.path.is_dir():
            return []
        place = f"runs/{folder.path.name}"
        anomalies: list[Anomaly] = []
        indexed = None
        try:
            indexed = None if index is None else index.run(folder.path.name)
        except MlrunError as error:
            anomalies.append(Anomaly("index-damaged", "index.sqlite", f"is damaged: {error.message}", remedy=REBUILD))
        owner = content_of(folder.owner)
        try:
            run = recorded_run(folder)
        except MlrunError as error:
            run = run_before_damage(error)
            touched = (_touch_of_run(run, folder, indexed),)
            anomalies.append(
                Anomaly("journal-damaged", f"{place}/journal", _without_path(error), touched=touched, remedy=_BACKUP)
            )
        else:
            anomalies += _unbegun(folder, indexed) if run is None else _behind(folder, run, indexed, index)
        if run is not None:
            if run.id == folder.path.name:
                anomalies += _owner(folder, run, owner)
            if count:
                self._count(run, trees)
        return anomalies

    def _count(self, run: Run, trees: Trees) -> None:
        self.report.runs += 1
        self.report.executions += len(run.executions)
        self._raise("run", run.project.id, run.counter)
        for execution in run.executions.values():
            self._raise("execution", run.project.id, execution.counter)
        for named in named_by(run, lambda tree: self._files(trees, tree)):
            self._look(named.digest, named.size, given_up=gave_up(named, self.removed))

    def _files(self, trees: Trees, tree: Digest) -> Iterator[tuple[str, Digest, int]]:
        if tree not in self._seen:
            yield from trees.files(tree)
            self._seen.add(tree)

    def _look(self, digest: Digest, size: int | None, *, given_up: bool = False) -> None:
        self.report.objects += 1
        found = self.inventory.find(digest)
        if digest in self.removed.purged:
            self._purged.add(digest)
            self.report.purged = len(self._purged)
        elif found is None and given_up:
            self.report.dropped += 1
        elif given_up:
            return
        elif (problem := _problem(found, size)) is not None:
            self.suspects.setdefault(digest, problem)
        elif found is not None and found.place is Where.TRASH:
            self.waiting.add(digest)

    def _raise(self, kind: str, project: str, counter: int) -> None:
        self._numbers[project, kind] = max(self._numbers.get((project, kind), 0), counter)

    def _whole_index(self, index: IndexFile) -> Iterator[Anomaly]:
        """Runs that only the index has, and numbers that would be given out twice."""
        layout = self.store.layout
        self.removed = read_removed(layout)
        try:
            for id, project, counter in index.begun_runs():
                folder = layout.run(id)
                if folder.path.exists() or id in self.removed.runs or index.run(id) is None:
                    continue
                touched = (Touch("run", "", project, id, counter),)
                what = "is missing, though the index knows it"
                yield Anomaly("run-missing", f"runs/{id}", what, touched=touched, remedy="restore it from a backup")
            for gone in self.removed.runs.values():
                self._raise("run", gone.project, gone.counter)
                self._raise("execution", gone.project, gone.executions)
            given = index.counters()
        except MlrunError as error:
            yield Anomaly("index-damaged", "index.sqlite", f"is damaged: {error.message}", remedy=REBUILD)
            return
        for (project, kind), highest in self._numbers.items():
            if given.get((project, kind), 0) < highest:
                what = f"would give out {kind} number {highest} of the project `{project}` again"
                yield Anomaly("index-differs", "index.sqlite", what, remedy=REBUILD)


def _problem(found: Found | None, size: int | None) -> str | None:
    if found is None:
        return "is missing"
    if found.problem is None and size is not None and size != found.size:
        return f"has {found.size:,} bytes instead of {size:,}"
    return found.problem


def _unbegun(folder: RunFolder, indexed: Indexed | None) -> Iterator[Anomaly]:
    """A run without a whole line: about to begin, never begun, or robbed of its journal."""
    place = f"runs/{folder.path.name}"
    if indexed is not None and indexed.row is not None:
        what = "is empty" if folder.journal.exists() else "is missing"
        touched = (_touch_of_run(None, folder, indexed),)
        yield Anomaly("journal-damaged", f"{place}/journal", f"{what}", touched=touched, remedy=_BACKUP)
    elif (owner := read_owner(folder.owner)) is not None and is_alive(owner) is False:
        yield note("run-unbegun", place, "never began: the next command that writes removes it")


def _behind(folder: RunFolder, run: Run, indexed: Indexed | None, index: IndexFile | None) -> Iterator[Anomaly]:
    """How the index and the journal of a run disagree. The journal is written first, so it cannot be behind."""
    place = f"runs/{run.id}"
    if index is None:
        return
    if indexed is None:
        yield Anomaly("index-differs", place, "is not in the index", remedy=REBUILD)
    elif (lost := _lost(run, indexed)) is not None:
        touched = (_touch_of_run(run, folder, indexed),)
        what = f"has lost its end: the index knows of {lost}"
        yield Anomaly("journal-shortened", f"{place}/journal", what, touched=touched, remedy=_BACKUP)
    elif indexed.final and (difference := index.differs(run)) is not None:
        yield Anomaly("index-differs", place, f"differs from the index: {difference}", remedy=REBUILD)


def _lost(run: Run, indexed: Indexed) -> str | None:
    for id, row in indexed.executions.items():
        execution = run.executions.get(id)
        if execution is None or (row.get("finished") is not None and execution.state not in FINAL):
            return f"execution {row.get('counter')}" + ("" if execution is None else ", which has ended")
    return "its end" if indexed.final and not is_final(run) else None


def _owner(folder: RunFolder, run: Run, data: bytes | None) -> Iterator[Anomaly]:
    """The lease file says what the journal's first entry says. A run that came from elsewhere has none."""
    place = f"runs/{run.id}/owner"
    if data is None and (is_final(run) or not folder.path.exists()):
        return
    if data != encode_owner(run.owner):
        what = "is missing" if data is None else "does not say what the journal says"
        touched = (Touch("run", "", run.project.name, run.id, run.counter),)
        yield Anomaly("owner-damaged", place, what, touched=touched, remedy="call it with the right to write the store")


def _touch_of_run(run: Run | None, folder: RunFolder, indexed: Indexed | None) -> Touch:
    if run is not None and run.id == folder.path.name:
        return Touch("run", "", run.project.name, run.id, run.counter)
    if indexed is None:
        return Touch("run", "", "", folder.path.name)
    project = str((indexed.row or {}).get("project_name", ""))
    return Touch("run", "", project, folder.path.name, indexed.counter)


def _without_path(error: MlrunError) -> str:
    """What is wrong, as the predicate of a sentence about the file."""
    message = printable(error.message)
    return f"is damaged: {message.partition('is damaged: ')[2] or message}"
