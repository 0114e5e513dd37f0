"""A job that runs in a child process of ours: its two pipes, its end, and how it is stopped.

Knows pipes, process descriptors and signals; does not know what the child is. The child (bubblewrap, or our own
supervisor) reports through a third pipe, in JSON lines: `{"child-pid": n}` once the step's first process exists,
`{"exit-code": n}` when the step ended by itself.
"""

import fcntl
import json
import os
import select
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from runner.errors import ExitCode, MlrunError
from runner.executors import secret, wrapper
from runner.executors.guard import Guard
from runner.executors.limit import bound_processors, most_tasks
from runner.executors.terminal import Streams
from runner.job import LogChunk, Outcome, Staged, Stream
from runner.state import Reason

_READ = 1 << 18
_PIPE = 1 << 20
"""Bytes that a stream's pipe holds, where the user may have pipes so large: a program that prints fast waits less."""
_TAIL = 2048
_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
_LINGER = 500
"""Milliseconds without a byte after which a pipe is given up that a process outside our reach still holds. Such a
process may also write for ever: after the child's end no more is read than the pipes could hold at that moment."""


class ChildHandle(ABC):
    """One job behind a child process. The thread that calls `spawn` must live as long as the job: the kernel ends
    bubblewrap when the thread goes that started it (prctl(2), PR_SET_PDEATHSIG)."""

    _memory_folders: ClassVar[tuple[str, ...]] = ()
    """Where the step has file systems of its own that live in memory."""

    def __init__(self, staged: Staged, forget: Callable[[str], None]) -> None:
        self.id = staged.job.id
        self.devices = staged.devices
        self._control = staged.workspace.control
        self._image = staged.job.image
        self._forget = forget
        self._lock = threading.Lock()
        self._timers: list[threading.Timer] = []
        self._stopped = False
        self._ended = False
        self._closed = False
        self._exit_code: int | None = None
        self._child_pid: int | None = None
        self._status = b""
        self._tail = b""
        self._oom_kills = oom_kills()
        self._fds: dict[int, Stream] = {}
        self._status_fd = -1
        self._allowance = staged.job.allowance
        self._guard = Guard(self._allowance.memory, most_tasks(), self._memory_folders, self._kill_late)

    def spawn(
        self,
        command: Callable[[int], tuple[Sequence[str], Sequence[int]]],
        env: Mapping[str, str],
        streams: Streams | None = None,
    ) -> None:
        """Start the child that `command` gives for a status descriptor, with the descriptors it inherits.

        `env` is the child's own, never the step's: what a step may set would have power over the child. With `streams`
        the child talks to somebody else, and there is no log. Raises MlrunError (code EXECUTOR).
        """
        pipes = [] if streams else [_wide_pipe(), _wide_pipe()]
        self._status_fd, status_end = os.pipe()
        out_end, err_end = [end for _, end in pipes] if streams is None else (streams.stdout, streams.stderr)
        inherited: Sequence[int] = ()
        try:
            argv, inherited = command(status_end)
            with bound_processors(self._allowance):
                self._process = subprocess.Popen(
                    argv,
                    stdin=streams.stdin if streams else subprocess.DEVNULL,
                    stdout=out_end,
                    stderr=err_end,
                    pass_fds=(status_end, *inherited),
                    env=env,
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            for fd in (*(fd for fd, _ in pipes), self._status_fd):
                os.close(fd)
            raise MlrunError(f"cannot start the step: {error}", code=ExitCode.EXECUTOR) from error
        finally:
            for fd in (*(end for _, end in pipes), status_end, *inherited):
                os.close(fd)
        self._pidfd = os.pidfd_open(self._process.pid)
        os.set_blocking(self._status_fd, False)
        self._fds = dict(zip((fd for fd, _ in pipes), _STREAMS, strict=False))
        self._guard.start(self._process.pid)

    def logs(self) -> Iterator[LogChunk]:
        """See `runner.job.Handle`."""
        poll = select.poll()
        for fd in (*self._fds, self._status_fd, self._pidfd):
            poll.register(fd, select.POLLIN)
        left: int | None = None
        while self._fds and (left is None or left > 0):
            ready = poll.poll(None if left is None else _LINGER)
            if not ready:
                break
            for fd, _ in ready:
                if fd == self._status_fd:
                    with self._lock:
                        open_still = self._read_status()
                    if not open_still:
                        poll.unregister(fd)
                elif fd == self._pidfd:
                    poll.unregister(fd)
                    left = sum(fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) for pipe in self._fds)
                elif data := os.read(fd, _READ):
                    left = None if left is None else left - len(data)
                    yield self._chunk(fd, data)
                else:
                    poll.unregister(fd)
                    self._drop(fd)

    def wait(self) -> Outcome:
        """See `runner.job.Handle`."""
        code = self._process.wait()
        with self._lock:
            self._read_status()
        self._wait_for_rest()
        self._guard.close()
        with self._lock:
            self._ended = True
            timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()
        return replace(self._outcome(code), peak_memory=self._guard.peak)

    def stop(self, grace: float) -> None:
        """See `runner.job.Handle`."""
        with self._lock:
            if self._ended or not self._alive():
                return
            self._stopped = True
            self._read_status()
            if grace > 0:
                self._terminate()
                timer = threading.Timer(grace, self._kill_late)
                timer.daemon = True
                self._timers.append(timer)
                timer.start()
            else:
                self._kill()

    def close(self) -> None:
        """See `runner.job.Handle`; a job that still runs is killed."""
        if self._closed:
            return
        self._closed = True
        if not self._ended:
            self.stop(0)
            self.wait()
        for fd in list(self._fds):
            self._drop(fd)
        os.close(self._status_fd)
        os.close(self._pidfd)
        self._release()
        secret.withdraw(self.id)
        self._forget(self.id)

    @abstractmethod
    def _terminate(self) -> None:
        """Send SIGTERM to every process of the step."""

    @abstractmethod
    def _kill(self) -> None:
        """Kill every process of the step."""

    @abstractmethod
    def _wait_for_rest(self) -> None:
        """Block until processes that outlive the child are gone too."""

    @abstractmethod
    def _release(self) -> None:
        """Free what only this kind of child holds."""

    def _hello(self, pid: int) -> None:
        """Note the step's first process, which exists."""
        self._child_pid = pid

    def _alive(self) -> bool:
        return not is_ready(self._pidfd, 0)

    def _kill_late(self) -> None:
        with self._lock:
            if not self._ended and self._alive():
                self._kill()

    def _chunk(self, fd: int, data: bytes) -> LogChunk:
        stream = self._fds[fd]
        if stream == "stderr":
            self._tail = (self._tail + data)[-_TAIL:]
        return LogChunk(stream, data)

    def _read_status(self) -> bool:
        """Take in what the child has reported; the lock is held, since who stops the job needs to know it too.

        Returns False once nothing more can come.
        """
        with suppress(BlockingIOError):
            while data := os.read(self._status_fd, _READ):
                *lines, self._status = (self._status + data).split(b"\n")
                for line in lines:
                    self._take_status(line)
            return False
        return True

    def _take_status(self, line: bytes) -> None:
        with suppress(ValueError):
            status = json.loads(line)
            if "child-pid" in status:
                self._hello(int(status["child-pid"]))
            if "exit-code" in status:
                self._exit_code = int(status["exit-code"])

    def _drop(self, fd: int) -> None:
        del self._fds[fd]
        os.close(fd)

    def _outcome(self, code: int) -> Outcome:
        report = wrapper.read_report(self._control)
        exit_code = self._exit_code
        if self._stopped and not report.is_own_end(exit_code):
            return Outcome(Reason.STOP, exit_code, "stopped on request")
        if self._guard.verdict is not None and report.exit_code is None:
            return self._guard.verdict
        if exit_code is None and code < 0:
            return Outcome(Reason.KILLED, None, f"the process that runs the step was killed (signal {-code})")
        if exit_code is None:
            said = self._tail.decode("utf-8", "replace").strip().splitlines()
            return Outcome(Reason.START, None, said[-1] if said else f"the step could not be started (exit {code})")
        if exit_code == 137 and oom_kills() > self._oom_kills:
            return Outcome(Reason.OOM, exit_code, "out of memory: the kernel killed a process", oom_killed=True)
        if report.exit_code is None and exit_code > 128:
            return Outcome(Reason.KILLED, exit_code, f"killed from outside (signal {exit_code - 128})")
        if exit_code == 0:
            return Outcome(Reason.EXIT, 0)
        return Outcome(Reason.EXIT, exit_code, wrapper.sentence(report, exit_code) + self._advice(exit_code))

    def _advice(self, exit_code: int) -> str:
        missing = wrapper.missing_module(self._tail)
        if missing is None and exit_code == 127:
            missing = "a program"
        if missing is None:
            return ""
        return f"; {missing} is not on this machine: needs image `{self._image}` (`--executor docker`)"


def _wide_pipe() -> tuple[int, int]:
    """A pipe that holds more than usual; one user may have only so much of it (pipe(7))."""
    out, end = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(out, fcntl.F_SETPIPE_SZ, _PIPE)
    return out, end


def is_ready(fd: int, seconds: float | None) -> bool:
    """Whether there is something to read, or a process has ended, within `seconds`; None waits for ever."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else 1000 * seconds))


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it booted; 0 where it does not tell."""
    try:
        counters = Path("/proc/vmstat").read_bytes()
    except OSError:
        return 0
    _, found, rest = counters.partition(b"\noom_kill ")
    return int(rest.split(b"\n", 1)[0]) if found else 0


def jobs_below(program: str) -> Iterator[tuple[int, str]]:
    """Processes of this user that run `program` for a job, with the job's id, which the wrapper's mark tells."""
    mark, uid = wrapper.MARK.encode(), os.getuid()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        process = Path("/proc", name)
        with suppress(OSError):
            if process.stat().st_uid == uid:
                words = (process / "cmdline").read_bytes().split(b"\0")
                if any(os.path.basename(word) == program.encode() for word in words[:4]):
                    yield from ((int(name), word[len(mark) :].decode()) for word in words if word.startswith(mark))
