"""Plain data → YAML text that reads back as the same data, in YAML 1.1 and 1.2 alike. Pure."""

import re
from collections.abc import Mapping, Sequence

from runner.escape import escape
from runner.spec.scalar import STANDARD, resolve

_PLAIN = re.compile(r"(?:--?[A-Za-z]|[A-Za-z0-9_./$(])[^\n\t]*")
_NOT_PLAIN = re.compile(r": |:$| #|[ ]$|^\.\.\.")
_BRACKETS = re.compile(r"[,\[\]{}]|:(?=[\[\]{},]|$)")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""What some reader of YAML takes for something else than text."""


def emit_scalar(value: object, flow: bool = False) -> str:
    """A text, number, boolean or None; `flow` inside brackets."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return emit_float(value)
    return str(value) if isinstance(value, int) else emit_text(str(value), flow)


def emit_float(number: float) -> str:
    """A finite number. YAML 1.1 takes `1e-07` for text, because it has no dot."""
    text = repr(number)
    mantissa, e, exponent = text.partition("e")
    return text if not e or "." in mantissa else f"{mantissa}.0e{exponent}"


def emit_text(text: str, flow: bool = False) -> str:
    """A text: plain if it can be, else in quotes."""
    if not text.isprintable():
        return '"' + "".join(_escaped(character) for character in text) + '"'
    odd = not _PLAIN.fullmatch(text) or _NOT_PLAIN.search(text) or (flow and _BRACKETS.search(text))
    if odd or text.lower() in _WORDS or resolve(text) != STANDARD + "str" or _looks_like_number(text):
        return "'" + text.replace("'", "''") + "'"
    return text


def _looks_like_number(text: str) -> bool:
    """YAML 1.2 and people take `1e-4` and `0o17` for numbers."""
    return re.fullmatch(r"[-+.]?[0-9][0-9a-zA-Z_.+-]*", text) is not None and re.search("[eExo]", text) is not None


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else escape(character)


def emit_flow(value: object) -> str:
    """A value on one line, lists and mappings in brackets."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{emit_scalar(key, True)}: {emit_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(emit_flow(item) for item in value) + "]"
    return emit_scalar(value, flow=True)


def emit_block(value: object) -> list[str]:
    """A value as lines without indentation; lists and mappings inside are indented by two."""
    if isinstance(value, Mapping) and value:
        return [line for key, item in value.items() for line in emit_pair(str(key), item)]
    if isinstance(value, list | tuple) and value:
        return [line for item in value for line in emit_item(item)]
    return [emit_flow(value) if isinstance(value, Mapping | list | tuple) else emit_scalar(value)]


def emit_pair(key: str, value: object) -> list[str]:
    """A key and its value as lines."""
    if isinstance(value, Mapping | list | tuple) and value:
        return [f"{emit_scalar(key)}:", *indented(emit_block(value), 2)]
    return [f"{emit_scalar(key)}: {emit_block(value)[0]}"]


def emit_item(value: object) -> list[str]:
    """An entry of a list as lines."""
    first, *rest = emit_block(value)
    return [f"- {first}", *indented(rest, 2)]


def indented(lines: Sequence[str], columns: int) -> list[str]:
    """Lines moved to the right."""
    return [" " * columns + line for line in lines]
