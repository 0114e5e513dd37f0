"""Whether JSON data has the form that it should have. Pure; knows no meaning.

A shape is a type; a set of values; a pattern of text; a predicate; `[shape]`, a list of any length; `{"key": shape}`,
an object with these keys and no others, of which those that end in `?` may be missing; or `Maybe`, `Each`, `Pair`.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Shape = Any
"""One of those named above."""


TIME = re.compile(r"\d{4}-[01]\d-[0-3]\d[T ][0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|\+00:00)")
"""A moment as records have it: ISO 8601, in UTC."""


@dataclass(frozen=True, slots=True)
class Maybe:
    """Null, or this."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Each:
    """An object with any keys, each value of this shape."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Pair:
    """A list of exactly two."""

    first: Shape
    second: Shape


def misfit(value: Any, shape: Shape, place: str) -> str | None:
    """Where `value` has not the shape, named from `place` on; None where it has."""
    match shape:
        case type():
            return None if _is(value, shape) else place
        case Maybe():
            return None if value is None else misfit(value, shape.shape, place)
        case Each():
            return (
                _first((one, shape.shape, f"{place}.{key}") for key, one in value.items()) if _object(value) else place
            )
        case Pair():
            if not isinstance(value, list | tuple) or len(value) != 2:
                return place
            return _first(((value[0], shape.first, place), (value[1], shape.second, place)))
        case list():
            if not isinstance(value, list | tuple):
                return place
            return _first((one, shape[0], f"{place}.{at}") for at, one in enumerate(value))
        case dict():
            return _object_misfit(value, shape, place)
        case re.Pattern():
            return None if isinstance(value, str) and shape.fullmatch(value) else place
        case frozenset():
            return None if isinstance(value, str) and value in shape else place
    check: Callable[[object], bool] = shape
    return None if check(value) else place


def is_json(value: object) -> bool:
    """Any JSON value; NaN and infinities are allowed."""
    match value:
        case None | str() | bool() | int() | float():
            return True
        case list() | tuple():
            return all(map(is_json, value))
        case Mapping():
            return all(isinstance(key, str) and is_json(one) for key, one in value.items())
    return False


def is_count(value: object) -> bool:
    """A whole number that SQLite can keep, at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def is_seconds(value: object) -> bool:
    """A finite number, at least 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < 1e12


def _object_misfit(value: Any, shape: Mapping[str, Shape], place: str) -> str | None:
    if not _object(value):
        return place
    known = {key.removesuffix("?"): one for key, one in shape.items()}
    for key in value:
        if key not in known:
            return f"{place}.{key}"
    for key in shape:
        if not key.endswith("?") and key not in value:
            return f"{place}.{key}"
    return _first((one, known[key], f"{place}.{key}") for key, one in value.items())


def _first(parts: Any) -> str | None:
    return next((found for one, shape, place in parts if (found := misfit(one, shape, place))), None)


def _object(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _is(value: object, kind: type) -> bool:
    """A truth value is no number, but a whole number can stand for any."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)
