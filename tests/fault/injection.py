"""Stops a process at one of its changes of the disk, or makes that change fail.

The kernel tells of every such call before it is carried out (seccomp user notifications) and waits for an answer. Calls
of all threads of the process come in one sequence, so that each of them is a point that can be reached; a tracer such
as strace counts the calls of every thread for itself. Programs that the process starts are let through.
"""

import ctypes
import errno
import fcntl
import io
import os
import platform
import select
import signal
import socket
import stat
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_NUMBERS = {
    "x86_64": {
        "read": 0, "pread64": 17,
        "write": 1, "pwrite64": 18, "writev": 20, "sendfile": 40, "fsync": 74, "fdatasync": 75, "ftruncate": 77,
        "rename": 82, "mkdir": 83, "rmdir": 84, "link": 86, "unlink": 87, "symlink": 88, "fchmod": 91, "openat": 257,
        "mkdirat": 258, "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "sync_file_range": 277,
        "fallocate": 285, "syncfs": 306, "renameat2": 316, "copy_file_range": 326, "ioctl": 16,
    },
    "aarch64": {
        "read": 63, "pread64": 67,
        "write": 64, "pwrite64": 68, "writev": 66, "sendfile": 71, "fsync": 82, "fdatasync": 83, "ftruncate": 46,
        "fchmod": 52, "openat": 56, "mkdirat": 34, "unlinkat": 35, "renameat": 38, "linkat": 37, "symlinkat": 36,
        "sync_file_range": 84, "fallocate": 47, "syncfs": 267, "renameat2": 276, "copy_file_range": 285, "ioctl": 29,
    },
}  # fmt: skip
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_PIDFD_GETFD = 438

SYNCS = frozenset({"fsync", "fdatasync", "syncfs", "sync_file_range"})
WRITES = frozenset({"write", "pwrite64", "writev", "sendfile", "copy_file_range", "fallocate", "ioctl"})
MAKES = frozenset({"openat", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat"})
READS = frozenset({"read", "pread64"})
CHANGES = frozenset(_NUMBERS["x86_64"]) - READS
"""Every kind of change; opening counts where it makes a file, `ioctl` where it makes a reflink."""

_BY_DESCRIPTOR = READS | frozenset(
    {"write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "fchmod", "fallocate"}
)
_FICLONE = 0x40049409
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_NOTIFICATION = struct.Struct("=QII iIQ 6Q")
_ANSWER = struct.Struct("=QqiI")
_PATIENCE = 60.0
"""Seconds after which a process that tells of nothing counts as hanging."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the `at`-th of some calls, counted from 1, and with `lasting` at all later ones: `KILL`, `SHORT`
    (half of the bytes are written) or the name of an error. With `of`, only files with this in their paths count, and
    only for calls that name them by a descriptor."""

    at: int
    kind: str = "KILL"
    calls: frozenset[str] = CHANGES
    lasting: bool = False
    of: str = ""

    def hits(self, number: int) -> bool:
        """Whether the call of this number is struck."""
        return number >= self.at if self.lasting else number == self.at


@dataclass(slots=True)
class Ended:
    """How a process under injection ended: exit code (negative: the signal), what it printed, the calls that could
    have been struck in all, and how many were."""

    code: int
    out: str
    err: str
    calls: int
    struck: int
    kinds: Counter[str] = field(default_factory=Counter)
    struck_call: str = ""


class Hanging(AssertionError):
    """A process, or what it started, did not come to an end."""


def is_possible() -> str | None:
    """None where calls can be told of, else the reason why not."""
    if platform.machine() not in _NUMBERS:
        return f"no numbers of system calls for {platform.machine()}"
    try:
        allowed = Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()
    except OSError as error:
        return f"seccomp: {error}"
    return None if "user_notif" in allowed else "this kernel does not tell of system calls (seccomp user_notif)"


def injected(body: Callable[[], int], fault: Fault | None, calls: frozenset[str] = CHANGES) -> Ended:
    """Run `body` in a child process with a fault, or only count `calls`; returns when every process of it is gone."""
    ours, its = socket.socketpair()
    out_read, out = os.pipe()
    err_read, err = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(body, ours, its, (out, err), fault.calls if fault else calls, all_opens=_wants_opens(fault))
    its.close()
    os.close(out)
    os.close(err)
    try:
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        with Supervisor(child, descriptors[0], fault) as supervisor:
            ours.send(b"g")
            printed = supervisor.serve({out_read, err_read})
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        text = [bytes(printed[fd]).decode("utf-8", "replace") for fd in (out_read, err_read)]
        return Ended(code, *text, supervisor.count, supervisor.struck, supervisor.kinds, supervisor.struck_call)
    finally:
        ours.close()
        os.close(out_read)
        os.close(err_read)


def _wants_opens(fault: Fault | None) -> bool:
    return fault is not None and fault.kind in {"EMFILE", "ENFILE", "ENOMEM"}


def _be_child(
    body: Callable[[], int],
    ours: socket.socket,
    its: socket.socket,
    streams: tuple[int, int],
    calls: frozenset[str],
    *,
    all_opens: bool,
) -> None:
    code = 125
    try:
        ours.close()
        null = os.open(os.devnull, os.O_RDONLY)
        for fd, target in zip((null, *streams), (0, 1, 2), strict=True):
            os.dup2(fd, target)
        # What the parent's streams know of their files does not hold for these.
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.FileIO(fd, "w", closefd=False), write_through=True) for fd in (1, 2)
        )
        # Its own end, should the supervisor be killed.
        _libc.prctl(1, signal.SIGKILL)
        listener = _install_filter(calls, all_opens=all_opens)
        socket.send_fds(its, [b"f"], [listener])
        os.close(listener)
        its.recv(1)
        its.close()
        os.closerange(3, 256)
        code = body()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _install_filter(calls: frozenset[str], *, all_opens: bool) -> int:
    """The descriptor on which the kernel tells of this process's calls from now on."""
    machine = platform.machine()
    numbers = {name: number for name, number in _NUMBERS[machine].items() if name in calls}
    program = _program(numbers, _ARCHITECTURES[machine], all_opens=all_opens)
    code = b"".join(struct.pack("=HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("@HxxxxxxP", len(program), ctypes.addressof(buffer)))
    _libc.prctl(38, 1, 0, 0, 0)
    listener: int = _libc.syscall(_SECCOMP[machine], 1, 1 << 3, header)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


def _program(numbers: dict[str, int], architecture: int, *, all_opens: bool) -> list[tuple[int, int, int, int]]:
    load, equal, has_bit, give = 0x20, 0x15, 0x45, 0x06
    allow, tell = (give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x7FC00000)
    lines = [(load, 0, 0, 4), (equal, 1, 0, architecture), allow, (load, 0, 0, 0)]
    for name, number in numbers.items():
        if name == "openat" and not all_opens:
            lines += [(equal, 0, 4, number), (load, 0, 0, 32), (has_bit, 0, 1, os.O_CREAT), tell, allow]
        elif name == "ioctl":
            lines += [(equal, 0, 4, number), (load, 0, 0, 24), (equal, 0, 1, _FICLONE), tell, allow]
        else:
            lines += [(equal, 0, 1, number), tell]
    return [*lines, allow]


class Supervisor:
    """Answers the kernel for one process and everything that it starts."""

    def __init__(self, process: int, listener: int, fault: Fault | None) -> None:
        self.count = self.struck = 0
        self.kinds: Counter[str] = Counter()
        self.struck_call = ""
        self._process = process
        self._listener = listener
        self._fault = fault
        self._threads: dict[int, int] = {}
        self._names = {number: name for name, number in _NUMBERS[platform.machine()].items()}

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._listener)

    def serve(self, streams: set[int]) -> dict[int, bytearray]:
        """Answer until no process is left that could call; gives what came on the streams."""
        printed = {fd: bytearray() for fd in streams}
        poll = select.poll()
        for fd in (self._listener, *streams):
            poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + _PATIENCE
        while True:
            for fd, event in poll.poll(1000):
                if fd == self._listener:
                    if event & select.POLLIN:
                        self._answer()
                    elif event & select.POLLHUP:
                        for stream in streams:
                            printed[stream] += b"".join(_rest(stream))
                        return printed
                elif data := os.read(fd, 1 << 16):
                    printed[fd] += data
                else:
                    poll.unregister(fd)
            if time.monotonic() > deadline:
                with suppress(ProcessLookupError):
                    os.kill(self._process, signal.SIGKILL)
                raise Hanging(f"still running after {_PATIENCE:.0f} s: {bytes(b''.join(printed.values()))!r}")

    def _answer(self) -> None:
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINTR}:
                return
            raise
        id, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        value, error_number, flags = 0, 0, _CONTINUE
        name = self._names[number]
        if self._counts(thread, name, arguments):
            self.count += 1
            self.kinds[name] += 1
            if self._fault is not None and self._fault.hits(self.count):
                self.struck += 1
                self.struck_call = name
                if self._fault.kind == "KILL":
                    os.kill(self._process, signal.SIGKILL)
                    return
                if self._fault.kind != "SHORT":
                    error_number, flags = -getattr(errno, self._fault.kind), 0
                elif (written := self._write_half(thread, name, arguments)) is not None:
                    value, flags = written, 0
        with suppress(FileNotFoundError):
            fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(id, value, error_number, flags))

    def _counts(self, thread: int, name: str, arguments: list[int]) -> bool:
        """Whether a call is one of the process itself, and about a file or folder rather than a pipe."""
        if self._threads.setdefault(thread, _process_of(thread)) != self._process:
            # The number of a thread that ended may be given again.
            self._threads.pop(thread)
            return False
        if name not in _BY_DESCRIPTOR:
            return True
        descriptor = f"/proc/{thread}/fd/{arguments[0]}"
        try:
            mode = os.stat(descriptor).st_mode
            if self._fault is not None and self._fault.of not in os.readlink(descriptor):
                return False
        except OSError:
            return False
        return stat.S_ISREG(mode) or stat.S_ISDIR(mode)

    def _write_half(self, thread: int, name: str, arguments: list[int]) -> int | None:
        """Write the first half of a call's bytes on its behalf; None where it has no half."""
        if name not in {"write", "pwrite64"} or arguments[2] < 2:
            return None
        fd, address, size, offset, *_ = arguments
        with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            data = memory.read(size // 2)
        process = os.pidfd_open(self._process)
        copy = _libc.syscall(_PIDFD_GETFD, process, fd, 0)
        os.close(process)
        if copy < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        try:
            return os.write(copy, data) if name == "write" else os.pwrite(copy, data, offset)
        finally:
            os.close(copy)


def _process_of(thread: int) -> int:
    try:
        for line in Path(f"/proc/{thread}/status").read_text().splitlines():
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def _rest(stream: int) -> Iterator[bytes]:
    os.set_blocking(stream, False)
    with suppress(BlockingIOError):
        while data := os.read(stream, 1 << 16):
            yield data
