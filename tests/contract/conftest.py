"""What the conformance suite runs every executor with. A new executor is tested by being listed in `EXECUTORS`."""

import importlib
import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from runner.executors import EXECUTORS, Site
from runner.job import (
    Executor,
    Handle,
    InputFile,
    Job,
    JobInput,
    LogChunk,
    Network,
    Outcome,
    Script,
    Staged,
    View,
    Workspace,
)

BUSYBOX = "mlrun-test/busybox:1"
SKLEARN = "mlrun-test/sklearn:1"
TOO_LONG = 60.0
"""Seconds after which a job of this suite is killed and its test fails."""

MARKS = {"docker": pytest.mark.docker, "sandbox": pytest.mark.sandbox}

Listener = Callable[[Handle, LogChunk], None]


@dataclass(frozen=True)
class Result:
    """What a job printed, how it ended and where it ran."""

    outcome: Outcome
    stdout: bytes
    stderr: bytes
    workspace: Workspace

    def output(self, name: str) -> bytes:
        return (self.workspace.outputs / name).read_bytes()


@dataclass
class Bench:
    """One executor and the folders a worker would make for it."""

    name: str
    executor: Executor
    site: Site
    handles: list[Handle] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)

    @property
    def isolates(self) -> bool:
        return self.name != "process"

    @property
    def python_image(self) -> str:
        return SKLEARN if self.name == "docker" else BUSYBOX

    def stage(
        self,
        *items: str,
        inputs: Mapping[str, Mapping[str, bytes]] | None = None,
        environment: Mapping[str, str] | None = None,
        image: str = BUSYBOX,
        network: Network | None = None,
        stop_at_failure: bool = True,
    ) -> Staged:
        """A job ready to be started, with the folders and variables that a worker gives it."""
        id, given = str(uuid.uuid4()), inputs or {}
        workspace = Workspace.below(self.site.store / "work" / id)
        for folder in (workspace.inputs, workspace.outputs, workspace.repository, workspace.config):
            folder.mkdir(parents=True)
        for folder in (workspace.control, workspace.scratch):
            folder.mkdir()
        (workspace.repository / "code.txt").write_text("the code\n")
        (workspace.config / "parameters.json").write_text("{}")
        for name, files in given.items():
            (workspace.inputs / name).mkdir()
            for file, data in files.items():
                (workspace.inputs / name / file).write_bytes(data)
        identity = self.executor.resolve(image)
        assert identity is not None, f"image {image} is not here"
        view = self.executor.view(workspace)
        variables = {
            "VH_INPUTS_DIR": view.inputs,
            "VH_OUTPUTS_DIR": view.outputs,
            "VH_REPOSITORY_DIR": view.repository,
            "VH_CONFIG_DIR": view.config,
            **(environment or {}),
        }
        job = Job(
            id=id,
            step="a step",
            image=image,
            script=Script(items, stop_at_failure),
            snapshot="",
            parameters={},
            inputs=tuple(
                JobInput(name, tuple(InputFile(file, "", len(data), "") for file, data in files.items()))
                for name, files in given.items()
            ),
            environment=variables,
            # The engine of the tests has no bridge, and a plain process cannot be without a network.
            network=network or (Network.HOST if self.name == "process" else Network.NONE),
        )
        self.staged.append(Staged(job, workspace, variables, identity))
        return self.staged[-1]

    def again(self, result: Result) -> Staged:
        """The job of a result with its folders as it left them, under another id."""
        staged = next(staged for staged in self.staged if staged.workspace == result.workspace)
        return replace(staged, job=replace(staged.job, id=str(uuid.uuid4())))

    def run(self, *items: str, listen: Listener | None = None, **given: object) -> Result:
        """Run a job to its end as a worker would; `listen` is called with every chunk."""
        return self.finish(self.stage(*items, **given), listen)  # type: ignore[arg-type]

    def finish(self, staged: Staged, listen: Listener | None = None) -> Result:
        handle = self.executor.start(staged)
        self.handles.append(handle)
        return self.watch(handle, staged.workspace, listen)

    def watch(self, handle: Handle, workspace: Workspace, listen: Listener | None = None) -> Result:
        late = threading.Event()
        alarm = threading.Timer(TOO_LONG, lambda: (late.set(), handle.stop(0)))
        alarm.daemon = True
        alarm.start()
        streams: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        try:
            for chunk in handle.logs():
                streams[chunk.stream].append(chunk.data)
                if listen is not None:
                    listen(handle, chunk)
            outcome = handle.wait()
        finally:
            alarm.cancel()
        handle.close()
        assert not late.is_set(), f"still running after {TOO_LONG} s"
        return Result(outcome, b"".join(streams["stdout"]), b"".join(streams["stderr"]), workspace)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What executors remember, shared by all tests as it is by all runs."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name, ())) for name in EXECUTORS])
def bench(request: pytest.FixtureRequest, tmp_path: Path, cache: Path) -> Iterator[Bench]:
    """Every executor in turn; one that cannot work here is skipped with its own reason."""
    name = request.param
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "secret.txt").write_text("live code")
    (tmp_path / "store").mkdir()
    site = Site(store=tmp_path / "store", cache=cache, checkout=checkout)
    executor = EXECUTORS[name](site)
    probe = executor.probe()
    if not probe.works:
        pytest.skip(f"{name}: {os.environ.get('MLRUN_TEST_NO_ENGINE') or probe.sentence}")
    if executor.resolve(BUSYBOX) is None:
        pytest.skip(f"{name}: image {BUSYBOX} is not here")
    yield Bench(name, executor, site)
    if (close := getattr(executor, "close", None)) is not None:
        close()


@pytest.fixture
def isolated(bench: Bench) -> Bench:
    """Only the executors that hide the machine from a step."""
    if not bench.isolates:
        pytest.skip("a plain process sees the machine as it is")
    return bench


@pytest.fixture
def valohai(bench: Bench, tmp_path: Path) -> Bench:
    """Only where the step really finds `/valohai`."""
    if bench.executor.view(Workspace.below(tmp_path)) != View():
        pytest.skip("a plain process that may not mount sees its folders where they are")
    return bench


@pytest.fixture
def sandbox_bench(tmp_path: Path, cache: Path) -> Bench:
    """The sandbox alone."""
    (tmp_path / "store").mkdir(exist_ok=True)
    site = Site(store=tmp_path / "store", cache=cache)
    executor = EXECUTORS["sandbox"](site)
    probe = executor.probe()
    if not probe.works:
        pytest.skip(f"sandbox: {probe.sentence}")
    return Bench("sandbox", executor, site)


@pytest.fixture
def root() -> None:
    """Only where these tests run as root."""
    if os.geteuid() != 0:
        pytest.skip("about what root may do, and this is an ordinary user")


@pytest.fixture
def docker_bench(tmp_path: Path, cache: Path) -> Iterator[Bench]:
    """Containers alone."""
    site = Site(store=tmp_path / "store", cache=cache)
    site.store.mkdir()
    executor = EXECUTORS["docker"](site)
    probe = executor.probe()
    if not probe.works:
        pytest.skip(f"docker: {os.environ.get('MLRUN_TEST_NO_ENGINE') or probe.sentence}")
    if executor.resolve(BUSYBOX) is None:
        pytest.skip(f"docker: image {BUSYBOX} is not here")
    yield Bench("docker", executor, site)
    executor.close()  # type: ignore[attr-defined]


class MortalEngine:
    """A private engine that a test may kill and start again."""

    def __init__(self, private: Any) -> None:
        self.private = private

    def crash(self) -> None:
        (daemon,) = self.private._daemon()
        self._command = Path(f"/proc/{daemon}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        os.kill(daemon, signal.SIGKILL)
        while self._alive("dockerd", "containerd"):
            time.sleep(0.01)
        # A process that ended and that nobody has waited for yet counts as alive to who starts next.
        for name in ("pid", "exec/containerd/containerd.pid"):
            Path(self.private.folder, name).unlink(missing_ok=True)

    def restart(self) -> None:
        for daemon in self.private._daemon():
            os.kill(daemon, signal.SIGTERM)
        self.private._child.wait()
        # Any thread may do this, and an engine that ends with its owner ends with the thread that started it.
        self.private._start(True)

    def _alive(self, *programs: str) -> list[int]:
        found = []
        for pid in self.private._processes():
            with suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
                if os.path.basename(command) in programs:
                    found.append(pid)
        return found

    def revive(self, *, spare: bool) -> None:
        """Start it where its containers live: their supervisors are reached through that mount name space. `spare`:
        let them live on."""
        Path(self.private.folder, "daemon.json").write_text(json.dumps({"live-restore": spare}))
        witness = self._alive("containerd-shim", "containerd-shim-runc-v2")[0]
        with Path(self.private.folder, "log").open("a") as log:
            enter = ["nsenter", f"--mount=/proc/{witness}/ns/mnt", "setpriv", "--pdeathsig", "TERM"]
            self.private._child.wait()
            self.private._child = subprocess.Popen(
                [*enter, *self._command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )


@pytest.fixture
def mortal(docker_bench: Bench) -> Iterator[tuple[Bench, MortalEngine]]:
    """A bench on an engine of its own, and that engine."""
    if os.geteuid() != 0:
        pytest.skip("only root can start an engine")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "machine"))
        machine = importlib.import_module("engine")
        image = importlib.import_module("image")
        private = machine.PrivateEngine.start(outlive=False)
        site = replace(docker_bench.site, environment={**os.environ, "DOCKER_HOST": private.host})
        executor = EXECUTORS["docker"](site)
        try:
            recipe = image.RECIPES / "busybox.sh"
            tarball = image._tarball(recipe, image._key(recipe))
            machine.Engine(private.host).import_image(tarball, BUSYBOX, [f"ENV PATH={image.PATH}"])
            yield Bench("docker", executor, site), MortalEngine(private)
        finally:
            executor.close()  # type: ignore[attr-defined]
            private.stop()
