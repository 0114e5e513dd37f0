"""Pieces of a log as lines: put together per stream, written raw, cleaned for a terminal, or as JSON."""

import json
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from runner.escape import printable_lines
from runner.job import Stream
from runner.store.journal import timestamp
from runner.worker.log import LogPiece

_CAP = 1 << 20
"""Bytes of a line that are kept together; a longer one comes in parts."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its newline, if it has one; `time` in microseconds since 1970 (UTC) is when its end arrived."""

    time: int
    stream: Stream
    data: bytes

    @property
    def text(self) -> str:
        """What a terminal would show in the end, without the newline: a carriage return starts the line again."""
        data = self.data.removesuffix(b"\n")
        if b"\r" not in data:
            return data.decode("utf-8", "replace")
        parts = [part for part in data.split(b"\r") if part]
        return parts[-1].decode("utf-8", "replace") if parts else ""


Write = Callable[[Line], None]


@dataclass(slots=True)
class Lines:
    """Puts lines together and hands them to `write`; the last `last` of them only, until `release` is called."""

    write: Write
    last: int | None = None
    _held: deque[Line] | None = None
    _open: dict[Stream, bytes] = field(default_factory=dict)
    _time: int = 0

    def __post_init__(self) -> None:
        if self.last is not None:
            self._held = deque(maxlen=self.last)

    def feed(self, piece: LogPiece) -> None:
        """Take a piece."""
        self._time = piece.time
        whole, newline, rest = (self._open.pop(piece.stream, b"") + piece.data).rpartition(b"\n")
        if newline:
            for data in whole.split(b"\n"):
                self._emit(Line(piece.time, piece.stream, data + newline))
        if len(rest) > _CAP:
            self._emit(Line(piece.time, piece.stream, rest))
        elif rest:
            self._open[piece.stream] = rest

    def finish(self) -> None:
        """Write what has no newline yet, and everything held back."""
        for stream, data in self._open.items():
            self._emit(Line(self._time, stream, data))
        self._open.clear()
        self.release()

    def release(self) -> None:
        """Write the lines held back; from here on each at once."""
        held, self._held = self._held, None
        for line in held or ():
            self.write(line)

    def _emit(self, line: Line) -> None:
        if self._held is None:
            self.write(line)
        else:
            self._held.append(line)


def write_raw(line: Line) -> None:
    """The bytes as they came."""
    sys.stdout.buffer.write(line.data)


def write_clean(line: Line) -> None:
    """For a terminal."""
    print(printable_lines(line.text))


def write_timed(line: Line) -> None:
    """With the local time in front."""
    seconds, microseconds = divmod(line.time, 1_000_000)
    print(f"{_local(seconds)}.{microseconds // 1000:03} {printable_lines(line.text)}")


def write_json(line: Line) -> None:
    """As a JSON object."""
    print(json.dumps({"time": _exact(line.time), "stream": line.stream, "text": line.text}))


@lru_cache(maxsize=1)
def _local(seconds: int) -> str:
    """The zone of this machine is asked once a second, not once a line."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


_exact = lru_cache(maxsize=1)(timestamp)
"""Lines that arrive together share their time."""
