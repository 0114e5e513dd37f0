"""The paths that a pattern names on this machine: `*`, `?` and `[…]` within one level, `**` across levels.

A name that begins with a dot matches only a part that does. `**` passes no link to a folder, and the number of paths is
bounded, so that a few links which lead in circles cannot make a search endless. Reads no file.
"""

import os
from collections.abc import Iterator
from fnmatch import filter as matching
from glob import has_magic
from itertools import dropwhile, islice, takewhile

MOST_PATHS = 1_000_000
"""Paths of one pattern, on any level; more are hardly meant."""


class TooManyPaths(Exception):
    """A pattern names more than `MOST_PATHS`."""


def expand(pattern: str) -> dict[str, str]:
    """What an absolute pattern names, in the order of the paths, and of each what tells where it really lies: the path
    itself if it may be a link, else its folder. What cannot be listed holds nothing. Raises TooManyPaths."""
    parts = pattern.split("/")
    literal = "/".join(takewhile(lambda part: not has_magic(part), parts)) or "/"
    level = {literal: literal}
    for part in dropwhile(lambda part: not has_magic(part), parts):
        found: dict[str, str] = {}
        for folder in level:
            found.update(islice(_step(folder, part), MOST_PATHS + 1))
            if len(found) > MOST_PATHS:
                raise TooManyPaths(pattern)
        level = found
    return {path: level[path] for path in sorted(level)}


def _step(folder: str, part: str) -> Iterator[tuple[str, str]]:
    """What one part of a pattern names in a folder."""
    if part == "**":
        return _below(folder)
    if has_magic(part):
        names = (name for name in matching(_names(folder), part) if part.startswith(".") or not name.startswith("."))
        return ((path, path) for path in (os.path.join(folder, name) for name in names))
    path = os.path.join(folder, part)
    return iter([(path, path)] if os.path.lexists(path) else [])


def _below(folder: str) -> Iterator[tuple[str, str]]:
    """The folder and all that is in it but for links to folders."""
    yield folder, folder
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        for entry in _entries(folder):
            path = entry.path
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                yield path, path if entry.is_symlink() else folder
            elif not entry.is_symlink():
                yield path, folder
                waiting.append(path)


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
