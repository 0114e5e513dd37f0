"""Metrics in a log: which lines of standard output are metadata events. Pure: no clock, no disk, no thread.

A line that is a JSON object is an event, as Valohai's execution metadata defines it; every other line is only log.
Lines end at a newline or at a carriage return, so that an event behind a progress bar counts. Nothing in here raises
for what a program prints, and a line without a brace costs next to nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

MAX_LINE = 1 << 20
"""Bytes; a longer line is never an event."""
MAX_DEPTH = 64
"""Objects and lists within one another; a deeper line is never an event."""

_MAX_KEYS = 10_000
_MAX_KEY = 1000
_MAX_LAST_BYTES = 4 << 20

_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor moves (ECMA-48)
    rb"|\][^\x07\x1b]*(?:\x07|\x1b\\)"  # operating system commands: titles, links
    rb"|[ -/]*[0-Z\\^-~])"  # the short ones
)
_ESC = 0x1B
_BLANK_START = re.compile(rb"(?:[ \t\v\f]|" + _ESCAPE.pattern + rb")*")
_END = re.compile(rb"[\r\n]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class MetricEvent:
    """One metadata event: `offset` is where its line begins in standard output, in bytes."""

    offset: int
    values: Mapping[str, object]


def parse_line(line: bytes) -> Mapping[str, object] | None:
    """The values of an event, None for a line that is only log.

    Bare `NaN` and `Infinity` are accepted and become floats, of a repeated key the last value stays, lone surrogates
    become U+FFFD. Escape sequences of terminals and blanks around the object do not matter.
    """
    if len(line) > MAX_LINE:
        return None
    if b"\x1b" in line:
        line = _ESCAPE.sub(b"", line)
    line = line.strip()
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return None
    try:
        values = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not values:
        return None
    if line.count(b"{") + line.count(b"[") > MAX_DEPTH and _is_deep(values):
        return None
    if b"\\u" in line:
        return {_well_formed_text(key): _well_formed(value) for key, value in values.items()}
    return values


def _is_deep(value: object) -> bool:
    """Whether `value` is nested deeper than MAX_DEPTH; level by level, for no recursion can be trusted with it."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for parent in level for item in _children(parent)]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


def _children(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _well_formed_text(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def _well_formed(value: object) -> object:
    """Without lone surrogates, which JSON can spell and UTF-8 cannot."""
    if isinstance(value, str):
        return _well_formed_text(value)
    if isinstance(value, dict):
        return {_well_formed_text(key): _well_formed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_well_formed(item) for item in value]
    return value


def strict(value: object) -> object:
    """`value` with "NaN", "Infinity" and "-Infinity" as strings, so that stored JSON stays within RFC 8259."""
    if isinstance(value, float):
        return value if isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value


class MetricReader:
    """Finds the events of one stream that arrives in pieces, whatever their borders; holds at most one line."""

    __slots__ = ("_line", "_line_offset", "_line_size", "_next", "_skipping")

    def __init__(self) -> None:
        self._line: list[bytes] = []
        """Pieces of a line that may become an event and has not ended."""
        self._line_offset = 0
        self._line_size = 0
        self._skipping = False
        """Within a line that cannot be an event."""
        self._next = 0

    def feed(self, data: bytes, offset: int) -> list[MetricEvent]:
        """The events whose lines end in `data`, which begins at `offset` of the stream.

        Pieces must follow one another; after a gap the reader starts anew at `offset`.
        """
        if offset != self._next:
            self._forget()
        self._next = offset + len(data)
        events: list[MetricEvent] = []
        start = 0
        if self._line or self._skipping:
            start = self._finish_line(data, events)
        brace = data.find(b"{", start)
        while brace >= 0:
            begin = _line_start(data, start, brace)
            end = _line_end(data, brace)
            if end < 0:
                break
            if _may_be_event(data, begin, brace):
                _append_event(events, data[begin:end], offset + begin)
            start = end + 1
            brace = data.find(b"{", start)
        self._keep_rest(data, start, offset)
        return events

    def finish(self) -> list[MetricEvent]:
        """The event in a last line without an end, if it is one. Called once, after the last `feed`."""
        events: list[MetricEvent] = []
        if self._line:
            _append_event(events, b"".join(self._line), self._line_offset)
        self._forget()
        return events

    def _forget(self) -> None:
        self._line.clear()
        self._line_size = 0
        self._skipping = False

    def _finish_line(self, data: bytes, events: list[MetricEvent]) -> int:
        """Deal with the part of `data` that belongs to an earlier line; where the next line starts."""
        end = _line_end(data, 0)
        if end < 0:
            if self._line:
                self._add(data)
            return len(data)
        if self._line:
            self._line.append(data[:end])
            _append_event(events, b"".join(self._line), self._line_offset)
        self._forget()
        return end + 1

    def _keep_rest(self, data: bytes, start: int, offset: int) -> None:
        """Remember the beginning of a line that has not ended, unless it cannot be an event any more."""
        begin = _line_start(data, start, len(data))
        if begin == len(data):
            return
        brace = data.find(b"{", begin)
        if _begins_like_event(data, begin, brace if brace >= 0 else len(data)):
            self._line_offset = offset + begin
            self._add(data[begin:])
        else:
            self._skipping = True

    def _add(self, piece: bytes) -> None:
        self._line.append(piece)
        self._line_size += len(piece)
        if self._line_size > MAX_LINE:
            self._forget()
            self._skipping = True


def _line_start(data: bytes, low: int, position: int) -> int:
    """Where the line of `position` begins, not before `low`, which is the start of a line."""
    newline = data.rfind(b"\n", low, position) + 1 or low
    return data.rfind(b"\r", newline, position) + 1 or newline


def _line_end(data: bytes, position: int) -> int:
    """Where the line of `position` ends, -1 if its end is not in `data`."""
    found = _END.search(data, position)
    return found.start() if found else -1


def _may_be_event(data: bytes, begin: int, brace: int) -> bool:
    return begin == brace or _begins_like_event(data, begin, brace)


def _begins_like_event(data: bytes, begin: int, end: int) -> bool:
    """Whether nothing but blanks and escape sequences lies before `end`; a sequence that goes on there counts."""
    blank = _BLANK_START.match(data, begin, end)
    first = blank.end() if blank else begin
    return first == end or data[first] == _ESC


def _append_event(events: list[MetricEvent], line: bytes, offset: int) -> None:
    values = parse_line(line)
    if values is not None:
        events.append(MetricEvent(offset, values))


class LastValues:
    """The last value per key, with bounds, because a program may print keys and values without end.

    `dropped` counts values that found no room; they are in the log of events all the same.
    """

    __slots__ = ("_costs", "_size", "_values", "dropped")

    def __init__(self) -> None:
        self._values: dict[str, object] = {}
        self._costs: dict[str, int] = {}
        self._size = 0
        self.dropped = 0

    def update(self, values: Mapping[str, object]) -> None:
        """Take over the values of the next event, in strict form."""
        for key, value in values.items():
            cost = len(key) + _cost(value)
            size = self._size - self._costs.get(key, 0) + cost
            full = len(self._values) >= _MAX_KEYS and key not in self._values
            if full or size > _MAX_LAST_BYTES or len(key) > _MAX_KEY:
                self.dropped += 1
                continue
            self._values[key] = strict(value)
            self._costs[key] = cost
            self._size = size

    def values(self) -> Mapping[str, object]:
        """Keys in the order of their first appearance."""
        return dict(self._values)


def _cost(value: object) -> int:
    """About how many bytes `value` takes as JSON."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list | dict):
        return len(json.dumps(value))
    if isinstance(value, int):
        return 1 + value.bit_length() // 3
    return 16
