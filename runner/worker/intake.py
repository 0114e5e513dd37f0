"""What a program prints, on its way into the store: masked, told, written to the log folder, its metrics read out.

Belongs to the job's own thread. A log that cannot be written is no reason to stop reading: the dying program would
block.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from runner.crew import side_by_side
from runner.digest import Digest
from runner.errors import MlrunError
from runner.job import LogChunk
from runner.metrics import LastValues, MetricEvent, MetricReader
from runner.store.durable import disk_errors
from runner.store.record import LogRef
from runner.worker.log import LogFiles, LogWriter, metrics_file
from runner.worker.mask import Mask
from runner.worker.report import JobListener
from runner.worker.storage import ObjectStore

Note = Callable[[Mapping[str, object]], None]
"""Gets the values of each metadata event."""


class Intake:
    """Takes what one program prints into the new folder `folder`, and at its end into the store.

    `failure` tells why the log could not be written while the program ran, `loss` why not at its end; `log` and
    `metric_log` are what the store has of it, None when it has nothing. `last` are the last values of its metrics.
    """

    def __init__(self, folder: Path, mask: Mask, listener: JobListener) -> None:
        """Raises MlrunError (DISK, STORE) when the folder cannot be made."""
        self.failure: MlrunError | None = None
        self.loss: MlrunError | None = None
        self.log: LogRef | None = None
        self.metric_log: Digest | None = None
        self.last = LastValues()
        self._folder = folder
        self._mask = mask
        self._listener = listener
        self._reader = MetricReader()
        self._writer = LogWriter(folder)

    def take(self, chunk: LogChunk, note: Note) -> None:
        """The program printed something."""
        self._take(self._mask.chunk(chunk), note)

    def finish(self, note: Note) -> None:
        """It prints no more: what was held back of it is taken. Called once."""
        for chunk in self._mask.rest():
            self._take(chunk, note)
        self._take_events(self._reader.finish(), note)

    def close(self) -> None:
        """Write what is still to be written; idempotent."""
        try:
            self._writer.close()
        except MlrunError as error:
            self.loss = error

    def store(self, objects: ObjectStore) -> None:
        """Close, take the log into the store and leave it where readers have it."""
        self.close()
        files, events = LogFiles.below(self._folder), metrics_file(self._folder)
        digests: dict[Path, Digest] = {}

        def store(path: Path) -> None:
            digests[path] = _store_in_place(path, objects)

        try:
            side_by_side(store, (files.stdout, files.stderr, files.index, *([events] if events.exists() else [])))
        except MlrunError as error:
            self.loss = self.loss or error
        else:
            self.log = LogRef(digests[files.stdout], digests[files.stderr], digests[files.index])
            self.metric_log = digests.get(events)

    def _take(self, chunk: LogChunk, note: Note) -> None:
        if not chunk.data:
            return
        self._listener.log(chunk)
        if self.failure is not None:
            return
        try:
            offset = self._writer.append(chunk.stream, chunk.data)
        except MlrunError as error:
            self.failure = error
            return
        if chunk.stream == "stdout":
            self._take_events(self._reader.feed(chunk.data, offset), note)

    def _take_events(self, events: list[MetricEvent], note: Note) -> None:
        for event in map(self._mask.event, events):
            self.last.update(event.values)
            self._listener.metric(event)
            note(event.values)
            try:
                if self.failure is None:
                    self._writer.event(event)
            except MlrunError as error:
                self.failure = error


def _store_in_place(path: Path, objects: ObjectStore) -> Digest:
    """Store a finished file and let its name stand for the object. Raises MlrunError (DISK, STORE)."""
    with disk_errors(path):
        if path.stat().st_size == 0:
            with path.open("rb", buffering=0) as file:
                return objects.put_file(file.fileno())[0]
    digest, _ = objects.adopt(path)
    objects.materialise(digest, path, writable=False)
    return digest
