"""A remote in an object store: `s3://`, `gs://` and `azure://`. An upload is seen whole or not at all.

What fails in passing is tried again; a large content is sent in parts, and its name is there when the last has arrived.
"""

import errno
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, BinaryIO, TypeVar

from runner.data.cloud import (
    CLOUDS,
    first_words,
    is_installed,
    is_passing,
    lacks_credentials,
    looked_for,
    open_system,
)
from runner.data.download import PassingFault, try_again
from runner.errors import ExitCode, MlrunError
from runner.remote.remote import Halted, Item, NotThere, Told, too_many, unreachable

T = TypeVar("T")

_PIECE = 16 << 20
_WORTH_LISTING = 8
"""From so many names in one folder on, listing it costs fewer round trips than asking for each."""
_MOST_BESIDE = 1_000_000
"""Entries of one folder of objects; a remote of 256 million is not one of ours."""


class _Beyond(Exception):
    """A range begins where the content has ended."""


class Bucket:
    """The remote below the prefix `root`, which begins with the bucket or container."""

    lanes = 16

    def __init__(self, scheme: str, account: str, root: str, shown: str) -> None:
        self.shown = shown
        self._cloud = CLOUDS[scheme]
        self._account = account
        self._root = root.strip("/")
        self._stranger = False
        self._lock = Lock()
        if not is_installed(self._cloud):
            raise MlrunError(
                f"the remote `{shown}` needs the package `{self._cloud.package}`, which is not installed",
                code=ExitCode.INPUT,
                hint=f"`pip install 'mlrun-yaml[{self._cloud.extra}]'`",
            )
        self._system = self._open()

    def items(self, folder: str, most: int) -> list[Item]:
        """The keys right below a prefix."""
        return [item for about in self._listed(folder, most) if (item := _item(about)) is not None]

    def folders(self, folder: str, most: int) -> list[str]:
        """What stands before a further `/` in the keys below a prefix."""
        listed = self._listed(folder, most)
        return [_last(about) for about in listed if about.get("type") == "directory"]

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """By lists of the folders that hold many of the names, else one by one."""
        folders: dict[str, list[str]] = {}
        for name in names:
            folders.setdefault(name.rpartition("/")[0], []).append(name)
        found: dict[str, int] = {}
        for folder, wanted in folders.items():
            if len(wanted) < _WORTH_LISTING:
                found |= {name: size for name in wanted if (size := self._size(name)) is not None}
                continue
            there = dict(self.items(folder, _MOST_BESIDE))
            found |= {name: size for name in wanted if (size := there.get(name.rpartition("/")[2])) is not None}
        return found

    def upload(self, name: str, source: BinaryIO, size: int, told: Told) -> None:
        """One request, or as many parts as it takes."""

        def attempt() -> None:
            source.seek(0)
            if size <= _PIECE:
                self._system.pipe_file(self._path(name), source.read())
                told(size)
            else:
                self._upload_parts(name, source, told)

        self._tried(attempt)

    def settle(self) -> None:
        """Nothing is left to do: what was uploaded is durable."""

    def download(self, name: str, offset: int, size: int, told: Told) -> Iterator[bytes]:
        """Ranges, one after the other."""
        while offset < size:
            end = min(size, offset + _PIECE)
            piece = self._get(name, offset, end)
            told(len(piece))
            yield piece
            if offset + len(piece) < end:
                return
            offset = end

    def remove(self, name: str) -> bool:
        """Delete the key."""
        if self._size(name) is None:
            return False
        with suppress(FileNotFoundError):
            self._tried(lambda: self._system.rm_file(self._path(name)))
        return True

    def sweep(self) -> None:
        """Nothing is left to do: parts of broken uploads have no name, and the store's own rules remove them."""

    def close(self) -> None:
        """Nothing is left to do: the connections end with the process."""

    def _listed(self, folder: str, most: int) -> list[Mapping[str, Any]]:
        try:
            listed = list(self._tried(lambda: self._system.ls(self._path(folder), detail=True)))
        except FileNotFoundError:
            return []
        if len(listed) > most:
            raise too_many(self.shown, folder, most)
        return listed

    def _upload_parts(self, name: str, source: BinaryIO, told: Told) -> None:
        file = self._system.open(self._path(name), "wb", block_size=_PIECE, autocommit=False)
        try:
            while piece := source.read(_PIECE):
                file.write(piece)
                told(len(piece))
            file.close()
            file.commit()
        except BaseException:
            # Closed as it is, it would appear with what it has so far.
            file.closed = True
            with suppress(Exception):
                file.discard()
            raise

    def _get(self, name: str, offset: int, end: int) -> bytes:
        try:
            return bytes(self._tried(lambda: self._system.cat_file(self._path(name), start=offset, end=end)))
        except FileNotFoundError as error:
            raise NotThere(self.shown, name) from error
        except _Beyond:
            return b""

    def _size(self, name: str) -> int | None:
        try:
            item = _item(self._tried(lambda: self._system.info(self._path(name))))
        except FileNotFoundError:
            return None
        return None if item is None else item.size

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _open(self) -> Any:
        try:
            return open_system(self._cloud, self._account, stranger=self._stranger)
        except Exception as error:
            raise self._translated(error) from error

    def _tried(self, ask: Callable[[], T]) -> T:
        """What `ask` gives; faults that may pass are tried again. Raises MlrunError and FileNotFoundError."""
        try:
            return try_again(lambda: self._asked(ask), lambda: 0)
        except PassingFault as fault:
            raise unreachable(self.shown, fault.why) from fault

    def _asked(self, ask: Callable[[], T]) -> T:
        """Who has no credentials asks as a stranger."""
        try:
            return ask()
        except (MlrunError, Halted, FileNotFoundError):
            raise
        except Exception as error:
            if getattr(error, "errno", None) == errno.EINVAL and "range" in str(error):
                raise _Beyond from error
            if not self._stranger and lacks_credentials(error):
                with self._lock:
                    self._stranger = True
                    self._system = self._open()
                return self._asked(ask)
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> MlrunError | PassingFault:
        if isinstance(error, PermissionError) or lacks_credentials(error):
            nobody = self._stranger or lacks_credentials(error)
            why = "no credentials were found" if nobody else first_words(error)
            return unreachable(self.shown, why, f"looked for: {looked_for(self._cloud)}")
        return PassingFault(first_words(error)) if is_passing(error) else unreachable(self.shown, first_words(error))


def _item(about: Mapping[str, Any]) -> Item | None:
    """None for what is no content."""
    size = about.get("size")
    if about.get("type") != "file" or not isinstance(size, int):
        return None
    return Item(_last(about), size)


def _last(about: Mapping[str, Any]) -> str:
    return str(about["name"]).rstrip("/").rpartition("/")[2]
