"""Values of a file: whether two are the same, and how one is shown. Pure."""

import json
from collections.abc import Mapping
from difflib import SequenceMatcher

from runner.change.discretion import HIDDEN, discreet

WIDTH = 80
"""Characters of a value that are shown."""
_PAIRS = 1 << 14
"""Lists with more pairs of items than this are told apart without regard to their order."""
_AROUND = 12
"""Characters that are shown before the first difference of two long texts."""


def frozen(value: object) -> object:
    """A value that can be hashed and compared: keys in any order, but `1`, `1.0`, `"1"` and `true` all differ."""
    if isinstance(value, Mapping):
        return ("mapping", tuple(sorted((str(key), frozen(item)) for key, item in value.items())))
    if isinstance(value, list | tuple):
        return ("list", tuple(frozen(item) for item in value))
    return (type(value).__name__, repr(value))


def shown(value: object) -> str:
    """A value as one discreet text of any length."""
    if isinstance(value, str):
        return discreet(value)
    if isinstance(value, Mapping | list | tuple | bool) or value is None:
        return discreet(json.dumps(value, ensure_ascii=False, default=str))
    return discreet(str(value))


def pair(before: object, after: object) -> tuple[str | None, str | None]:
    """Two different values as short texts, cut so that their first difference is seen. None for one that is missing;
    both are None when what differs may not be shown."""
    if before is None or after is None:
        return (None if before is None else cut(shown(before)), None if after is None else cut(shown(after)))
    earlier, later = shown(before), shown(after)
    if earlier == later:
        # Such as the number 1 and the text "1"; or the difference is hidden.
        earlier, later = json.dumps(before, default=str), json.dumps(after, default=str)
        return (None, None) if HIDDEN in shown(before) or earlier == later else (cut(earlier), cut(later))
    start = next((at for at, (one, other) in enumerate(zip(earlier, later, strict=False)) if one != other), 0)
    if max(len(earlier), len(later)) <= WIDTH:
        return earlier, later
    return cut(earlier, start), cut(later, start)


def cut(text: str, around: int = 0) -> str:
    """At most `WIDTH` characters of a text, those from shortly before place `around` on if it is too long."""
    if len(text) <= WIDTH:
        return text
    start = max(0, min(around - _AROUND, len(text) - WIDTH + 1))
    if start == 0:
        return text[: WIDTH - 1] + HIDDEN
    end = start + WIDTH - 2
    return HIDDEN + text[start:end] + (HIDDEN if end < len(text) else "")


Edit = tuple[object, object]


def edits(before: list[object], after: list[object]) -> list[Edit]:
    """How one list becomes another: pairs of an item that goes and one that comes in its place, None where there is no
    such item. Large lists are told apart without regard to their order."""
    old, new = [frozen(item) for item in before], [frozen(item) for item in after]
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    before, after = before[start : len(old) - end], after[start : len(new) - end]
    return _edits(before, after, old[start : len(old) - end], new[start : len(new) - end])


def _alike(one: list[object], other: list[object]) -> int:
    """With how many equal items two lists begin."""
    both = min(len(one), len(other))
    return next((at for at in range(both) if one[at] != other[at]), both)


def _edits(before: list[object], after: list[object], old: list[object], new: list[object]) -> list[Edit]:
    """The edits of what remains between an equal beginning and an equal end."""
    if len(old) * len(new) > _PAIRS:
        known, fresh = set(old), set(new)
        gone: list[Edit] = [(item, None) for item, key in zip(before, old, strict=True) if key not in fresh]
        return gone + [(None, item) for item, key in zip(after, new, strict=True) if key not in known]
    found: list[Edit] = []
    for word, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if word != "equal":
            removed, added = before[i:j], after[k:m]
            both = min(len(removed), len(added))
            found += zip(removed[:both], added[:both], strict=True)
            found += [(item, None) for item in removed[both:]]
            found += [(None, item) for item in added[both:]]
    return found
