"""Config documents as text: JSON, and the same data as YAML in block style. Pure.

Written without a YAML library, which would cost more time than the whole staging; every reader of YAML 1.1 or 1.2 gets
the data back that the JSON holds.
"""

import json
import re
from collections.abc import Iterator, Mapping
from math import isfinite

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})
"""What some reader of YAML 1.1 takes for a boolean or null."""
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON may hold as it is and YAML may not (YAML 1.1, production `c-printable`)."""
_LONGEST_KEY = 120
"""YAML reads no key without a mark that is longer than 1024 characters."""


def to_json(document: Mapping[str, object]) -> bytes:
    """Indented UTF-8; bytes of file names that are no UTF-8 as the escapes of lone surrogates."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def to_yaml(document: Mapping[str, object]) -> bytes:
    """The same data; numbers that are no JSON as `.nan`, `.inf` and `-.inf`."""
    return ("\n".join(_block(document, "")) + "\n").encode("utf-8")


def _block(value: object, indent: str) -> Iterator[str]:
    """The lines of a value that is not put beside its key; only non-empty mappings and lists have more than one."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(str(key), item, indent)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            if isinstance(item, Mapping | list | tuple) and item:
                first, *rest = _block(item, indent + "  ")
                yield f"{indent}- {first.lstrip(' ')}"
                yield from rest
            else:
                yield f"{indent}- {_scalar(item)}"
    else:
        yield indent + _scalar(value)


def _entry(key: str, value: object, indent: str) -> Iterator[str]:
    head = f"{indent}{_text(key)}:"
    if len(key) > _LONGEST_KEY:
        yield f"{indent}? {_text(key)}"
        head = f"{indent}:"
    if isinstance(value, Mapping | list | tuple) and value:
        yield head
        yield from _block(value, indent + "  ")
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    return json.dumps(value)


def _number(value: float) -> str:
    if not isfinite(value):
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    mantissa, e, exponent = repr(value).partition("e")
    if not e:
        return mantissa
    # YAML 1.1 knows a number with an exponent only with a point before it and a sign in it.
    mantissa = mantissa if "." in mantissa else mantissa + ".0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
