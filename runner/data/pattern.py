"""The paths that a pattern names on this machine: `*`, `?` and `[…]` within one level, `**` across levels.

A name that begins with a dot matches only a part that does. `**` passes no link to a folder, and the number of paths is
bounded, so that a few links which lead in circles cannot make a search endless. Reads no file.
"""

import os
from collections.abc import Iterator
from fnmatch import filter as matching
from glob import has_magic
from itertools import dropwhile, takewhile

MOST_PATHS = 100_000
"""Paths of one pattern, on any level; more are hardly meant."""


class TooManyPaths(Exception):
    """A pattern names more than `MOST_PATHS`."""


def expand(pattern: str) -> list[str]:
    """What an absolute pattern names, sorted. What cannot be listed holds nothing. Raises TooManyPaths."""
    parts = pattern.split("/")
    literal = "/".join(takewhile(lambda part: not has_magic(part), parts))
    level = [literal or "/"]
    for part in dropwhile(lambda part: not has_magic(part), parts):
        found: dict[str, None] = {}
        for folder in level:
            for path in _step(folder, part):
                found[path] = None
                if len(found) > MOST_PATHS:
                    raise TooManyPaths(pattern)
        level = list(found)
    return sorted(level)


def _step(folder: str, part: str) -> Iterator[str]:
    """What one part of a pattern names in a folder."""
    if part == "**":
        yield from _below(folder)
    elif has_magic(part):
        for name in matching(_names(folder), part):
            if part.startswith(".") or not name.startswith("."):
                yield os.path.join(folder, name)
    elif os.path.lexists(path := os.path.join(folder, part)):
        yield path


def _below(folder: str) -> Iterator[str]:
    """The folder and all that is in it but for links to folders."""
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        yield folder
        for name in _names(folder):
            path = os.path.join(folder, name)
            if name.startswith("."):
                continue
            if not os.path.isdir(path):
                yield path
            elif not os.path.islink(path):
                waiting.append(path)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
