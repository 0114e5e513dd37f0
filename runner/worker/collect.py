"""What a step left behind, taken into the store. The outputs are hostile: nothing about them is believed.

Called when every process of the step is dead. Folders are opened beneath one another without following links, a file
is first moved into a folder that the step never saw and only there trusted, so that nothing can be swapped between a
look and a use. Only regular files are taken; modes, owners and times are not kept.
"""

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from heapq import nsmallest
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.store.durable import disk_error
from runner.store.record import OutputFile
from runner.store.thread import side_by_side
from runner.worker.storage import ObjectWriter
from runner.worker.tree import make_accessible

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAMED = 20
"""How many entries that were left out get a warning of their own."""
_NOT_MOVABLE = frozenset({errno.EXDEV, errno.EACCES, errno.EPERM})
_CAPABILITY = "security.capability"

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one step may leave: entries of any kind, apparent bytes in all, folders within one another."""

    entries: int = 100_000
    bytes: int = 1 << 40
    depth: int = 100


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Collected:
    """The outputs, sorted by the bytes of their names.

    `warnings` name what was left out. `failure` says in one sentence that content was lost, None when all the step's
    files are in the store; `code` is then DISK when the disk had no room, else OUTPUT.
    """

    outputs: tuple[OutputFile, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str | None = None
    code: ExitCode = ExitCode.OUTPUT


def collect(outputs: Path, aside: Path, objects: ObjectWriter, limits: Limits = DEFAULT_LIMITS) -> Collected:
    """Move every regular file below `outputs` into `objects`.

    `aside` is a folder on the same file system that does not exist yet and that the step could not reach. Never raises
    for what the step left, nor for a full disk: what was stored before is returned with the failure.
    """
    collector = _Collector(aside, objects, limits)
    try:
        collector.run(outputs)
    except OSError as error:
        return collector.report(outputs, disk_error(error, outputs))
    except MlrunError as error:
        return collector.report(outputs, error)
    return collector.report(outputs, None)


@dataclass(slots=True)
class _LeftOut:
    """Entries that were not collected: the first few by name, all by number."""

    verb: str
    named: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, path: bytes, why: str) -> None:
        self.count += 1
        if len(self.named) < _NAMED:
            self.named.append(f"output `{printable(os.fsdecode(path))}` {why}")

    def warnings(self) -> Iterator[str]:
        for entry in self.named:
            yield f"{entry}; it {self.verb}"
        if self.count > len(self.named):
            yield f"{self.count - len(self.named):,} more outputs like these: each {self.verb}"


@dataclass(slots=True, eq=False)
class _Found:
    """A file on its way: `source` is where it lies aside, or an open descriptor of one that could not be moved."""

    path: bytes
    source: Path | int
    stored: OutputFile | None = None
    problem: str | None = None


_Entries = Iterator[tuple[bytes, bool]]
"""Name, and whether it is a folder; then a slash follows the name, so that whole paths sort by their bytes."""


class _Collector:
    def __init__(self, aside: Path, objects: ObjectWriter, limits: Limits) -> None:
        self._aside = aside
        self._aside_fd = -1
        self._objects = objects
        self._limits = limits
        self._bytes = 0
        self._seen = 0
        self._found: list[_Found] = []
        self._refused = _LeftOut("was left out")
        self._lost = _LeftOut("is lost")

    def run(self, outputs: Path) -> None:
        """Walk and store. Raises MlrunError and OSError when nothing more can be stored."""
        self._aside.mkdir(mode=0o700)
        self._aside_fd = os.open(self._aside, _FOLDER)
        try:
            with closing(self._files(outputs)) as files:
                # Each file waits for the disk, so several wait together.
                side_by_side(self._store, files)
        finally:
            os.close(self._aside_fd)

    def report(self, outputs: Path, error: MlrunError | None) -> Collected:
        """What came of it; files that are not in the store go back to where the step left them."""
        for found in self._found:
            if found.stored is None:
                self._put_back(outputs, found)
            if found.problem is not None:
                self._lost.add(found.path, found.problem)
        failure, code = None, ExitCode.OUTPUT
        if self._lost.count:
            more = f" (and {self._lost.count - 1:,} more)" if self._lost.count > 1 else ""
            failure = f"not all outputs could be kept: {self._lost.named[0]}{more}"
        if error is not None:
            failure = f"the outputs could not be stored: {error.message}"
            code = ExitCode.DISK if error.code is ExitCode.DISK else ExitCode.OUTPUT
        stored = tuple(found.stored for found in self._found if found.stored is not None)
        return Collected(stored, (*self._refused.warnings(), *self._lost.warnings()), failure, code)

    def _files(self, outputs: Path) -> Generator[_Found]:
        for folder_fd, name, path in self._walk(outputs):
            found = self._examine(folder_fd, name, path)
            if found is not None:
                self._found.append(found)
                yield found

    def _walk(self, outputs: Path) -> Iterator[tuple[int, bytes, bytes]]:
        """Everything that is no folder, as (descriptor of its folder, name, path below `outputs`), in order."""
        stack: list[tuple[int, bytes, _Entries]] = [self._open_folder(None, os.fsencode(outputs), b"")]
        try:
            while stack and self._seen <= self._limits.entries:
                fd, prefix, entries = stack[-1]
                name, is_folder = next(entries, (b"", False))
                name = name.removesuffix(b"/")
                if not name:
                    os.close(stack.pop()[0])
                    continue
                path = prefix + name
                self._seen += 1
                if self._seen > self._limits.entries:
                    self._lost.add(path, f"is one too many: at most {self._limits.entries:,} are collected")
                elif not is_folder:
                    yield fd, name, path
                elif len(stack) > self._limits.depth:
                    self._lost.add(path, f"lies more than {self._limits.depth} folders deep")
                else:
                    try:
                        stack.append(self._open_folder(fd, name, path + b"/"))
                    except OSError as error:
                        self._lost.add(path, f"cannot be opened ({_reason(error)})")
        finally:
            for fd, _, _ in stack:
                os.close(fd)

    def _open_folder(self, parent: int | None, name: bytes, prefix: bytes) -> tuple[int, bytes, _Entries]:
        make_accessible(name, parent)
        fd = os.open(name, _FOLDER, dir_fd=parent)
        try:
            with os.scandir(fd) as entries:
                # One more than may be taken is enough to see that there are too many.
                found = nsmallest(self._limits.entries + 1, map(_sortable, entries))
        except BaseException:
            os.close(fd)
            raise
        return fd, prefix, iter(found)

    def _examine(self, folder_fd: int, name: bytes, path: bytes) -> _Found | None:
        """A file that can be stored, out of the step's reach; None for anything else, which is noted. Raises OSError
        only for a full disk."""
        try:
            found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                self._refused.add(path, f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no regular file')}")
                return None
            if self._bytes + found.st_size > self._limits.bytes:
                most = f"at most {self._limits.bytes:,} are collected"
                self._lost.add(path, f"makes the outputs too big with its {found.st_size:,} bytes: {most}")
                return None
            source = self._take_away(folder_fd, name)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise
            self._lost.add(path, f"cannot be read ({_reason(error)})")
            return None
        self._bytes += found.st_size
        return _Found(path, source)

    def _take_away(self, folder_fd: int, name: bytes) -> Path | int:
        """The file moved aside, or open where it cannot be moved. Raises OSError."""
        number = str(len(self._found))
        try:
            os.rename(name, number, src_dir_fd=folder_fd, dst_dir_fd=self._aside_fd)
        except OSError as error:
            if error.errno not in _NOT_MOVABLE:
                raise
            fd = os.open(name, _FILE, dir_fd=folder_fd)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return fd
            os.close(fd)
            raise OSError(errno.EINVAL, "it changed while it was collected") from error
        return self._aside / number

    def _store(self, found: _Found) -> None:
        """Called in several threads. Raises MlrunError when nothing more can be stored."""
        try:
            if isinstance(found.source, int):
                with open(found.source, "rb", buffering=0) as file:
                    digest, size = self._objects.put_file(file.fileno())
            else:
                _prepare(found.source)
                digest, size = self._objects.adopt(found.source)
        except OSError as error:
            found.problem = f"cannot be read ({_reason(error)})"
        else:
            found.stored = OutputFile(os.fsdecode(found.path), digest, size)

    def _put_back(self, outputs: Path, found: _Found) -> None:
        if isinstance(found.source, Path):
            with suppress(OSError):
                os.rename(found.source, os.fsencode(outputs) + b"/" + found.path)


def _sortable(entry: os.DirEntry[str]) -> tuple[bytes, bool]:
    is_folder = entry.is_dir(follow_symlinks=False)
    return os.fsencode(entry.name) + (b"/" if is_folder else b""), is_folder


def _prepare(file: Path) -> None:
    """Make a moved file fit to be an object: regular, readable, without file capabilities. Raises OSError."""
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it changed while it was collected")
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_IRUSR:
        file.chmod(0o600)
    if found.st_mode & 0o111 and _CAPABILITY in os.listxattr(file):
        os.removexattr(file, _CAPABILITY)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
