"""Runs steps in bubblewrap: a root of its own made of this machine's system folders, no daemon, no image.

Knows bubblewrap's options (bwrap(1)) and how its process name space is ended. What lies where in the root is decided in
`rootfs`.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from runner.errors import ExitCode, MlrunError
from runner.executors import interaction, wrapper
from runner.executors.child import ChildHandle, is_ready, jobs_below
from runner.executors.device import device_files, visible
from runner.executors.gang import HostNetwork
from runner.executors.interpreter import LAYER, Callers
from runner.executors.limit import most_tasks
from runner.executors.mount import VIEW, check_granted, folders_error, make_inputs
from runner.executors.rootfs import HOME, Root
from runner.executors.secret import delivering, lending
from runner.executors.site import Site
from runner.executors.terminal import Streams
from runner.job import Handle, Identity, Network, Probe, PullProgress, Staged, View, Workspace

_NAMESPACES = (
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--new-session",
    "--die-with-parent",
)
_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_SETFCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
)
"""What root keeps inside, as in a Docker container but for device nodes, raw sockets and audit. Bubblewrap leaves root
every capability unless it is told otherwise, and then a step could remount what it sees."""

_PROBE_SECONDS = 5

_BOUND = 'ulimit -u "$0" 2>/dev/null || ulimit -p "$0" 2>/dev/null; exec "$@"'
"""Bash and dash have different letters for processes (getrlimit(2), RLIMIT_NPROC)."""

_OWN_TERMINAL = """\
import fcntl, os, sys, termios
os.setsid()
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal that it was given the one of a session of its own, without which a shell has no job control.
Bubblewrap's session is led by its own first process, and only a leader can do this (ioctl_tty(2), TIOCSCTTY)."""


class SandboxHandle(ChildHandle):
    """One step in a process name space, whose first process is bubblewrap's own and ignores everything but SIGKILL."""

    _memory_folders = ("/dev/shm", "/run")

    def __init__(self, staged: Staged, forget: Callable[[str], None]) -> None:
        super().__init__(staged, forget)
        self._init = -1
        self._mark = (wrapper.MARK + self.id).encode()

    def _hello(self, pid: int) -> None:
        super()._hello(pid)
        with suppress(ProcessLookupError):
            self._init = os.pidfd_open(pid)

    def _terminate(self) -> None:
        """Reach the step's own group, which the first process leads, and then what has left it."""
        if self._init < 0 or self._child_pid is None:
            self._process.kill()
            return
        group = self._child_pid
        with suppress(OSError):
            os.killpg(group, signal.SIGTERM)
        for pid in _namespace_of(group):
            with suppress(OSError):
                if pid != group and os.getpgid(pid) != group:
                    os.kill(pid, signal.SIGTERM)

    def _kill(self) -> None:
        with suppress(OSError):
            if self._init >= 0:
                signal.pidfd_send_signal(self._init, signal.SIGKILL)
            else:
                self._process.kill()

    def _wait_for_rest(self) -> None:
        """The name space is empty once its first process is gone. That one can outlive bubblewrap: by a moment, or,
        where bubblewrap was killed while it was setting up, for as long as the step runs; before it was announced,
        for ever."""
        if self._init < 0:
            _end_leftovers(self.id)
        else:
            command = _command_of(self._child_pid)
            if not command or self._mark in command:
                self._kill()
                is_ready(self._init, None)

    def _release(self) -> None:
        if self._init >= 0:
            os.close(self._init)
            self._init = -1


class SandboxExecutor(HostNetwork):
    """See `runner.job.Executor`."""

    name: ClassVar[str] = "sandbox"
    confines: ClassVar[bool] = True

    def __init__(self, site: Site) -> None:
        self._site = site
        self._callers = Callers(site)
        self._lock = threading.Lock()
        self._open: set[str] = set()

    def probe(self) -> Probe:
        """See `runner.job.Executor`."""
        return self._probe

    def resolve(self, image: str) -> Identity:
        """What runs steps here whatever `image` is. Raises MlrunError (code EXECUTOR) without an interpreter."""
        return self._callers.identity()

    def pull(self, image: str) -> Iterator[PullProgress]:
        """Nothing to fetch."""
        return iter(())

    def disks(self) -> tuple[Path, ...]:
        """See `runner.job.Executor`."""
        return ()

    def view(self, workspace: Workspace) -> View:
        """See `runner.job.Executor`."""
        return VIEW

    @delivering
    def start(self, staged: Staged) -> Handle:
        """See `runner.job.Executor`."""
        handle = SandboxHandle(staged, self._forget)
        self._launch(handle, staged, lambda: wrapper.prepare(staged, VIEW), {})
        return handle

    @lending
    def interact(self, staged: Staged, argv: Sequence[str] = (), until: int | None = None) -> int:
        """See `runner.job.Executor`."""
        handle = SandboxHandle(staged, self._forget)
        more = interaction.environment(staged, VIEW, self._site.environment)

        def prepare() -> list[str]:
            command = interaction.prepare(staged, VIEW, argv)
            return [f"{HOME}/{LAYER}/bin/python", "-I", "-S", "-c", _OWN_TERMINAL, *command]

        def start(streams: Streams) -> None:
            self._launch(handle, staged, prepare, more, streams)

        return interaction.converse(handle, start, until)

    def _launch(
        self,
        handle: SandboxHandle,
        staged: Staged,
        prepare: Callable[[], list[str]],
        more: Mapping[str, str],
        streams: Streams | None = None,
    ) -> None:
        """Make the root and start in it what `prepare` gives, `more` being further variables. Raises MlrunError."""
        program = self._program
        if program is None:
            raise MlrunError(self._probe.sentence, code=ExitCode.EXECUTOR, hint=self._probe.hint)
        root, scratch = self._root, staged.workspace.scratch
        check_granted(staged)
        shm = staged.job.allowance.shm if self._sizes_memory else None
        devices = device_files(staged.devices)
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            for name in ("home", "tmp"):
                (scratch / name).mkdir(exist_ok=True)
            (scratch / "tmp").chmod(0o1777)
            inputs = make_inputs(staged)
            if not os.path.lexists(scratch / "home" / LAYER):
                self._callers.interpreter().make_layer(scratch / "home" / LAYER, f"{HOME}/{LAYER}")
            argv = prepare()
        except OSError as error:
            raise folders_error(error, staged) from error
        environment = {
            "PATH": os.pathsep.join([f"{HOME}/{LAYER}/bin", *root.path]),
            "HOME": HOME,
            "VIRTUAL_ENV": f"{HOME}/{LAYER}",
            **visible(staged.devices, hidden=True),
        } | {**staged.environment, **more}

        def command(status: int) -> tuple[Sequence[str], Sequence[int]]:
            words = [*arguments(staged.job.network), *root.step(staged, inputs, shm, devices)]
            words += [word for name, value in environment.items() for word in ("--setenv", name, value)]
            paper = _paper([*words, "--json-status-fd", str(status)])
            return [program, "--args", str(paper), "--", *self._bound, *argv], (paper,)

        handle.spawn(command, {}, streams)
        with self._lock:
            self._open.add(handle.id)

    def reattach(self, id: str) -> Handle | None:
        """Always None: a sandbox dies with the runner that started it.

        The kernel sees to that but for the few milliseconds in which bubblewrap sets up; what a runner left behind that
        was killed just then is ended here.
        """
        _end_leftovers(id)
        return None

    def mine(self) -> frozenset[str]:
        """See `runner.job.Executor`."""
        with self._lock:
            return frozenset(self._open) | {job for _, job in jobs_below("bwrap")}

    def _forget(self, id: str) -> None:
        with self._lock:
            self._open.discard(id)

    @cached_property
    def _program(self) -> str | None:
        return shutil.which("bwrap", path=self._site.environment.get("PATH", os.defpath))

    @property
    def _bound(self) -> list[str]:
        """Starts a program with a bound for its processes that the kernel keeps, where it does: not for root."""
        return [] if os.geteuid() == 0 else ["/bin/sh", "-c", _BOUND, str(most_tasks())]

    @cached_property
    def _sizes_memory(self) -> bool:
        """Whether this bubblewrap can bound a file system in memory; it can from 0.7 on."""
        with suppress(OSError, subprocess.SubprocessError):
            command = [self._program or "bwrap", "--help"]
            return b"--size " in subprocess.run(command, capture_output=True, timeout=_PROBE_SECONDS).stdout
        return False

    @cached_property
    def _root(self) -> Root:
        return Root(self._site, self._callers.interpreter())

    @cached_property
    def _probe(self) -> Probe:
        if self._program is None:
            return Probe(False, "bubblewrap is not installed (no `bwrap` on PATH)", "`apt install bubblewrap`")
        try:
            words = [*arguments(Network.NONE), *self._root.bare()]
            paper = _paper(words)
            done = subprocess.run(
                [self._program, "--args", str(paper), "--", "/bin/sh", "-c", "exit 0"],
                env={},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(paper,),
                timeout=_PROBE_SECONDS,
            )
            os.close(paper)
        except MlrunError as error:
            return Probe(False, error.message, error.hint)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Probe(False, f"`{self._program}` does not work: {error}")
        if done.returncode == 0:
            version = self._callers.interpreter().version
            return Probe(True, f"bubblewrap works (`{self._program}`), steps get Python {version}")
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        return Probe(False, f"bubblewrap cannot make a sandbox here: {said[0]}", refusal_hint(said[0], _kernel))


def arguments(network: Network) -> list[str]:
    """The options that decide what a step may do, as distinct from what it sees."""
    words = [*_NAMESPACES, *(["--unshare-net"] if network is Network.NONE else [])]
    if os.geteuid() == 0:
        words += ["--cap-drop", "ALL", *(word for name in _CAPABILITIES for word in ("--cap-add", name))]
    return words


def refusal_hint(said: str, kernel: Callable[[str], str]) -> str | None:
    """How to let bubblewrap work, from its last words and the kernel's settings (`kernel` reads one by its name)."""
    if kernel("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor forbids user name spaces: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or give "
            "`/usr/bin/bwrap` a profile with `userns,`"
        )
    if kernel("kernel/unprivileged_userns_clone") == "0":
        return "`sudo sysctl kernel.unprivileged_userns_clone=1`"
    if kernel("user/max_user_namespaces") == "0":
        return "`sudo sysctl user.max_user_namespaces=15000`"
    if "ermission denied" in said or "not permitted" in said:
        return (
            "inside a container name spaces need `--privileged`, or `--security-opt seccomp=unconfined`; "
            "else use `--executor process`"
        )
    return None


def _kernel(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""


def _paper(words: Sequence[str]) -> int:
    """The words in memory, for `--args`: a command line would show variables to every user of the machine."""
    paper = os.memfd_create("bwrap")
    with open(paper, "wb", closefd=False) as file:
        file.write(b"".join(os.fsencode(word) + b"\0" for word in words))
    os.lseek(paper, 0, os.SEEK_SET)
    return paper


def _end_leftovers(id: str) -> None:
    """Kill what bubblewrap has left of a job, and wait until it is gone."""
    for pid, job in jobs_below("bwrap"):
        if job == id:
            with suppress(ProcessLookupError), open(os.pidfd_open(pid), "rb", buffering=0) as process:
                signal.pidfd_send_signal(process.fileno(), signal.SIGKILL)
                is_ready(process.fileno(), None)


def _command_of(pid: int | None) -> bytes:
    """The command line of a process, empty when it is ending or gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _namespace_of(first: int) -> Iterator[int]:
    """The processes in the process name space of `first`."""
    with suppress(OSError):
        wanted = os.stat(f"/proc/{first}/ns/pid").st_ino
        for name in os.listdir("/proc"):
            if name.isdecimal():
                with suppress(OSError):
                    if os.stat(f"/proc/{name}/ns/pid").st_ino == wanted:
                        yield int(name)
