"""Outputs copied out of the store into a folder of the user's: never through a link, never outside, never unasked over
another file. Every copy is checked against its digest, and on the disk, before it gets its name: whatever is seen under
one is whole, after a power cut, too.
"""

import errno
import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Protocol

from runner.crew import side_by_side
from runner.digest import Digest, Hasher
from runner.errors import ExitCode, MlrunError, is_full
from runner.escape import printable
from runner.store.durable import disk_error, temporary_name
from runner.store.record import OutputFile
from runner.store.shelf import damaged
from runner.store.tree import path_bytes
from runner.store.volume import Volume, check_written, start_writing

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TARGET = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20
_SHARE = 16 << 20
"""After so many bytes the disk begins to write, while more of the same file are copied."""
_TOGETHER, _TOGETHER_BYTES = 256, 64 << 20
"""How many files wait for the disk together, all of them open, and bytes of them."""
_MANY = 64
"""From so many files on, one sync of the file system may be faster than one of each."""
_NAMED = 5
"""How many conflicts a message names."""


class Objects(Protocol):
    """What a delivery needs of the store."""

    def open(self, digest: Digest, size: int | None = None) -> BinaryIO:
        """An object for reading, of this size."""
        ...


class Found(StrEnum):
    """What is at an output's place in the folder."""

    NOTHING = "nothing"
    SAME = "same"
    OTHER = "other"
    """A regular file with other content."""
    IN_THE_WAY = "in the way"
    """Something that is no regular file, or a link or file where a folder is needed."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was done: names that were copied, and names that lay there with the same content already."""

    copied: tuple[str, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy that has not its name yet: the folders below the top, and in the last of them both names; it is open."""

    folders: Sequence[bytes]
    temporary: bytes
    last: bytes
    fd: int


def choose_outputs(outputs: Iterable[OutputFile], patterns: Sequence[str]) -> list[OutputFile]:
    """The outputs whose path or base name matches one of the patterns (`*` crosses `/`), all without patterns."""
    return [
        output
        for output in outputs
        if not patterns
        or any(
            fnmatch.fnmatchcase(output.name, pattern) or fnmatch.fnmatchcase(output.name.rpartition("/")[2], pattern)
            for pattern in patterns
        )
    ]


def deliver(objects: Objects, outputs: Sequence[OutputFile], folder: Path, *, force: bool) -> Delivered:
    """Copy the outputs below `folder`, which is made if need be. With `force` other regular files are replaced.

    All places are looked at before the first copy. Raises MlrunError: OUTPUT when something is in the way, DISK when
    there is no room, STORE for damaged objects.
    """
    for output in outputs:
        _check_name(output.name)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = {output.name: _look(top, output) for output in outputs}
        _refuse_conflicts(found, folder, force=force)
        for some in _batches(output for output in outputs if found[output.name] is not Found.SAME):
            with _writing(folder, sum(output.size for output in some)), Volume(folder) as volume:
                _copy_together(objects, some, top, volume, replace=force)
    finally:
        os.close(top)
    same = tuple(name for name, what in found.items() if what is Found.SAME)
    return Delivered(tuple(name for name, what in found.items() if what is not Found.SAME), same)


def _check_name(name: str) -> None:
    if not name or "\0" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise MlrunError(f"`{printable(name)}` is no name of an output", code=ExitCode.STORE)


def _refuse_conflicts(found: dict[str, Found], folder: Path, *, force: bool) -> None:
    blocked = [name for name, what in found.items() if what is Found.IN_THE_WAY]
    if blocked:
        raise MlrunError(
            f"in `{printable(str(folder))}` a link, a folder or another odd thing is in the way of {_listed(blocked)}",
            code=ExitCode.OUTPUT,
            hint="links are never followed and only files are replaced: name another folder",
        )
    different = [name for name, what in found.items() if what is Found.OTHER]
    if different and not force:
        raise MlrunError(
            f"`{printable(str(folder))}` has other content under {_listed(different)}; nothing was copied",
            code=ExitCode.OUTPUT,
            hint="`--force` replaces these files; or name another folder",
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{printable(name)}`" for name in names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _parts(name: str) -> tuple[list[bytes], bytes]:
    *folders, last = path_bytes(name).split(b"/")
    return folders, last


def _look(top: int, output: OutputFile) -> Found:
    folders, last = _parts(output.name)
    try:
        with _descend(top, folders, make=False) as folder:
            status = os.stat(last, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                return Found.IN_THE_WAY
            same = status.st_size == output.size and _digest(last, folder) == output.digest
            return Found.SAME if same else Found.OTHER
    except FileNotFoundError:
        return Found.NOTHING
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP, errno.EISDIR}:
            return Found.IN_THE_WAY
        return Found.OTHER


def _digest(name: bytes, folder: int) -> Digest:
    hasher = Hasher()
    with open(os.open(name, _FILE, dir_fd=folder), "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            hasher.update(piece)
    return Digest(hasher.hexdigest())


@contextmanager
def _descend(top: int, folders: Sequence[bytes], *, make: bool) -> Iterator[int]:
    """The folder below `top`, opened component by component, none of them a link. Raises OSError."""
    here = os.dup(top)
    try:
        for name in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=here)
            below = os.open(name, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def _batches(outputs: Iterable[OutputFile]) -> Iterator[list[OutputFile]]:
    """In their order; a large one alone. No more than such a batch is without its names when we are killed."""
    batch: list[OutputFile] = []
    size = 0
    for output in outputs:
        if batch and (len(batch) >= _TOGETHER or size + output.size > _TOGETHER_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(output)
        size += output.size
    if batch:
        yield batch


def _copy_together(objects: Objects, outputs: Sequence[OutputFile], top: int, volume: Volume, *, replace: bool) -> None:
    """Write beside the places, check, wait for the disk, and only then give the names."""
    copies: list[_Copy] = []
    try:
        for output in outputs:
            copies.append(_begin(output, top))
            _fill(objects, output, copies[-1].fd)
        _sync([copy.fd for copy in copies], volume, sum(output.size for output in outputs))
        for copy in copies:
            with _descend(top, copy.folders, make=False) as folder:
                if replace:
                    os.rename(copy.temporary, copy.last, src_dir_fd=folder, dst_dir_fd=folder)
                else:
                    _name_it(copy.temporary, copy.last, folder)
    finally:
        for copy in copies:
            os.close(copy.fd)
            with suppress(OSError), _descend(top, copy.folders, make=False) as folder:
                os.unlink(copy.temporary, dir_fd=folder)
    for folders in dict.fromkeys(tuple(copy.folders) for copy in copies):
        with _descend(top, folders, make=False) as folder:
            os.fsync(folder)


def _begin(output: OutputFile, top: int) -> _Copy:
    folders, last = _parts(output.name)
    temporary = os.fsencode(temporary_name())
    with _descend(top, folders, make=True) as folder:
        return _Copy(folders, temporary, last, os.open(temporary, _TARGET, 0o666, dir_fd=folder))


def _fill(objects: Objects, output: OutputFile, fd: int) -> None:
    with objects.open(output.digest, output.size) as source, open(fd, "wb", buffering=0, closefd=False) as file:
        _check_digest(output, _pump(source, file))


def _sync(fds: Sequence[int], volume: Volume, size: int) -> None:
    """Wait until `size` bytes of open files are on the disk. Raises OSError."""
    if len(fds) >= _MANY and volume.pays(len(fds), size):
        volume.sync()
        for fd in fds:
            # A folder of the user's may have other file systems in it.
            (check_written if volume.holds(fd) else os.fsync)(fd)
    else:
        side_by_side(os.fsync, fds)


def _name_it(temporary: bytes, last: bytes, folder: int) -> None:
    """Unlike rename(2), link(2) fails when somebody made a file of this name meanwhile; not every disk has links."""
    try:
        os.link(temporary, last, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        os.rename(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)


def _pump(source: BinaryIO, target: BinaryIO) -> str:
    hasher = Hasher()
    # One piece of memory for all: new memory for each costs more than the copy.
    buffer = memoryview(bytearray(_PIECE))
    size = begun = 0
    while count := source.readinto(buffer):  # type: ignore[attr-defined]
        rest = buffer[:count]
        hasher.update(rest)
        while rest:
            rest = rest[target.write(rest) :]
        size += count
        if size - begun >= _SHARE:
            start_writing(target.fileno(), begun, size - begun)
            begun = size
    return hasher.hexdigest()


def _check_digest(output: OutputFile, found: str) -> None:
    if found != output.digest:
        raise damaged(output.digest, f"of `{printable(output.name)}` has other content")


@contextmanager
def _writing(folder: Path, size: int = 0) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise disk_error(error, folder, size) from error
        raise MlrunError(
            f"cannot write into `{printable(str(folder))}`: {os.strerror(error.errno or errno.EIO)}",
            code=ExitCode.OUTPUT,
            hint="name another folder",
        ) from error
