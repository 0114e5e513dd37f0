"""Which files of its code and of its inputs a step opened, found without tracing and without privilege.

Two witnesses look at the copy of the code, and what either saw counts: the kernel's news of opens (inotify(7)), which
also come through read-only and bind mounts of this kernel; and the access times of the copy, which were older than
everything when it was made (`runner.worker.stage.MODIFIED`), so that a first read moves them (`relatime`, mount(8)). A
name that is moved, linked, given other rights or replaced counts as opened: its content may be read under another name.
Look-ups that open nothing are seen by neither; for these the names of the whole code count in any case.

Of inputs only the news are there, because hard links of objects share their access times.
"""

import os
import select
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

from runner.job import Workspace
from runner.store.record import Reading
from runner.worker import inotify
from runner.worker.inotify import Inotify
from runner.worker.stage import MODIFIED

_OPENS = inotify.OPEN | inotify.ATTRIB | inotify.MOVED_FROM
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_FOLDERS = 5_000
"""Watched in one place; a user may have as few as 8,192 watches in all."""


class Witness:
    """Over one workspace that was just filled, until every process of its step is dead. Used by one thread."""

    def __init__(self, workspace: Workspace, *, sure: bool = True) -> None:
        """Without `sure` the executor lets a step read the code in another place, too."""
        self._sure = sure
        self._repository = os.fsencode(workspace.repository)
        self._before = dict(_looks(self._repository))
        self._wake, self._stop = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._code = _Watch(workspace.repository)
        self._inputs = _Watch(workspace.inputs)
        self._thread = Thread(target=self._listen, name="witness", daemon=True)
        self._thread.start()

    def close(self) -> Reading:
        """What was opened. Called once, when every process of the step is dead."""
        os.close(self._stop)
        self._thread.join()
        os.close(self._wake)
        code, inputs = self._code.end(), self._inputs.end()
        doubt = self._code.doubt
        if doubt is None and not self._code.was_entered:
            doubt = "the kernel told nothing of what it opened"
        if not self._sure:
            doubt = "nothing keeps it from reading the code elsewhere"
        seen = None if self._inputs.doubt else tuple(sorted(map(os.fsdecode, inputs)))
        if doubt is not None:
            return Reading(None, doubt, seen)
        code |= set(self._moved())
        return Reading(tuple(sorted(map(os.fsdecode, code.intersection(self._before)), key=os.fsencode)), None, seen)

    def _listen(self) -> None:
        watches = [self._code, self._inputs]
        while True:
            sources = [self._wake, *(one.fileno() for one in watches if one.fileno() >= 0)]
            ready, _, _ = select.select(sources, [], [])
            for watch in watches:
                watch.read()
            if self._wake in ready:
                return

    def _moved(self) -> Iterator[bytes]:
        """The files whose access time moved, and those that are not the same any more."""
        for path, (inode, changed) in self._before.items():
            try:
                found = os.lstat(os.path.join(self._repository, path))
            except OSError:
                yield path
                continue
            if found.st_ino != inode or found.st_ctime_ns != changed or found.st_atime_ns != MODIFIED:
                yield path


class _Watch:
    """The opens below one folder, as it was at the start: what a step adds is its own."""

    def __init__(self, top: Path) -> None:
        self.doubt: str | None = None
        self.was_entered = False
        """Whether the step opened the folder itself, which the shell around every step does first."""
        self._folders: dict[int, bytes] = {}
        self._opened: set[bytes] = set()
        self._inotify: Inotify | None = None
        try:
            self._inotify = Inotify()
            self._watch_all(top)
        except OSError as error:
            self._give_up(f"the kernel does not tell what it opened: {error.strerror}")

    def fileno(self) -> int:
        """For select(2); -1 where nothing is watched."""
        return -1 if self._inotify is None else self._inotify.fileno()

    def read(self) -> None:
        """Take the news that have come."""
        while self._inotify is not None and (events := self._inotify.read()):
            for event in events:
                self._take(event)

    def end(self) -> set[bytes]:
        """The paths that were opened, below the top."""
        self.read()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        return self._opened

    def _watch_all(self, top: Path) -> None:
        assert self._inotify is not None
        for folder in _folders(os.fsencode(top)):
            if len(self._folders) >= _MOST_FOLDERS:
                self._give_up(f"it has more than {_MOST_FOLDERS:,} folders")
                return
            fd = os.open(os.path.join(os.fsencode(top), folder), _FOLDER)
            try:
                self._folders[self._inotify.watch(fd, _OPENS)] = folder
            finally:
                os.close(fd)

    def _take(self, event: inotify.Event) -> None:
        if event.mask & inotify.OVERFLOW:
            self._give_up("it opened more files at once than the kernel tells of")
        elif not event.name:
            self.was_entered |= self._folders.get(event.watch) == b"" and bool(event.mask & inotify.OPEN)
        elif not event.mask & inotify.IS_FOLDER and event.watch in self._folders:
            self._opened.add(os.path.join(self._folders[event.watch], event.name))

    def _give_up(self, doubt: str) -> None:
        self.doubt = self.doubt or doubt
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None


def _folders(top: bytes) -> Iterator[bytes]:
    """The folders below `top`, itself first as an empty path. Raises OSError."""
    yield b""
    with suppress(FileNotFoundError):
        for path, entry in _entries(top):
            if entry.is_dir(follow_symlinks=False):
                yield path


def _looks(top: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Path, inode and time of change of every file below `top`. Raises OSError."""
    for path, entry in _entries(top):
        found = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(found.st_mode):
            yield path, (found.st_ino, found.st_ctime_ns)


def _entries(top: bytes) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    stack = [b""]
    while stack:
        folder = stack.pop()
        with os.scandir(os.path.join(top, folder)) as entries:
            for entry in entries:
                path = os.path.join(folder, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    stack.append(path)
                yield path, entry
