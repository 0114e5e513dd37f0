"""Two tables of text (RFC 4180): the first cell that differs. Reads both once, a row at a time."""

import csv
import io
import math
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import BinaryIO

from runner.comparison.finding import Finding, different, equal
from runner.comparison.kind import Misnamed
from runner.comparison.tolerance import Tolerance

_WHOLE = re.compile(r"\s*[+-]?(?:0|[1-9][0-9]*)\s*")
_NUMBER = re.compile(
    # Written so that no text is gone over twice: a cell may have a hundred thousand digits. `007` is no number.
    r"\s*[+-]?(?:(?P<digits>(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)\s*",
    re.IGNORECASE,
)
_MOST_DIGITS = 400
_SEPARATORS = ",;\t|"


def compare_tables(before: BinaryIO, after: BinaryIO, tolerance: Tolerance) -> Finding:
    """Cells that are numbers are compared as such, others letter by letter. Rows and columns count from 1; a first row
    without numbers names the columns. Raises Misnamed, OSError."""
    greatest = 0.0
    names: list[str] = []
    try:
        for number, (one, other) in enumerate(zip_longest(_rows(before), _rows(after)), 1):
            if number == 1 and one is not None and not any(map(_NUMBER.fullmatch, one)):
                names = one
            if one == other:
                continue
            if one is None or other is None:
                return different(f"row {number:,}", _shown(one), _shown(other))
            for column, (cell, new) in enumerate(zip_longest(one, other)):
                deviation = _deviation(cell, new, tolerance)
                if deviation is None:
                    return different(f"row {number:,}, column {_name(names, column)}", cell or "", new or "")
                greatest = max(greatest, deviation)
    except (csv.Error, UnicodeDecodeError) as error:
        raise Misnamed(str(error)) from error
    return equal(greatest)


def _rows(stream: BinaryIO) -> Iterator[list[str]]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    first = text.readline(1 << 20)
    separator = max(_SEPARATORS, key=first.count)
    text.seek(0)
    yield from csv.reader(text, delimiter=separator)


def _deviation(cell: str | None, new: str | None, tolerance: Tolerance) -> float | None:
    if cell == new:
        return 0.0
    if cell is None or new is None or max(len(cell), len(new)) > _MOST_DIGITS:
        return None
    if _WHOLE.fullmatch(cell) and _WHOLE.fullmatch(new):
        return 0.0 if int(cell) == int(new) else None
    one, other = _number(cell), _number(new)
    return None if one is None or other is None else tolerance.deviation(one, other)


def _number(cell: str) -> float | None:
    """What a cell says as a number; None for what is none, or far too large or small: `12e4567` is a name."""
    found = _NUMBER.fullmatch(cell)
    if found is None:
        return None
    value, digits = float(cell), found["digits"]
    is_lost = digits is not None and (math.isinf(value) or (value == 0 and digits.strip("0.") != ""))
    return None if is_lost else value


def _name(names: list[str], column: int) -> str:
    return f"`{names[column]}`" if column < len(names) and names[column] else str(column + 1)


def _shown(row: list[str] | None) -> str:
    return "" if row is None else ",".join(row)
