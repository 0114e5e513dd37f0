"""A remote behind SSH: files over SFTP, with the user's own `~/.ssh/config`, agent, keys and known hosts.

The only home of asyncssh, which is loaded when used. Everything goes through one connection, whose event loop has a
thread of its own; thousands of small questions are under way at the same time.
"""

import asyncio
import importlib.util
import stat
import time
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import suppress
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from runner.errors import MlrunError
from runner.remote.directory import DAY, SCRATCH
from runner.remote.remote import Item, NotThere, Told, full, too_many, unreachable, vanished
from runner.store.durable import NEW, temporary_name

if TYPE_CHECKING:
    import asyncssh

T = TypeVar("T")

_PIECE = 4 << 20
_PATIENCE = 120.0
"""Seconds for one answer; a server that says nothing for so long is given up."""
_KEEP_ALIVE = 15
_SIDE_BY_SIDE = 64
_OWNER = "look at the owner and mode of the folder there"
_DOTS = frozenset({".", ".."})


class Ssh:
    """The remote in the folder `path` of `host`; a relative path begins in the user's home there."""

    lanes = 16

    def __init__(self, host: str, port: int | None, user: str | None, path: str, shown: str) -> None:
        self.shown = shown
        self._root = path.rstrip("/") or "/"
        self._lock = Lock()
        self._made: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._connection, self._sftp = self._wait(self._connect(host, port, user))
        except BaseException:
            self._end_loop()
            raise

    def items(self, folder: str, most: int) -> list[Item]:
        """The regular files of a folder, read in pieces as the server gives them."""
        entries = self._wait(self._entries(folder, most))
        return [Item(_text(entry.filename), entry.attrs.size or 0) for entry in entries if _is(entry, stat.S_ISREG)]

    def folders(self, folder: str, most: int) -> list[str]:
        """Those in a folder, links excepted."""
        entries = self._wait(self._entries(folder, most))
        return [_text(entry.filename) for entry in entries if _is(entry, stat.S_ISDIR)]

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """Many questions under way at once."""
        return self._wait(self._sizes(list(names)), _PATIENCE + len(names) / 50)

    def upload(self, name: str, source: BinaryIO, size: int, told: Told) -> None:
        """A temporary file, synced where the server can, then renamed over what is there."""
        self._make(SCRATCH)
        self._make(name.rpartition("/")[0])
        try:
            self._upload(name, source, size, told)
        except NotThere as error:
            raise vanished(self.shown) from error

    def _upload(self, name: str, source: BinaryIO, size: int, told: Told) -> None:
        temporary = self._path(f"{SCRATCH}/{temporary_name()}")
        file = self._wait(self._open(temporary, "xb"))
        try:
            written = 0
            try:
                while piece := source.read(_PIECE):
                    self._wait(file.write(piece))
                    written += len(piece)
                    told(len(piece))
                self._wait(self._sync(file))
            finally:
                self._wait(file.close())
            if written != size:
                raise unreachable(self.shown, f"{written:,} bytes were read instead of {size:,}")
            self._wait(self._rename(temporary, self._path(name)))
        except BaseException:
            with suppress(MlrunError):
                self._wait(self._sftp.remove(temporary))
            raise

    def settle(self) -> None:
        """Nothing is left to do: SFTP can sync files, but no folders."""

    def download(self, name: str, offset: int, size: int, told: Told) -> Iterator[bytes]:
        """Asked for what it is before it is opened: a FIFO would let the server wait for ever."""
        found = self._wait(self._size(name))
        if found is None:
            raise NotThere(self.shown, name)
        file = self._wait(self._open(self._path(name), "rb"))
        try:
            while offset < size and (piece := self._wait(file.read(min(_PIECE, size - offset), offset))):
                offset += len(piece)
                told(len(piece))
                yield bytes(piece)
        finally:
            with suppress(MlrunError):
                self._wait(file.close())

    def remove(self, name: str) -> bool:
        """Unlink it."""
        try:
            self._wait(self._sftp.remove(self._path(name)))
        except NotThere:
            return False
        return True

    def sweep(self) -> None:
        """Look at the age of each file in the scratch folder."""
        with suppress(MlrunError):
            self._wait(self._sweep())

    def close(self) -> None:
        """End the connection and its thread."""
        if self._thread.is_alive():
            with suppress(MlrunError):
                self._wait(self._disconnect(), 10.0)
            self._end_loop()

    async def _connect(
        self, host: str, port: int | None, user: str | None
    ) -> "tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]":
        import asyncssh  # heavy, and only installed with an extra

        given: dict[str, Any] = {"port": port, "username": user}
        connection = await asyncssh.connect(
            host,
            **{name: value for name, value in given.items() if value is not None},
            keepalive_interval=_KEEP_ALIVE,
            connect_timeout=30,
        )
        return connection, await connection.start_sftp_client()

    async def _disconnect(self) -> None:
        self._sftp.exit()
        self._connection.close()
        await self._connection.wait_closed()

    async def _entries(self, folder: str, most: int) -> "list[asyncssh.SFTPName]":
        import asyncssh

        found: list[asyncssh.SFTPName] = []
        with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory):
            async for entry in self._sftp.scandir(self._path(folder)):
                if _text(entry.filename) in _DOTS:
                    continue
                if len(found) >= most:
                    raise too_many(self.shown, folder, most)
                found.append(entry)
        return found

    async def _sizes(self, names: list[str]) -> dict[str, int]:
        free = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def ask(name: str) -> int | None:
            async with free:
                return await self._size(name)

        found = await asyncio.gather(*map(ask, names))
        return {name: size for name, size in zip(names, found, strict=True) if size is not None}

    async def _size(self, name: str) -> int | None:
        """None for what is not there, and for what is no regular file."""
        import asyncssh

        try:
            attributes = await self._sftp.lstat(self._path(name))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory):
            return None
        return attributes.size if stat.S_ISREG(attributes.permissions or 0) else None

    async def _open(self, path: str, mode: str) -> Any:
        return await self._sftp.open(path, mode)

    async def _sync(self, file: Any) -> None:
        import asyncssh

        with suppress(asyncssh.SFTPOpUnsupported):
            await file.fsync()

    async def _rename(self, source: str, target: str) -> None:
        import asyncssh

        try:
            await self._sftp.posix_rename(source, target)
        except asyncssh.SFTPOpUnsupported:
            # The plain rename of SFTP refuses a name that is taken: what is there then has the same content, or is
            # damaged and makes way.
            with suppress(asyncssh.SFTPNoSuchFile):
                await self._sftp.remove(target)
            await self._sftp.rename(source, target)

    async def _sweep(self) -> None:
        old = time.time() - DAY
        for entry in await self._sftp.readdir(self._path(SCRATCH)):
            if _text(entry.filename).startswith(NEW) and (entry.attrs.mtime or old) < old:
                await self._sftp.remove(self._path(f"{SCRATCH}/{_text(entry.filename)}"))

    def _make(self, folder: str) -> None:
        """Make a folder and those above it, each once per connection."""
        with self._lock:
            if folder not in self._made:
                try:
                    self._wait(self._sftp.makedirs(self._path(folder), exist_ok=True))
                except NotThere as error:
                    # The library goes on below a folder that it was not allowed to make.
                    raise unreachable(self.shown, f"the folder `{self._root}` cannot be made there", _OWNER) from error
                self._made.add(folder)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _wait(self, work: Coroutine[Any, Any, T], patience: float = _PATIENCE) -> T:
        """The result of something done in the event loop. Raises MlrunError."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(patience)
        except MlrunError:
            raise
        except TimeoutError as error:
            raise unreachable(self.shown, f"it gave no answer for {patience:.0f} s") from error
        except Exception as error:
            raise self._translated(error) from error
        finally:
            future.cancel()

    def _translated(self, error: Exception) -> MlrunError:
        """An error of the library, or of the connection, in words."""
        import asyncssh

        match error:
            case asyncssh.SFTPNoSuchFile() | asyncssh.SFTPNoSuchPath():
                return NotThere(self.shown, "what was asked for")
            case asyncssh.SFTPNoSpaceOnFilesystem() | asyncssh.SFTPQuotaExceeded():
                return full(self.shown)
            case asyncssh.HostKeyNotVerifiable():
                hint = "look at its key with `ssh` once and accept it there: it has to be in `~/.ssh/known_hosts`"
                return unreachable(self.shown, f"the host is not the one that is known: {_words(error)}", hint)
            case asyncssh.PermissionDenied():
                hint = "a key of `~/.ssh`, or of the agent (`ssh-add -l`), must be known to the host"
                return unreachable(self.shown, "the host does not let us in", hint)
            case asyncssh.SFTPPermissionDenied():
                return unreachable(self.shown, "permission denied", _OWNER)
        return unreachable(self.shown, _words(error))

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        if not self._thread.is_alive():
            self._loop.close()


def is_installed() -> bool:
    """Whether the library is here."""
    return importlib.util.find_spec("asyncssh") is not None


def _is(entry: "asyncssh.SFTPName", kind: Callable[[int], bool]) -> bool:
    """The version of SFTP that servers speak tells the kind of a file within its mode."""
    return kind(entry.attrs.permissions or 0)


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


def _words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
