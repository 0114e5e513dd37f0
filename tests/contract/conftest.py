"""What the conformance suite runs every executor with. A new executor is tested by being listed in `EXECUTORS`."""

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

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
from tests.mortal import BUSYBOX, MortalEngine, mortal_engine

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


@pytest.fixture
def mortal(docker_bench: Bench) -> Iterator[tuple[Bench, MortalEngine]]:
    """A bench on an engine of its own, and that engine."""
    with mortal_engine() as engine:
        site = replace(docker_bench.site, environment={**os.environ, "DOCKER_HOST": engine.host})
        executor = EXECUTORS["docker"](site)
        try:
            yield Bench("docker", executor, site), engine
        finally:
            executor.close()  # type: ignore[attr-defined]
