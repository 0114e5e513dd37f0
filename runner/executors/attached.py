"""A container as the other side of a conversation: an attached socket, framed where there is no terminal.

Knows sockets and the engine's frames; what the container is, its maker knows.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from runner.executors import frames
from runner.executors.terminal import Link
from runner.job import LogChunk

_READ = 1 << 16
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class SocketLink(Link):
    """An attached container. `stream` is what the engine gave, `tell_size` passes rows and columns on to it."""

    def __init__(self, stream: Any, tell_size: Callable[[int, int], None] | None) -> None:
        self._stream = stream
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._socket.setblocking(False)
        self._tell_size = tell_size
        self._buffer = bytearray()
        self._ended = self._finished = False

    @property
    def sources(self) -> list[int]:
        """See `Link`."""
        return [] if self._ended else [self._socket.fileno()]

    @property
    def sink(self) -> int:
        """See `Link`."""
        return -1 if self._ended or self._finished else self._socket.fileno()

    def receive(self, source: int) -> list[LogChunk]:
        """See `Link`. What an encrypted connection has taken in does not show in its descriptor."""
        data = self._read()
        while isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            data += self._read()
        if self._tell_size is not None:
            return [LogChunk("stdout", data)] if data else []
        self._buffer += data
        return list(frames.take_whole(self._buffer))

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(_READ)
        except _NOT_NOW:
            return b""
        except OSError:
            data = b""
        self._ended = not data
        return data

    def send(self, data: bytes) -> int:
        """See `Link`."""
        try:
            return self._socket.send(data)
        except _NOT_NOW:
            return 0
        except OSError:
            return len(data)

    def finish(self) -> None:
        """See `Link`: the engine closes the program's input when our half of the connection is closed."""
        if not self._finished:
            self._finished = True
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def resize(self, rows: int, columns: int) -> None:
        """See `Link`."""
        if self._tell_size is not None:
            self._tell_size(rows, columns)

    def close(self) -> None:
        """See `Link`."""
        self._ended = True
        # The response owns the connection; a stream closed before it would make closing the response fail.
        with suppress(OSError):
            getattr(self._stream, "_response", self._stream).close()
