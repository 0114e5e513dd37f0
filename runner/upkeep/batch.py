"""Batches in the trash that do not say what they are, and the records that wait in them. Changes nothing."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.errors import MlrunError
from runner.escape import printable
from runner.store.durable import NEW
from runner.store.history import recorded_run
from runner.store.identity import is_id
from runner.store.layout import Layout, RunFolder
from runner.store.lease import encode_owner
from runner.store.sealed import unseal
from runner.upkeep.anomaly import Anomaly
from runner.upkeep.chain import BACKUP
from runner.upkeep.disk import content_of, names
from runner.upkeep.stranger import stranger


def trash_batches(layout: Layout) -> Iterator[Anomaly]:
    """Batches that do not say what they are."""
    for name in names(layout.trash):
        path = layout.trash / name
        if name.startswith(NEW):
            continue
        if not is_id(name):
            yield stranger(layout, path)
            continue
        with suppress(FileNotFoundError):
            problem = _batch_problem(path, name)
            # A batch that was destroyed or brought back meanwhile is none.
            if problem is not None and path.exists():
                what = f"does not say what was removed by which command: {problem}"
                yield Anomaly("batch-unreadable", f"trash/{name}/batch", what, remedy="what lies in it is whole")
        for id in filter(is_id, names(path / "runs")):
            yield from _trashed_run(RunFolder(path / "runs" / id), f"trash/{name}/runs/{id}")


def _trashed_run(folder: RunFolder, place: str) -> Iterator[Anomaly]:
    try:
        run = recorded_run(folder)
    except MlrunError as error:
        what = f"is damaged: {printable(error.message)}"
        yield Anomaly("journal-damaged", f"{place}/journal", what, remedy=BACKUP)
        return
    lease = content_of(folder.owner)
    if run is not None and lease is not None and lease != encode_owner(run.owner):
        what = "does not say what the journal says"
        yield Anomaly("owner-damaged", f"{place}/owner", what, remedy="bring the run back, then check again")


def _batch_problem(path: Path, id: str) -> str | None:
    # The file is written before anything moves in, so it is looked for after what lies there: a batch that is begun
    # meanwhile has it by then, and one with nothing in it was never begun.
    begun = any(not name.startswith(NEW) for name in names(path))
    try:
        told: Any = unseal((path / "batch").read_bytes())
    except FileNotFoundError:
        return "the file is missing" if begun else None
    except (OSError, ValueError) as error:
        return str(error)
    if not isinstance(told, dict) or set(told) != {"id", "time", "why", "by"}:
        return "it has other fields"
    return None if told["id"] == id else f"it says `{printable(str(told['id']))}`"
