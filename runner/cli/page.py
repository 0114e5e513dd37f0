"""A page of facts: titled sections of aligned names and texts. Pure but for the question whether colours are wanted."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runner.cli.cell import padded
from runner.cli.terminal import paint
from runner.escape import display_width, printable, printable_lines

_INDENT = "  "


@dataclass(slots=True)
class Page:
    """Lines under way."""

    lines: list[str] = field(default_factory=list)

    def head(self, text: str) -> None:
        """The first line of a page or of a large part of it."""
        if self.lines:
            self.lines += ["", ""]
        self.lines.append(text)

    def facts(self, title: str | None, rows: Iterable[tuple[str, str | None]]) -> None:
        """Names and clean texts in two columns; rows without a text, and sections without rows, are left out."""
        kept = [(name, text) for name, text in rows if text is not None and text != ""]
        if not kept:
            return
        self._title(title)
        room = max(display_width(name) for name, _ in kept)
        self.lines += [f"{_INDENT}{padded(name, room)}{_INDENT}{text}" for name, text in kept]

    def text(self, title: str, text: str) -> None:
        """Foreign text, line by line."""
        self._title(title)
        self.lines += [f"{_INDENT}{line}" for line in printable_lines(text).split("\n")]

    def table(self, title: str, rows: Sequence[Sequence[str]]) -> None:
        """Clean cells in columns without a header; a section without rows is left out."""
        if not rows:
            return
        self._title(title)
        sizes = [max(display_width(row[index]) for row in rows) for index in range(len(rows[0]))]
        for row in rows:
            cells = map(padded, row, sizes)
            self.lines.append((_INDENT + _INDENT.join(cells)).rstrip())

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _title(self, title: str | None) -> None:
        if title is not None:
            self.lines += [""] if self.lines else []
            self.lines.append(paint(printable(title), "1", sys.stdout))
