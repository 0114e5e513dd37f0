"""Where the fault suites play: a folder in memory, a small project, and commands in child processes.

Everything that `mlrun` imports is imported once here, before any child is forked, so that a whole run takes 0.2 s.
"""

import gc
import importlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import injection
import typer
from check import acknowledgements, check
from injection import READS, Ended, Fault, injected

from runner.cli import main as cli
from runner.digest import Digest
from runner.errors import ExitCode, MlrunError

IDENTITY = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
YAML = """\
- step:
    name: make
    image: mlrun-test/busybox:1
    command:
      - 'echo "{{\\"accuracy\\": 0.5}}"'
      - cat {source} > "$VH_OUTPUTS_DIR/words.txt"
      - 'echo "{{\\"valohai.alias\\": \\"words\\"}}" > "$VH_OUTPUTS_DIR/words.txt.metadata.json"'
      - i=0; while [ $i -lt 70 ]; do echo "$i {number}" > "$VH_OUTPUTS_DIR/$i"; i=$((i + 1)); done
- step:
    name: use
    image: mlrun-test/busybox:1
    command:
      - cat "$VH_INPUTS_DIR"/words/* > "$VH_OUTPUTS_DIR/used.txt"
    inputs:
      - {{name: words}}
- pipeline:
    name: both
    nodes:
      - {{name: make, type: execution, step: make}}
      - {{name: use, type: execution, step: use}}
    edges:
      - [make.output.words.txt, use.input.words]
"""


@dataclass(slots=True)
class Figures:
    """What a suite tried: the points that there are (0 where they are random), tried and struck, what was lost, and
    seconds."""

    suite: str
    points: int = 0
    tried: int = 0
    struck: int = 0
    losses: list[str] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""


def warm() -> None:
    """Import what the verbs need, so that no child has to."""
    for verb in cli.VERBS.values():
        importlib.import_module(f"runner.cli.{verb.module}")
    assert typer
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Ground:
    """A folder with a project in it; stores are made beside it."""

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def make_project(self) -> None:
        """A git repository with two steps and a pipeline."""
        self.project.mkdir()
        settings = self.folder / ".config" / "mlrun" / "settings.toml"
        settings.parent.mkdir(parents=True)
        # The disks of these suites are small: what is kept free on others would be all of them.
        settings.write_text("reserve = 0\n")
        self.write(0)
        (self.project / "code.py").write_text("print('code')\n" * 100)
        git = ["git", *IDENTITY]
        for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
            subprocess.run([*git, *arguments], cwd=self.project, check=True, env=self.environment(self.folder))

    def write(self, number: int) -> None:
        """Make the project's code and outputs those of a version."""
        (self.project / "words").write_text("".join(f"line {line}\n" for line in range(120_000)) + f"{number}\n")
        (self.project / "valohai.yaml").write_text(YAML.format(source="words", number=number))

    def environment(self, place: Path) -> dict[str, str]:
        """The variables of a command whose store lies in `place`; nothing of the caller's settings."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "MLRUN_STORE": str(place / "store"),
            "MLRUN_EXECUTOR": "process",
            **{name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ},
        }

    def command(self, place: Path, *arguments: str) -> Callable[[], int]:
        """`mlrun ARGUMENTS` in the project, to be called in a child process."""

        environment = self.environment(place)

        def body() -> int:
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(self.project)
            try:
                cli.main([argument.replace("{place}", str(place)) for argument in arguments])
            except SystemExit as ended:
                return int(ended.code or 0)

        return body

    def run(self, place: Path, *arguments: str) -> Ended:
        """Run a command that must succeed."""
        done = alone(self.command(place, *arguments))
        assert done.code == 0, (arguments, done)
        return done


@contextmanager
def ground(parent: Path | None = None) -> Iterator[Ground]:
    """A ground of its own, in memory where that can be had: only power cuts need a disk."""
    shared = Path("/dev/shm")
    where = parent or (shared if os.access(shared, os.W_OK) else None)
    with tempfile.TemporaryDirectory(prefix="mlrun-fault-", dir=where) as folder:
        made = Ground(Path(folder))
        made.make_project()
        yield made


def alone(body: Callable[[], int]) -> Ended:
    """Run `body` in a child process, and wait for all that it starts."""
    return injected(body, None, frozenset())


def checked(root: Path, acknowledged: Iterable[str], readable: Sequence[Digest] = ()) -> str:
    """What `check` has against a store, empty if nothing; in a child, since hashing starts threads."""
    lines = list(acknowledged)

    def body() -> int:
        try:
            check(root, lines, readable=readable)
        except MlrunError as error:
            print(f"{error.message}", file=sys.stderr)
            return 1
        except Exception:
            traceback.print_exc()
            return 1
        return 0

    done = alone(body)
    return "" if done.code == 0 else f"{done.err.strip()[-1500:]} {done.out.strip()[-500:]}"


Acknowledging = Callable[[Ended], list[str]]


def shown(ended: Ended) -> list[str]:
    """What a command acknowledged by what it showed, and by ending with 0."""
    return acknowledgements(ended.err)


def printed(ended: Ended) -> list[str]:
    """What a script acknowledged, line by line."""
    return [line for line in ended.out.splitlines(keepends=True) if line.endswith("\n")]


@dataclass(frozen=True)
class Scene:
    """Something that is stopped everywhere: how the store was before, what is run, and what it acknowledges.

    `again` are commands that must succeed after it was stopped, before the second check. `readable` tells from the
    prepared store which objects nobody may lose; `then` says what else is wrong at the very end, empty if nothing.
    """

    name: str
    prepare: Callable[[Ground, Path], None]
    body: Callable[[Ground, Path], Callable[[], int]]
    acknowledged: Acknowledging = shown
    again: tuple[tuple[str, ...], ...] = ()
    readable: Callable[[Path], Sequence[Digest]] = lambda _: ()
    then: Callable[[Ground, Path], str] = lambda _, __: ""


class Stage:
    """A scene on a ground: its prepared store, of which each point gets a copy."""

    def __init__(self, scene: Scene, here: Ground) -> None:
        self.scene = scene
        self.here = here
        self.prepared = here.folder / f"prepared-{scene.name.replace(' ', '-')}"
        self.prepared.mkdir()
        scene.prepare(here, self.prepared)
        self.readable = tuple(scene.readable(self.prepared))
        self._counts: dict[Fault, int] = {}

    def count(self, fault: Fault) -> int:
        """How many calls there are for such a fault when nothing is struck. Raises AssertionError when the scene itself
        fails."""
        nowhere = replace(fault, at=1 << 60, lasting=False)
        if nowhere not in self._counts:
            self._counts[nowhere] = self._count(nowhere)
        return self._counts[nowhere]

    def _count(self, nowhere: Fault) -> int:
        with self._copy() as place:
            done = injected(self.scene.body(self.here, place), nowhere)
            assert done.code == 0, (self.scene.name, done)
            wrong = self._check(place, self.scene.acknowledged(done)) or self._again(place)
            assert not wrong, (self.scene.name, wrong)
        return done.calls

    def strike(self, fault: Fault) -> tuple[bool, str]:
        """Whether the point was there, and what was wrong afterwards, empty if nothing."""
        try:
            with self._copy() as place:
                done = injected(self.scene.body(self.here, place), fault)
                wrong = self._judge(fault, done) or self._check(place, self.scene.acknowledged(done))
                if not wrong and done.struck:
                    wrong = self._again(place)
        except injection.Hanging as hanging:
            return True, f"{self._place(fault)}: {hanging}"
        return bool(done.struck), wrong and f"{self._place(fault)} ({done.struck_call}): {wrong}"

    def _place(self, fault: Fault) -> str:
        return f"{self.scene.name}: {fault.kind}{' from' if fault.lasting else ''} at {fault.at}"

    def _judge(self, fault: Fault, done: Ended) -> str:
        if "Traceback" in done.err or "this is a bug" in done.err or done.code in {3, 125}:
            return f"a bug: {done.err[-1500:]}"
        if fault.kind == "KILL" and done.struck and done.code != -9:
            return f"it was not killed: {done.code}"
        if fault.kind in {"SHORT", "EINTR"} and done.code != 0:
            return f"it failed though the call had only to be made again: {done.code} {done.err[-500:]}"
        if fault.calls == READS and done.struck:
            # What is wrong with files of the project is told as such: they are no part of the store.
            expected = {0, ExitCode.STORE} if "/store/" in fault.of else {0, ExitCode.SPEC, ExitCode.INPUT}
            if done.code not in expected or len(re.findall("^error: ", done.err, re.MULTILINE)) > 1:
                return f"a file that cannot be read is told otherwise: {done.code} {done.err[-800:]}"
        if fault.kind != "KILL" and done.code < 0:
            return f"it died: {done.code}"
        return ""

    def _check(self, place: Path, acknowledged: list[str]) -> str:
        return checked(place / "store", acknowledged, self.readable)

    def _again(self, place: Path) -> str:
        for arguments in self.scene.again:
            done = alone(self.here.command(place, *arguments))
            if done.code != 0:
                return f"`mlrun {' '.join(arguments)}` afterwards: {done.code} {done.err[-1000:]}"
        return (self._check(place, []) if self.scene.again else "") or self.scene.then(self.here, place)

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        place = Path(tempfile.mkdtemp(dir=self.here.folder))
        subprocess.run(["cp", "-a", f"{self.prepared}/.", place], check=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def side_by_side(strike: Callable[[Fault], tuple[bool, str]], faults: Sequence[Fault]) -> tuple[int, list[str]]:
    """Strike all, as many at a time as there are processors; gives how many were struck, and what was wrong."""
    workers = min(len(faults), os.cpu_count() or 1)
    children = []
    for share in (faults[number::workers] for number in range(workers)):
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            with suppress(BaseException), os.fdopen(send, "w") as out:
                os.close(receive)
                for fault in share:
                    struck, wrong = strike(fault)
                    out.write(f"{struck:d}{wrong!r}\n")
                    out.flush()
                code = 0
            os._exit(code)
        os.close(send)
        children.append((child, receive))
    struck, losses = 0, []
    for child, receive in children:
        with os.fdopen(receive) as lines:
            for line in lines:
                struck += line[0] == "1"
                if line[1:] not in {"''\n", '""\n'}:
                    losses.append(line[1:].strip("'\"\n").replace("\\n", "\n"))
        if os.waitpid(child, 0)[1]:
            losses.append("the suite itself failed")
    return struck, losses


def chosen(points: int, count: int | None, seed: int) -> list[int]:
    """All points, or so many of them by chance."""
    every = range(1, points + 1)
    return list(every) if count is None or count >= points else sorted(random.Random(seed).sample(every, count))


@contextmanager
def timed(figures: Figures) -> Iterator[Figures]:
    """Take the time of a suite."""
    began = time.monotonic()
    try:
        yield figures
    finally:
        figures.seconds = time.monotonic() - began
