"""Live upload: a file that the step makes read-only is taken into the store while the step runs, and its name removed.

The outputs are as hostile as they are at the end (`runner.worker.collect`), and whoever fills them is still at work. A
file is opened without following links, copied, and the copy hashed. Only then its name is moved where the step cannot
reach it, and what was moved must be the very file that was copied, unchanged, with no writer left; else it goes back.
"""

import ctypes
import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from runner.crew import AIDES
from runner.digest import Digest, canonical_json, hash_pieces
from runner.errors import MlrunError
from runner.job import JobInput
from runner.store.datum import path_of
from runner.store.record import OutputFile
from runner.worker.collect import DEFAULT_LIMITS, Limits, Taken
from runner.worker.lookout import Lookout
from runner.worker.name import Names
from runner.worker.sidecar import SIDECAR_BYTES, SUFFIX, BadProperties, Properties, is_description, read_sidecar
from runner.worker.storage import ObjectWriter
from runner.worker.tree import remove_tree

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_QUIET = 2.0
"""Seconds without a change after which a file counts as finished, where nobody can tell whether it is still open."""
_TRIES = 5
"""How often a file is copied that changes meanwhile; then it is left for the end."""
_PIECE = 1 << 20
_HERE, _NOREPLACE = -100, 1
"""AT_FDCWD and RENAME_NOREPLACE of renameat2(2)."""

_libc = ctypes.CDLL(None, use_errno=True)

Tell = Callable[[OutputFile], None]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a file was when it was looked at."""

    device: int
    inode: int
    size: int
    modified: int
    mode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "_Look":
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)

    @property
    def is_ready(self) -> bool:
        """Whether it is a regular file that nobody may write."""
        return stat.S_ISREG(self.mode) and not self.mode & _ANY_WRITE


@dataclass(frozen=True, slots=True)
class _Doubtful:
    """A file that was taken though a writer may still have it open: it stays at `aside` until the end of the step."""

    place: int
    aside: Path
    look: _Look


def nobody(file: OutputFile) -> None:
    """Tells nobody."""


class Live:
    """Takes read-only files out of one outputs folder, on another thread, from `start` to `stop`.

    `aside` is a folder on the same file system that does not exist yet and that the step cannot reach. `tell` is called
    on that thread for each file when it is in the store; when it returns, the file's own copy is removed. A copy of one
    of `inputs` is left where it is: programs that copy a file keep its mode, and inputs are read-only.

    Nothing here fails or stops the step: what cannot be taken is left for the end.
    """

    def __init__(
        self,
        outputs: Path,
        aside: Path,
        objects: ObjectWriter,
        tell: Tell = nobody,
        inputs: Iterable[JobInput] = (),
        limits: Limits = DEFAULT_LIMITS,
        before: Iterable[OutputFile] = (),
    ) -> None:
        """`before` is what was taken by a process that watched this step earlier, oldest first."""
        self._outputs = outputs
        self._aside = aside
        self._objects = objects
        self._tell = tell
        self._limits = limits
        self._inputs = {Digest(file.digest): file.size for given in inputs for file in given.files}
        self._input_sizes = frozenset(self._inputs.values())
        self._wake = (-1, -1)
        self._stopping = False
        self._over = Event()
        self._over.set()
        self._taken: list[Taken] = []
        self._names = Names()
        self._doubtful: list[_Doubtful] = []
        self._waiting: dict[bytes, tuple[_Look, float]] = {}
        self._tries: dict[bytes, int] = {}
        self._left: set[tuple[bytes, _Look]] = set()
        self._bytes = 0
        self._property_bytes = 0
        for file in before:
            self._names.give(path_of(file.name, file.version))
            self._taken.append(Taken(path_of(file.name, file.version), file))
            self._bytes += file.size

    def start(self) -> None:
        """Begin to look. Called once, when the folder exists; where it cannot, nothing is taken."""
        with suppress(OSError):
            self._wake = os.pipe2(os.O_CLOEXEC)
            self._over.clear()
            try:
                AIDES.do(self._run)
            except RuntimeError:  # no threads
                self._over.set()

    def stop(self) -> tuple[Taken, ...]:
        """Look no more; what was taken, oldest first. Called when every process of the step is dead; idempotent."""
        if self._wake[0] >= 0:
            self._stopping = True
            os.write(self._wake[1], b"x")
            self._over.wait()
            for fd in self._wake:
                os.close(fd)
            self._wake = (-1, -1)
            for doubtful in self._doubtful:
                with suppress(OSError, MlrunError):
                    self._settle(doubtful)
            with suppress(OSError):
                remove_tree(self._aside)
        return tuple(self._taken)

    def _run(self) -> None:
        lookout = None
        try:
            # A folder that is gone or a full disk ends this: the collector will meet it again, and tell.
            with suppress(OSError, MlrunError):
                self._aside.mkdir(mode=0o700)
                lookout = Lookout(self._outputs, depth=self._limits.depth, entries=self._limits.entries)
                self._follow(lookout)
        finally:
            # Nobody waits for the rest: the kernel takes more time to let watches go than many a step to run.
            self._over.set()
            if lookout is not None:
                lookout.close()

    def _follow(self, lookout: Lookout) -> None:
        """Consider what the lookout tells of, until `stop`. Raises OSError and MlrunError."""
        while lookout.wait(self._wake[0], _QUIET / 2 if self._waiting else None):
            for folder, prefix, name in lookout.candidates():
                if self._stopping:
                    return
                self._consider(folder, name, prefix + name)
            lookout.again(self._waiting)

    def _consider(self, folder: int, name: bytes, path: bytes) -> None:
        """Take a file if it is ready, let it wait if it may be soon."""
        before = self._waiting.pop(path, None)
        if is_description(os.fsdecode(path)):
            return
        try:
            look = _Look.of(os.stat(name, dir_fd=folder, follow_symlinks=False))
            # Where the name could not be removed, a copy would only be the first of two.
            if not look.is_ready or not os.access(b".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
                return
            left = (path, look) in self._left or self._tries.get(path, 0) >= _TRIES
            if left or not self._has_room(look):
                return
            fd = os.open(name, _FILE, dir_fd=folder)
        except OSError:
            self._tries.pop(path, None)
            return
        with open(fd, "rb", buffering=0):
            writers = has_writers(fd)
            since = before[1] if before is not None and before[0] == look else time.monotonic()
            quiet = writers is False or (writers is None and time.monotonic() - since >= _QUIET)
            try:
                if not quiet or not self._take(folder, name, path, fd, look, sure=writers is False):
                    self._waiting[path] = look, since
            except OSError:
                self._left.add((path, look))

    def _has_room(self, look: _Look) -> bool:
        return len(self._taken) < self._limits.entries and self._bytes + look.size <= self._limits.bytes

    def _take(self, folder: int, name: bytes, path: bytes, fd: int, look: _Look, *, sure: bool) -> bool:
        """Copy, move away, check; False if it has to be tried again. Raises OSError."""
        if self._is_input(fd, look):
            self._left.add((path, look))
            return True
        properties = self._properties(folder, name)
        digest, size = self._objects.put_file(fd)
        aside = self._aside / str(len(self._taken))
        if size == look.size and _Look.of(os.fstat(fd)) == look:
            os.rename(name, aside, src_dir_fd=folder)
            if _Look.of(aside.lstat()) == look and not (sure and has_writers(fd)):
                self._tries.pop(path, None)
                self._record(path, digest, size, properties)
                if sure:
                    aside.unlink()
                else:
                    self._doubtful.append(_Doubtful(len(self._taken) - 1, aside, look))
                return True
            _give_back(aside, folder, name)
        self._tries[path] = self._tries.get(path, 0) + 1
        return False

    def _record(self, path: bytes, digest: Digest, size: int, properties: Properties) -> None:
        name, version = self._names.give(os.fsdecode(path))
        file = OutputFile(name, digest, size, properties, version)
        self._bytes += size
        self._taken.append(Taken(os.fsdecode(path), file))
        self._tell(file)

    def _is_input(self, fd: int, look: _Look) -> bool:
        if look.size not in self._input_sizes:
            return False
        digest = hash_pieces(iter(lambda: os.read(fd, _PIECE), b""))
        os.lseek(fd, 0, os.SEEK_SET)
        return digest in self._inputs

    def _properties(self, folder: int, name: bytes) -> Properties:
        """What a sidecar beside the file says at this moment; one that is no good is told about at the end."""
        try:
            fd = os.open(name + os.fsencode(SUFFIX), _FILE, dir_fd=folder)
            with open(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return {}
                properties = read_sidecar(file.read(SIDECAR_BYTES + 1))
        except (OSError, BadProperties):
            return {}
        self._property_bytes += len(canonical_json(properties))
        return properties if self._property_bytes <= self._limits.properties else {}

    def _settle(self, doubtful: _Doubtful) -> None:
        """What was written to after it was taken, by a writer that had it open, is stored as it became."""
        with open(os.open(doubtful.aside, _FILE), "rb", buffering=0) as file:
            if _Look.of(os.fstat(file.fileno())) == doubtful.look:
                return
            digest, size = self._objects.put_file(file.fileno())
        before = self._taken[doubtful.place]
        after = replace(before.file, digest=digest, size=size)
        self._taken[doubtful.place] = Taken(before.path, after)


def has_writers(fd: int) -> bool | None:
    """Whether anybody has an open file also open for writing; None where this process may not ask.

    A read lease is had only while there are none (fcntl(2), F_SETLEASE). It is let go at once: a process that opens the
    file for writing in between waits for that, and the signal about it is one that does nothing.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _give_back(aside: Path, folder: int, name: bytes) -> None:
    """Put a file back under its name; one that the step has made there meanwhile takes its place. Raises OSError."""
    if _libc.renameat2(_HERE, os.fsencode(aside), folder, name, _NOREPLACE) != 0:
        number = ctypes.get_errno()
        if number != errno.EEXIST:
            raise OSError(number, os.strerror(number))
        aside.unlink()
