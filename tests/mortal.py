"""A container engine of a test's own, which it may kill and start again."""

import importlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

BUSYBOX = "mlrun-test/busybox:1"


class MortalEngine:
    """A private engine that a test may kill and start again."""

    def __init__(self, machine: Any, private: Any) -> None:
        self._machine = machine
        self._private = private

    @property
    def host(self) -> str:
        """Its address, as in `DOCKER_HOST`."""
        return str(self._private.host)

    def answers(self) -> bool:
        """Whether it does."""
        return bool(self._machine.Engine(self.host).answers())

    def crash(self) -> None:
        """Kill it; its containers live on."""
        (daemon,) = self._private._daemon()
        self._command = Path(f"/proc/{daemon}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        os.kill(daemon, signal.SIGKILL)
        while self._alive("dockerd", "containerd"):
            time.sleep(0.01)
        # A process that ended and that nobody has waited for yet counts as alive to who starts next.
        for name in ("pid", "exec/containerd/containerd.pid"):
            Path(self._private.folder, name).unlink(missing_ok=True)

    def restart(self) -> None:
        """Stop and start it in good order."""
        for daemon in self._private._daemon():
            os.kill(daemon, signal.SIGTERM)
        self._private._child.wait()
        # Any thread may do this, and an engine that ends with its owner ends with the thread that started it.
        self._private._start(True)

    def _alive(self, *programs: str) -> list[int]:
        found = []
        for pid in self._private._processes():
            with suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
                if os.path.basename(command) in programs:
                    found.append(pid)
        return found

    def revive(self, *, spare: bool) -> None:
        """Start it where its containers live: their supervisors are reached through that mount name space. `spare`:
        let them live on."""
        Path(self._private.folder, "daemon.json").write_text(json.dumps({"live-restore": spare}))
        witness = self._alive("containerd-shim", "containerd-shim-runc-v2")[0]
        with Path(self._private.folder, "log").open("a") as log:
            enter = ["nsenter", f"--mount=/proc/{witness}/ns/mnt", "setpriv", "--pdeathsig", "TERM"]
            self._private._child.wait()
            self._private._child = subprocess.Popen(
                [*enter, *self._command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )


@contextmanager
def mortal_engine() -> Iterator[MortalEngine]:
    """One with the image `BUSYBOX` in it; skips the test of who may not start engines."""
    if os.geteuid() != 0:
        pytest.skip("only root can start an engine")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent / "machine"))
        machine, image = importlib.import_module("engine"), importlib.import_module("image")
    private = machine.PrivateEngine.start(outlive=False)
    try:
        recipe = image.RECIPES / "busybox.sh"
        tarball = image._tarball(recipe, image._key(recipe))
        machine.Engine(private.host).import_image(tarball, BUSYBOX, [f"ENV PATH={image.PATH}"])
        yield MortalEngine(machine, private)
    finally:
        private.stop()
