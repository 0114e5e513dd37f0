"""What a piece of YAML 1.1 text means: text, a number, a boolean or nothing. Pure."""

import math
import re

import yaml

from runner.spec.tree import shorten

MAX_DIGITS = 400
STANDARD = "tag:yaml.org,2002:"
"""What the tags of YAML's own types begin with."""


class BadScalar(Exception):
    """Text that is not what its form or tag says; the message says why."""


_RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers


def resolve(text: str) -> str:
    """The tag of a plain scalar."""
    for tag, pattern in _RESOLVERS.get(text[:1], ()):
        if pattern.match(text):
            return str(tag)
    return STANDARD + "str"


_TRUE_WORDS = frozenset({"yes", "true", "on"})
_FALSE_WORDS = frozenset({"no", "false", "off"})


def construct(tag: str, text: str) -> tuple[object, str | None]:
    """The value of a scalar, and what may surprise its writer. Raises KeyError for a foreign tag, BadScalar."""
    match tag.removeprefix(STANDARD):
        case "str" | "value" | "merge":
            return text, None
        case "null":
            return None, None
        case "bool":
            word = text.lower()
            if word not in _TRUE_WORDS | _FALSE_WORDS:
                raise BadScalar(f"`{shorten(text)}` is not a boolean")
            return word in _TRUE_WORDS, None
        case "int":
            return _integer(text)
        case "float":
            return _float(text)
        case "timestamp":
            return text, f"`{shorten(text)}` is a date in YAML; it is kept as this text"
    raise KeyError(tag)


def _integer(text: str) -> tuple[int, str | None]:
    digits = text.replace("_", "").lower()
    sign, digits = (-1 if digits.startswith("-") else 1), digits.lstrip("+-")
    if len(digits) > MAX_DIGITS:
        raise BadScalar(f"a number of more than {MAX_DIGITS} digits")
    try:
        if digits.startswith(("0b", "0x")):
            return sign * int(digits, 0), None
        if ":" in digits:
            number = sign * int(_base_60(digits))
        elif digits.startswith("0") and len(digits) > 1:
            number = sign * int(digits, 8)
        else:
            return sign * int(digits), None
    except ValueError:
        raise BadScalar(f"`{shorten(text)}` is not an integer") from None
    return number, f"`{text}` is the number {number} in YAML"


def _float(text: str) -> tuple[float | str, str | None]:
    digits = text.replace("_", "").lower()
    try:
        if ":" in digits:
            number = math.copysign(_base_60(digits.lstrip("+-")), -1 if digits.startswith("-") else 1)
            return number, f"`{text}` is the number {number} in YAML"
        number = float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", digits))
    except (ValueError, OverflowError):
        raise BadScalar(f"`{shorten(text)}` is not a number") from None
    if not math.isfinite(number):
        return text, f"`{shorten(text)}` is not a finite number, which JSON files cannot hold; it is kept as this text"
    return number, None


def _base_60(digits: str) -> float:
    total = 0.0
    for part in digits.split(":"):
        total = total * 60 + float(part)
    return total
