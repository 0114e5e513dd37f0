"""A remote that is one file: what a remote store holds, one behind the other, for a machine that reaches no other.

The file is a POSIX tar archive (pax) of a kind so narrow that a header has one spelling: a reader makes the header anew
from the name and the size that it reads, and compares all of its bytes. So a member is a file with a plain relative
name and nothing else. Nothing is compressed, and nothing is ever unpacked by its name: who reads asks for names.

Only complete files are read. Members stand in the order of their uploads, and no header tells of a time or a person:
the same uploads give the same bytes.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import RLock
from typing import BinaryIO, NamedTuple

from runner.errors import ExitCode, MlrunError, is_full, no_room, write_code
from runner.process import try_lock
from runner.remote.remote import Item, NotThere, Told, too_many, unreachable
from runner.store.durable import sync_folder, temporary_name

MOST_MEMBERS = 4_000_000
MOST_NAME = 255
END = bytes(1024)
"""Two empty blocks (POSIX.1-2017, pax, ustar Interchange Format)."""

_BLOCK = 512
_PIECE = 4 << 20
_PLAIN_NAME = 100
_PLAIN_SIZE = 8 << 30
"""What the fields of a header hold; more stands in records before it."""
_MOST_SIZE = 1 << 60
_MOST_RECORDS = 2 * _BLOCK
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*(?:/[0-9A-Za-z][0-9A-Za-z._-]*)*", re.ASCII)
_RECORD = re.compile(rb"(?:\d{2,3} path=([^\n]+)\n)?(?:\d{2,3} size=(\d{1,19})\n)?\0*")
_OCTAL = re.compile(rb"[0-7]{11}\0")


class Place(NamedTuple):
    """Where the content of a member is in the file, in bytes."""

    offset: int
    size: int


class Bundle:
    """The remote in the file at `path`.

    With `writable` it is made by the first upload, and one process at a time may have it; without, it has to be there,
    complete. Making one raises MlrunError: INPUT when there is no such file, STORE for one that is no bundle or is
    damaged, LOCKED.
    """

    lanes = 1
    """Uploads stand in the order in which they are asked for."""

    def __init__(self, path: Path, shown: str, *, writable: bool = False) -> None:
        self.shown = shown
        self._path = path
        self._writable = writable
        self._lock = RLock()
        self._places: dict[str, Place] = {}
        self._end = self._settled = 0
        """Where the members end, and where they ended when they were last made durable."""
        self._holes = False
        self._fd = -1
        with self._errors():
            if not writable or path.exists():
                self._open()

    def items(self, folder: str, most: int) -> list[Item]:
        """Those of its members that have no further `/`."""
        found = [Item(rest, place.size) for rest, place in self._below(folder) if "/" not in rest]
        if len(found) > most:
            raise too_many(self.shown, folder, most)
        return found

    def folders(self, folder: str, most: int) -> list[str]:
        """What stands before the next `/`."""
        found = {rest.partition("/")[0] for rest, _ in self._below(folder) if "/" in rest}
        if len(found) > most:
            raise too_many(self.shown, folder, most)
        return sorted(found)

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """As the headers tell."""
        with self._lock:
            return {name: self._places[name].size for name in names if name in self._places}

    def upload(self, name: str, source: BinaryIO, size: int, told: Told) -> None:
        """Write it behind the others; one that it replaces stays in the file until the next `settle`."""
        if not _is_name(name):
            raise ValueError(f"no name of a member: {name!r}")
        with self._lock, self._errors(size):
            if self._fd < 0:
                self._open()
            header = encode_header(name, size)
            try:
                offset = _write(self._fd, self._end, header)
                end = self._append(offset, source, size, told)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(self._fd, self._end)
                raise
            self._holes = self._holes or name in self._places
            self._places[name] = Place(offset, size)
            self._end = end

    def settle(self) -> None:
        """Write the end, and sync; without what was replaced or removed."""
        with self._lock, self._errors():
            if self._fd < 0 or not self._writable:
                return
            if self._holes:
                self._compact()
            self._seal(self._end)

    def download(self, name: str, offset: int, size: int, told: Told) -> Iterator[bytes]:
        """Read from the file."""
        with self._errors():
            place = self._places.get(name)
            if place is None:
                raise NotThere(self.shown, name)
            end = min(size, place.size)
            while offset < end:
                piece = os.pread(self._fd, min(_PIECE, end - offset), place.offset + offset)
                if not piece:
                    return
                offset += len(piece)
                told(len(piece))
                yield piece

    def remove(self, name: str) -> bool:
        """Write the file without it."""
        with self._lock, self._errors():
            if self._places.pop(name, None) is None:
                return False
            self._holes = True
            self.settle()
            return True

    def sweep(self) -> None:
        """Uploads leave nothing beside the file."""

    def close(self) -> None:
        """Give up what was not settled."""
        with self._lock:
            if self._fd < 0:
                return
            if self._writable and self._end != self._settled:
                with suppress(OSError):
                    self._seal(self._settled)
            os.close(self._fd)
            self._fd = -1
            self._places = {}

    def members(self) -> Iterator[tuple[str, Place]]:
        """All of them, in their order."""
        yield from self._places.items()

    def _below(self, folder: str) -> Iterator[tuple[str, Place]]:
        start = f"{folder}/" if folder else ""
        with self._lock:
            return iter([(name[len(start) :], at) for name, at in self._places.items() if name.startswith(start)])

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT if self._writable else os.O_RDONLY
        fd = os.open(self._path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise self._refused("it is no regular file")
            if self._writable and not _is_ours(fd):
                raise MlrunError(f"`{self.shown}` is being written by another process", code=ExitCode.LOCKED)
            if status.st_size or not self._writable:
                self._places, self._end = self._read(fd, status.st_size)
                self._settled = self._end
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def _read(self, fd: int, size: int) -> tuple[dict[str, Place], int]:
        """All members, and where they end."""
        places: dict[str, Place] = {}
        at = 0
        while (first := os.pread(fd, _BLOCK, at)) != END[:_BLOCK]:
            try:
                name, length, header = decode_header(first, partial(_pread, fd, at))
            except ValueError as error:
                if at == 0:
                    raise self._refused(f"it is no bundle of mlrun: {error}") from None
                raise self._refused(f"its member at byte {at:,} cannot be believed: {error}") from None
            if at + header + _padded(length) + len(END) > size:
                raise self._refused(f"it is cut off within the member at byte {at:,}")
            if name in places:
                raise self._refused(f"it has two members of one name, the second at byte {at:,}")
            if len(places) >= MOST_MEMBERS:
                raise self._refused(f"it has more than {MOST_MEMBERS:,} members")
            places[name] = Place(at + header, length)
            at += header + _padded(length)
        if os.pread(fd, len(END) + 1, at) != END:
            raise self._refused(f"it does not end with its members at byte {at:,}")
        return places, at

    def _append(self, at: int, source: BinaryIO, size: int, told: Told) -> int:
        """Write the content; where the next header goes."""
        written = 0
        while piece := source.read(_PIECE):
            _write(self._fd, at + written, piece)
            written += len(piece)
            told(len(piece))
        if written != size:
            raise unreachable(self.shown, f"{written:,} bytes were read instead of {size:,}")
        return _write(self._fd, at + written, bytes(_padded(size) - size))

    def _seal(self, end: int) -> None:
        _write(self._fd, end, END)
        os.ftruncate(self._fd, end + len(END))
        os.fsync(self._fd)
        sync_folder(self._path.parent)
        self._end = self._settled = end

    def _compact(self) -> None:
        """Write a new file of what is left, which takes the place of this one."""
        temporary = self._path.parent / temporary_name()
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            _is_ours(fd)
            places, end = _copy(self._fd, self._places, fd)
            _write(fd, end, END)
            os.fsync(fd)
            os.replace(temporary, self._path)
        except BaseException:
            os.close(fd)
            temporary.unlink(missing_ok=True)
            raise
        os.close(self._fd)
        self._fd, self._places, self._end, self._holes = fd, places, end, False

    def _refused(self, what: str) -> MlrunError:
        return MlrunError(
            f"`{self.shown}` is refused: {what}",
            code=ExitCode.STORE,
            hint="nothing was taken; whoever made the file can export it again with this version of `mlrun`",
        )

    @contextmanager
    def _errors(self, needs: int = 0) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if is_full(error):
                raise no_room(str(self._path.parent), needs) from error
            raise MlrunError(
                f"`{self.shown}` cannot be {'written' if self._writable else 'read'}:"
                f" {os.strerror(error.errno or errno.EIO)}",
                code=write_code(error) if self._writable else ExitCode.INPUT,
                hint="name another place" if self._writable else None,
            ) from error


def encode_header(name: str, size: int) -> bytes:
    """The header of a member; with records before it where the fields are too small."""
    data = name.encode("ascii")
    records = b""
    if len(data) > _PLAIN_NAME:
        records += _record(b"path", data)
    if size >= _PLAIN_SIZE:
        records += _record(b"size", b"%d" % size)
    # The start of a long name is in the prefix as well, so that a checksum covers all of it.
    header = _ustar(data[-_PLAIN_NAME:], size if size < _PLAIN_SIZE else 0, b"0", data[:-_PLAIN_NAME])
    if not records:
        return header
    return _ustar(b"records", len(records), b"x") + records.ljust(_padded(len(records)), b"\0") + header


def decode_header(first: bytes, read: Callable[[int], bytes]) -> tuple[str, int, int]:
    """Name and size of a member, and the size of its header, which begins with the block `first`; `read` gives that
    many bytes from there on. Raises ValueError for any header that `encode_header` would not have made."""
    if len(first) < _BLOCK:
        raise ValueError("it is cut off")
    header, path, size = first, b"", b""
    if first[156:157] == b"x":
        records = _number(first[124:136])
        if records > _MOST_RECORDS:
            raise ValueError("its header is too large")
        header = read(_BLOCK + _padded(records) + _BLOCK)
        found = _RECORD.fullmatch(header[_BLOCK:-_BLOCK])
        if found is None:
            raise ValueError("its header has unknown records")
        path, size = found[1] or b"", found[2] or b""
    last = header[-_BLOCK:]
    name = (path or last[:_PLAIN_NAME].rstrip(b"\0")).decode("ascii", "replace")
    length = int(size) if size else _number(last[124:136])
    if not _is_name(name) or length >= _MOST_SIZE:
        raise ValueError("its name is none that `mlrun` gives")
    if encode_header(name, length) != header:
        raise ValueError("its header is none that `mlrun` writes")
    return name, length, len(header)


def _ustar(name: bytes, size: int, kind: bytes, prefix: bytes = b"") -> bytes:
    """A block of the ustar format: readable by all, of nobody, from 1970."""
    block = bytearray(_BLOCK)
    block[: len(name)] = name
    # Mode, user and group; size; time of the last change.
    block[100:148] = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (0o444, 0, 0, size, 0)
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257:262], block[263:265] = b"ustar", b"00"
    block[329:345] = b"%07o\0%07o\0" % (0, 0)
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _record(key: bytes, value: bytes) -> bytes:
    """A record of an extended header: it begins with its own length."""
    length = len(key) + len(value) + 3
    digits = len(str(length + len(str(length))))
    digits = len(str(length + digits))
    return b"%d %s=%s\n" % (length + digits, key, value)


def _number(field: bytes) -> int:
    if not _OCTAL.fullmatch(field):
        raise ValueError("its size is none")
    return int(field[:-1], 8)


def _is_name(name: str) -> bool:
    return len(name) <= MOST_NAME and _NAME.fullmatch(name) is not None


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _is_ours(fd: int) -> bool:
    """Whether nobody else writes the file; a file system without locks leaves it to the user."""
    try:
        return try_lock(fd, fcntl.LOCK_EX)
    except OSError:
        return True


def _pread(fd: int, at: int, count: int) -> bytes:
    return os.pread(fd, count, at)


def _write(fd: int, at: int, data: bytes) -> int:
    """Where the data ends."""
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, at)
        view, at = view[count:], at + count
    return at


def _copy(source: int, places: dict[str, Place], target: int) -> tuple[dict[str, Place], int]:
    """Write members behind one another; where they are then, and where they end."""
    copied: dict[str, Place] = {}
    end = 0
    for name, place in places.items():
        end = _write(target, end, encode_header(name, place.size))
        copied[name] = Place(end, place.size)
        for offset in range(0, place.size, _PIECE):
            piece = os.pread(source, min(_PIECE, place.size - offset), place.offset + offset)
            _write(target, end + offset, piece)
        end += _padded(place.size)
    return copied, end
