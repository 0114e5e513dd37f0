"""Writes that survive a power cut, and what to say when the disk refuses. Knows no format.

The order is always: bytes, fsync of the file, rename, fsync of the folder. Without the last step a power cut can undo
a rename that was already reported (see `docs/store-format.md`).
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.errors import ExitCode, MlrunError, is_full, no_room

_OWN = "give it to this user, or set `MLRUN_STORE` to a folder of your own"
_FILES = "raise the limit of open files (`ulimit -n`), or run fewer steps at the same time (`--jobs`)"
_HINTS = {
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.EIO: "check the disk and its messages (`dmesg`)",
    errno.EACCES: _OWN,
    errno.EPERM: _OWN,
    errno.EROFS: "set `MLRUN_STORE` to a folder on a disk that can be written",
}
_MOST = 1 << 20
"""Bytes of one call: ext4 takes many times as long for the same bytes in pieces of some megabytes (Linux 6.18)."""
NEW = ".new-"
"""How the names of files begin that are not finished: every reader of the store passes them over."""

_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every byte; a short write is continued. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view[:_MOST]) :]


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make `folder` (mode 0700) and its missing parents, durably; one that exists is left as it is. Raises OSError."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    sync_folder(folder.parent)


def make_folders(folder: Path, names: Iterable[str]) -> None:
    """Make `folder` as `make_folder` does, and folders of these names in it, durably on return. Raises OSError."""
    make_folder(folder)
    for name in names:
        with suppress(FileExistsError):
            os.mkdir(f"{folder}/{name}", mode=0o700)
    sync_folder(folder)


def temporary_name() -> str:
    """A file name that nobody else uses and that every reader of the store passes over."""
    return f"{NEW}{os.getpid()}-{os.urandom(8).hex()}"


def create(path: Path, mode: int = 0o600) -> int:
    """An open descriptor of a file that did not exist. Raises OSError."""
    return os.open(path, _NEW_FILE, mode)


def name_once(temporary: Path, path: Path) -> None:
    """Give a finished file its name in the same folder. Raises OSError, which is FileExistsError where one of this name
    was made meanwhile: link(2) sees that, and rename(2) does not. Not every disk has links."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        temporary.rename(path)
    else:
        temporary.unlink()


def replace_file(path: Path, data: bytes, mode: int = 0o600, prepare: Callable[[int], None] | None = None) -> None:
    """Put `data` at `path` so that readers see the old or the new content, also after a power cut.

    `prepare` gets the open file before anybody can see it under its name. Raises OSError; then the old content stays.
    """
    temporary = path.parent / temporary_name()
    fd = create(temporary, mode)
    try:
        try:
            write_all(fd, data)
            if prepare is not None:
                prepare(fd)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def refusal(file: Path) -> OSError | None:
    """Why nothing can be written where `file` lies, in the words of the system, which SQLite does not pass on.

    None where it can be opened. On a disk that turned read-only as it failed, access(2) and statvfs(3) see nothing
    (Linux 6.18).
    """
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
    except OSError as error:
        return error
    return None


@contextmanager
def disk_errors(place: Path, needs: int = 0) -> Iterator[None]:
    """Turn an OSError of the block into a MlrunError: DISK when `place` is full, STORE otherwise. `needs` in bytes."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, place, needs) from error


def disk_error(error: OSError, place: Path, needs: int = 0) -> MlrunError:
    """What an OSError below `place` means for the user; `needs` is how many bytes were to be written."""
    if is_full(error):
        return no_room(str(place), needs)
    reason = os.strerror(error.errno) if error.errno else str(error)
    where = error.filename if isinstance(error.filename, str) else str(place)
    return MlrunError(
        f"the store cannot be used: {reason}: `{where}`",
        code=ExitCode.STORE,
        hint=_HINTS.get(error.errno or 0),
    )
