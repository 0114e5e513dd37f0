#!/usr/bin/env python3
"""Gives the tests a Docker engine: one that answers already, else a private `dockerd` of their own.

usage: engine.py run -- COMMAND…   an engine, with the test images in it, for as long as COMMAND runs
       engine.py start             a private engine that stays; prints the shell line that points at it
       engine.py stop              ends that one

`run` sets DOCKER_HOST and MLRUN_TEST_ENGINE=1 for COMMAND and exits with its code. Where no engine can be had it runs
COMMAND all the same, with the reason in MLRUN_TEST_NO_ENGINE. MLRUN_TEST_ENGINE=0 asks for no engine at all.

A private engine is Debian's `dockerd`, as root, with every file in one temporary folder, no bridge and no firewall
rules: its containers have the network `none` or `host`. It lives in a mount namespace and a control group of its own,
so that its mounts end with it and its containers can be found even after it was killed.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

from api import Engine, EngineError
from image import cache_folder, provide_images, remove_tree
from package import Missing, install

PREFIX = "mlrun-engine-"
DEFAULT_HOST = "unix:///var/run/docker.sock"
START_SECONDS = 60
STOP_SECONDS = 20
PROGRAMS = ("dockerd", "containerd", "containerd-shim", "runc", "docker-proxy")

# dockerd writes its identity to /etc/docker, and it and containerd keep sockets at fixed places below /run, whatever
# the flags say. Empty folders over them keep the host's own clean, and hide a containerd that serves somebody else.
IN_NAMESPACE = """
for folder in /etc/docker /run/containerd /run/docker; do
    mkdir -p "$folder"
    mount -t tmpfs tmpfs "$folder"
done
exec "$@"
"""


class EngineFailed(Exception):
    """An engine was allowed here and did not come up; the text ends with what it said last."""


class PrivateEngine:
    """One private dockerd and its folder.

    The folder's `lock` is held by the processes of the engine and by nobody else, so that a folder whose lock is free
    is a leftover. Every process is found by what only it has: the folder in its arguments, or the control group.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._group = folder.name
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, *, outlive: bool) -> "PrivateEngine":
        """Start one and wait for its answer. `outlive`: it stays when this process ends, by whatever signal."""
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        # Members of the group `docker` may reach the socket, as they may a system's; all else in here is dockerd's.
        folder.chmod(0o711)
        engine = cls(folder)
        try:
            engine._start(outlive)
        except BaseException:
            engine.stop()
            raise
        return engine

    def _start(self, outlive: bool) -> None:
        folder = self.folder
        (folder / "daemon.json").write_text("{}")
        daemon = [
            "dockerd",
            *("--config-file", f"{folder}/daemon.json", "--pidfile", f"{folder}/pid"),
            *("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--host", self.host),
            *("--bridge=none", "--iptables=false", "--ip-forward=false", "--userland-proxy=false"),
            *("--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{self._group}"),
            "--shutdown-timeout=3",
        ]
        if not outlive:
            daemon = ["setpriv", "--pdeathsig", "TERM", *daemon]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        environment["PATH"] = _path()
        with (folder / "lock").open("w") as lock, (folder / "log").open("w") as log:
            fcntl.flock(lock, fcntl.LOCK_SH)
            self._child = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", IN_NAMESPACE, "sh", *daemon],
                # A session of its own, or Ctrl-C would take the engine from tests that are still cleaning up.
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                env=environment,
            )
        began = time.monotonic()
        while not Engine(self.host).answers():
            if self._child.poll() is not None or time.monotonic() - began > START_SECONDS:
                tail = (folder / "log").read_text(errors="replace").splitlines()[-10:]
                raise EngineFailed("\n".join(["dockerd does not answer; its last words:", *tail]))
            time.sleep(0.05)

    def stop(self) -> None:
        """End every process of this engine and remove every trace of it, whatever state it is in."""
        # Containers first: otherwise each one that ignores SIGTERM is waited for.
        with contextlib.suppress(OSError, EngineError):
            Engine(self.host).kill_containers()
        send(self._daemon(), signal.SIGTERM)
        wait_for_end(self._daemon, STOP_SECONDS)
        for _ in range(5):
            send(self._processes(), signal.SIGKILL)
            if wait_for_end(self._processes, 2):
                break
        if self._child:
            self._child.wait()
        for group in self._groups():
            for inner in sorted(group.glob("**/"), reverse=True):
                with contextlib.suppress(OSError):
                    inner.rmdir()
        remove_tree(self.folder)

    def _daemon(self) -> set[int]:
        return {pid for pid, arguments in _programs() if f"--config-file\0{self.folder}/daemon.json" in arguments}

    def _processes(self) -> set[int]:
        ours = {pid for pid, arguments in _programs() if f"{self.folder}/" in arguments}
        for group in self._groups():
            for listing in group.glob("**/cgroup.procs"):
                with contextlib.suppress(OSError):
                    ours.update(map(int, listing.read_text().split()))
        return ours

    def _groups(self) -> list[Path]:
        """The control group's folders: one per controller in version 1, a single one in version 2."""
        root = Path("/sys/fs/cgroup")
        return [group for group in [root / self._group, *root.glob(f"*/{self._group}")] if group.is_dir()]


def _programs() -> Iterator[tuple[int, str]]:
    """The engine programs that run on this machine with their arguments, each ended by a NUL."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text().strip() in PROGRAMS:
                yield int(process.name), (process / "cmdline").read_text(errors="replace")


def wait_for_end(processes: Callable[[], set[int]], seconds: float) -> bool:
    """Whether no process is left within so many seconds."""
    end = time.monotonic() + seconds
    while processes():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes that may be gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def sweep() -> None:
    """Remove what engines left behind whose owner was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (folder / "lock").open() as lock:
            if folder.stat().st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                PrivateEngine(folder).stop()


def may_start() -> None:
    """Raises `Missing` where a private engine may not be had; installs what it needs where that is all it takes."""
    if os.geteuid() != 0:
        raise Missing("no Docker engine answers, and only root can start one")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        raise Missing("no Docker engine answers, and none can be started without the right to mount")
    if not shutil.which("dockerd", path=_path()):
        install("docker.io")
        # Debian enables the services for the next boot; the tests want the program only.
        if shutil.which("systemctl"):
            units = ["docker.service", "docker.socket", "containerd.service"]
            subprocess.run(["systemctl", "disable", "--now", "--quiet", *units], capture_output=True)


def _path() -> str:
    """PATH with the folders of daemons, which a user's own may lack."""
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def started_engine() -> PrivateEngine | None:
    """The engine that `start` left running, None where there is none or it died."""
    pointer = cache_folder() / "engine"
    if not pointer.exists():
        return None
    engine = PrivateEngine(Path(pointer.read_text()))
    return engine if Engine(engine.host).answers() else None


def answering_host() -> str | None:
    """The address of an engine that answers: the one the user names, else the machine's, else the started one."""
    if named := os.environ.get("DOCKER_HOST"):
        # Engines over ssh and TLS are the docker SDK's to reach: taken at the user's word.
        return named if not named.startswith("unix://") or Engine(named).answers() else None
    if Engine(DEFAULT_HOST).answers():
        return DEFAULT_HOST
    started = started_engine()
    return started.host if started else None


@contextlib.contextmanager
def engine_for_tests() -> Iterator[str]:
    """The address of an engine with the images in it; raises `Missing` where there is none."""
    if os.environ.get("MLRUN_TEST_ENGINE") == "0":
        raise Missing("switched off by MLRUN_TEST_ENGINE=0")
    if host := answering_host():
        say(f"the one at {host}")
        if host.startswith("unix://"):
            provide_images(Engine(host))
        yield host
        return
    may_start()
    sweep()
    began = time.monotonic()
    private = PrivateEngine.start(outlive=False)
    try:
        say(f"dockerd {Engine(private.host).version()} at {private.host} in {time.monotonic() - began:.1f} s")
        provide_images(Engine(private.host))
        yield private.host
    finally:
        private.stop()


def run(command: list[str]) -> int:
    with contextlib.ExitStack() as stack:
        environment = dict(os.environ)
        try:
            environment["DOCKER_HOST"] = stack.enter_context(engine_for_tests())
            environment["MLRUN_TEST_ENGINE"] = "1"
        except Missing as reason:
            say(f"none: {reason}")
            environment["MLRUN_TEST_ENGINE"] = "0"
            environment["MLRUN_TEST_NO_ENGINE"] = str(reason)
        return obey(command, environment)


def obey(command: list[str], environment: dict[str, str]) -> int:
    """Run the command in the foreground, to its end: only then may the engine go."""
    with subprocess.Popen(command, env=environment) as process:

        def pass_on(number: int, _: FrameType | None) -> None:
            process.send_signal(number)

        # A terminal sends Ctrl-C to the command as well; passing it on would make it two.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, pass_on)
        signal.signal(signal.SIGHUP, pass_on)
        code = process.wait()
    return code if code >= 0 else 128 - code


def start() -> int:
    engine = started_engine()
    if engine is None:
        may_start()
        sweep()
        engine = PrivateEngine.start(outlive=True)
        cache_folder().mkdir(parents=True, exist_ok=True)
        (cache_folder() / "engine").write_text(str(engine.folder))
    provide_images(Engine(engine.host))
    print(f"export DOCKER_HOST={shlex.quote(engine.host)} MLRUN_TEST_ENGINE=1")
    return 0


def stop() -> int:
    pointer = cache_folder() / "engine"
    if pointer.exists():
        PrivateEngine(Path(pointer.read_text())).stop()
        pointer.unlink()
    return 0


def say(text: str) -> None:
    """Tell the person who waits."""
    print(f"engine: {text}", file=sys.stderr, flush=True)


def end(number: int, _: FrameType | None) -> None:
    """A handler of signals: ends this program, cleaning up on the way."""
    # Further requests would only interrupt the cleaning up that this one begins.
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        match arguments:
            case ["run", "--", program, *rest]:
                if not shutil.which(program):
                    say(f"no such command: {program}")
                    return 127
                return run([program, *rest])
            case ["start"]:
                return start()
            case ["stop"]:
                return stop()
    except Missing as reason:
        say(f"none: {reason}")
        return 10
    except (EngineError, EngineFailed) as failure:
        say(str(failure))
    except subprocess.CalledProcessError as failure:
        say(f"{Path(failure.cmd[0]).name} failed with {failure.returncode}\n{failure.stderr or ''}".rstrip())
    else:
        print(__doc__, file=sys.stderr)
        return 2
    say("hint: MLRUN_TEST_ENGINE=0 runs the tests without one")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
