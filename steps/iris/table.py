"""CSV tables: read with exact complaints, written so that the same rows are the same bytes.

A row is counted as an editor or a spreadsheet counts it: the header is row 1. Cells stay text until somebody asks for
numbers, so that a message can show what the file really says.
"""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iris.fault import Fault


@dataclass(frozen=True, slots=True)
class Row:
    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def column(self, name: str) -> list[str]:
        """The cells of one column. Raises Fault if there is no such column."""
        if name not in self.columns:
            raise Fault(f"`{self.name}` has no column `{name}`; its columns are {', '.join(self.columns)}")
        position = self.columns.index(name)
        return [row.cells[position] for row in self.rows]

    def numbers(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """Rows by columns, as finite numbers. Raises Fault at the first cell that is none."""
        return np.array([self._number_column(name) for name in columns], dtype=np.float64).T

    def labels(self, name: str) -> NDArray[np.str_]:
        """The cells of a column of names. Raises Fault at the first empty one."""
        cells = self.column(name)
        for row, cell in zip(self.rows, cells, strict=True):
            if not cell:
                raise Fault(f"`{self.name}` row {row.number}, column `{name}`: the cell is empty")
        return np.array(cells)

    def _number_column(self, name: str) -> list[float]:
        values = []
        for row, cell in zip(self.rows, self.column(name), strict=True):
            value = number(cell)
            if value is None:
                what = f"`{cell}` is not a number" if cell else "the cell is empty"
                raise Fault(f"`{self.name}` row {row.number}, column `{name}`: {what}")
            values.append(value)
        return values


def number(cell: str) -> float | None:
    """The finite number that a cell holds, or None. `1_000` is Python's notation, not that of a CSV."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def read(path: Path) -> Table:
    """Read a CSV with a header. Raises Fault if it is not text, has no rows, or has a row of another length."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [Row(reader.line_num, tuple(cell.strip() for cell in cells)) for cells in reader if cells]
    except UnicodeDecodeError as problem:
        raise Fault(f"`{path.name}` is not UTF-8 text (byte {problem.start})") from None
    except csv.Error as problem:
        raise Fault(f"`{path.name}` row {reader.line_num} is not CSV: {problem}") from None
    if not rows:
        raise Fault(f"`{path.name}` is empty")
    header, *body = rows
    _check_shape(path.name, header, body)
    return Table(path.name, header.cells, tuple(body))


def write(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV: Unix line ends, and floats in the shortest form that reads back as the same number."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _check_shape(name: str, header: Row, body: list[Row]) -> None:
    for column in header.cells:
        if header.cells.count(column) > 1:
            raise Fault(f"`{name}` has the column `{column}` more than once")
    if not body:
        raise Fault(f"`{name}` has a header but no rows")
    for row in body:
        if len(row.cells) != len(header.cells):
            found, wanted = len(row.cells), len(header.cells)
            raise Fault(f"`{name}` row {row.number}: the number of cells is {found}, but {wanted} in the header")
