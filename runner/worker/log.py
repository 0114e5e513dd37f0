"""The log of one execution on disk: written while it runs, followed by anybody, read back merged.

A log folder holds these files, all of them only ever appended to:

- `stdout` and `stderr`: what the program wrote to each, byte for byte but for secrets, which are masked before.
- `index`: how the two merge. One line of ASCII per chunk, in the order of arrival: `TIME STREAM OFFSET LENGTH`, four
  decimal numbers with single spaces and a newline. TIME is when the chunk arrived, in microseconds since 1970 (UTC);
  STREAM is 1 for `stdout` and 2 for `stderr`; OFFSET and LENGTH say which bytes of that file it is. The chunks of one
  stream follow one another without gap or overlap; chunks of one stream that arrive together may share a line. Bytes
  behind the last line's are the newest: their line did not reach the disk.
- `metrics`: the metadata events, missing as long as there are none. One JSON object per line: `offset` of the event's
  line in `stdout`, `time` as in the index, `values` with non-finite numbers as the strings "NaN", "Infinity" and
  "-Infinity".

Bytes are written before the line that names them, so a reader never sees a line whose bytes are missing. A line that
does not end in a newline is still being written.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from runner.job import Stream
from runner.metrics import MetricEvent, strict
from runner.store.durable import create, disk_error, disk_errors, write_all

_FLUSH_AFTER = 0.05
"""Seconds that bytes may wait in memory; a follower polls about as often."""
_FLUSH_BYTES = 256 << 10
_SAME_CHUNK = 10_000
"""Microseconds within which chunks of one stream share a line of the index."""
_READ_BYTES = 1 << 20
_INDEX_BLOCK = 64 << 10

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_NUMBERS: dict[Stream, int] = {"stdout": 1, "stderr": 2}
_STREAMS: dict[bytes, Stream] = {b"1": "stdout", b"2": "stderr"}


@dataclass(frozen=True, slots=True)
class LogFiles:
    """The three files that make up a log, live ones or objects of the store."""

    stdout: Path
    stderr: Path
    index: Path

    @classmethod
    def below(cls, folder: Path) -> "LogFiles":
        """Those of a log folder."""
        return cls(folder / "stdout", folder / "stderr", folder / "index")


def metrics_file(folder: Path) -> Path:
    """The events of a log folder."""
    return folder / "metrics"


class LogPiece(NamedTuple):
    """Some bytes of one stream; `time` in microseconds since 1970 (UTC)."""

    time: int
    stream: Stream
    data: bytes


class LogWriter:
    """Appends to the files of a new log folder.

    Bytes reach the files within a twentieth of a second, so that a follower sees them live, and in large writes when
    they come fast. `append` and `event` belong to one thread. Both and `close` raise MlrunError (code DISK when there
    is no space) for the first write that failed, also when it failed in the background.
    """

    def __init__(self, folder: Path, clock: Callable[[], int] = time.time_ns) -> None:
        """Make the folder and its empty files. Raises MlrunError."""
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._closing = threading.Event()
        self._flusher: threading.Thread | None = None
        self._flushed = 0.0
        self._failure: OSError | None = None
        self._waiting: dict[Stream, list[bytes]] = {"stdout": [], "stderr": []}
        self._waiting_bytes = 0
        self._events: list[bytes] = []
        self._index: list[bytes] = []
        self._chunk: tuple[int, Stream, int, int] | None = None
        """The newest line of the index, not yet put into words: time, stream, offset, length."""
        self._sizes: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        files = LogFiles.below(folder)
        with disk_errors(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._files = [create(path) for path in (files.stdout, files.stderr, files.index)]
        self._metrics = -1

    def append(self, stream: Stream, data: bytes) -> int:
        """Add what arrived; its offset in the stream."""
        moment = self._clock() // 1000
        with self._lock:
            self._check()
            offset = self._sizes[stream]
            if not data:
                return offset
            self._sizes[stream] = offset + len(data)
            self._waiting[stream].append(data)
            self._note(moment, stream, offset, len(data))
            self._arrange(len(data))
        return offset

    def event(self, event: MetricEvent) -> None:
        """Add a metadata event, just found in what was appended last."""
        line = {"offset": event.offset, "time": self._clock() // 1000, "values": strict(event.values)}
        text = _to_json(line).encode() + b"\n"
        with self._lock:
            self._check()
            self._events.append(text)
            self._arrange(len(text))

    def close(self) -> None:
        """Write what is left and close the files. Called once."""
        self._closing.set()
        self._work.set()
        if self._flusher is not None:
            self._flusher.join()
        try:
            with self._lock:
                if self._failure is None:
                    self._flush()
                self._check()
        finally:
            for fd in (*self._files, *([self._metrics] if self._metrics >= 0 else [])):
                os.close(fd)

    def _check(self) -> None:
        if self._failure is not None:
            raise disk_error(self._failure, self._folder, self._waiting_bytes)

    def _note(self, moment: int, stream: Stream, offset: int, length: int) -> None:
        if self._chunk is not None:
            begun, last, start, size = self._chunk
            if last == stream and 0 <= moment - begun < _SAME_CHUNK:
                self._chunk = (begun, stream, start, size + length)
                return
            self._end_chunk()
        self._chunk = (moment, stream, offset, length)

    def _end_chunk(self) -> None:
        if self._chunk is not None:
            moment, stream, offset, length = self._chunk
            self._index.append(b"%d %d %d %d\n" % (moment, _NUMBERS[stream], offset, length))
            self._chunk = None

    def _arrange(self, added: int) -> None:
        """Write at once what comes seldom or in large amounts, leave the rest to the flusher."""
        self._waiting_bytes += added
        if self._waiting_bytes >= _FLUSH_BYTES or time.monotonic() - self._flushed >= _FLUSH_AFTER:
            self._flush()
            self._check()
            return
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush_later, name="log flusher", daemon=True)
            self._flusher.start()
        self._work.set()

    def _flush_later(self) -> None:
        while not self._closing.is_set():
            self._work.wait()
            self._closing.wait(_FLUSH_AFTER)
            with self._lock:
                self._work.clear()
                if self._failure is None and not self._closing.is_set():
                    self._flush()

    def _flush(self) -> None:
        self._end_chunk()
        batches = (self._waiting["stdout"], self._waiting["stderr"], self._index)
        try:
            for fd, batch in zip(self._files, batches, strict=True):
                _write(fd, batch)
            if self._events:
                if self._metrics < 0:
                    self._metrics = create(metrics_file(self._folder))
                _write(self._metrics, self._events)
        except OSError as error:
            self._failure = error
            return
        self._waiting_bytes = 0
        self._flushed = time.monotonic()


def _write(fd: int, batch: list[bytes]) -> None:
    if batch:
        write_all(fd, batch[0] if len(batch) == 1 else b"".join(batch))
        batch.clear()


def read_merged(files: LogFiles, more: Callable[[], bool] | None = None) -> Iterator[LogPiece]:
    """The pieces of a log in the order of arrival, each of at most a mebibyte.

    `more` makes it follow a live log: it is called whenever everything written so far was yielded, waits as long as
    it likes, and returns False once the log is complete. Files that are removed meanwhile are read to their end.
    Raises OSError, FileNotFoundError for a log that was never begun.
    """
    with _open(files.stdout) as stdout, _open(files.stderr) as stderr, _open(files.index) as index:
        sources: dict[Stream, IO[bytes]] = {"stdout": stdout, "stderr": stderr}
        ends: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        moment = 0
        for moment, stream, offset, length in _chunks(index, more):
            yield from _read(sources[stream], moment, stream, offset, offset + length)
            ends[stream] = offset + length
        for stream, source in sources.items():
            yield from _read(source, moment, stream, ends[stream], os.fstat(source.fileno()).st_size)


def tail(files: LogFiles, lines: int, max_bytes: int = _READ_BYTES) -> list[LogPiece]:
    """The last `lines` lines of a log as pieces in the order of arrival, fewer where they pass `max_bytes`.

    Reads about as much as it returns. Raises OSError like `read_merged`.
    """
    if lines <= 0:
        return []
    pieces: list[LogPiece] = []
    missing, room = lines, max_bytes
    for piece in _pieces_backwards(files, max_bytes):
        data = piece.data[-room:]
        start, missing = _cut(data, missing, newest=not pieces)
        pieces.append(piece._replace(data=data[start:]))
        room -= len(data) - start
        if missing == 0 or room <= 0:
            break
    return [piece for piece in reversed(pieces) if piece.data]


class LogTail:
    """Reads a log as it grows, each byte once. Files that are removed meanwhile are read to their end."""

    Batch = tuple[list[LogPiece], list[bytes]]
    """What the program printed, in the order of arrival, and its metadata events, each a line of the file of these."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, FileNotFoundError for a log that was not begun."""
        files = LogFiles.below(folder)
        self._folder = folder
        self._index = _open(files.index)
        self._sources: dict[Stream, IO[bytes]] = {"stdout": _open(files.stdout), "stderr": _open(files.stderr)}
        self._events: IO[bytes] | None = None
        self._ends: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self._torn, self._torn_event, self._moment = b"", b"", 0

    def poll(self) -> Batch:
        """What has come since the last call."""
        *lines, self._torn = (self._torn + self._index.read()).split(b"\n")
        pieces: list[LogPiece] = []
        for chunk in filter(None, map(_parse, lines)):
            self._moment, stream, offset, length = chunk
            pieces += _read(self._sources[stream], self._moment, stream, offset, offset + length)
            self._ends[stream] = offset + length
        return pieces, self._poll_events()

    def rest(self) -> Batch:
        """What is left once the log is complete."""
        pieces, events = self.poll()
        for stream, source in self._sources.items():
            size = os.fstat(source.fileno()).st_size
            pieces += _read(source, self._moment, stream, self._ends[stream], size)
            self._ends[stream] = size
        return pieces, events

    def close(self) -> None:
        """Close the files; idempotent."""
        for file in (self._index, *self._sources.values(), *([self._events] if self._events else [])):
            file.close()

    def _poll_events(self) -> list[bytes]:
        if self._events is None:
            try:
                self._events = _open(metrics_file(self._folder))
            except FileNotFoundError:
                return []
        *lines, self._torn_event = (self._torn_event + self._events.read()).split(b"\n")
        return lines


def _cut(data: bytes, missing: int, newest: bool) -> tuple[int, int]:
    """Where the wanted lines begin in `data`, and how many line starts are still missing before it."""
    end = len(data) - 1 if newest and data.endswith(b"\n") else len(data)
    while missing:
        newline = data.rfind(b"\n", 0, end)
        if newline < 0:
            return 0, missing
        missing -= 1
        end = newline
    return end + 1, 0


def _open(path: Path) -> IO[bytes]:
    return path.open("rb", buffering=0)


_Chunk = tuple[int, Stream, int, int]


def _parse(line: bytes) -> _Chunk | None:
    """Time, stream, offset and length; None for a line that a power cut has damaged."""
    fields = line.split(b" ")
    if len(fields) != 4 or fields[1] not in _STREAMS or not all(field.isdigit() for field in fields):
        return None
    return int(fields[0]), _STREAMS[fields[1]], int(fields[2]), int(fields[3])


def _chunks(index: IO[bytes], more: Callable[[], bool] | None) -> Iterator[_Chunk]:
    """The lines of an index up to its end or the first damaged one."""
    torn, complete = b"", more is None
    while True:
        block = index.read(_INDEX_BLOCK)
        if block:
            *lines, torn = (torn + block).split(b"\n")
            for line in lines:
                chunk = _parse(line)
                if chunk is None:
                    return
                yield chunk
        elif complete or more is None:
            return
        else:
            # What was written before the log became complete is read in one more round.
            complete = not more()


def _read(source: IO[bytes], moment: int, stream: Stream, offset: int, end: int) -> Iterator[LogPiece]:
    while offset < end:
        data = os.pread(source.fileno(), min(end - offset, _READ_BYTES), offset)
        if not data:
            return
        offset += len(data)
        yield LogPiece(moment, stream, data)


def _pieces_backwards(files: LogFiles, max_bytes: int) -> Iterator[LogPiece]:
    """The newest piece first; of a chunk that is larger than `max_bytes` only the end."""
    with _open(files.stdout) as stdout, _open(files.stderr) as stderr, _open(files.index) as index:
        sources: dict[Stream, IO[bytes]] = {"stdout": stdout, "stderr": stderr}
        sizes: dict[Stream, int] = {stream: os.fstat(source.fileno()).st_size for stream, source in sources.items()}
        unseen = dict(sizes)
        """Streams whose last line of the index was not met yet, and how much of them lies behind it."""
        for moment, stream, offset, length in _chunks_backwards(index):
            if stream in unseen:
                rest = _last(sources[stream], moment, stream, offset + length, unseen.pop(stream), max_bytes)
                yield from rest
            yield from _last(sources[stream], moment, stream, offset, min(offset + length, sizes[stream]), max_bytes)
        for stream, size in unseen.items():
            yield from _last(sources[stream], 0, stream, 0, size, max_bytes)


def _last(source: IO[bytes], moment: int, stream: Stream, offset: int, end: int, max_bytes: int) -> Iterator[LogPiece]:
    start = max(offset, end - max_bytes)
    data = os.pread(source.fileno(), end - start, start) if end > start else b""
    if data:
        yield LogPiece(moment, stream, data)


def _chunks_backwards(index: IO[bytes]) -> Iterator[_Chunk]:
    position = os.fstat(index.fileno()).st_size
    head = b""
    while position > 0:
        size = min(position, _INDEX_BLOCK)
        position -= size
        first, *lines = (os.pread(index.fileno(), size, position) + head).split(b"\n")
        head = first
        yield from (chunk for line in reversed(lines) if (chunk := _parse(line)) is not None)
    chunk = _parse(head)
    if chunk is not None:
        yield chunk
