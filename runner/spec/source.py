"""Bytes → tree: decodes a YAML file and builds plain data that remembers where everything stands.

Knows YAML 1.1 as PyYAML's `SafeLoader` reads it, and nothing of steps. Pure: no clock, no disk, no thread. With
`scalar`, `span` and `syntax` the only home of PyYAML. Hostile files are the reason for its shape: bytes are capped
first, then events are read one by one and the first one past a limit ends the reading; no composer or constructor of
PyYAML ever runs, because the first crashes the interpreter on deep nesting and the second gives errors no place.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from runner.errors import Location, Problem
from runner.spec.note import Notes
from runner.spec.scalar import STANDARD, BadScalar, construct, resolve
from runner.spec.syntax import explain
from runner.spec.tree import Place, Row, Table, shorten

MAX_BYTES = 4 << 20
MAX_DEPTH = 100
MAX_NODES = 300_000
"""Counted as if every alias and merge key were written out, which is what a reader of the tree walks over."""
MAX_TAG_DIRECTIVES = 16
"""libyaml compares every `%TAG` line with all before it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file as read: `tree` is None when it could not be built, and then the last problem says why."""

    file: str
    tree: object
    problems: tuple[Problem, ...]
    lines: tuple[str, ...]
    empty: bool = False

    def location(self, place: Place) -> Location:
        """The place as a location of this file."""
        return Location(self.file, *place)


class Unreadable(Exception):
    """A file of which no tree can be made: the code, message, place and hint of the problem."""

    def __init__(self, code: str, message: str, place: Place, hint: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.place, self.hint = code, message, place, hint


LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML 1.1."""


def split_lines(text: str) -> tuple[str, ...]:
    """The lines as YAML counts them."""
    return tuple(LINE_BREAK.split(text))


def source_lines(data: bytes) -> tuple[str, ...]:
    """The lines of a file for showing, whatever its encoding is."""
    return split_lines(data[:MAX_BYTES].decode(_wide(data) or "utf-8-sig", "replace"))


def read_source(data: bytes, file: str) -> Source:
    """Build the tree of a YAML file. Never raises: whatever is wrong is a located problem."""
    notes = Notes(file)
    try:
        text = _decode(data)
        builder = _Builder(notes)
        tree = builder.build(text)
        return Source(file, tree, tuple(notes.problems), split_lines(text), builder.empty)
    except Unreadable as error:
        notes.error(error.code, error.message, error.place, error.hint)
        return Source(file, None, tuple(notes.problems), source_lines(data))


_MARK = b"\xef\xbb\xbf"


def split_mark(data: bytes) -> tuple[bytes, str]:
    """The byte order mark of a file, if it has one, and its text. Raises UnicodeDecodeError when it is not UTF-8."""
    mark = _MARK if data.startswith(_MARK) else b""
    return mark, data[len(mark) :].decode()


_FORBIDDEN = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BOMS = {b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise Unreadable("too-large", f"the file has more than {MAX_BYTES >> 20} MiB", (1, 1))
    if wide := _wide(data):
        raise Unreadable("encoding", f"the file is {wide}, not UTF-8", (1, 1), "save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_after(data[: error.start].decode("utf-8-sig", "replace"))
        byte = data[error.start]
        if byte == 0xED and data[error.start + 1 : error.start + 2] >= b"\xa0":
            raise Unreadable("encoding", "a lone surrogate is no character", place, "remove it") from None
        raise Unreadable(
            "encoding", f"byte 0x{byte:02x} is not UTF-8", place, "save the file as UTF-8 (it may be Latin-1)"
        ) from None
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        place = _place_after(text[: forbidden.start()])
        hint = 'write it as an escape in double quotes, such as "\\x1b"'
        raise Unreadable("encoding", f"character U+{ord(forbidden[0]):04X} may not stand in YAML", place, hint)
    return text


def _wide(data: bytes) -> str | None:
    """The encoding of a file whose characters are all wider than one byte."""
    wide = next((name for bom, name in _BOMS.items() if data.startswith(bom)), None)
    return "UTF-16" if wide is None and b"\0" in data[:2] and len(data) > 1 else wide


def _place_after(text: str) -> Place:
    lines = split_lines(text)
    return len(lines), len(lines[-1]) + 1


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_events(text: str) -> Iterator[yaml.Event]:
    """The events of libyaml where PyYAML was built with it, else of the pure parser. Raises Unreadable."""
    directives = list(re.finditer(r"(?m)^%TAG", text))
    if len(directives) > MAX_TAG_DIRECTIVES:
        place = _place_after(text[: directives[MAX_TAG_DIRECTIVES].start()])
        raise Unreadable("too-large", f"more than {MAX_TAG_DIRECTIVES} `%TAG` directives", place)
    loader = _LOADER(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    except yaml.MarkedYAMLError as error:
        message, place, hint = explain(error, text)
        raise Unreadable("yaml-syntax", message, place, hint) from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise Unreadable("yaml-syntax", str(error).splitlines()[0] if str(error) else "not YAML", (1, 1)) from None
    finally:
        loader.dispose()


@dataclass(slots=True)
class _Frame:
    """A container being built."""

    container: Table | Row
    anchor: str | None
    size_before: int
    key: str | None = None
    key_at: Place = (1, 1)
    merging: bool = False
    merges: list[Table] = field(default_factory=list)


_MERGE = "<<"


class _Builder:
    """Builds the tree from events, with an explicit stack."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[object, int]] = {}
        self._size = 0
        self._root: object = None
        self.empty = True

    def build(self, text: str) -> object:
        documents = 0
        for event in read_events(text):
            mark = event.start_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            match event:
                case yaml.ScalarEvent():
                    self._count(1, place)
                    self._scalar(event, place)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._count(1, place)
                    self._open(event, place)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._close()
                case yaml.AliasEvent():
                    self._alias(event, place)
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise Unreadable("multi-document", "a second document begins here", place, "keep one document")
        return self._root

    def _count(self, nodes: int, place: Place) -> None:
        self._size += nodes
        if self._size > MAX_NODES:
            raise Unreadable("too-large", f"more than {MAX_NODES:,} values, aliases and merges written out", place)

    def _open(self, event: yaml.CollectionStartEvent, place: Place) -> None:
        if len(self._frames) >= MAX_DEPTH:
            raise Unreadable("too-deep", f"nested deeper than {MAX_DEPTH} levels", place)
        table = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", STANDARD + ("map" if table else "seq")):
            raise _unknown_tag(event.tag, place)
        if self._frames and isinstance(self._frames[-1].container, Table) and self._frames[-1].key is None:
            hint = "put quotes around text that begins with `{` or `[`"
            raise Unreadable("yaml-key", "a key is one piece of text, not a list or a mapping", place, hint)
        self._frames.append(_Frame(Table(place) if table else Row(place), event.anchor, self._size - 1))

    def _close(self) -> None:
        frame = self._frames.pop()
        container = frame.container
        if isinstance(container, Table) and frame.merges:
            container = self._merged(container, frame)
        if frame.anchor:
            self._anchors[frame.anchor] = (container, self._size - frame.size_before)
        self._add(container, container.at)

    def _merged(self, own: Table, frame: _Frame) -> Table:
        merged = Table(own.at)
        for table in reversed(frame.merges):
            self._count(len(table), own.at)
            for key in table:
                merged.take(table, key)
        for key in own:
            merged.take(own, key)
        return merged

    def _alias(self, event: yaml.AliasEvent, place: Place) -> None:
        name = event.anchor or ""
        if any(frame.anchor == name for frame in self._frames):
            raise Unreadable("yaml-alias", f"`*{shorten(name)}` stands inside the value that it names", place)
        if name not in self._anchors:
            raise Unreadable("yaml-alias", f"nothing is called `&{shorten(name)}` before this", place)
        value, size = self._anchors[name]
        self._count(size, place)
        self._add(value, place)

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> None:
        frame = self._frames[-1] if self._frames else None
        if frame and isinstance(frame.container, Table) and frame.key is None:
            value: object = event.value
            if event.value == _MERGE and event.implicit[0]:
                frame.key, frame.merging = _MERGE, True
                return
        else:
            value = self._value(event, place)
        _check_text(event.value, place)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, place)

    def _add(self, value: object, place: Place) -> None:
        self.empty = False
        if not self._frames:
            self._root = value
            return
        frame = self._frames[-1]
        if isinstance(frame.container, Row):
            frame.container.put(value, place)
        elif frame.key is None:
            if not isinstance(value, str):
                raise Unreadable("yaml-key", "a key is one piece of text", place)
            frame.key, frame.key_at = value, place
        elif frame.merging:
            frame.key, frame.merging = None, False
            self._merge(frame, value, place)
        else:
            self._put(frame, frame.container, value, place)

    def _merge(self, frame: _Frame, value: object, place: Place) -> None:
        tables = value if isinstance(value, Row) else [value]
        for table in tables:
            if not isinstance(table, Table):
                raise Unreadable("yaml-key", "`<<` takes a mapping or a list of mappings", place)
            self._count(1, place)
            frame.merges.append(table)

    def _put(self, frame: _Frame, table: Table, value: object, place: Place) -> None:
        key = frame.key
        assert key is not None
        frame.key = None
        if key in table:
            line = table.keys_at[key][0]
            message = f"`{shorten(key)}` stands here and on line {line}; this one counts"
            self._notes.warn("duplicate-key", message, frame.key_at, "keep one of them")
            del table[key]
        table.put(key, value, frame.key_at, place)

    def _value(self, event: yaml.ScalarEvent, place: Place) -> object:
        tag = event.tag
        if tag in (None, "!"):
            tag = resolve(event.value) if event.implicit[0] else STANDARD + "str"
            explicit = False
        else:
            explicit = True
        try:
            value, trap = construct(tag, event.value)
        except BadScalar as error:
            raise Unreadable("yaml-value", str(error), place, "put quotes around it to keep the text") from None
        except KeyError:
            raise _unknown_tag(tag, place) from None
        if trap and not explicit:
            self._notes.warn("yaml-type", trap, place, "put quotes around it to say what is meant")
        return value


def _unknown_tag(tag: str, place: Place) -> Unreadable:
    shown = "!!" + tag.removeprefix(STANDARD) if tag.startswith(STANDARD) else tag
    return Unreadable("yaml-tag", f"the tag `{shorten(shown)}` is not allowed", place, "remove the tag")


def _check_text(text: str, place: Place) -> None:
    if "\0" in text:
        raise Unreadable("yaml-value", "text with a NUL cannot be given to a program", place)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise Unreadable("yaml-value", "a lone surrogate is no character", place)
