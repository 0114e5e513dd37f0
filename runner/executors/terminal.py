"""The caller's terminal joined to a program that runs elsewhere: every byte both ways, its size, and always put back.

Knows descriptors and terminals (termios(3), pty(7)), not what the program is: that is behind a `Link`. The program
never gets the caller's terminal itself, but one of its own, so that it cannot type on the caller's (ioctl_tty(2),
TIOCSTI).
"""

import fcntl
import os
import select
import struct
import sys
import termios
import tty
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from runner.job import LogChunk, Stream

_READ = 1 << 16
_MOST = 1 << 16
"""Bytes typed or piped ahead of what the program has taken; beyond them the caller's input waits."""

_LOOK = 200
"""Milliseconds after which the size of the terminal is looked at again. Asking works in any thread; the signal that
tells of a new size (SIGWINCH) can be caught in the main thread only."""

_PLAIN = b"\x1b[?1049l\x1b[?1000l\x1b[?2004l\x1b[?25h\x1b[0m"
"""Undoes what a killed program may have left: another screen, mouse reports, marked paste, no cursor, colours."""


@dataclass(frozen=True, slots=True)
class Streams:
    """The descriptors that a program gets as its standard streams."""

    stdin: int
    stdout: int
    stderr: int

    def close(self) -> None:
        """Close them here; called once, when the program has them."""
        for fd in {self.stdin, self.stdout, self.stderr}:
            os.close(fd)


class Link(ABC):
    """The program's side of a conversation. No method blocks."""

    @property
    @abstractmethod
    def sources(self) -> list[int]:
        """Descriptors that `receive` reads; none once the program has said all."""

    @property
    @abstractmethod
    def sink(self) -> int:
        """The descriptor that `send` writes to, -1 when the program takes no more."""

    @abstractmethod
    def receive(self, source: int) -> list[LogChunk]:
        """What the program says now, which may be nothing; at its end the descriptor is no source any more."""

    @abstractmethod
    def send(self, data: bytes) -> int:
        """How many of the bytes the program took."""

    @abstractmethod
    def finish(self) -> None:
        """There is no more input. Idempotent."""

    @abstractmethod
    def resize(self, rows: int, columns: int) -> None:
        """The terminal has this size."""

    @abstractmethod
    def close(self) -> None:
        """Free what is open. Idempotent."""


class PtyLink(Link):
    """A program on a terminal of its own, of which this is the other end."""

    def __init__(self, main: int) -> None:
        os.set_blocking(main, False)
        self._main = main
        self._ended = False

    @property
    def sources(self) -> list[int]:
        """See `Link`."""
        return [] if self._ended else [self._main]

    @property
    def sink(self) -> int:
        """See `Link`."""
        return -1 if self._ended else self._main

    def receive(self, source: int) -> list[LogChunk]:
        """See `Link`; a terminal that nobody has open any more cannot be read (EIO)."""
        try:
            data = os.read(self._main, _READ)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self._ended = not data
        return [LogChunk("stdout", data)] if data else []

    def send(self, data: bytes) -> int:
        """See `Link`."""
        return _write_some(self._main, data)

    def finish(self) -> None:
        """A terminal has no end of input but the one that is typed."""

    def resize(self, rows: int, columns: int) -> None:
        """See `Link`; the kernel tells the program."""
        with suppress(OSError):
            fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """See `Link`; what still runs on the terminal is hung up."""
        if self._main >= 0:
            os.close(self._main)
            self._main, self._ended = -1, True


class PipeLink(Link):
    """A program behind three pipes."""

    def __init__(self, stdin: int, stdout: int, stderr: int) -> None:
        for fd in (stdin, stdout, stderr):
            os.set_blocking(fd, False)
        self._stdin = stdin
        self._streams: dict[int, Stream] = {stdout: "stdout", stderr: "stderr"}

    @property
    def sources(self) -> list[int]:
        """See `Link`."""
        return list(self._streams)

    @property
    def sink(self) -> int:
        """See `Link`."""
        return self._stdin

    def receive(self, source: int) -> list[LogChunk]:
        """See `Link`."""
        try:
            data = os.read(source, _READ)
        except BlockingIOError:
            return []
        if data:
            return [LogChunk(self._streams[source], data)]
        del self._streams[source]
        os.close(source)
        return []

    def send(self, data: bytes) -> int:
        """See `Link`."""
        return _write_some(self._stdin, data)

    def finish(self) -> None:
        """See `Link`."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def resize(self, rows: int, columns: int) -> None:
        """Pipes have no size."""

    def close(self) -> None:
        """See `Link`."""
        self.finish()
        for fd in self._streams:
            os.close(fd)
        self._streams = {}


def is_interactive() -> bool:
    """Whether somebody sits in front of us: standard input and output are terminals."""
    return os.isatty(0) and os.isatty(1)


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What a program on a terminal must know of it, from our own variables."""
    return {"TERM": environment.get("TERM") or "xterm"} if is_interactive() else {}


def open_link() -> tuple[Link, Streams]:
    """A link and its other end, as the standard streams of a program: a terminal of its own if we have one, else pipes.

    The caller closes both. Raises OSError.
    """
    if is_interactive():
        main, side = os.openpty()
        link = PtyLink(main)
        link.resize(*_size())
        return link, Streams(side, side, side)
    (stdin, to), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
    return PipeLink(to, out, err), Streams(stdin, stdout, stderr)


@contextmanager
def raw() -> Iterator[None]:
    """While this lasts, keys go to the program as they are: Ctrl-C too. Nothing changes where there is no terminal."""
    if not is_interactive():
        yield
        return
    # What was written so far must not wait until the program has ended.
    sys.stdout.flush()
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0, termios.TCSANOW)
        yield
    finally:
        # A terminal that is gone need not be put back.
        with suppress(termios.error):
            termios.tcsetattr(0, termios.TCSANOW, before)


def relay(link: Link, until: int | None) -> bool:
    """Carry bytes until the program has said all and ended; False if its terminal went away or `until`, a descriptor,
    became readable before. Call it under `raw`. Raises BrokenPipeError when nobody reads our output any more."""
    pending, listening, size, interactive = b"", True, (0, 0), is_interactive()
    while sources := link.sources:
        if interactive and (seen := _size()) != size:
            size = seen
            link.resize(*size)
        poll = select.poll()
        for fd, mask in _wanted(link, sources, pending, listening, until).items():
            poll.register(fd, mask)
        ready = dict(poll.poll(_LOOK if interactive else None))
        if until is not None and until in ready:
            return _abandon(interactive)
        for source in sources:
            if source in ready and not _pass_on(link.receive(source), interactive):
                return _abandon(interactive)
        if listening and 0 in ready:
            data = _read_input()
            if not data and interactive:
                return _abandon(interactive)
            pending, listening = pending + data, bool(data)
        if link.sink < 0:
            pending, listening = b"", False
        elif pending:
            pending = pending[link.send(pending) :]
        if not listening and not pending:
            link.finish()
    return True


def _wanted(link: Link, sources: list[int], pending: bytes, listening: bool, until: int | None) -> dict[int, int]:
    """The descriptors to wait for, each with what for; one may be both a source and the sink."""
    wanted = dict.fromkeys(sources, select.POLLIN)
    if pending and link.sink >= 0:
        wanted[link.sink] = wanted.get(link.sink, 0) | select.POLLOUT
    if listening and len(pending) < _MOST:
        wanted[0] = select.POLLIN
    if until is not None:
        wanted[until] = select.POLLIN
    return wanted


def _pass_on(chunks: list[LogChunk], interactive: bool) -> bool:
    """Write what the program said; whether our terminal took it."""
    for chunk in chunks:
        rest = memoryview(chunk.data)
        while rest:
            try:
                rest = rest[os.write(1 if chunk.stream == "stdout" else 2, rest) :]
            except BlockingIOError:
                # Somebody who shares our output has made it so.
                select.select([], [1, 2], [])
            except OSError as error:
                if not interactive or isinstance(error, BrokenPipeError):
                    raise
                return False
    return True


def _read_input() -> bytes:
    """What stands on standard input; nothing at its end, or when the terminal is gone."""
    try:
        return os.read(0, _READ)
    except OSError:
        return b""


def _write_some(fd: int, data: bytes) -> int:
    """How many bytes a descriptor took. To a program that reads no more, everything is said."""
    try:
        return os.write(fd, data[:_READ])
    except BlockingIOError:
        return 0
    except OSError:
        return len(data)


def _abandon(interactive: bool) -> bool:
    """The program is about to be killed in the middle of what it shows: False, for `relay`."""
    if interactive and os.environ.get("TERM") != "dumb":
        with suppress(OSError):
            os.write(1, _PLAIN)
    return False


def _size() -> tuple[int, int]:
    """Rows and columns of our terminal; 24 and 80 where it does not know."""
    try:
        found = os.get_terminal_size(1)
    except OSError:
        return 24, 80
    return found.lines or 24, found.columns or 80
