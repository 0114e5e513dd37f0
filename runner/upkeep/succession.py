"""Which stored files are versions of each other, and which of them is the newest. Pure.

Versions of each other are outputs of a step under one path, inputs of a step under one name or from one address, and
files of one name in the versions of a dataset or model. The newest of each of these rows stays whole, and so does what
an alias means and what a run under way uses; every other version is described by its difference from the newest one of
the row in which it was used last.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from runner.digest import Digest
from runner.state import FINAL
from runner.store.datum import SCHEME, Datum, path_of
from runner.store.record import Execution, Run
from runner.store.ref import CollectionKind

_Row = tuple[str, ...]
"""What the versions have in common."""
Moment = tuple[str, int]
"""A time in UTC (ISO 8601), and a number for what has the same time."""


@dataclass(frozen=True, slots=True)
class Succession:
    """Files that are like `newest`, the last one used first; it is not among them itself."""

    newest: Digest
    older: tuple[Digest, ...]


@dataclass(slots=True)
class Successions:
    """Rows of versions that grow with every record told; of files other than `among` nothing is kept."""

    among: Collection[Digest]
    _rows: dict[_Row, dict[Digest, Moment]] = field(default_factory=dict)
    _whole: set[Digest] = field(default_factory=set)

    def add_run(self, run: Run) -> None:
        """Tell what a run made and got."""
        going = run.state not in FINAL
        for execution in run.executions.values():
            for row, digest, moment in _uses(run.project.id, execution):
                self._add(row, digest, moment)
                if going:
                    self._whole.add(digest)

    def add_version(self, row: tuple[CollectionKind, str], moment: Moment, data: Iterable[Datum]) -> None:
        """Tell the files of a version of a dataset or model; `row` is its kind and name."""
        for datum in data:
            self._add((*row, datum.name), datum.digest, moment)

    def keep_whole(self, digests: Iterable[Digest]) -> None:
        """Tell that these files are to stay as they are."""
        self._whole.update(digests)

    def found(self) -> list[Succession]:
        """All rows in which something is older than the newest; each file is in one of them at most."""
        rows = self._rows.items()
        newest = {row: max(digests, key=lambda digest: (digests[digest], digest)) for row, digests in rows}
        whole = self._whole.union(newest.values())
        last: dict[Digest, tuple[Moment, Digest]] = {}
        for row, digests in rows:
            for digest, moment in digests.items():
                if digest not in whole:
                    last[digest] = max(last.get(digest, (moment, newest[row])), (moment, newest[row]))
        older: dict[Digest, list[Digest]] = {}
        for digest in sorted(last, key=lambda digest: (last[digest][0], digest), reverse=True):
            older.setdefault(last[digest][1], []).append(digest)
        return [Succession(base, tuple(older[base])) for base in sorted(older)]

    def _add(self, row: _Row, digest: Digest, moment: Moment) -> None:
        if digest in self.among:
            digests = self._rows.setdefault(row, {})
            digests[digest] = max(moment, digests.get(digest, moment))


def _uses(project: str, execution: Execution) -> Iterator[tuple[_Row, Digest, Moment]]:
    for output in execution.outputs:
        path = path_of(output.name, output.version)
        yield ("output", project, execution.step, path), output.digest, (execution.created, output.version)
    for given in execution.job.get("inputs", ()):
        for file in given["files"]:
            digest, moment = Digest(file["digest"]), (execution.created, 0)
            yield ("input", project, execution.step, given["name"], file["name"]), digest, moment
            if not file["origin"].startswith(SCHEME):
                yield ("origin", file["origin"]), digest, moment
