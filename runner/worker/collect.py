"""What a step left behind, taken into the store. The outputs are hostile: nothing about them is believed.

Called when every process of the step is dead. Folders are opened beneath one another without following links, a file
is first moved into a folder that the step never saw and only there trusted, so that nothing can be swapped between a
look and a use. Only regular files are taken; modes, owners and times are not kept. Sidecars with the properties of
other outputs (`runner.worker.sidecar`) are read and consumed.
"""

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from heapq import nsmallest
from pathlib import Path

from runner.crew import side_by_side
from runner.errors import ExitCode, MlrunError, is_full
from runner.store.durable import disk_error
from runner.store.record import OutputFile
from runner.worker.description import Descriptions, most_bytes
from runner.worker.name import Names
from runner.worker.sidecar import LINES, is_description, merged
from runner.worker.storage import ObjectWriter
from runner.worker.tally import Tally
from runner.worker.tree import make_accessible

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_MOVABLE = frozenset({errno.EXDEV, errno.EACCES, errno.EPERM})
_CAPABILITY = "security.capability"
_SMALL = 64 << 10
"""Up to this size a file is hashed faster than it is handed to another thread."""

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one step may leave: entries of any kind, apparent bytes in all, folders within one another, bytes of
    all properties in all."""

    entries: int = 100_000
    bytes: int = 1 << 40
    depth: int = 100
    properties: int = 16 << 20


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Collected:
    """The outputs, sorted by the bytes of their names, with their properties.

    `warnings` name what was left out. `failure` says in one sentence that content was lost, None when all the step's
    files are in the store; `code` is then DISK when the disk had no room, else OUTPUT.
    """

    outputs: tuple[OutputFile, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str | None = None
    code: ExitCode = ExitCode.OUTPUT


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was taken while the step ran: `path` is where it lay below the outputs folder, `file` its record."""

    path: str
    file: OutputFile


def collect(
    outputs: Path,
    aside: Path,
    objects: ObjectWriter,
    limits: Limits = DEFAULT_LIMITS,
    taken: Sequence[Taken] = (),
) -> Collected:
    """Move every regular file below `outputs` into `objects`; `taken` are outputs too, older ones, oldest first.

    `aside` is a folder on the same file system that does not exist yet and that the step could not reach. Never raises
    for what the step left, nor for a full disk: what was stored before is returned with the failure.
    """
    collector = _Collector(aside, objects, limits, taken)
    try:
        collector.run(outputs)
    except OSError as error:
        return collector.report(outputs, disk_error(error, outputs))
    except MlrunError as error:
        return collector.report(outputs, error)
    return collector.report(outputs, None)


@dataclass(slots=True, eq=False)
class _Found:
    """A file on its way: `source` is where it lies aside, or an open descriptor of one that could not be moved; `name`
    and `version` are what it will be recorded as, and a `quick` one is taken in no time."""

    path: bytes
    name: str
    version: int
    source: Path | int
    quick: bool
    stored: OutputFile | None = None
    problem: str | None = None


_Entries = Iterator[tuple[bytes, bool]]
"""Name, and whether it is a folder; then a slash follows the name, so that whole paths sort by their bytes."""


class _Collector:
    def __init__(self, aside: Path, objects: ObjectWriter, limits: Limits, taken: Sequence[Taken]) -> None:
        self._aside = aside
        self._aside_fd = -1
        self._objects = objects
        self._limits = limits
        self._taken = taken
        self._names = Names(one.file.name for one in taken)
        self._bytes = sum(one.file.size for one in taken)
        self._seen = len(taken)
        self._found: list[_Found] = []
        self._sidecars: list[_Found] = []
        self._descriptions = Descriptions(limits.properties)
        self._refused = Tally("was left out")
        self._lost = Tally("is lost")

    def run(self, outputs: Path) -> None:
        """Walk and store. Raises MlrunError and OSError when nothing more can be stored."""
        self._aside.mkdir(mode=0o700)
        self._aside_fd = os.open(self._aside, _FOLDER)
        try:
            with self._objects.gathering() as objects:
                store = partial(self._store, objects)
                with closing(self._files(outputs)) as files:
                    # A file that waits for the disk or is hashed for long lets others go on.
                    side_by_side(store, _slow(files, store))
                side_by_side(store, self._useless_sidecars())
        finally:
            os.close(self._aside_fd)

    def report(self, outputs: Path, error: MlrunError | None) -> Collected:
        """What came of it; files that are not in the store go back to where the step left them."""
        for found in (*self._found, *self._sidecars):
            if error is not None and isinstance(found.source, Path) and os.path.lexists(found.source):
                found.stored = None
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
        warnings = (*self._refused.warnings(), *self._lost.warnings(), *self._descriptions.warnings())
        return Collected(self._outputs(), warnings, failure, code)

    def _outputs(self) -> tuple[OutputFile, ...]:
        stored = [one.file for one in self._taken]
        stored += (found.stored for found in self._found if found.stored is not None)
        described = (
            replace(file, metadata=merged(file.metadata, properties))
            if (properties := self._descriptions.of(file.name))
            else file
            for file in stored
        )
        return tuple(sorted(described, key=lambda file: os.fsencode(file.name)))

    def _files(self, outputs: Path) -> Generator[_Found]:
        for folder_fd, name, path in self._walk(outputs):
            found = self._examine(folder_fd, name, path)
            if found is None:
                continue
            if is_description(found.name):
                self._sidecars.append(found)
            else:
                self._found.append(found)
                yield found

    def _useless_sidecars(self) -> Iterator[_Found]:
        """Read the properties; the sidecars that are none after all, and so are outputs like any other."""
        known = {one.path: one.file.name for one in self._taken}
        known |= {os.fsdecode(found.path): found.name for found in self._found if found.stored is not None}
        # The file of lines is the last, as it is written when the files are there.
        self._sidecars.sort(key=lambda found: found.name == LINES)
        for found in self._sidecars:
            if self._descriptions.take(found.name, _content(found), known):
                _drop(found)
            else:
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
            if is_full(error):
                raise
            self._lost.add(path, f"cannot be read ({_reason(error)})")
            return None
        self._bytes += found.st_size
        recorded, version = self._names.give(os.fsdecode(path))
        own = found.st_nlink == 1 and found.st_uid == os.geteuid() and isinstance(source, Path)
        return _Found(path, recorded, version, source, own and found.st_size <= _SMALL)

    def _take_away(self, folder_fd: int, name: bytes) -> Path | int:
        """The file moved aside, or open where it cannot be moved. Raises OSError."""
        number = str(len(self._found) + len(self._sidecars))
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

    def _store(self, objects: ObjectWriter, found: _Found) -> None:
        """Called in several threads. Raises MlrunError when nothing more can be stored."""
        try:
            if isinstance(found.source, int):
                with open(found.source, "rb", buffering=0) as file:
                    digest, size = objects.put_file(file.fileno())
            else:
                _prepare(found.source)
                digest, size = objects.adopt(found.source)
        except OSError as error:
            found.problem = f"cannot be read ({_reason(error)})"
        except MlrunError as error:
            if error.code is not ExitCode.POLICY:
                raise
            found.problem = f"is not kept: {error.message}"
        else:
            found.stored = OutputFile(found.name, digest, size, version=found.version)

    def _put_back(self, outputs: Path, found: _Found) -> None:
        if isinstance(found.source, Path):
            with suppress(OSError):
                os.rename(found.source, os.fsencode(outputs) + b"/" + found.path)


def _slow(files: Iterator[_Found], store: Callable[[_Found], None]) -> Iterator[_Found]:
    """The files that are worth a thread; `store` is called for the others."""
    for found in files:
        if found.quick:
            store(found)
        else:
            yield found


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


def _content(found: _Found) -> bytes:
    """What a sidecar holds, as far as it is worth reading; nothing if it cannot be read."""
    most = most_bytes(found.name)
    try:
        if isinstance(found.source, int):
            return os.pread(found.source, most, 0)
        _prepare(found.source)
        fd = os.open(found.source, _FILE)
        with open(fd, "rb") as file:
            return file.read(most)
    except OSError:
        return b""


def _drop(found: _Found) -> None:
    """Let a sidecar go that did its work. Raises OSError."""
    if isinstance(found.source, int):
        os.close(found.source)
    else:
        found.source.unlink()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
