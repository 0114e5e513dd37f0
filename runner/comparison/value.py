"""Two JSON values, and files that hold them: the path of the first value that differs. Pure."""

import json
import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, BinaryIO

from runner.comparison.finding import LONGEST, Finding, different, equal
from runner.comparison.kind import Misnamed
from runner.comparison.tolerance import Tolerance

_MOST_BYTES = 64 << 20
"""Of a document: Python's objects for it take ten times as much and more."""

_MOST_LINE = 16 << 20
_NOTHING = object()
_ENCODER = json.JSONEncoder(ensure_ascii=False)

_Step = tuple[str, Any, Any]
"""A part of a path, and the two values there."""


def compare_values(before: Any, after: Any, tolerance: Tolerance) -> Finding:
    """Where two JSON values differ, in the order of the first; equal if they do not. The order of keys does not count,
    and numbers without a fraction are compared exactly."""
    greatest = 0.0
    parts: list[str] = []
    frames: list[Iterator[_Step]] = [iter([("$", before, after)])]
    # By hand and not by calls: a document may be nested as deeply as the parser goes.
    while frames:
        step = next(frames[-1], None)
        if step is None:
            frames.pop()
            parts = parts[:-1]
            continue
        part, one, other = step
        if (inner := _children(one, other)) is not None:
            frames.append(inner)
            parts.append(part)
            continue
        deviation = _deviation(one, other, tolerance)
        if deviation is None:
            return different("".join([*parts, part]), _text(one), _text(other))
        greatest = max(greatest, deviation)
    return equal(greatest)


def compare_documents(before: BinaryIO, after: BinaryIO, tolerance: Tolerance) -> Finding:
    """Two files with one value each. Raises Misnamed, OSError."""
    return compare_values(_parse(before.read(_MOST_BYTES + 1)), _parse(after.read(_MOST_BYTES + 1)), tolerance)


def compare_lines(before: BinaryIO, after: BinaryIO, tolerance: Tolerance) -> Finding:
    """Two files with one value per line. Raises Misnamed, OSError."""
    greatest = 0.0
    for number, (one, other) in enumerate(zip_longest(_lines(before), _lines(after)), 1):
        if one == other:
            continue
        if one is None or other is None:
            return different(f"line {number:,}", _line(one), _line(other))
        found = compare_values(_parse(one), _parse(other), tolerance)
        if found.difference is not None:
            place = found.difference
            return different(f"line {number:,}, {place.where}", place.before, place.after)
        greatest = max(greatest, found.deviation)
    return equal(greatest)


def _children(one: Any, other: Any) -> Iterator[_Step] | None:
    if isinstance(one, dict) and isinstance(other, dict):
        names = dict.fromkeys([*one, *other])
        return ((_key(name), one.get(name, _NOTHING), other.get(name, _NOTHING)) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        both = zip_longest(one, other, fillvalue=_NOTHING)
        return ((f"[{index}]", first, second) for index, (first, second) in enumerate(both))
    return None


def _key(name: str) -> str:
    return f".{name}" if name.isidentifier() else f"[{json.dumps(name, ensure_ascii=False)}]"


def _deviation(one: Any, other: Any, tolerance: Tolerance) -> float | None:
    if type(one) is type(other) and type(one) is not float:
        return 0.0 if one == other else None
    if {type(one), type(other)} <= {int, float}:
        try:
            return tolerance.deviation(float(one), float(other))
        except OverflowError:
            return None
    return None


def _parse(data: bytes) -> Any:
    """Raises Misnamed for what is no JSON, or says something twice."""
    if len(data) > _MOST_BYTES:
        raise Misnamed("it is too large")
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Misnamed(str(error)) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _finite(number: str) -> float:
    found = float(number)
    if math.isinf(found):
        raise ValueError("a number is too large")
    return found


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(_MOST_LINE + 1):
        if len(line) > _MOST_LINE:
            raise Misnamed("a line is too long")
        yield line


def _line(data: bytes | None) -> str:
    return "" if data is None else data.rstrip(b"\n").decode("utf-8", "replace")


def _text(value: Any) -> str:
    """The beginning of a value, which may be all of a large file, and as deep as the stack."""
    text = ""
    for piece in () if value is _NOTHING else _ENCODER.iterencode(value):
        text += piece
        if len(text) > LONGEST:
            break
    return text
