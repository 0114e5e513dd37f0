"""Who made, got and reused what: the index, and the runs that it may be behind. Reads each of those once."""

from collections import defaultdict
from collections.abc import Iterable

from runner.digest import Digest
from runner.store.catalog import data_of
from runner.store.column import input_digests, reused_executions
from runner.store.found import Maker
from runner.store.identity import is_id
from runner.store.index import Index
from runner.store.record import Run


class Links:
    """Answers of one store, for one command. Methods raise MlrunError (STORE, LOCKED, DISK)."""

    def __init__(self, index: Index, open_runs: Iterable[Run]) -> None:
        """`open_runs` are the runs whose end the index does not have; they are read at once, so that a run that ends
        meanwhile is in the index by the time that it is asked."""
        self._index = index
        self._makers: dict[Digest, set[Maker]] = defaultdict(set)
        self._data: dict[str, Maker] = {}
        self._users: dict[Digest, set[Maker]] = defaultdict(set)
        self._reusers: dict[str, set[str]] = defaultdict(set)
        for run in open_runs:
            self._add(run)

    def makers_of(self, digest: Digest) -> list[Maker]:
        """The executions that left this content, with their runs, newest first."""
        return sorted({*self._makers.get(digest, ()), *self._index.makers_of(digest)}, reverse=True)

    def users_of(self, digest: Digest) -> list[Maker]:
        """The executions that got this content as an input, with their runs, newest first."""
        return sorted({*self._users.get(digest, ()), *self._index.users_of(digest)}, reverse=True)

    def maker_of(self, datum: str) -> Maker | None:
        """The execution that left a datum, by the id of that, with its run."""
        if not is_id(datum):
            return None
        found = self._data.get(datum) or next(iter(self._index.data_by_prefix(datum.replace("-", ""))), None)
        return found and (found[0], found[1])

    def reusers_of(self, execution: str) -> list[str]:
        """The ids of the runs in which an execution stands for a node, newest first."""
        return sorted({*self._reusers.get(execution, ()), *self._index.reusers_of(execution)}, reverse=True)

    def _add(self, run: Run) -> None:
        for one in run.executions.values():
            for datum in data_of(one):
                self._makers[datum.digest].add((one.id, run.id))
                self._data[datum.id] = one.id, run.id
            for digest in input_digests(one):
                self._users[digest].add((one.id, run.id))
        for id in reused_executions(run):
            self._reusers[id].add(run.id)
