"""Runs steps as plain processes of the user: no isolation, for machines that have nothing better.

The step runs below `supervisor.py`, which leaves none of its processes alive. Where this process is root and may have
a mount name space, the step sees the real `/valohai` paths: a root of its own, in which the machine's top level is
bound as it is and our folders are added; nothing of that shows on the machine, not even an empty folder. Elsewhere the
step sees its folders where they are and only the `VH_*` variables tell.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.executors import interaction, wrapper
from runner.executors.child import ChildHandle, jobs_below
from runner.executors.device import visible
from runner.executors.gang import HostNetwork
from runner.executors.interpreter import LAYER, Callers
from runner.executors.mount import VIEW, check_granted, folders_error, make_inputs, mounts
from runner.executors.secret import delivering, lending
from runner.executors.site import Site
from runner.executors.terminal import Streams
from runner.job import Handle, Identity, Network, Probe, PullProgress, Staged, View, Workspace

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_CHECK_SECONDS = 10


class ProcessHandle(ChildHandle):
    """One step below its supervisor, held on a leash: the pipe whose end kills it."""

    def __init__(self, staged: Staged, forget: Callable[[str], None]) -> None:
        super().__init__(staged, forget)
        self._leash = -1

    def start(self, request: Mapping[str, object], streams: Streams | None = None) -> None:
        """Start the supervisor with its request. Raises MlrunError (code EXECUTOR)."""

        def command(status: int) -> tuple[Sequence[str], Sequence[int]]:
            paper = os.memfd_create("request")
            with open(paper, "wb", closefd=False) as file:
                file.write(json.dumps(request).encode())
            os.lseek(paper, 0, os.SEEK_SET)
            leash, self._leash = os.pipe()
            return supervisor_command(self.id, paper, leash, status), (paper, leash)

        self.spawn(command, os.environ, streams)

    def _terminate(self) -> None:
        with suppress(OSError):
            os.write(self._leash, b"t")

    def _kill(self) -> None:
        self._release()

    def _release(self) -> None:
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1

    def _wait_for_rest(self) -> None:
        """Kill the step's session where the supervisor itself was killed before it could do so."""
        if self._exit_code is None and self._child_pid is not None:
            for pid in _session(self._child_pid):
                with suppress(OSError):
                    os.kill(pid, 9)


class ProcessExecutor(HostNetwork):
    """See `runner.job.Executor`."""

    name: ClassVar[str] = "process"
    confines: ClassVar[bool] = False

    def __init__(self, site: Site) -> None:
        self._callers = Callers(site)
        self._site = site
        self._lock = threading.Lock()
        self._open: set[str] = set()

    def probe(self) -> Probe:
        """See `runner.job.Executor`."""
        try:
            python = self._callers.interpreter()
        except MlrunError as error:
            return Probe(False, error.message, error.hint)
        paths = "`/valohai` paths" if self._has_mounts else "its work folder instead of `/valohai` paths"
        return Probe(True, f"steps run unisolated, as you, with {paths} and Python {python.version}")

    def resolve(self, image: str) -> Identity:
        """What runs steps here whatever `image` is. Raises MlrunError (code EXECUTOR) without an interpreter."""
        return self._callers.identity()

    def pull(self, image: str) -> Iterator[PullProgress]:
        """Nothing to fetch."""
        return iter(())

    def disks(self) -> tuple[Path, ...]:
        """See `runner.job.Executor`: no more than is likely, as nothing keeps a step from any folder of the user's."""
        return (Path("/tmp"),)

    def view(self, workspace: Workspace) -> View:
        """See `runner.job.Executor`."""
        if self._has_mounts:
            return VIEW
        folders = (workspace.inputs, workspace.outputs, workspace.repository, workspace.config, workspace.control)
        return View(*map(str, folders))

    @delivering
    def start(self, staged: Staged) -> Handle:
        """See `runner.job.Executor`."""
        handle = ProcessHandle(staged, self._forget)
        self._launch(handle, staged, lambda: wrapper.prepare(staged, self.view(staged.workspace)), {})
        return handle

    @lending
    def interact(self, staged: Staged, argv: Sequence[str] = (), until: int | None = None) -> int:
        """See `runner.job.Executor`."""
        handle, view = ProcessHandle(staged, self._forget), self.view(staged.workspace)
        more = interaction.environment(staged, view, self._site.environment)

        def start(streams: Streams) -> None:
            self._launch(handle, staged, lambda: interaction.prepare(staged, view, argv), more, streams)

        return interaction.converse(handle, start, until)

    def _launch(
        self,
        handle: ProcessHandle,
        staged: Staged,
        prepare: Callable[[], list[str]],
        more: Mapping[str, str],
        streams: Streams | None = None,
    ) -> None:
        """Start what `prepare` gives below a supervisor, `more` being further variables. Raises MlrunError."""
        if staged.job.network is Network.NONE:
            raise MlrunError(
                "a plain process cannot be kept from the network",
                code=ExitCode.EXECUTOR,
                hint="use `--executor sandbox` or `--executor docker`",
            )
        check_granted(staged)
        workspace, view = staged.workspace, self.view(staged.workspace)
        if not self._has_mounts:
            _check_places(staged)
        home = workspace.scratch / "home"
        try:
            inputs = make_inputs(staged) if self._has_mounts else workspace.inputs
            for folder in (home, workspace.scratch / "tmp", workspace.scratch / "root"):
                folder.mkdir(parents=True, exist_ok=True)
            python = self._callers.interpreter()
            if not os.path.lexists(home / LAYER):
                python.make_layer(home / LAYER, str(home / LAYER))
            argv = prepare()
        except OSError as error:
            raise folders_error(error, staged) from error
        environment = {
            "PATH": os.pathsep.join([f"{home / LAYER}/bin", self._site.environment.get("PATH", os.defpath)]),
            "HOME": str(home),
            "TMPDIR": str(workspace.scratch / "tmp"),
            "VIRTUAL_ENV": str(home / LAYER),
            **visible(staged.devices, hidden=False),
        }
        handle.start(
            {
                "argv": argv,
                "env": {**environment, **staged.environment, **more},
                "cwd": view.repository,
                "root": str(workspace.scratch / "root"),
                "mounts": [
                    [str(mount.source), mount.target, "ro" if mount.read_only else "rw"]
                    for mount in (mounts(staged, inputs) if self._has_mounts else ())
                ],
            },
            streams,
        )
        with self._lock:
            self._open.add(handle.id)

    def reattach(self, id: str) -> Handle | None:
        """Always None: a process dies with the runner that started it."""
        return None

    def mine(self) -> frozenset[str]:
        """See `runner.job.Executor`."""
        with self._lock:
            return frozenset(self._open) | {job for _, job in jobs_below(_SUPERVISOR.name)}

    def _forget(self, id: str) -> None:
        with self._lock:
            self._open.discard(id)

    @cached_property
    def _has_mounts(self) -> bool:
        """Whether a child of ours can have a root of its own; tried, since capabilities alone do not tell."""
        if os.geteuid() != 0:
            return False
        with tempfile.TemporaryDirectory() as folder, suppress(subprocess.TimeoutExpired, OSError):
            command = [sys.executable, "-I", "-S", str(_SUPERVISOR), "check", folder]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_CHECK_SECONDS)
            return done.returncode == 0
        return False


def _check_places(staged: Staged) -> None:
    """Refuse host folders that only a mount could show as they were granted. Raises MlrunError (code EXECUTOR)."""
    for mount in staged.job.mounts:
        if mount.source == mount.target and not mount.read_only:
            continue
        cannot = "be kept from writing to a host folder" if mount.read_only else "see a host folder elsewhere"
        raise MlrunError(
            f"a plain process of an ordinary user cannot {cannot}: `{printable(mount.source)}`",
            code=ExitCode.EXECUTOR,
            hint="use `--executor sandbox` or `--executor docker`",
        )


def supervisor_command(id: str, request: int, leash: int, status: int) -> list[str]:
    """The command that starts a supervisor; the mark makes it findable by its job."""
    numbers = [str(fd) for fd in (request, leash, status)]
    return [sys.executable, "-I", "-S", str(_SUPERVISOR), *numbers, wrapper.MARK + id]


def _session(leader: int) -> Iterator[int]:
    """The processes of the session that `leader` opened."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError, ValueError, IndexError):
                if int(Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()[3]) == leader:
                    yield int(name)
