"""Reads files and links of a folder into the store, each in one pass: what is stored is what was hashed.

Every file is opened beneath the folder above it, never through a link: what a link points to is not part of the tree.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.provenance.ignore import IGNORE_FILE, Ignore
from runner.provenance.statcache import StatCache, Whole, mark
from runner.store.tree import EXECUTABLE, FILE, LINK, TreeEntry, path_bytes

MAX_UNTRACKED_FILE = 100_000_000
MAX_UNTRACKED = 1_000_000_000
"""Bytes of untracked files, one and all together, beyond which a capture is refused: they are rarely meant."""

SMALL = 1 << 18
"""Files up to so many bytes are read at once and stored together."""
_TOGETHER = 1024
"""How many small files are stored together."""
_TOGETHER_BYTES = 32 << 20
_POINTER = b"version https://git-lfs.github.com/spec/"
_POINTER_SIZE = 1024
"""A Git LFS pointer is shorter than this (Git LFS specification)."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Objects(Protocol):
    """What a capture needs of the store."""

    def put_many(self, items: Iterable[bytes]) -> list[tuple[Digest, int]]:
        """Store many small contents together; in the order given, digests and sizes."""
        ...

    def put_stream(self, chunks: Iterable[bytes], expected: int = 0) -> tuple[Digest, int]:
        """Store the concatenation of some pieces."""
        ...

    def put_tree(self, entries: Iterable[tuple[str, str, str, int]]) -> Digest:
        """Store a tree manifest."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether an object is there."""
        ...

    def lacking(self, wanted: Iterable[Digest]) -> set[Digest]:
        """Those of very many objects that are not there."""
        ...

    def put_file(self, fd: int) -> tuple[Digest, int]:
        """Store the content of an open regular file."""
        ...

    def open(self, digest: Digest) -> BinaryIO:
        """An object for reading."""
        ...


@dataclass(frozen=True, slots=True)
class Captured:
    """A snapshot in the store. `dirty` tells whether it differs from HEAD's tree.

    `not_captured` lists what the snapshot could not hold, each path with the reason.
    """

    snapshot: Digest
    dirty: bool
    not_captured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A small file that was read but not stored yet; `status` is None if it may not be remembered."""

    path: str
    data: bytes
    blob: str
    status: os.stat_result | None


class TreeReader:
    """Reads what it is told to below `root`; it is closed by leaving its `with` block."""

    def __init__(self, root: Path, objects: Objects, cache: Path | None, *, keep: bool = True) -> None:
        self.root = root
        self.objects = objects
        self.cache = StatCache(cache, root, keep=keep)
        self.ignore_text = read_ignore(root)
        self.ignore = Ignore(self.ignore_text)
        self.not_captured: list[str] = []
        self._lacking = objects.lacking(self.cache.contents())
        self._asked = 0
        self._entries: dict[str, TreeEntry] = {}
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._untracked: dict[str, int] = {}
        try:
            self._stack = [(b"", os.open(root, _FOLDER & ~os.O_NOFOLLOW))]
        except OSError as error:
            raise MlrunError(f"cannot read `{root}`: {error.strerror}", code=ExitCode.INPUT) from error

    def __enter__(self) -> "TreeReader":
        return self

    def __exit__(self, *_: object) -> None:
        for place in self._stack:
            os.close(place[1])
        self._stack.clear()

    def recognise(self, question: str) -> Captured | None:
        """The tree as it was captured last, if `question`, which stands for all that decides besides what the files
        hold, is the same and no file or link has changed since; nothing is read for it."""
        whole = self.cache.whole
        if whole is None or whole.question != question or self._lacking or not self.objects.has(whole.snapshot):
            return None
        try:
            unchanged = all(mark(self._status(path_bytes(path))) == known for path, known in self.cache.marks())
        except OSError:
            return None
        return Captured(whole.snapshot, whole.dirty) if unchanged else None

    def check_untracked(self, paths: Iterable[bytes]) -> None:
        """Refuse to swallow data sets that lie about in the tree. Raises MlrunError (POLICY)."""
        for path in paths:
            folder = self._enter(path.rpartition(b"/")[0])
            if folder is not None:
                try:
                    status = os.stat(path.rpartition(b"/")[2], dir_fd=folder, follow_symlinks=False)
                except OSError:
                    continue
                self._untracked[text(path)] = status.st_size
        large = {path: size for path, size in self._untracked.items() if size > MAX_UNTRACKED_FILE}
        if not large and sum(self._untracked.values()) > MAX_UNTRACKED:
            large = dict(sorted(self._untracked.items(), key=lambda item: -item[1])[:5])
        if large:
            listed = ", ".join(f"`{path}` ({size / 1e6:.0f} MB)" for path, size in large.items())
            raise MlrunError(
                f"untracked files are too large to be recorded as code: {listed}",
                code=ExitCode.POLICY,
                hint=f"list them in `.gitignore` or `{text(IGNORE_FILE)}`, and give data to steps as inputs",
            )

    def is_folder(self, path: bytes) -> bool:
        """Whether there is a folder, not reached through a link."""
        return self._enter(path) is not None

    def read(self, path: bytes, algorithm: str = "sha1") -> tuple[str, str] | None:
        """Take one file or link: its mode and blob id, made by git's `algorithm` (`sha1` or `sha256`).

        One that is gone is absent, as a deleted tracked file is; one that may not be read is listed.
        Raises MlrunError (INPUT) for a file that the disk cannot give.
        """
        parent, _, name = path.rpartition(b"/")
        self._asked += 1
        try:
            folder = self._enter(parent)
            if folder is None:
                return None
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                return self._read_file(folder, name, text(path), status, algorithm)
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(name, dir_fd=folder)
                self.cache.note(text(path), status)
                self._entries[text(path)] = TreeEntry(text(path), LINK, text(target), len(target))
                return LINK, _blob_id(target, algorithm)
            if not stat.S_ISDIR(status.st_mode):
                self.not_captured.append(f"{text(path)}: neither a file nor a link")
        except FileNotFoundError:
            pass
        except PermissionError:
            self.not_captured.append(f"{text(path)}: it may not be read")
        except OSError as error:
            raise MlrunError(f"cannot read `{text(path)}`: {error.strerror}", code=ExitCode.INPUT) from error
        return None

    def finish(self, *, dirty: bool, question: str | None = None) -> Captured:
        """Store the manifest of everything that was read; with `question` it can be recognised the next time."""
        self.flush()
        snapshot = self.objects.put_tree(self._entries.values())
        is_known = not self.not_captured and len(self.cache) == self._asked
        self.cache.save(Whole(question, snapshot, dirty) if question is not None and is_known else None)
        return Captured(snapshot, dirty, tuple(self.not_captured))

    def sha256(self, path: str) -> str | None:
        """The SHA-256 hash of a file that was read; None for another."""
        self.flush()
        entry = self._entries.get(path)
        if entry is None or entry.mode == LINK:
            return None
        return self._hash_stored(Digest(entry.content), "sha256")

    def place(self, path: bytes) -> Path:
        """Where `path` is on this machine."""
        return self.root / os.fsdecode(path)

    def _enter(self, path: bytes) -> int | None:
        """A descriptor of the folder; None when there is none or a link is in the way."""
        stack = self._stack
        if stack[-1][0] == path:
            return stack[-1][1]
        while stack[-1][0] and not path.startswith(stack[-1][0] + b"/"):
            os.close(stack.pop()[1])
        above = stack[-1][0]
        if above == path:
            return stack[-1][1]
        for name in path[len(above) + 1 if above else 0 :].split(b"/"):
            above = above + b"/" + name if above else name
            try:
                stack.append((above, os.open(name, _FOLDER, dir_fd=stack[-1][1])))
            except PermissionError:
                raise
            except OSError:
                return None
        return stack[-1][1]

    def _status(self, path: bytes) -> os.stat_result:
        """Raises OSError, also for a link in the way."""
        parent, _, name = path.rpartition(b"/")
        folder = self._enter(parent)
        if folder is None:
            raise FileNotFoundError(path)
        return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def _read_file(
        self, folder: int, name: bytes, path: str, status: os.stat_result, algorithm: str
    ) -> tuple[str, str] | None:
        mode = EXECUTABLE if status.st_mode & 0o100 else FILE
        known = self.cache.find(path, status)
        if known is not None and known[0] not in self._lacking:
            self._entries[path] = TreeEntry(path, mode, known[0], status.st_size)
            return mode, known[1]
        fd = os.open(name, _FILE, dir_fd=folder)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                self.not_captured.append(f"{path}: neither a file nor a link")
                return None
            if status.st_size > SMALL:
                return mode, self._store_large(path, mode, fd, status, algorithm)
            with os.fdopen(fd, "rb", closefd=False) as file:
                data = file.read()
            unchanged = mark(os.fstat(fd)) == mark(status)
        finally:
            os.close(fd)
        if len(data) < _POINTER_SIZE and data.startswith(_POINTER):
            self.not_captured.append(f"{path}: a Git LFS pointer, its content is not here")
            unchanged = False
        blob = _blob_id(data, algorithm)
        self._waiting.append(_Waiting(path, data, blob, status if unchanged else None))
        self._waiting_bytes += len(data)
        self._entries[path] = TreeEntry(path, mode, "", len(data))
        if len(self._waiting) >= _TOGETHER or self._waiting_bytes >= _TOGETHER_BYTES:
            self.flush()
        return mode, blob

    def _store_large(self, path: str, mode: str, fd: int, status: os.stat_result, algorithm: str) -> str:
        """Store an open file in one pass; its blob id is that of the stored bytes, whatever the file does meanwhile."""
        digest, size = self.objects.put_file(fd)
        blob = self._hash_stored(digest, algorithm, b"blob %d\0" % size)
        if mark(os.fstat(fd)) == mark(status):
            self.cache.note(path, status, digest, blob)
        self._entries[path] = TreeEntry(path, mode, digest, size)
        return blob

    def _hash_stored(self, digest: Digest, algorithm: str, start: bytes = b"") -> str:
        hasher = hashlib.new(algorithm, start, usedforsecurity=False)
        with self.objects.open(digest) as file:
            while block := file.read(SMALL):
                hasher.update(block)
        return hasher.hexdigest()

    def flush(self) -> None:
        """Store the small files that wait, all together: a sync for each would cost far more."""
        stored = self.objects.put_many(waiting.data for waiting in self._waiting)
        for waiting, (digest, _) in zip(self._waiting, stored, strict=True):
            self._entries[waiting.path] = self._entries[waiting.path]._replace(content=digest)
            if waiting.status is not None:
                self.cache.note(waiting.path, waiting.status, digest, waiting.blob)
        self._waiting.clear()
        self._waiting_bytes = 0


def read_ignore(root: Path) -> bytes:
    """The `.vhignore` at `root`, empty without one; a link or anything else of that name is not followed."""
    try:
        fd = os.open(os.fsencode(root) + b"/" + IGNORE_FILE, _FILE)
    except OSError:
        return b""
    with os.fdopen(fd, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(fd).st_mode) else b""


def text(path: bytes) -> str:
    """A path as records have it: UTF-8, undecodable bytes as lone surrogates."""
    return path.decode("utf-8", "surrogateescape")


def pointer_oid(data: bytes) -> str | None:
    """The SHA-256 hash that a Git LFS pointer names; None for anything else."""
    if len(data) >= _POINTER_SIZE or not data.startswith(_POINTER):
        return None
    for line in data.decode("utf-8", "replace").splitlines():
        if line.startswith("oid sha256:"):
            return line.removeprefix("oid sha256:").strip()
    return None


def _blob_id(data: bytes, algorithm: str) -> str:
    """Git's name for a blob: a hash over a header and the content (gitformat-pack(5))."""
    return hashlib.new(algorithm, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
