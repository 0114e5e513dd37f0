#!/usr/bin/env python3
"""Gives the tests a Podman of their own behind the API that Docker has.

usage: podman.py run -- COMMAND…   a `podman system service` with the test images in it, for as long as COMMAND runs

Sets DOCKER_HOST and MLRUN_TEST_ENGINE=1 for COMMAND and exits with its code; 10 where Podman cannot be had (the reason
is on stderr). Podman is Debian's, as root, with every file in one temporary folder and in a mount namespace of its own:
images and containers of the user's Podman are neither seen nor touched.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from api import Engine, EngineError
from engine import EngineFailed, end, obey, say, send, wait_for_end
from image import provide_images, remove_tree
from package import Missing, install

PREFIX = "mlrun-podman-"
START_SECONDS = 30
STOP_SECONDS = 10
PACKAGES = ("podman", "runc", "catatonit")
PROGRAMS = ("podman", "conmon", "runc", "catatonit")

CONFIGURATION = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
# The other one, crun, refuses a machine with control groups of both versions.
runtime = "runc"
"""


class Podman:
    """One service and its folder; every process of it is found by the folder in its arguments."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.folder.chmod(0o711)
        self.host = f"unix://{self.folder}/podman.sock"
        (self.folder / "containers.conf").write_text(CONFIGURATION)
        places = [f"--root={self.folder}/data", f"--runroot={self.folder}/run", f"--tmpdir={self.folder}/tmp"]
        service = ["podman", *places, "system", "service", "--time=0", self.host]
        with (self.folder / "log").open("w") as log:
            self._child = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "slave", "setpriv", "--pdeathsig", "TERM", *service],
                # A session of its own, or Ctrl-C would take the engine from tests that are still cleaning up.
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "CONTAINERS_CONF": f"{self.folder}/containers.conf"},
            )

    def wait(self) -> None:
        """Until it answers. Raises `EngineFailed` with its last words."""
        began = time.monotonic()
        while not Engine(self.host).answers():
            if self._child.poll() is not None or time.monotonic() - began > START_SECONDS:
                tail = (self.folder / "log").read_text(errors="replace").splitlines()[-10:]
                raise EngineFailed("\n".join(["podman does not answer; its last words:", *tail]))
            time.sleep(0.05)

    def stop(self) -> None:
        """End every process of it and remove every trace."""
        with contextlib.suppress(OSError, EngineError):
            Engine(self.host).kill_containers()
        self._child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(STOP_SECONDS)
        for _ in range(5):
            send(self._processes(), signal.SIGKILL)
            if wait_for_end(self._processes, 2):
                break
        self._child.wait()
        remove_tree(self.folder)

    def _processes(self) -> set[int]:
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = f"{self.folder}/" in (process / "cmdline").read_text(errors="replace")
                if ours and (process / "comm").read_text().strip() in PROGRAMS:
                    found.add(int(process.name))
        return found


def may_start() -> None:
    """Raises `Missing` where it may not be had; installs it where that is all it takes."""
    if os.geteuid() != 0:
        raise Missing("only root can start a Podman of its own; point DOCKER_HOST at yours instead")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        raise Missing("no right to mount here")
    if not all(map(shutil.which, PACKAGES)):
        install(*PACKAGES)


@contextlib.contextmanager
def podman_for_tests() -> Iterator[str]:
    """The address of a service with the images in it; raises `Missing` where there is none."""
    may_start()
    began = time.monotonic()
    podman = Podman()
    try:
        podman.wait()
        say(f"podman {Engine(podman.host).version()} at {podman.host} in {time.monotonic() - began:.1f} s")
        provide_images(Engine(podman.host))
        yield podman.host
    finally:
        podman.stop()


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    match arguments:
        case ["run", "--", program, *rest] if shutil.which(program):
            pass
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    try:
        with podman_for_tests() as host:
            return obey([program, *rest], {**os.environ, "DOCKER_HOST": host, "MLRUN_TEST_ENGINE": "1"})
    except Missing as reason:
        say(f"none: {reason}")
        return 10
    except (EngineError, EngineFailed) as failure:
        say(str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
