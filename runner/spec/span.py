"""Text of a YAML file → where every value begins and ends in it. For changing a file in place.

Pure. Reads only what `runner.spec.source` could read, whose limits keep it small; knows nothing of steps.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from runner.spec.source import LINE_BREAK, read_events
from runner.spec.tree import Place

_PROPERTIES = re.compile(r"(?:[&!]\S*[ \t]+)+")


@dataclass(slots=True, eq=False)
class Span:
    """A value: `start` and `end` are offsets of its text, in characters, its anchor and tag included.

    `kind` is `scalar`, `alias`, `list` or `mapping`; `flow` is true for the last two in brackets. The end of a list or
    mapping without brackets is that of its last entry. `style` is a scalar's quote or `|`, `>`, and empty for a plain
    one; `text` is what it says, or the name behind an alias. A mapping has its entries in `pairs`, a list in `items`.
    """

    kind: str
    start: int
    end: int
    flow: bool = False
    style: str = ""
    text: str = ""
    anchor: str = ""
    tagged: bool = False
    items: list["Span"] = field(default_factory=list)
    pairs: list["Pair"] = field(default_factory=list)

    @property
    def anchored(self) -> bool:
        """Whether it has a name, which aliases may use."""
        return bool(self.anchor)

    def pair(self, key: str) -> "Pair | None":
        """The entry of a mapping that counts for a key: the last one."""
        return next((pair for pair in reversed(self.pairs) if pair.key.text == key), None)


@dataclass(slots=True, eq=False)
class Pair:
    """A key and its value, the entry number `index` of the mapping `owner`."""

    owner: Span
    index: int
    key: Span
    value: Span


class Spans:
    """All values of a text. `root` is None for a text without any; `aliased` has the names that aliases use."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = [0, *(match.end() for match in LINE_BREAK.finditer(text))]
        self.root: Span | None = None
        self.pairs: dict[int, Pair] = {}
        self.values: dict[int, Span] = {}
        self.aliased: set[str] = set()
        self._build()

    def offset(self, place: Place) -> int:
        """The offset of a line and column."""
        line, column = place
        return self._lines[min(line, len(self._lines)) - 1] + column - 1

    def place(self, offset: int) -> Place:
        """The line and column of an offset."""
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def column(self, offset: int) -> int:
        """How many characters of the line stand before an offset."""
        return self.place(offset)[1] - 1

    def line_start(self, offset: int) -> int:
        """Where the line of an offset begins."""
        return self._lines[bisect_right(self._lines, offset) - 1]

    def line_end(self, offset: int) -> int:
        """Where the line of an offset ends, before its line break."""
        found = LINE_BREAK.search(self.text, offset)
        return found.start() if found else len(self.text)

    def next_line(self, offset: int) -> int:
        """Where the line below an offset begins; the end of the text if there is none."""
        found = LINE_BREAK.search(self.text, offset)
        return found.end() if found else len(self.text)

    @property
    def newline(self) -> str:
        """The line break that the text uses."""
        found = LINE_BREAK.search(self.text)
        return found[0] if found else "\n"

    def content(self, span: Span) -> tuple[int, int]:
        """Start and end of a scalar without its anchor and tag."""
        match = _PROPERTIES.match(self.text, span.start, span.end) if span.anchored or span.tagged else None
        return (match.end() if match else span.start), span.end

    def pair_at(self, place: Place) -> Pair | None:
        """The entry whose key stands at a place."""
        return self.pairs.get(self.offset(place))

    def value_at(self, place: Place) -> Span | None:
        """The value, of a key or in a list, that stands at a place."""
        return self.values.get(self.offset(place))

    def _build(self) -> None:
        stack: list[Span] = []
        keys: list[Span | None] = []
        for event in read_events(self.text):
            if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                span = stack.pop()
                keys.pop()
                self._close(span, event)
            elif isinstance(event, yaml.NodeEvent):
                span = _span(event, self.text)
                self._add(span, stack, keys)
                if span.kind == "alias":
                    self.aliased.add(span.text)
                if isinstance(event, yaml.CollectionStartEvent):
                    stack.append(span)
                    keys.append(None)

    def _add(self, span: Span, stack: list[Span], keys: list[Span | None]) -> None:
        if not stack:
            self.root = span
        elif stack[-1].kind == "list":
            stack[-1].items.append(span)
            self.values[span.start] = span
        elif (key := keys[-1]) is None:
            keys[-1] = span
        else:
            keys[-1] = None
            pair = Pair(stack[-1], len(stack[-1].pairs), key, span)
            stack[-1].pairs.append(pair)
            self.pairs[key.start] = pair
            self.values[span.start] = span

    def _close(self, span: Span, event: yaml.Event) -> None:
        start, end = _extent(event)
        span.flow = end > start
        if span.flow:
            span.end = end
        elif span.items:
            span.end = max(span.end, span.items[-1].end)
        elif span.pairs:
            span.end = max(span.end, span.pairs[-1].value.end, span.pairs[-1].key.end)


def _extent(event: yaml.Event) -> tuple[int, int]:
    """Where an event begins and ends."""
    start, end = event.start_mark, event.end_mark
    return (start.index, end.index) if start and end else (0, 0)


def _span(event: yaml.NodeEvent, text: str) -> Span:
    start, end = _extent(event)
    anchor = event.anchor or ""
    if isinstance(event, yaml.ScalarEvent):
        style = event.style or ""
        if style in ("|", ">"):
            end = start + len(text[start:end].rstrip())
        return Span("scalar", start, end, False, style, event.value, anchor, event.tag is not None)
    if isinstance(event, yaml.AliasEvent):
        return Span("alias", start, end, text=anchor)
    kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
    tagged = isinstance(event, yaml.CollectionStartEvent) and event.tag is not None
    return Span(kind, start, end, anchor=anchor, tagged=tagged)


def walk(span: Span) -> Iterator[Span]:
    """A value and all values inside it, keys included, in the order of the text."""
    waiting = [span]
    while waiting:
        here = waiting.pop()
        yield here
        below = [*here.items, *(part for pair in here.pairs for part in (pair.key, pair.value))]
        waiting += reversed(below)
