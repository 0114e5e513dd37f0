"""Two NumPy files (`.npy`, `.npz`): the index of the first element that differs. Reads both once, without NumPy.

The form is that of NumPy's "numpy.lib.format": a magic word, a version, the length of a header, the header, which is a
Python literal, and the elements.
"""

import ast
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

from runner.comparison.finding import Finding, different, equal
from runner.comparison.kind import Misnamed
from runner.comparison.raw import PIECE, compare_bytes, read_full
from runner.comparison.tolerance import Tolerance

_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 1 << 16
_TYPE = re.compile(r"([<>|=])([biufcSUmM])([0-9]{1,7})(?:\[.*\])?")
_FLOATS = {("f", 2): "e", ("f", 4): "f", ("f", 8): "d", ("c", 8): "f", ("c", 16): "d"}
"""How `struct` reads a floating-point number, or one half of a complex one."""

_BAD_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    struct.error,
    ValueError,
)
"""What `zipfile` raises for archives that are damaged, encrypted, or of a kind that it cannot read."""

_STRIP = 512
"""Elements that are compared as bytes before they are unpacked: most are the same."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a header says: the type as NumPy writes it, its kind and bytes, the order, and the shape."""

    descr: str
    order: str
    kind: str
    size: int
    fortran: bool
    shape: tuple[int, ...]

    @property
    def total(self) -> int:
        """Bytes of all elements."""
        return self.size * math.prod(self.shape)

    def index(self, number: int) -> str:
        """The index of the element at this place of the file."""
        found: list[int] = []
        for length in self.shape if self.fortran else reversed(self.shape):
            number, rest = divmod(number, length)
            found.append(rest)
        return f"index [{', '.join(map(str, found if self.fortran else reversed(found)))}]"

    def numbers(self, data: bytes) -> tuple[float, ...] | None:
        """The floating-point numbers of some elements, two of each complex one; None for other kinds."""
        letter = _FLOATS.get((self.kind, self.size))
        if letter is None:
            return None
        sign = ">" if self.order == ">" else "<"
        return struct.unpack(f"{sign}{len(data) // struct.calcsize(letter)}{letter}", data)

    def value(self, data: bytes) -> object:
        """One element, for people."""
        order = "big" if self.order == ">" else "little"
        if (numbers := self.numbers(data)) is not None:
            return complex(*numbers) if len(numbers) == 2 else numbers[0]
        if self.kind in "iumM":
            return int.from_bytes(data, order, signed=self.kind != "u")  # type: ignore[arg-type]
        if self.kind == "b":
            return data != b"\0"
        encoding = "latin-1" if self.kind == "S" else "utf-32-be" if self.order == ">" else "utf-32-le"
        return data.decode(encoding, "replace").rstrip("\0") if self.kind in "SU" else data.hex(" ")


def compare_arrays(before: BinaryIO, after: BinaryIO, tolerance: Tolerance) -> Finding:
    """Floating-point and complex elements within the tolerance, all others exactly; another type or shape is another
    array. Raises Misnamed, OSError."""
    one, other = _read_header(before), _read_header(after)
    if one.descr != other.descr:
        return different("type of the elements", one.descr, other.descr)
    if one.shape != other.shape:
        return different("shape", one.shape, other.shape)
    if one.fortran != other.fortran:
        raise Misnamed("the elements are in another order")
    greatest, number = 0.0, 0
    for first, second in _pieces(before, after, one):
        for start, strip, new in _unlike(first, second, _STRIP * one.size):
            deviations = _deviations(one, strip, new, tolerance)
            if None in deviations:
                at = deviations.index(None)
                values = (one.value(side[at * one.size : (at + 1) * one.size]) for side in (strip, new))
                return different(one.index(number + start // one.size + at), *values)
            greatest = max(greatest, *cast(list[float], deviations))
        number += len(first) // one.size
    return equal(greatest)


def compare_archives(before: BinaryIO, after: BinaryIO, tolerance: Tolerance) -> Finding:
    """Two archives of arrays, by the names of these. Raises Misnamed, OSError."""
    try:
        with zipfile.ZipFile(before) as one, zipfile.ZipFile(after) as other:
            return _compare_members(one, other, tolerance)
    except _BAD_ARCHIVE as error:
        raise Misnamed(str(error)) from error
    except OSError as error:
        if error.errno is not None:
            raise
        # Not the disk but `bz2` speaks: the data is damaged.
        raise Misnamed(str(error)) from error


def _compare_members(one: zipfile.ZipFile, other: zipfile.ZipFile, tolerance: Tolerance) -> Finding:
    greatest = 0.0
    had, has = one.namelist(), other.namelist()
    if len(set(had)) < len(had) or len(set(has)) < len(has):
        raise Misnamed("a name stands there twice")
    for name in sorted({*had, *has}):
        array = f"array `{name.removesuffix('.npy')}`"
        if name not in had or name not in has:
            return different(array, "it is there" if name in had else "", "it is there" if name in has else "")
        found = _compare_member(one, other, name, tolerance)
        if found.difference is not None:
            place = found.difference
            return different(f"{array}, {place.where}", place.before, place.after)
        greatest = max(greatest, found.deviation)
    return equal(greatest)


def _compare_member(one: zipfile.ZipFile, other: zipfile.ZipFile, name: str, tolerance: Tolerance) -> Finding:
    try:
        with one.open(name) as before, other.open(name) as after:
            return compare_arrays(_binary(before), _binary(after), tolerance)
    except Misnamed:
        with one.open(name) as before, other.open(name) as after:
            return compare_bytes(_binary(before), _binary(after))


def _binary(stream: IO[bytes]) -> BinaryIO:
    return cast(BinaryIO, stream)


def _read_header(stream: BinaryIO) -> _Layout:
    start = read_full(stream, len(_MAGIC) + 2)
    if start[:-2] != _MAGIC or start[-2:-1] not in (b"\1", b"\2", b"\3"):
        raise Misnamed("it is no NumPy file")
    width = 2 if start[-2] == 1 else 4
    length = int.from_bytes(read_full(stream, width), "little")
    if length > _MOST_HEADER:
        raise Misnamed("its header is too long")
    try:
        header: Any = ast.literal_eval(read_full(stream, length).decode("utf-8" if start[-2] == 3 else "latin-1"))
        return _layout(header["descr"], header["fortran_order"], header["shape"])
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise Misnamed(f"its header is not understood: {error}") from error


def _layout(descr: object, fortran: object, shape: object) -> _Layout:
    found = _TYPE.fullmatch(descr) if isinstance(descr, str) else None
    if found is None or not isinstance(shape, tuple) or not all(type(one) is int and one >= 0 for one in shape):
        raise Misnamed("it holds objects or records")
    size = int(found[3]) * (4 if found[2] == "U" else 1)
    if not 0 < size <= PIECE:
        raise Misnamed("its elements are too large")
    return _Layout(str(descr), found[1], found[2], size, bool(fortran), shape)


def _pieces(before: BinaryIO, after: BinaryIO, layout: _Layout) -> Iterator[tuple[bytes, bytes]]:
    """The elements of both, so many at a time; exactly those that the header promises."""
    left, most = layout.total, PIECE // layout.size * layout.size
    while left:
        size = min(left, most)
        one, other = read_full(before, size), read_full(after, size)
        if len(one) < size or len(other) < size:
            raise Misnamed("it ends too early")
        yield one, other
        left -= size
    if before.read(1) or after.read(1):
        raise Misnamed("something follows the array")


def _unlike(one: bytes, other: bytes, size: int) -> Iterator[tuple[int, bytes, bytes]]:
    """The strips of so many bytes that differ, with their offsets."""
    if one == other:
        return
    for start in range(0, len(one), size):
        strip, new = one[start : start + size], other[start : start + size]
        if strip != new:
            yield start, strip, new


def _deviations(layout: _Layout, strip: bytes, new: bytes, tolerance: Tolerance) -> list[float | None]:
    """How far each element of a strip lies from what it was, None where that is too far."""
    one, other = layout.numbers(strip), layout.numbers(new)
    if one is None or other is None:
        size = layout.size
        return [0.0 if strip[at : at + size] == new[at : at + size] else None for at in range(0, len(strip), size)]
    found = [*map(tolerance.deviation, one, other)]
    return found if layout.kind == "f" else [*map(_farther, found[::2], found[1::2])]


def _farther(real: float | None, imaginary: float | None) -> float | None:
    return None if real is None or imaginary is None else max(real, imaginary)
