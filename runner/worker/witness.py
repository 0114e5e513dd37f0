"""Which files of its code and of its inputs a step opened, found without tracing and without privilege.

Two witnesses look at the copy of the code, and what either saw counts: the kernel's news of opens (inotify(7)), which
also come through read-only and bind mounts of this kernel; and what the copy looks like afterwards. Its access times
were older than everything when it was made (`runner.worker.stage.MODIFIED`), so that a first read moves them
(`relatime`, mount(8)), and a file that got another name, other rights, other content or is gone counts as opened: it
may have been read under a name that nobody watched. What the step itself adds to its copy is no code.

News are proof only together with those that must have come: the shell around every step begins by opening its folder
(`runner.executors.wrapper`). Without these, with more news than the kernel keeps, and whenever something fails here,
it is not known what was opened. A look at a name that opens nothing is seen by neither witness; for these the names of
the whole code count in any case. Reads through a file system that the step itself lays over the code (overlayfs) may go
unseen; reads of the code at another place always do, which is why an executor has to say that there is none.

Of inputs only the news are there, because hard links of objects share their access times.
"""

import errno
import os
import select
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event

from runner.crew import AIDES
from runner.job import Workspace
from runner.store.record import Reading
from runner.worker import inotify
from runner.worker.inotify import Inotify
from runner.worker.stage import MODIFIED

_NEWS = inotify.OPEN | inotify.ATTRIB | inotify.MOVED_FROM
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_FOLDERS = 5_000
"""Watched in one place; a user may have as few as 8,192 watches in all."""
_MOST_NAMED = 10_000
"""Files that a reading names: it is a line of a journal that everybody reads who looks for something to reuse."""
_PAUSE = 2
"""Milliseconds in which news gather: far fewer than fill the queue, and the step is not slowed by who listens."""
_AT_ONCE = 4_096
"""News that are looked at before more are taken: a few milliseconds."""
_MOST_PIECES = 64
"""Taken and not looked at yet, a megabyte each at most."""

_Look = tuple[int, int]
"""Inode and time of the last change, in nanoseconds."""
_Folder = tuple[bytes, Mapping[bytes, _Look]]
"""The path below the top, with a slash at its end unless it is the top, and the regular files right in it."""

_TOO_MANY = "it opened more files at once than the kernel tells of"
_SCARCE = {
    errno.EMFILE: "this user or this process has too many open files or queues of news",
    errno.ENOSPC: "this user watches as many folders as the kernel allows",
}


class Witness:
    """Over one workspace that was just filled, until every process of its step is dead. Used by one thread.

    Never raises: what fails is a doubt.
    """

    def __init__(self, workspace: Workspace, *, confined: bool = True) -> None:
        """`confined` is that of the executor (`runner.job.Executor`)."""
        self._confined = confined
        self._code = _Watch(workspace.repository, _code_folders if confined else _top_alone)
        self._inputs = _Watch(workspace.inputs, _input_folders)
        self._heard = Event()
        self._was_heard = False
        self._stop = -1
        wake = -1
        try:
            wake, self._stop = os.pipe2(os.O_CLOEXEC)
            AIDES.do(partial(self._listen, wake))
        except (OSError, RuntimeError):  # no descriptors, no threads
            self._let_go(wake)
            self._heard.set()

    def close(self) -> Reading:
        """What was opened. Called once, when every process of the step is dead."""
        if self._stop >= 0:
            os.close(self._stop)
        # Meanwhile the listener hears the rest.
        changed = set(self._code.changed()) if self._doubt() is None else set()
        self._heard.wait()
        inputs = self._input_names()
        if not self._was_heard:
            return Reading(None, "nobody could listen to what it opened", inputs)
        if (doubt := self._doubt()) is not None:
            return Reading(None, doubt, inputs)
        if not self._code.was_entered:
            return Reading(None, "the kernel told nothing of what it opened", inputs)
        opened = self._code.opened() | changed
        if len(opened) > _MOST_NAMED:
            return Reading(None, f"it opened more than {_MOST_NAMED:,} files of the code", inputs)
        return Reading(_names(opened), None, inputs)

    def _doubt(self) -> str | None:
        """Why it cannot be known for sure which files of the code were opened, as far as can be said already."""
        return self._code.doubt if self._confined else "nothing keeps it from reading the code elsewhere"

    def _input_names(self) -> tuple[str, ...] | None:
        if not (self._was_heard and self._code.was_entered) or self._inputs.doubt is not None:
            return None
        opened = self._inputs.opened()
        return None if len(opened) > _MOST_NAMED else _names(opened)

    def _listen(self, wake: int) -> None:
        """Hear until the other end of `wake` is closed, and then what is left."""
        try:
            watches = (self._code, self._inputs)
            gathered = _poll(wake)
            is_last = is_behind = False
            while is_behind or not is_last:
                if not is_behind:
                    sources = _poll(wake, *(watch.fileno() for watch in watches))
                    is_last = any(fd == wake for fd, _ in sources.poll()) or bool(gathered.poll(_PAUSE))
                # To make room in the queues comes before everything else.
                took = [watch.take() for watch in watches]
                is_behind = any([*took, *(watch.look() for watch in watches)])
            self._was_heard = True
        finally:
            # Nobody waits for the rest: the kernel takes more time to let watches go than many a step to run.
            self._heard.set()
            self._let_go(wake)

    def _let_go(self, wake: int) -> None:
        self._code.close()
        self._inputs.close()
        if wake >= 0:
            os.close(wake)


class _Watch:
    """The opens of the files below one folder, as they were at the start."""

    def __init__(self, top: Path, folders: Callable[[bytes], Iterator[_Folder]]) -> None:
        self.doubt: str | None = None
        self.was_entered = False
        """Whether the folder itself was opened, which the shell around every step does first with that of the code."""
        self._top = os.fsencode(top) + b"/"
        self._folders: dict[int, _Folder] = {}
        self._opened: set[tuple[int, bytes]] = set()
        self._pieces: deque[Iterator[inotify.Event]] = deque()
        self._inotify: Inotify | None = None
        try:
            # All of them are found before the first is watched, for to look is to open.
            found = list(islice(folders(self._top), _MOST_FOLDERS + 1))
            if len(found) > _MOST_FOLDERS:
                self._give_up(f"it has more than {_MOST_FOLDERS:,} folders")
            elif found:
                self._watch(found)
        except OSError as error:
            self._give_up(_sentence(error))

    def fileno(self) -> int:
        """For poll(2); -1 where nothing is watched."""
        return -1 if self._inotify is None else self._inotify.fileno()

    def take(self) -> bool:
        """Make room in the kernel's queue, which keeps only so many news; whether there were any."""
        piece = b""
        try:
            if self._inotify is not None:
                piece = self._inotify.take()
        except OSError as error:
            self._give_up(_sentence(error))
        if piece:
            self._pieces.append(inotify.parse(piece))
        if len(self._pieces) > _MOST_PIECES:
            self._give_up(_TOO_MANY)
        return bool(piece)

    def look(self) -> bool:
        """Look at some of the news that were taken; whether there are more."""
        for _ in range(_AT_ONCE):
            if not self._pieces:
                return False
            event = next(self._pieces[0], None)
            if event is None:
                self._pieces.popleft()
            else:
                self._note(event)
        return True

    def opened(self) -> set[bytes]:
        """The paths below the top that the kernel told of."""
        return {self._folders[watch][0] + name for watch, name in self._opened}

    def changed(self) -> Iterator[bytes]:
        """The paths whose files were read by their access times, or are not what they were at the start."""
        for folder, files in self._folders.values():
            for name, (inode, change) in files.items():
                try:
                    found = os.lstat(self._top + folder + name)
                except OSError:
                    yield folder + name
                    continue
                if found.st_atime_ns != MODIFIED or found.st_ctime_ns != change or found.st_ino != inode:
                    yield folder + name

    def close(self) -> None:
        """Let the watches go; idempotent."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _watch(self, folders: Iterable[_Folder]) -> None:
        news = self._inotify = Inotify()
        for folder, files in folders:
            fd = os.open(self._top + folder, _FOLDER)
            try:
                self._folders[news.watch(fd, _NEWS)] = folder, files
            finally:
                os.close(fd)

    def _note(self, event: inotify.Event) -> None:
        watch, mask, name = event
        if mask & inotify.OVERFLOW:
            self._give_up(_TOO_MANY)
        elif watch in self._folders:
            folder, files = self._folders[watch]
            if name in files:
                self._opened.add((watch, name))
            elif not name and not folder and mask & inotify.OPEN:
                self.was_entered = True

    def _give_up(self, doubt: str) -> None:
        self.doubt = self.doubt or doubt
        self._pieces.clear()
        self.close()


def _code_folders(top: bytes) -> Iterator[_Folder]:
    """The top and every folder below it that has files, each file with how it looks. Raises OSError."""
    for folder, entries in _walk(top):
        files = {entry.name: _look(entry.stat(follow_symlinks=False)) for entry in entries}
        if files or not folder:
            yield folder, files


def _input_folders(top: bytes) -> Iterator[_Folder]:
    """Every folder below the top that has files, of which only the names count. Raises OSError."""
    for folder, entries in _walk(top):
        if entries:
            yield folder, dict.fromkeys((entry.name for entry in entries), (0, 0))


def _top_alone(top: bytes) -> Iterator[_Folder]:
    """Enough to see whether the kernel tells anything."""
    yield b"", {}


def _walk(top: bytes) -> Iterator[tuple[bytes, list[os.DirEntry[bytes]]]]:
    """Every folder from `top` on and the regular files right in it. Raises OSError."""
    stack = [b""]
    while stack:
        folder = stack.pop()
        files = []
        with os.scandir(top + folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    files.append(entry)
                elif entry.is_dir(follow_symlinks=False):
                    stack.append(folder + entry.name + b"/")
        yield folder, files


def _poll(wake: int, *sources: int) -> select.poll:
    """Waits for the end of the pipe `wake` and for news of `sources`, those without a descriptor excepted."""
    poll = select.poll()
    poll.register(wake, 0)
    for source in sources:
        if source >= 0:
            poll.register(source, select.POLLIN)
    return poll


def _look(found: os.stat_result) -> _Look:
    return found.st_ino, found.st_ctime_ns


def _sentence(error: OSError) -> str:
    why = _SCARCE.get(error.errno or 0, error.strerror or str(error))
    return f"the kernel could not be asked what it opened: {why}"


def _names(paths: Iterable[bytes]) -> tuple[str, ...]:
    """Written as tree manifests write them, whatever the encoding of this process is."""
    return tuple(path.decode("utf-8", "surrogateescape") for path in sorted(paths))
