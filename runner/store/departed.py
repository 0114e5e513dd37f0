"""What is told of runs that were removed, and of their executions: when that was, and how it can be undone. Reads."""

from collections.abc import Iterator
from contextlib import suppress

from runner.errors import MlrunError, usage_error
from runner.store.durable import disk_errors
from runner.store.history import recorded_run
from runner.store.index import Kind
from runner.store.layout import Layout, RunFolder
from runner.store.record import Run
from runner.store.removal import Removals, RemovedRun
from runner.store.trash import Batch, Trash

_LEAST_PREFIX = 4
"""Characters of the start of an id."""


def removed_run(layout: Layout, run_id: str) -> MlrunError | None:
    """What to say to who asks for a run of which nothing is in its place; None if it was not removed."""
    gone = _removed(layout).get(run_id)
    return None if gone is None else _gone(layout, f"run {gone.counter} was removed", gone)


def find_removed(layout: Layout, kind: Kind, project: str | None, text: str) -> MlrunError | None:
    """The same of the run or execution (`kind`) that a user names and that is not here: by its number in the project,
    or the start of its id. Who asks for an execution may also name a run by its id."""
    if not text.isascii():
        return None
    for gone in reversed(_removed(layout).values()):
        if project not in (None, gone.project) or (project is None and text.isdecimal() and len(text) < _LEAST_PREFIX):
            continue
        if _names(text, gone.counter if kind == "run" else None, gone.id):
            return _gone(layout, f"there is no run `{text}`: it was removed", gone)
        if kind == "run":
            continue
        if text == str(gone.executions) or _has_execution(layout, gone, text):
            what = f"there is no execution `{text}`: it was removed with run {gone.counter}"
            return _gone(layout, what, gone)
    return None


def count_removed(layout: Layout, project: str | None) -> int:
    """The runs of a project, or of all, that were removed and did not come back."""
    return sum(project in (None, gone.project) for gone in _removed(layout).values())


def _removed(layout: Layout) -> dict[str, RemovedRun]:
    """By id, oldest first; none where that cannot be read, which the check tells."""
    with suppress(MlrunError):
        return Removals(layout).read().runs
    return {}


def _gone(layout: Layout, what: str, gone: RemovedRun) -> MlrunError:
    hint = "it is not in the trash any more: only `mlrun pull` brings it, from a remote that has it"
    with disk_errors(layout.trash):
        for place, batch in enumerate(_newest_first(layout), start=1):
            if _folder(layout, batch, gone.id).journal.exists():
                often = "" if place == 1 else f", called {place} times,"
                hint = f"`mlrun gc --undo`{often} brings it back, until {batch.due[:10]} at least"
                break
    return usage_error(f"{what} on {gone.time[:16].replace('T', ' ')} UTC", hint=hint)


def _has_execution(layout: Layout, gone: RemovedRun, text: str) -> bool:
    """Whether the record, as long as it waits in the trash, has an execution of this name."""
    executions = (one for run in _waiting(layout, gone.id) for one in run.executions.values())
    return any(_names(text, one.counter, one.id) for one in executions)


def _waiting(layout: Layout, run_id: str) -> Iterator[Run]:
    for batch in _newest_first(layout):
        with suppress(MlrunError):
            run = recorded_run(_folder(layout, batch, run_id))
            if run is not None:
                yield run


def _names(text: str, counter: int | None, id: str) -> bool:
    return (counter is not None and text == str(counter)) or (
        len(text) >= _LEAST_PREFIX and id.startswith(text.lower())
    )


def _newest_first(layout: Layout) -> list[Batch]:
    with disk_errors(layout.trash):
        return Trash(layout).batches()[::-1]


def _folder(layout: Layout, batch: Batch, run_id: str) -> RunFolder:
    return RunFolder(Trash(layout).folder(batch) / "runs" / run_id)
