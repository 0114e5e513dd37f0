"""What the end-to-end tests share: the installed `mlrun` command, projects to run it in, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE, wait_for

COMMAND = Path(sysconfig.get_path("scripts")) / "mlrun"
ROOT = Path(__file__).parents[2]
BUSYBOX = "mlrun-test/busybox:1"
SKLEARN = "mlrun-test/sklearn:1"
PASSED_ON = ("DOCKER_HOST", "TMPDIR")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code and what it printed."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        shown = f"mlrun {' '.join(self.arguments)} → {self.code}"
        return f"{shown}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def json(self) -> Any:
        """Standard output, which must be one JSON document in the strict sense."""
        return json.loads(self.out, parse_constant=_no_constant)

    def json_lines(self) -> list[Any]:
        """Standard output as one JSON document per line."""
        return [json.loads(line, parse_constant=_no_constant) for line in self.out.splitlines()]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@dataclass
class Running:
    """A command under way, in a process group of its own; its output goes to files."""

    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def text(self) -> str:
        """What it has printed so far on both streams."""
        return self.out.read_text() + self.err.read_text()

    def until(self, text: str) -> None:
        """Wait until it has printed `text`."""

        def printed() -> bool:
            assert text in self.text() or self.process.poll() is None, f"ended without {text!r}:\n{self.text()}"
            return text in self.text()

        wait_for(printed, f"{text!r} in the output")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Done:
        """Wait for its end."""
        code = self.process.wait(PATIENCE)
        return Done(self.arguments, code, self.out.read_text(), self.err.read_text())


@dataclass
class Mlrun:
    """The installed command with a home and a store of its own."""

    store: Path
    environment: dict[str, str]
    scratch: Path
    started: list[Running] = field(default_factory=list)

    def with_variables(self, **variables: str | None) -> "Mlrun":
        """The same with some variables set, or not there if they are None."""
        merged = {**self.environment, **variables}
        environment = {name: value for name, value in merged.items() if value is not None}
        return replace(self, environment=environment, store=Path(environment["MLRUN_STORE"]))

    def run(self, *arguments: str | Path, folder: Path, stdin: str | None = None) -> Done:
        """Run `mlrun` in `folder` to its end. Whatever happens, it shows no traceback and reports no bug of its own."""
        words = tuple(map(str, arguments))
        result = subprocess.run(
            [COMMAND, *words],
            cwd=folder,
            env=self.environment,
            input=stdin if stdin is not None else "",
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )
        done = Done(words, result.returncode, result.stdout, result.stderr)
        assert "Traceback" not in done.out + done.err, str(done)
        assert done.code != 3, str(done)
        return done

    def start(self, *arguments: str, folder: Path) -> Running:
        """Start `mlrun` in `folder` and return at once."""
        number = len(self.started)
        out, err = self.scratch / f"out-{number}", self.scratch / f"err-{number}"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [COMMAND, *arguments],
                cwd=folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                process_group=0,
            )
        running = Running(arguments, process, out, err)
        self.started.append(running)
        return running

    def recorded(self) -> set[str]:
        """The ids of all runs in the store."""
        return set(os.listdir(self.store / "runs")) if (self.store / "runs").is_dir() else set()

    def object(self, digest: str) -> bytes:
        """The bytes of an object of the store."""
        return (self.store / "objects" / digest[:2] / digest).read_bytes()

    def close(self) -> None:
        """End what a failing test left under way."""
        for running in self.started:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait()


@dataclass(frozen=True)
class Project:
    """A git repository with a `valohai.yaml`, and the command run in it."""

    folder: Path
    command: Mlrun

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def git(self, *arguments: str) -> str:
        """Run git here; returns what it printed."""
        identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
        return subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.folder,
            env=self.command.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            encoding="utf-8",
        ).stdout

    def commit(self) -> str:
        """Commit everything; returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", f"state of {self.folder}")
        return self.git("rev-parse", "HEAD").strip()

    def with_variables(self, **variables: str | None) -> "Project":
        """The same project, the command with other variables."""
        return replace(self, command=self.command.with_variables(**variables))

    def mlrun(self, *arguments: str | Path, folder: Path | None = None, stdin: str | None = None) -> Done:
        """Run the command here, or in another folder."""
        return self.command.run(*arguments, folder=folder or self.folder, stdin=stdin)

    def succeeds(self, *arguments: str | Path, folder: Path | None = None) -> Done:
        """Run the command, which must end with 0."""
        done = self.mlrun(*arguments, folder=folder)
        assert done.code == 0, str(done)
        return done

    def fails(self, *arguments: str | Path, code: int = 1) -> Done:
        """Run a command that records a run which does not succeed."""
        done = self.mlrun(*arguments)
        assert done.code == code, str(done)
        return done

    def refused(self, *arguments: str | Path, code: int, folder: Path | None = None) -> str:
        """Run a command that must be refused: `code`, one line with the error, one with a hint, nothing recorded.

        Returns both lines.
        """
        before = self.command.recorded()
        done = self.mlrun(*arguments, folder=folder)
        assert done.code == code, str(done)
        assert done.out == "", str(done)
        lines = [line for line in done.err.splitlines() if not line.startswith("executor ")]
        assert len(lines) == 2, str(done)
        assert "error: " in lines[0], str(done)
        assert lines[1].startswith("hint: "), str(done)
        assert self.command.recorded() == before, str(done)
        return done.err

    def start(self, *arguments: str) -> Running:
        """Start the command here."""
        return self.command.start(*arguments, folder=self.folder)

    def show(self, subject: str = "run:latest") -> Any:
        """What `mlrun show --json` says."""
        return self.succeeds("show", subject, "--json").json()

    def runs(self) -> Any:
        """What `mlrun list runs --json` says."""
        return self.succeeds("list", "runs", "--json").json()

    def log(self, subject: str = "latest") -> str:
        return self.succeeds("logs", subject).out

    def outputs(self, subject: str, folder: Path) -> dict[str, bytes]:
        """The outputs of an execution, copied into `folder`, by name."""
        self.succeeds("outputs", subject, "-d", folder)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what works on this machine


@pytest.fixture(scope="session")
def doctor(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Per executor, what `mlrun doctor` says about it on this machine."""
    folder = tmp_path_factory.mktemp("doctor")
    command = Mlrun(folder / "store", _environment(folder, {}), folder)
    report: dict[str, Any] = command.run("doctor", "--json", folder=folder).json()
    return report["executors"]


def _environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """A clean environment: nothing of the caller's settings, git's own identity or terminal."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "MLRUN_STORE": str(home / "store"),
        **passed,
        **more,
    }


def _works(doctor: dict[str, Any], name: str) -> bool:
    return bool(doctor[name]["works"])


@pytest.fixture(scope="session")
def embedded(doctor: dict[str, Any]) -> str:
    """The executor of tests that are about something else: the sandbox, or plain processes where it does not work."""
    return "sandbox" if _works(doctor, "sandbox") else "process"


@pytest.fixture(scope="session")
def sandbox(doctor: dict[str, Any]) -> str:
    """Skips where the sandbox does not work."""
    if not _works(doctor, "sandbox"):
        pytest.skip(f"sandbox: {doctor['sandbox']['sentence']}")
    return "sandbox"


@pytest.fixture(scope="session")
def docker(doctor: dict[str, Any]) -> Callable[[str], str]:
    """Skips where no engine answers; calling it with an image skips where the engine does not have it."""
    if not _works(doctor, "docker"):
        pytest.skip(os.environ.get("MLRUN_TEST_NO_ENGINE") or f"docker: {doctor['docker']['sentence']}")

    def need(image: str) -> str:
        client = pytest.importorskip("docker").from_env()
        try:
            if not client.images.list(image):
                pytest.skip(f"docker: image {image} is not here")
        finally:
            client.close()
        return image

    return need


# --- commands and projects


@pytest.fixture(scope="session")
def shared_command(tmp_path_factory: pytest.TempPathFactory, embedded: str) -> Iterator[Mlrun]:
    """One home and store for everything that need not be alone."""
    home = tmp_path_factory.mktemp("home")
    command = Mlrun(home / "store", _environment(home, {"MLRUN_EXECUTOR": embedded}), home)
    yield command
    command.close()


@pytest.fixture
def command(shared_command: Mlrun) -> Iterator[Mlrun]:
    """The command; what a test started with it is ended after the test."""
    yield shared_command
    shared_command.close()


Make = Callable[..., Project]


def _make(command: Mlrun, folder: Path, yaml: str, files: Mapping[str, str]) -> Project:
    folder.mkdir(parents=True)
    project = Project(folder, command)
    project.write("valohai.yaml", yaml)
    for name, text in files.items():
        project.write(name, text)
    project.git("init", "--quiet", "--initial-branch=main")
    project.commit()
    return project


@pytest.fixture
def make(command: Mlrun, tmp_path: Path) -> Make:
    """Makes a committed project from the text of its YAML file and other files."""

    def make(yaml: str, files: Mapping[str, str] | None = None) -> Project:
        return _make(command, tmp_path / "project", yaml, files or {})

    return make


@pytest.fixture
def made(make: Make, tmp_path: Path) -> Make:
    """Makes projects with a store of their own, in which nobody else has done the same before, and with the interpreter
    that lies below that of the tests: in theirs this program may be installed for editing, and edited meanwhile."""
    path = f"{sys.base_prefix}/bin:{os.environ['PATH']}"

    def made(*content: Any, **variables: str) -> Project:
        project: Project = make(*content)
        return project.with_variables(PATH=path, MLRUN_STORE=str(tmp_path / "store"), **variables)

    return made


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, shared_command: Mlrun, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project with the YAML file `YAML` of the test's module, for tests that change no file of it."""
    return _make(shared_command, tmp_path_factory.mktemp("shared") / "project", request.module.YAML, {})


@pytest.fixture
def iris(command: Mlrun, tmp_path: Path) -> Project:
    """The project that `mlrun init` makes."""
    return _init(command, tmp_path)


@pytest.fixture(scope="session")
def trained(shared_command: Mlrun, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The example project after one `mlrun pipeline "Training Pipeline"`, its run 1.

    Shared: tests run it again with other values, but change no file of it.
    """
    pytest.importorskip("sklearn", reason="the example's steps need scikit-learn")
    iris = _init(shared_command, tmp_path_factory.mktemp("iris"))
    done = iris.mlrun("pipeline", "Training Pipeline", "--title", "first light", "--tag", "demo")
    assert done.code == 0, str(done)
    return iris


def _init(command: Mlrun, parent: Path) -> Project:
    done = command.run("init", "iris", folder=parent)
    assert done.code == 0, str(done)
    return Project(parent / "iris", command)


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits for a condition."""
    return wait_for


@pytest.fixture(scope="session")
def root() -> Path:
    """The source checkout."""
    return ROOT


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter of these tests."""
    return sys.executable
