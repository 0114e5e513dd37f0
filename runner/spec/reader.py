"""Reads typed fields out of a tree, collecting every problem with its place instead of raising the first. Pure."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TypeVar, cast

from runner.errors import Location
from runner.spec.note import Notes
from runner.spec.phrase import meant_word, quoting
from runner.spec.tree import Place, Row, Table, entries, shorten

W = TypeVar("W", bound=StrEnum)


class Reader(Notes):
    """Reads fields of one item; every problem is collected, none is raised."""

    def __init__(self, file: str, lines: tuple[str, ...]) -> None:
        super().__init__(file)
        self._lines = lines

    def text(self, table: Table, key: str, noun: str, required: bool = False) -> str | None:
        """A text field; an empty one counts as absent."""
        value = table.get(key)
        if isinstance(value, str):
            if required and not value.strip():
                self.error("wrong-value", f"the `{key}` of {noun} is empty", table.values_at[key])
            return value or None
        if value is not None:
            self.error("wrong-type", f"the `{key}` of {noun} is not text", table.values_at[key], quoting(value))
        elif required:
            self.error("missing-key", f"{noun} has no `{key}`", table.values_at.get(key, table.at))
        return None

    def flag(self, table: Table, key: str, noun: str, default: bool) -> bool:
        """A boolean field."""
        value = table.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.error("wrong-type", f"the `{key}` of {noun} is not `true` or `false`", table.values_at[key])
            return default
        return value

    def word(self, table: Table, key: str, noun: str, words: type[W], default: W) -> W:
        """A field that is one of the words of an enumeration."""
        value = table.get(key)
        if value is None:
            return default
        try:
            return words(cast("str", value))
        except ValueError:
            allowed = ", ".join(f"`{word}`" for word in words)
            hint = meant_word(value, list(words))
            self.error("wrong-value", f"the `{key}` of {noun} is none of {allowed}", table.values_at[key], hint)
            return default

    def loose_word(self, table: Table, key: str, noun: str, words: type[W]) -> W | None:
        """A field that is one of the words of an enumeration in any case, with dashes or underscores."""
        value = self.text(table, key, noun)
        if value is None:
            return None
        said = _fold(value)
        for word in words:
            if _fold(word) == said:
                return word
        allowed = ", ".join(f"`{word}`" for word in words)
        message = f"the `{key}` of {noun} is `{shorten(value)}`, not one of {allowed}"
        self.error("wrong-value", message, table.values_at[key], meant_word(value, list(words)))
        return None

    def number(self, table: Table, key: str, noun: str) -> int | float | None:
        """A field that is a number."""
        value = table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.error("wrong-type", f"the `{key}` of {noun} is not a number", table.values_at[key])
            return None
        return value

    def count(self, table: Table, key: str, noun: str, least: int | None = 1, most: int | None = None) -> int | None:
        """A field that is a whole number of at least `least` and at most `most`; None sets no bound."""
        value = table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.error("wrong-type", f"the `{key}` of {noun} is not an integer", table.values_at[key])
            return None
        if least is not None and value < least:
            self.error("wrong-value", f"the `{key}` of {noun} is less than {least}", table.values_at[key])
            return None
        if most is not None and value > most:
            self.error("wrong-value", f"the `{key}` of {noun} is more than {most}", table.values_at[key])
            return None
        return value

    def table(self, table: Table, key: str, noun: str) -> Table | None:
        """A field that is a mapping."""
        value = table.get(key)
        if value is None or isinstance(value, Table):
            return value
        self.error("wrong-type", f"the `{key}` of {noun} is not a mapping", table.values_at[key])
        return None

    def tables(self, table: Table, key: str, noun: str) -> Iterator[Table]:
        """The mappings of a list field."""
        value = table.get(key)
        if value is not None and not isinstance(value, Row):
            self.error("wrong-type", f"the `{key}` of {noun} is not a list", table.values_at[key])
        for item, place in entries(value):
            if isinstance(item, Table):
                yield item
            else:
                self.error("wrong-type", f"an entry of `{key}` of {noun} is not a mapping", place)

    def texts(self, table: Table, key: str, noun: str) -> list[tuple[str, Place]]:
        """A field that is one text or a list of them; nulls are left out."""
        value = table.get(key)
        if value is None:
            return []
        if isinstance(value, str):
            return [(value, table.values_at[key])]
        if not isinstance(value, Row):
            self.error("wrong-type", f"the `{key}` of {noun} is not text or a list of texts", table.values_at[key])
            return []
        found = []
        for item, place in entries(value):
            if isinstance(item, str):
                found.append((item, place))
            elif item is not None:
                self.error("wrong-type", f"an entry of `{key}` of {noun} is not text", place, quoting(item))
        return found

    def start_of_text(self, place: Place) -> Location:
        """Where the text of a scalar begins: behind its quote, or on the line below its `|` or `>`."""
        return self.at(start_of_text(self._lines, place))


def start_of_text(lines: Sequence[str], place: Place) -> Place:
    """Where the text of a scalar at `place` begins: behind its quote, or on the line below its `|` or `>`."""
    line, column = place
    first = lines[line - 1][column - 1 : column] if line <= len(lines) else ""
    if first in ("'", '"'):
        return line, column + 1
    if first in ("|", ">"):
        for number in range(line, min(line + _MOST_BLANK, len(lines))):
            if found := _SIGN.search(lines[number]):
                return number + 1, found.start() + 1
    return place


_SIGN = re.compile(r"\S")
_MOST_BLANK = 100
"""Blank lines that a text may begin with. Behind more its place is that of the `|`: many steps may share one text, and
each asks where it begins."""


def _fold(word: str) -> str:
    return word.lower().replace("_", "-")


def named(name: object, kind: str) -> str:
    """What a thing is called in a message."""
    return f"{kind} `{shorten(name)}`" if isinstance(name, str) else f"a {kind}"
