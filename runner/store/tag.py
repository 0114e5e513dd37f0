"""Which tags a run or an execution has: those that it began with, and those given and taken away later. Pure."""

from collections.abc import Iterable

from runner.store.ref import Tagging
from runner.store.row import Row


class Tags:
    """What was given and taken away, by id."""

    def __init__(self, taggings: Iterable[Tagging]) -> None:
        self._given: dict[str, list[str]] = {}
        self._taken: dict[str, set[str]] = {}
        for tagging in taggings:
            for id in tagging.has:
                self._given.setdefault(id, []).append(tagging.name)
            for id in tagging.without:
                self._taken.setdefault(id, set()).add(tagging.name)

    def of_run(self, id: str, own: Iterable[str]) -> tuple[str, ...]:
        """The tags of a run that began with `own`, each once, its own ones first."""
        return self._changed(id, own)

    def of_execution(self, id: str, run_id: str, own: Iterable[str]) -> tuple[str, ...]:
        """The tags of an execution: it begins with those of its run, `own` being what that began with."""
        return self._changed(id, self._changed(run_id, own))

    def laid_over(self, row: Row) -> Row:
        """The row of a run or an execution (`runner.store.row`) with the tags that it has by now; a row without any
        word about tags is left as it is."""
        if "tags" not in row or not (self._given or self._taken):
            return row
        own = row["tags"]
        tags = self.of_execution(row["id"], row["run"], own) if "run" in row else self.of_run(row["id"], own)
        return {**row, "tags": list(tags)}

    def _changed(self, id: str, own: Iterable[str]) -> tuple[str, ...]:
        taken = self._taken.get(id, set())
        return tuple(dict.fromkeys(tag for tag in (*own, *self._given.get(id, ())) if tag not in taken))
