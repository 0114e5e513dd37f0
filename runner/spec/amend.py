"""Other data for a YAML text: changes only those lines that have to say something else. Pure; knows nothing of steps.

Entries may get other values and new entries may come; none is removed. Comments, quotes and order stay.
"""

import re
from collections import defaultdict
from collections.abc import Mapping

from runner.spec.edit import Edit, apply_edits
from runner.spec.emit import emit_block, emit_flow, emit_item, emit_pair, emit_scalar, indented
from runner.spec.span import Span, Spans
from runner.spec.tree import alike

_COMMENT = re.compile(r"\s#")


class CannotAmend(Exception):
    """The text has the data in a form that cannot be changed in one place only; the message says why."""


class Amendment:
    """Changes of one text, to be made at once."""

    def __init__(self, text: str) -> None:
        self.spans = Spans(text)
        self._text = text
        self._edits: list[Edit] = []
        self._inserted: dict[int, list[str]] = defaultdict(list)

    def result(self) -> str:
        """The text with all changes. A text without a line break at its end gets none."""
        edits = list(self._edits)
        for offset, parts in self._inserted.items():
            text = "".join(parts)
            if offset == len(self._text) and self._text and not self._text.endswith(("\n", "\r")) and "\n" in text:
                newline = self.spans.newline
                text = newline + text.removesuffix(newline)
            edits.append(Edit(offset, offset, text))
        return apply_edits(self._text, edits)

    def follow(self, span: Span, old: object, new: object, flow: bool = False) -> None:
        """Let a value say `new` where it says `old`, both plain data. Raises CannotAmend."""
        flow = flow or span.flow
        if span.kind == "alias":
            raise CannotAmend("it is an alias of another value")
        if isinstance(old, Mapping) and isinstance(new, Mapping) and span.pairs and old.keys() <= new.keys():
            self._follow_mapping(span, old, new, flow)
        elif isinstance(old, list) and isinstance(new, list) and span.kind == "list" and 0 < len(old) <= len(new):
            for item, before, after in zip(span.items, old, new, strict=False):
                if not alike(before, after):
                    self.follow(item, before, after, flow)
            for value in new[len(old) :]:
                self.append(span, value)
        else:
            self._replace(span, new, flow)

    def append(self, span: Span, value: object) -> None:
        """Put an entry at the end of a list that has entries."""
        if span.flow:
            self._inserted[span.items[-1].end].append(f", {emit_flow(value)}")
        else:
            self._insert_below(span, emit_item(value), self._dash(span))

    def _follow_mapping(self, span: Span, old: Mapping[str, object], new: Mapping[str, object], flow: bool) -> None:
        for key in (key for key in new if key in old and not alike(old[key], new[key])):
            pair = span.pair(key)
            if pair is None:
                raise CannotAmend(f"`{key}` comes from a merged mapping")
            if old[key] is None and not flow and isinstance(new[key], list) and not pair.value.anchored:
                self._fill(pair.key, pair.value, new[key])
            else:
                self.follow(pair.value, old[key], new[key], flow)
        for key in (key for key in new if key not in old):
            self._add(span, key, new[key])

    def _add(self, span: Span, key: str, value: object) -> None:
        if span.flow:
            text = f"{emit_scalar(key, True)}: {emit_flow(value)}"
            self._inserted[span.pairs[-1].value.end].append(f", {text}")
        else:
            self._insert_below(span, emit_pair(key, value), self.spans.column(span.pairs[0].key.start))

    def _fill(self, key: Span, value: Span, new: object) -> None:
        """Write a list below its key, which has nothing, or `null`, so far."""
        if value.end > value.start:
            self._edits.append(Edit(self._end_before(value.start, " \t"), value.end, ""))
        self._insert_below(value, indented(emit_block(new), 2), self.spans.column(key.start))

    def _insert_below(self, span: Span, lines: list[str], column: int) -> None:
        newline = self.spans.newline
        text = "".join(line + newline for line in indented(lines, column))
        self._inserted[self.spans.next_line(span.end)].append(text)

    def _end_before(self, offset: int, blanks: str) -> int:
        """Where the text in front of an offset ends, without the blanks behind it."""
        while offset and self._text[offset - 1] in blanks:
            offset -= 1
        return offset

    def _dash(self, span: Span) -> int:
        """The column of the dashes of a list."""
        first = span.items[0].start
        return self.spans.column(self._text.rfind("-", 0, first) if span.anchored or span.tagged else span.start)

    def _replace(self, span: Span, new: object, flow: bool) -> None:
        start, end = self.spans.content(span)
        text = emit_flow(new) if flow or isinstance(new, Mapping | list) else emit_scalar(new)
        if span.kind != "scalar" and not span.flow:
            above = self._end_before(start, " \t\r\n")
            if _COMMENT.search(self._text, above, end):
                raise CannotAmend("a comment stands among its lines")
            if isinstance(new, list) and new:
                text = (self.spans.newline + " " * self.spans.column(start)).join(emit_block(new))
            else:
                start, text = above, " " + text
        elif start == end and self._text[start - 1 : start] == ":":
            text = " " + text
        self._edits.append(Edit(start, end, text))
