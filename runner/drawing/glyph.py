"""How wide a text is in a sans font, and how it is made to fit: by breaking it, else by leaving a part out. Pure.

The advance widths are those of Helvetica, which Arial, Liberation Sans and most fallbacks share or nearly share.
"""

import re
import unicodedata

ELLIPSIS = "…"
_ASCII = (
    [278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278]
    + [556] * 10
    + [278, 278, 584, 584, 584, 556, 1015]
    + [667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833]
    + [722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611]
    + [278, 278, 278, 469, 556, 333]
    + [556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833]
    + [556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500]
    + [334, 260, 334, 584]
)
"""Thousandths of the font's size, from the blank to the tilde."""

_BOLD = 1.09
"""How much wider bold letters are on the whole."""

_SLACK = 1.04
"""For fonts that are a little wider."""

_BREAK = re.compile(r"(?<=[\s\-_./:,])|(?<=[a-z0-9])(?=[A-Z])")


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of a line in the unit of `size`, rather too large than too small."""
    thousandths = sum(map(_advance, text)) * (_BOLD if bold else 1) * _SLACK
    return thousandths * size / 1000


def _advance(character: str) -> int:
    code = ord(character)
    if 32 <= code < 127:
        return _ASCII[code - 32]
    if unicodedata.combining(character):
        return 0
    if unicodedata.east_asian_width(character) in "WF":
        return 1300 if unicodedata.category(character) == "So" else 1000
    return 1000 if character in "→…—" else 680


def shorten_end(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """`text`, or as much of its start as fits, and an ellipsis."""
    if text_width(text, size, bold=bold) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_width(text[:middle].rstrip() + ELLIPSIS, size, bold=bold) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + ELLIPSIS


def shorten_middle(text: str, room: float, size: float) -> str:
    """`text`, or its start and its longer end around an ellipsis: of an image, the tag stays."""
    if text_width(text, size) <= room:
        return text
    kept = len(text) - 1
    while kept > 1:
        head = kept // 3
        candidate = text[:head] + ELLIPSIS + text[len(text) - (kept - head) :]
        if text_width(candidate, size) <= room:
            return candidate
        kept = min(kept - 1, int(kept * room / text_width(candidate, size)) + 1)
    return ELLIPSIS


def wrap(text: str, room: float, size: float, lines: int, *, bold: bool = False) -> list[str]:
    """`text` in at most so many lines, broken where words or parts of a name end; what is left over is shortened."""
    wrapped: list[str] = []
    rest = [part for part in _BREAK.split(text[:2000]) if part]
    while rest and len(wrapped) < lines - 1:
        line = rest.pop(0)
        while rest and text_width((line + rest[0]).rstrip(), size, bold=bold) <= room:
            line += rest.pop(0)
        if text_width(line.rstrip(), size, bold=bold) > room:
            fitting = _fitting(line, room, size, bold=bold)
            rest.insert(0, line[fitting:])
            line = line[:fitting]
        wrapped.append(line.strip())
    if rest:
        wrapped.append(shorten_end("".join(rest).strip(), room, size, bold=bold))
    return [line for line in wrapped if line] or [""]


def _fitting(text: str, room: float, size: float, *, bold: bool) -> int:
    """How many characters fit, at least one."""
    count = 1
    while count < len(text) and text_width(text[: count + 1], size, bold=bold) <= room:
        count += 1
    return count
