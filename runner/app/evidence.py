"""What an execution left as it ran, while it runs and after: log and metric events. Reads the store, writes nothing."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.quantity import local_time
from runner.state import FINAL
from runner.store.imported import read_import
from runner.store.journal import timestamp
from runner.store.record import Execution, Run
from runner.store.removal import Removals
from runner.store.store import Store
from runner.store.trash import Trash
from runner.worker.log import LogFiles, metrics_file


@dataclass(frozen=True, slots=True)
class Event:
    """One metric event: `time` in UTC as in the journal, `offset` of its line in standard output."""

    time: str
    offset: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lack:
    """Why an execution has not all of its files here, to follow a plural, and how to get them."""

    why: str
    hint: str


def lack_of_files(store: Store, run: Run, execution: Execution) -> Lack | None:
    """Why files of an execution are not here on purpose; None if it has them, or is to have them. Of one that came from
    a remote some may be here."""
    removals = Removals(store.layout).read()
    removed = removals.dropped.get(execution.id)
    if removed is None:
        return None
    why = f"were removed by `mlrun gc` on {local_time(removed)}"
    told = read_import(store.layout.run(run.id).imported)
    if told is None:
        again = "or run it again: its code, its command and what it got are on record"
        waiting = {batch.id for batch in Trash(store.layout).batches()}
        in_trash = any(execution.id in removals.batches.get(id, {}) for id in waiting)
        by = "`mlrun gc --undo`" if in_trash else "`mlrun pull` from a remote that has them"
        return Lack(why, f"{by} brings them back, {again}")
    source = printable(told.source)
    hint = f"`mlrun pull run:{run.counter} --from {shlex.quote(source)}` brings what is there"
    # What did not come along is told before the run is admitted.
    return Lack(f"stayed at `{source}`" if removed <= told.time else why, hint)


def log_files(store: Store, run: Run, execution: Execution) -> LogFiles:
    """Where the log is: objects once it is complete, until then the files that are being written.

    Raises MlrunError: INPUT for a log that was removed on purpose, STORE for one that is lost or damaged.
    """
    log = execution.log
    if log is not None:
        try:
            return LogFiles(*map(store.objects.file, (log.stdout, log.stderr, log.index)))
        except MlrunError as error:
            lack = lack_of_files(store, run, execution)
            if lack is None:
                raise
            raise MlrunError(
                f"the log of execution {execution.counter} is not here: its files {lack.why}",
                code=ExitCode.INPUT,
                hint=lack.hint,
            ) from error
    return LogFiles.below(_folder(store, run.id, execution.id))


def log_sizes(store: Store, run: Run, execution: Execution) -> dict[str, int]:
    """Bytes of each stream so far; empty when there is no log."""
    log = execution.log
    if log is not None:
        try:
            return {"stdout": store.objects.size(log.stdout), "stderr": store.objects.size(log.stderr)}
        except MlrunError:
            return {}
    files = LogFiles.below(_folder(store, run.id, execution.id))
    try:
        return {"stdout": files.stdout.stat().st_size, "stderr": files.stderr.stat().st_size}
    except FileNotFoundError:
        return {}


def metric_events(store: Store, run: Run, execution: Execution) -> Iterator[Event]:
    """All events in order. Raises MlrunError (STORE) when the record of a finished execution is damaged."""
    if execution.metric_log is not None:
        yield from _events(store.objects.file(execution.metric_log), live=False)
    elif execution.state not in FINAL or execution.log is None:
        yield from _events(metrics_file(_folder(store, run.id, execution.id)), live=True)


def last_metrics(store: Store, run: Run, execution: Execution) -> dict[str, Any]:
    """The last value per key, of an execution under way as far as it got."""
    if execution.metrics or execution.log is not None:
        return dict(execution.metrics)
    return live_metrics(store, run.id, execution.id)


def live_metrics(store: Store, run: str, execution: str) -> dict[str, Any]:
    """The last value per key of what has no end in the record, by the ids of run and execution."""
    values: dict[str, Any] = {}
    for event in _events(metrics_file(_folder(store, run, execution)), live=True):
        values |= event.values
    return values


def _folder(store: Store, run: str, execution: str) -> Path:
    return store.layout.run(run).logs / execution


def _events(file: Path, *, live: bool) -> Iterator[Event]:
    try:
        with file.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield _event(line)
    except FileNotFoundError:
        if not live:
            raise _damaged(file, "is missing") from None
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(file, f"has a line that is no event: {error}") from error


def _event(line: bytes) -> Event:
    event = json.loads(line)
    return Event(timestamp(int(event["time"])), int(event["offset"]), dict(event["values"]))


def _damaged(file: Path, what: str) -> MlrunError:
    return MlrunError(
        f"the store is damaged: `{file}` {what}",
        code=ExitCode.STORE,
        hint="the metrics are still in the log: `mlrun logs EXECUTION`",
    )
