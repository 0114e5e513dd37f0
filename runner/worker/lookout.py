"""Says which files of a growing folder are worth a look: by inotify(7), and where that fails by walking it again.

Folders are opened beneath one another without following links. Knows nothing of what is looked for.
"""

import math
import os
import select
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from runner.worker import inotify
from runner.worker.inotify import Inotify

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MASK = inotify.ATTRIB | inotify.CLOSE_WRITE | inotify.MOVED_TO | inotify.CREATE
_PERIOD = 1.0
"""Seconds between two walks where the kernel gives no news."""
_SHARE = 10
"""Walking takes at most one part in so many of the time."""

Candidate = tuple[int, bytes, bytes]
"""An open folder, its path below the top with a slash at its end, and a name in it."""


class Lookout:
    """Over one folder. Used by one thread; raises OSError when the top is gone."""

    def __init__(self, top: Path, *, depth: int, entries: int) -> None:
        self._depth = depth
        self._entries = entries
        self._top = os.open(top, _FOLDER)
        self._watches: dict[int, bytes] = {}
        self._again: set[tuple[bytes, bytes]] = set()
        self._walk_next = True
        self._walk_seconds = 0.0
        self._inotify: Inotify | None = None
        with suppress(OSError):
            self._inotify = Inotify()

    def close(self) -> None:
        """Let the watches go."""
        os.close(self._top)
        self._give_up_watching()

    def __enter__(self) -> "Lookout":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def again(self, paths: Iterable[bytes]) -> None:
        """These are candidates the next time, whatever happens."""
        for path in paths:
            prefix, slash, name = path.rpartition(b"/")
            self._again.add((prefix + slash, name))

    def wait(self, wake: int, seconds: float | None) -> bool:
        """Block until there may be candidates, at most for so long; False as soon as `wake` can be read."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        if self._inotify is None:
            pause = max(_PERIOD, self._walk_seconds * _SHARE)
            seconds = pause if seconds is None else max(seconds, pause)
            self._walk_next, first = True, self._walk_next
        else:
            poll.register(self._inotify.fileno(), select.POLLIN)
            first = self._walk_next
        seconds = 0 if first else seconds
        ready = poll.poll(None if seconds is None else math.ceil(1000 * seconds))
        return all(fd != wake for fd, _ in ready)

    def candidates(self) -> Iterator[Candidate]:
        """The files that may have changed since the last call: each name is to be looked at without trust."""
        if self._walk_next:
            self._walk_next = False
            yield from self._walk_all()
        found, self._again = self._again, set()
        folders: list[bytes] = []
        for event in self._inotify.read() if self._inotify else ():
            prefix = self._watches.get(event.watch)
            if event.mask & inotify.OVERFLOW:
                self._walk_next = True
            elif prefix is not None and event.mask & inotify.IS_FOLDER:
                folders += [prefix + event.name + b"/"] if event.mask & (inotify.CREATE | inotify.MOVED_TO) else []
            elif prefix is not None and event.name:
                found.add((prefix, event.name))
        yield from self._named(found)
        for prefix in folders:
            with suppress(OSError):
                yield from self._walk(self._open(prefix), prefix)
        if self._walk_next:
            yield from self._walk_all()

    def _named(self, found: set[tuple[bytes, bytes]]) -> Iterator[Candidate]:
        """These names, where their folders still are."""
        for prefix, names in groupby(sorted(found), key=itemgetter(0)):
            try:
                fd = self._open(prefix)
            except OSError:
                continue
            try:
                for _, name in names:
                    yield fd, prefix, name
            finally:
                os.close(fd)

    def _walk_all(self) -> Iterator[Candidate]:
        self._walk_next = False
        began = time.monotonic()
        yield from self._walk(os.dup(self._top), b"")
        self._walk_seconds = time.monotonic() - began

    def _walk(self, top: int, prefix: bytes) -> Iterator[Candidate]:
        """All files below an open folder, which is closed here."""
        stack = [(top, prefix)]
        left = self._entries
        try:
            while stack:
                fd, prefix = stack.pop()
                try:
                    found = self._list(fd, prefix)
                    left -= len(found)
                    if left < 0:
                        return
                    for name, is_folder in found:
                        if not is_folder:
                            yield fd, prefix, name
                        elif prefix.count(b"/") < self._depth:
                            stack += _opened(fd, prefix, name)
                finally:
                    os.close(fd)
        finally:
            for fd, _ in stack:
                os.close(fd)

    def _list(self, fd: int, prefix: bytes) -> list[tuple[bytes, bool]]:
        """The entries of an open folder, which is watched before it is read, and which of them are folders."""
        try:
            self._watch(fd, prefix)
            with os.scandir(fd) as entries:
                return [(os.fsencode(one.name), one.is_dir(follow_symlinks=False)) for one in entries]
        except OSError:
            return []

    def _open(self, prefix: bytes) -> int:
        """The folder at a path below the top. Raises OSError."""
        fd = os.dup(self._top)
        for part in prefix.split(b"/")[:-1]:
            try:
                inner = os.open(part, _FOLDER, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
        return fd

    def _watch(self, fd: int, prefix: bytes) -> None:
        if self._inotify is None:
            return
        try:
            self._watches[self._inotify.watch(fd, _MASK)] = prefix
        except OSError:
            # There are no more watches to be had: from here on it walks.
            self._give_up_watching()
            self._walk_next = True

    def _give_up_watching(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None


def _opened(folder: int, prefix: bytes, name: bytes) -> list[tuple[int, bytes]]:
    """A folder in an open one, and its path; nothing where it is none any more."""
    try:
        return [(os.open(name, _FOLDER, dir_fd=folder), prefix + name + b"/")]
    except OSError:
        return []
