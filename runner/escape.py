r"""Foreign text made harmless for eyes: in messages, tables, pictures and comments. Pure.

What a step, a file name or a YAML file says can then neither move a cursor, nor hide, nor pose as our own words. It
cannot be turned back.
"""

import re
import unicodedata

_DANGEROUS = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # control codes but tab and newline
    "\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\U000e0000-\\U000e0fff"  # hides or turns text
    "\\ud800-\\udfff]"  # bytes that are not UTF-8
)
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def printable(text: str) -> str:
    r"""A name or a sentence on one line: everything but letters, signs and the common blank is shown as an escape,
    such as `\n`, `\x1b`, `\u202e`, `\xa0` (which looks like a blank and is none), `\xff` for an undecodable byte."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def printable_lines(text: str) -> str:
    """Running text, such as a log: only what moves the cursor, hides or turns text is escaped; tabs and newlines stay,
    and so do the blanks and joiners of all scripts."""
    return _DANGEROUS.sub(lambda match: _escape(match[0]), text)


def display_width(text: str) -> int:
    """How many columns of a terminal a text takes that is harmless: East Asian wide characters two, combining marks
    none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in {"Mn", "Me", "Cf"} else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def escape(character: str) -> str:
    r"""A character as the escape that Python and double quotes of YAML read back: `\t`, `\x1b`, `\u202e`."""
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape(character: str) -> str:
    """An undecodable byte is shown as the byte that it was."""
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else escape(character)
