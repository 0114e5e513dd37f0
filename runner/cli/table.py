"""Tables: aligned text for people, CSV and Markdown for other tools. Knows no store."""

import csv
import io
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TextIO, TypeVar

from runner.cli.cell import shorten
from runner.cli.terminal import paint, say
from runner.errors import did_you_mean, usage_error
from runner.escape import display_width, printable
from runner.quantity import exact_text

GAP = "  "
_NARROWEST = 20
"""Columns that a long cell keeps before whole columns are left out."""


class Format(StrEnum):
    """How a table is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MD = "md"


Choice = TypeVar("Choice", bound=StrEnum)


def choose(kind: type[Choice], text: str, word: str) -> Choice:
    """The member of `kind` that `text` names; `word` says what it is. Raises MlrunError (USAGE)."""
    try:
        return kind(text)
    except ValueError:
        raise usage_error(f"there is no {word} `{printable(text)}`", hint=did_you_mean(text, list(kind))) from None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its header, whether it holds numbers (aligned right), and SGR colours by the cell's text."""

    name: str
    right: bool = False
    colours: Mapping[str, str] = field(default_factory=dict)


def terminal_width(stream: TextIO) -> int | None:
    """The columns of the terminal behind `stream`, None when it is no terminal: then nothing is cut."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def text_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], stream: TextIO | None = None) -> str:
    """Aligned columns with a header, for `stream` (standard output); columns and long cells that a terminal has no
    room for are left out, never wrapped. Cells must be clean."""
    stream = stream or sys.stdout
    widths = _fitted(natural_widths(columns, rows), terminal_width(stream))
    columns = columns[: len(widths)]
    header = _line([shorten(column.name, size) for column, size in zip(columns, widths, strict=True)], columns, widths)
    lines = [paint(header, "1", stream)]
    for row in rows:
        cells = [shorten(cell, size) for cell, size in zip(row, widths, strict=False)]
        lines.append(_line(cells, columns, widths, stream))
    return "\n".join(lines)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, and say which columns the terminal had no room for."""
    print(text_table(columns, rows))
    shown = len(_fitted(natural_widths(columns, rows), terminal_width(sys.stdout)))
    if shown < len(columns):
        names = ", ".join(column.name for column in columns[shown:])
        say(f"no room for {names}; a pipe or another `--format` has every column")


def natural_widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column would like to be."""
    return [
        max([display_width(column.name), *(display_width(row[index]) for row in rows)])
        for index, column in enumerate(columns)
    ]


def _fitted(sizes: Sequence[int], room: int | None) -> list[int]:
    """Widths that fit into `room`: those of wide columns shrink first, then the last columns are dropped."""
    if room is None or total_width(sizes) <= room:
        return list(sizes)
    kept = list(sizes)
    while len(kept) > 1 and total_width(_capped(kept, _NARROWEST)) > room:
        kept.pop()
    cap = _NARROWEST if len(kept) > 1 else room
    while cap < max(kept) and total_width(_capped(kept, cap + 1)) <= room:
        cap += 1
    return _capped(kept, min(cap, room))


def _capped(sizes: Sequence[int], cap: int) -> list[int]:
    return [min(size, cap) for size in sizes]


def total_width(sizes: Sequence[int]) -> int:
    """How wide a table of such columns is."""
    return sum(sizes) + len(GAP) * (len(sizes) - 1)


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], stream: TextIO | None = None) -> str:
    parts = []
    last = len(columns) - 1
    for index, (cell, column, size) in enumerate(zip(cells, columns, widths, strict=True)):
        blanks = " " * (size - display_width(cell))
        colour = column.colours.get(cell) if stream else None
        shown = paint(cell, colour, stream) if colour and stream else cell
        parts.append(blanks + shown if column.right else shown if index == last else shown + blanks)
    return GAP.join(parts).rstrip()


def csv_table(names: Sequence[str], rows: Sequence[Sequence[object]], *, shown: bool) -> str:
    """CSV (RFC 4180, but lines end with a newline only): exact values, empty for None, lists and objects as JSON.

    With `shown`, for a terminal, control codes are escaped; bytes that are no text always are.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_csv_cell(value) for value in row] for row in rows)
    text = buffer.getvalue()
    if shown:
        return "\n".join(printable(line) for line in text.removesuffix("\n").split("\n"))
    return text.removesuffix("\n").encode("utf-8", "backslashreplace").decode("utf-8")


def _csv_cell(value: object) -> object:
    return value if isinstance(value, str) else exact_text(value)


def md_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table as GitHub writes it; what would be markup in a cell is escaped."""
    lines = [
        [_md_cell(column.name) for column in columns],
        ["---:" if column.right else "---" for column in columns],
        *([_md_cell(cell) for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _md_cell(text: str) -> str:
    for sign in "\\|<*_`[":
        text = text.replace(sign, f"\\{sign}")
    return text
