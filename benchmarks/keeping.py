"""What is done with data all day, by us and by others: add, status, push, checkout, gc, each a process of its own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.content import fill, make_master
from benchmarks.keeper import DATA
from benchmarks.measure import Sample
from benchmarks.peer import find_package, find_peer
from benchmarks.project import chain_text, make_project
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run

LARGE, SMALL = 2_000_000_000, 4096
"""Bytes of the one large file, and of each of the many small ones."""

VERBS: Mapping[str, tuple[str, str]] = {
    "add": ("dvc", "≤ 0.25 ×"),
    "status": ("dvc", "≤ 0.25 ×"),
    "push": ("cp", "≤ 1.2 ×"),
    "checkout": ("cp", "≤ 1.2 ×"),
    "gc": ("dvc", "≤ 0.25 ×"),
}
"""What is timed, in its order, and what it is held against."""
BARE: Mapping[str, str] = {"push": "cp and fsync", "checkout": "cp and fsync", "gc": "rm -r"}
"""What the commands of the system do for a verb; what `cp` writes is on the disk when its turn ends, as with mlrun."""
ROOM = 16
"""How many times the files all tools together keep of them, at the most."""
SETTLING = 6.0
"""Seconds for which ext4 makes files slowly after many were removed, and a little more."""

Step = Callable[[], object]
Lane = Callable[[Path, Callable[[Path], None]], Mapping[str, Sequence[Step]]]
"""Arranges a new folder; then, for each verb, what is to be done: the first step is timed, those after it are not."""


@dataclass(slots=True)
class _Table:
    """Seconds by tool and verb."""

    found: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, tool: str, verb: str, seconds: float) -> None:
        self.found.setdefault(tool, {}).setdefault(verb, []).append(seconds)

    def sample(self, tool: str, verb: str) -> Sample | None:
        values = self.found.get(tool, {}).get(verb)
        return Sample(tuple(values)) if values else None


def measure(setting: Setting) -> Report:
    """Add, status, push to a directory, checkout and gc of 1 file of 2 GB and of 10,000 of 4 KB; dvc, restic, cp."""
    notes = ["every command is a process of its own; a turn has new files, which were just written, and a new store"]
    lanes: dict[str, Lane] = {"mlrun": _mlrun, "cp": _cp}
    for name, find, lane in (("dvc", find_peer, _dvc), ("restic", find_package, _restic)):
        try:
            peer = find(setting, name)
            lanes[name] = partial(lane, peer.program)
            notes.append(peer.title)
        except LeftOut as reason:
            notes.append(f"left out: {reason}")
    rows: list[Row] = []
    for title, count, size in (
        ("1 file of 2 GB", 1, setting.size(LARGE, LARGE // 100)),
        ("10,000 files of 4 KB", setting.size(10_000, 300), SMALL),
    ):
        if shutil.disk_usage(setting.folder).free < ROOM * count * size:
            raise LeftOut(f"it needs {ROOM * count * size / 1e9:.0f} GB of disk")
        rows += _rows(title, _race(setting, lanes, count, size))
    notes.append("what mlrun or `cp and fsync` has written is on the disk when it ends, with dvc it may not be")
    notes.append("every round begins with another tool")
    return Report(rows, notes)


def _race(setting: Setting, lanes: Mapping[str, Lane], count: int, size: int) -> _Table:
    """Every tool takes its turn in every round. What one removes slows down who comes next: so nobody always comes
    after the same one, and nothing is cleared away between two turns."""
    table = _Table()
    master = setting.folder / "master"
    make_master(master, count * size)
    tools = list(lanes)
    for number in range(setting.rounds_or(3)):
        first = number % len(tools)
        for tool in (*tools[first:], *tools[:first]):
            folder = setting.folder / tool
            folder.mkdir()
            steps = lanes[tool](folder, partial(fill, master=master, count=count))
            for verb in VERBS:
                _take(table, tool, verb, steps.get(verb, ()))
        for tool in tools:
            shutil.rmtree(setting.folder / tool)
        os.sync()
        time.sleep(0 if setting.quick else SETTLING)
    master.unlink()
    return table


def _take(table: _Table, tool: str, verb: str, steps: Sequence[Step]) -> None:
    for number, step in enumerate(steps):
        if number == 0:
            # What was written before would be waited for, too; nor is anybody quick on files that are too young.
            os.sync()
            time.sleep(0.1)
        began = time.perf_counter()
        step()
        if number == 0:
            table.add(tool, verb, time.perf_counter() - began)


def _rows(title: str, table: _Table) -> list[Row]:
    rows: list[Row] = []
    for verb, (rival, bar) in VERBS.items():
        ours, theirs = table.sample("mlrun", verb), table.sample(rival, verb)
        if ours is None:
            continue
        beside = (theirs, _called(rival, verb)) if theirs is not None else None
        rows.append(Row(f"{title}: {verb}, mlrun", ours, beside, bar))
        rows += [
            Row(f"{title}: {verb}, {_called(tool, verb)}", sample)
            for tool in ("dvc", "restic", "cp")
            if (sample := table.sample(tool, verb)) is not None
        ]
    return rows


def _called(tool: str, verb: str) -> str:
    return BARE[verb] if tool == "cp" else tool


def _mlrun(folder: Path, make_files: Callable[[Path], None]) -> Mapping[str, Sequence[Step]]:
    project = make_project(folder / "project", chain_text(1))
    make_files(project / DATA)
    store = {"MLRUN_STORE": str(folder / "store")}
    keeper = [sys.executable, "-m", "benchmarks.keeper"]

    def call(*words: str | Path) -> None:
        subprocess.run(
            words, cwd=project, env={**os.environ, **store}, check=True, capture_output=True, stdin=subprocess.DEVNULL
        )

    def child(verb: str) -> None:
        top = Path(__file__).parent.parent
        subprocess.run(
            [*keeper, verb, project],
            cwd=top,
            env={**os.environ, **store},
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )

    return {
        "add": [lambda: child("add")],
        "status": [lambda: child("status")],
        "push": [lambda: call("mlrun", "push", "--to", folder / "remote")],
        "checkout": [lambda: call("mlrun", "outputs", "latest", "-d", folder / "checkout")],
        "gc": [lambda: call("mlrun", "gc", "--keep-last", "0", "--keep-within", "0s", "--now")],
    }


def _cp(folder: Path, make_files: Callable[[Path], None]) -> Mapping[str, Sequence[Step]]:
    data = folder / DATA
    make_files(data)

    def copy(name: str) -> None:
        run(["cp", "-r", "--reflink=never", data, folder / name])
        for path in (folder / name).iterdir():
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)

    return {
        "push": [lambda: copy("remote")],
        "checkout": [lambda: copy("checkout")],
        "gc": [lambda: run(["rm", "-r", folder / "remote"])],
    }


def _dvc(program: str, folder: Path, make_files: Callable[[Path], None]) -> Mapping[str, Sequence[Step]]:
    project = folder / "project"
    project.mkdir()
    run(["git", "init", "--quiet"], project)
    run([program, "init", "--quiet"], project)
    run([program, "remote", "add", "--quiet", "-d", "directory", folder / "remote"], project)
    make_files(project / DATA)

    def forget() -> None:
        (project / f"{DATA}.dvc").unlink()
        run([program, "gc", "--workspace", "--force", "--quiet"], project)

    def check_out() -> None:
        run([program, "checkout", "--quiet"], project)

    def push() -> None:
        run([program, "push", "--quiet"], project)

    return {
        "add": [lambda: run([program, "add", "--quiet", DATA], project)],
        "status": [lambda: run([program, "status", "--quiet"], project)],
        "push": [push, lambda: shutil.rmtree(project / DATA)],
        "checkout": [check_out],
        "gc": [forget],
    }


def _restic(program: str, folder: Path, make_files: Callable[[Path], None]) -> Mapping[str, Sequence[Step]]:
    make_files(folder / DATA)
    os.environ["RESTIC_PASSWORD"] = "benchmark"
    repository = folder / "repository"
    restic = [program, "--quiet", "--no-cache", "--repo", repository]
    run([*restic, "init"])
    return {
        "add": [lambda: run([*restic, "backup", folder / DATA])],
        "status": [lambda: run([*restic, "backup", folder / DATA])],
        "checkout": [lambda: run([*restic, "restore", "latest", "--target", folder / "checkout"])],
        "gc": [lambda: run([*restic, "forget", "--keep-tag", "none", "--prune"])],
    }
