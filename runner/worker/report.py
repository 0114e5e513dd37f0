"""What a worker tells: while a job runs, and when it is over."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from runner.digest import Digest
from runner.errors import ExitCode
from runner.job import LogChunk, Outcome
from runner.metrics import MetricEvent
from runner.state import Reason
from runner.store.record import UNWATCHED, LogRef, OutputFile, Reading
from runner.store.verified import Unlink
from runner.worker.tree import remove_tree


class JobListener(Protocol):
    """Who is told while the job runs, on the job's thread; neither blocks nor raises."""

    def started(self) -> None:
        """The program runs."""
        ...

    def paused(self) -> None:
        """The program has failed, and somebody is about to look at its place; the end of that is the end of the job."""
        ...

    def log(self, chunk: LogChunk) -> None:
        """The program printed something; it is on its way to the log folder."""
        ...

    def metric(self, event: MetricEvent) -> None:
        """The program printed a metadata event."""
        ...

    def limit(self, reason: Reason) -> None:
        """The program must be ended for this reason; may come from any thread, and more than once."""
        ...

    def taken(self, file: OutputFile) -> None:
        """An output is in the store while the program runs; comes from a thread of its own and may block until that is
        recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a job; everything that it names is durable.

    `outcome.detail` is the sentence for people, `hint` what they can do, `exit` what the command should end with if
    this is its worst news, `asked` why the job was to be stopped, None when nobody asked. `outputs` hold what could be
    collected, also of a job that failed or was stopped. `metrics` is the last value per key, strict JSON; `metric_log`
    an object with all events (`runner.worker.log`), None when there are none. `log` is None when it could not be
    stored. `duration` is seconds of the monotonic clock from the program's start to its end, 0 when it never ran.
    `work` is the kept work folder, `leftover` one that nobody needs and `clear` removes by `unlink`. `read` is what the
    program opened.
    """

    outcome: Outcome
    exit: ExitCode
    hint: str | None
    asked: Reason | None
    outputs: tuple[OutputFile, ...]
    log: LogRef | None
    metrics: Mapping[str, object]
    metric_log: Digest | None
    warnings: tuple[str, ...]
    duration: float
    work: Path | None
    leftover: Path | None
    read: Reading = UNWATCHED
    unlink: Unlink = field(default=os.unlink, repr=False, compare=False)


def clear(finished: Finished) -> str | None:
    """Remove the work folder of a job that has been reported; tells in a sentence if it cannot be.

    Not done before the report, because removing a large copy takes as long as a small step.
    """
    if finished.leftover is None:
        return None
    try:
        remove_tree(finished.leftover, finished.unlink)
    except OSError as error:
        return f"the work folder `{finished.leftover}` could not be removed: {error.strerror}"
    return None
