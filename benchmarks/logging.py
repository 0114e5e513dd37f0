"""What a program's output costs on its way to the log, the metrics and the terminal."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker as sdk
from docker.utils import kwargs_from_env

from benchmarks import container
from benchmarks.bare import container_request, sandbox_command
from benchmarks.chain import StepFailed
from benchmarks.measure import Lane, race
from benchmarks.project import make_project
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting
from runner.app.place import locate
from runner.app.request import Request, open_project
from runner.app.run import run_plan
from runner.cli.display import PlainDisplay
from runner.cli.relay import Relay
from runner.errors import ExitCode
from runner.events import Event, NodeChanged
from runner.executors.docker import DockerExecutor
from runner.executors.site import Site
from runner.job import Network
from runner.plan.compile import compile_step
from runner.plan.model import Arguments
from runner.settings import Settings
from runner.state import State

LINES = "lines.txt"
PRINT = f"i=0; while [ $i -lt %d ]; do cat {LINES}; i=$((i+1)); done"
MEGABYTES = 10
"""The size of the file that is printed again and again."""
SHARE = 100
"""Figures are for so many megabytes."""
SECRETS = {"API_TOKEN": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "PASSWORD": "correct horse battery staple"}
TEXT = "Jan 07 12:00:01 batch {number}: loss=0.1234 (+0.5 %), lr=3e-4, GPU Z1 83 %, next checkpoint in 7 s"
READ = 1 << 16

YAML = """\
- step:
    name: print
    image: {image}
    command: '{command}'
    environment-variables: [{{name: API_TOKEN}}, {{name: PASSWORD}}]
"""


def measure(setting: Setting) -> Report:
    """100-byte lines, 1 in 100 a metric, into log, metrics and a file for the terminal; the figures are per 100 MB."""
    store, size = Path(os.environ["MLRUN_STORE"]), setting.size(500, 100)
    times = size // MEGABYTES
    project = _make_project(setting.folder / "project", "busybox:1", times)
    words = _with_lines(sandbox_command(setting.folder), project)
    out = setting.folder / "out"
    settings = Settings(store, executor="sandbox")
    floor = [*words, "sh", "-c", PRINT % times]
    lanes = [
        _step_lane("sandbox", project, settings, size, out),
        _step_lane("masked", project, settings, size, out, SECRETS),
        lambda: {"bwrap": _pipe(floor, out) * SHARE / size},
    ]
    notes = [
        f"{size} MB in each turn; the time of a step is that of its program: its last byte is in the log by then",
        "“stored” is until the log is durable in the store, every byte hashed and synced",
    ]
    with _docker_lanes(setting, store, notes) as more:
        found = race([*lanes, *more], setting.rounds_or(5))
    rows = [
        Row("a step in the sandbox", found["sandbox"], (found["bwrap"], "bwrap … | cat"), "< 1 s: 100 MB/s"),
        Row("the same with two secrets masked", found["masked"], (found["bwrap"], "bwrap … | cat"), "< 1 s: 100 MB/s"),
        Row("the same, and stored", found["sandbox: stored"]),
        Row("bwrap … | cat > file", found["bwrap"]),
    ]
    if more:
        rows += [
            Row("a step in Docker", found["docker"], (found["attach"], "bare attach"), "< 1.11 × bare attach"),
            Row("attach, start, read, write to a file", found["attach"]),
        ]
    return Report(rows, notes)


def _make_project(folder: Path, image: str, times: int) -> Path:
    folder.mkdir()
    lines = (
        f'{{"step": {number}, "loss": 0.{number}}}' if number % 100 == 0 else TEXT.format(number=number)
        for number in range(MEGABYTES * 10_000)
    )
    (folder / LINES).write_text("".join(f"{line:99}\n" for line in lines))
    return make_project(folder, YAML.format(image=image, command=PRINT % times))


def _with_lines(words: list[str], project: Path) -> list[str]:
    """The words for a bare sandbox without the program, in whose repository the lines are."""
    place = words.index("/valohai/repository")
    shutil.copy(project / LINES, words[place - 1])
    return words[:-1]


@dataclass(slots=True)
class _Ear:
    """Passes events on to a display; notes how long the program took and how long it was until all was stored."""

    display: Relay
    began: float = 0.0
    printed: float = 0.0
    stored: float = 0.0

    def hear(self, event: Event) -> None:
        if isinstance(event, NodeChanged) and event.state is State.RUNNING:
            self.began = time.perf_counter()
        elif isinstance(event, NodeChanged) and event.state is State.SUCCEEDED:
            self.printed, self.stored = event.duration or 0.0, time.perf_counter() - self.began
        self.display(event)


def _step_lane(
    name: str, project: Path, settings: Settings, size: int, out: Path, secrets: Mapping[str, str] | None = None
) -> Lane:
    """A lane that runs the step `print`: `name` is the time of its program, `name: stored` until all is durable."""

    def lane() -> Mapping[str, float]:
        place = locate(project)
        found = open_project(place, None)
        plan = compile_step(
            found.steps["print"], Arguments(str(project), granted=frozenset(secrets or ())), str(place.root)
        )
        request = Request(plan, place, found, settings, ("benchmark",), secrets=secrets or {})
        with (
            out.open("w") as file,
            open(os.devnull, "w") as nowhere,
            _talk_to(nowhere),
            Relay(PlainDisplay(file)) as display,
        ):
            ear = _Ear(display)
            ended = run_plan(request, ear.hear)
        if ended.exit != ExitCode.OK:
            raise StepFailed(f"the step of {project} failed: {ended.run.reason}")
        if out.stat().st_size != size * 1_000_000:
            raise StepFailed(f"of {size} MB {out.stat().st_size} bytes were shown")
        return {name: ear.printed * SHARE / size, f"{name}: stored": ear.stored * SHARE / size}

    return lane


@contextmanager
def _talk_to(file: Any) -> Iterator[None]:
    """Let what is said on stderr go to a file."""
    before, sys.stderr = sys.stderr, file
    try:
        yield
    finally:
        sys.stderr = before


def _pipe(words: list[str], out: Path) -> float:
    with out.open("wb") as file:
        began = time.perf_counter()
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            subprocess.run(["cat"], stdin=process.stdout, stdout=file, check=True)
        return time.perf_counter() - began


@contextmanager
def _docker_lanes(setting: Setting, store: Path, notes: list[str]) -> Iterator[list[Lane]]:
    """The lanes of Docker, none where no engine answers."""
    executor = DockerExecutor(Site(store, store / "cache"))
    probe = executor.probe()
    executor.close()
    if not probe.works:
        notes.append(f"Docker is left out: {probe.sentence}")
        yield []
        return
    size = setting.size(200, 50)
    times, folder = size // MEGABYTES, setting.folder / "docker"
    folder.mkdir()
    project = _make_project(folder / "project", container.IMAGE, times)
    settings = Settings(store, executor="docker", network=Network.NONE)
    request = container_request(folder, container.IMAGE, settings)
    request |= {"Entrypoint": ["/bin/sh", "-c", PRINT % times], "Cmd": []}
    for mount in request["HostConfig"]["Mounts"]:
        if mount["Target"] == "/valohai/repository":
            shutil.copy(project / LINES, mount["Source"])
    notes.append(f"{size} MB in Docker; the engine keeps a copy of its own in both, which is most of the time")
    api: Any = sdk.APIClient(**kwargs_from_env(), version="auto")
    api.trust_env = False
    out = setting.folder / "out"
    try:
        yield [
            _step_lane("docker", project, settings, size, out),
            lambda: {"attach": _attach(api, request, out) * SHARE / size},
        ]
    finally:
        api.close()


def _attach(api: Any, request: dict[str, Any], out: Path) -> float:
    made = api.create_container_from_config(request)["Id"]
    try:
        stream = api.attach_socket(made, {"stdout": 1, "stderr": 1, "stream": 1})
        socket = getattr(stream, "_sock", stream)
        socket.settimeout(None)
        api.start(made)
        began = time.perf_counter()
        with out.open("wb", buffering=0) as file:
            while data := socket.recv(READ):
                file.write(data)
        status = api.wait(made)["StatusCode"]
        took = time.perf_counter() - began
        stream._response.close()
    finally:
        api.remove_container(made, force=True)
    if status != 0:
        raise LeftOut(f"the bare container ended with {status}")
    return took
