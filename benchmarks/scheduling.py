"""Ten thousand nodes from the first to the last on an executor that starts nothing: what the engine itself takes."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.measure import Sample, race, timed
from benchmarks.project import grid_text
from benchmarks.report import Report, Row
from benchmarks.setting import Setting
from runner.app.wish import NEVER
from runner.cli.main import collect_rarely
from runner.engine.callback import Bound, Callbacks, Recorder, Ticket
from runner.engine.loop import Loop, Terms
from runner.engine.slots import Capacity
from runner.errors import ExitCode
from runner.executors.fake import FakeExecutor
from runner.job import Job, Network, Staged, Workspace
from runner.plan.bind import Left, make_job, resolve
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments, Plan, PlannedNode, plan_to_json
from runner.spec.project import parse_project
from runner.state import State
from runner.store.identity import new_id
from runner.store.record import Code, ProjectRef
from runner.store.store import Store
from runner.worker.report import Finished, JobListener
from runner.worker.stopper import Stopper

IMAGE = "busybox:1"


class Memory:
    """Records that nobody will read."""

    def __init__(self) -> None:
        self.entries = 0
        self._counter = count(1)

    def append(self, entries: Sequence[Mapping[str, Any]], then: Callable[[], None]) -> None:
        """Count them."""
        self.entries += len(entries)
        then()

    def new_execution_counter(self) -> int:
        """The next number."""
        return next(self._counter)

    def inbox(self) -> list[dict[str, Any]]:
        """Nobody asks for anything."""
        return []

    def drop_log(self, execution_id: str) -> None:
        """There is none."""


def measure(setting: Setting) -> Report:
    """A grid of 10,000 nodes on the fake executor, records in memory and in the store, beside 10,000 durable files."""
    side = setting.size(100, 30)
    small = setting.size(32, 10)
    whole, part = make_plan(side), make_plan(small)
    nodes, fewer = side * side, small * small
    manifest = json.dumps(plan_to_json(part)["nodes"][0]).encode()
    folders = count()
    # As the command does, whose process this stands for.
    collect_rarely()

    def place() -> Path:
        path = setting.folder / f"turn{next(folders)}"
        path.mkdir()
        return path

    lanes = [
        timed("memory", lambda: drive(whole, Memory(), place())),
        timed("fewer", lambda: drive(part, Memory(), place())),
        timed("store", lambda: drive_recorded(whole, place())),
        timed("durable", lambda: write_durably(nodes, manifest, place())),
    ]
    found = race(lanes, setting.rounds_or(3))
    memory, durable = found["memory"], found["durable"]
    per_node = Sample(tuple(seconds / nodes for seconds in memory.values))
    per_fewer = Sample(tuple(seconds / fewer for seconds in found["fewer"].values))
    rows = [
        Row(f"{nodes:,} nodes, records in memory", memory, None, "< 10 s"),
        Row(f"{nodes:,} nodes, records in the store", found["store"], (durable, "durable files"), "≤ 1.5 ×"),
        Row(f"{nodes:,} durable files of {len(manifest)} bytes", durable),
        Row(f"a node of {nodes:,}", per_node, (per_fewer, f"a node of {fewer:,}"), "1 ×: linear"),
        Row(f"a node of {fewer:,}", per_fewer),
    ]
    peaks = {name: peak_memory(side, name) for name in ("memory", "store")}
    told = ", ".join(f"{peak} MB with records in {name}" for name, peak in peaks.items())
    return Report(rows, [f"peak memory of a process: {told}; bar: < 300 MB"])


def make_plan(side: int) -> Plan:
    """That of a grid of `side` × `side` nodes."""
    project = parse_project(grid_text(side).encode(), "valohai.yaml")
    return compile_pipeline(project, project.pipelines["grid"], Arguments("/"), "/")


def drive(plan: Plan, recorder: Recorder, folder: Path) -> None:
    """Run all nodes on the fake executor."""
    executor = FakeExecutor()
    identity = executor.resolve(IMAGE)
    if identity is None:
        raise RuntimeError("the fake executor has every image")
    workspace = Workspace.below(folder / "work")
    for path in (workspace.outputs, workspace.repository, workspace.config, workspace.control):
        path.mkdir(parents=True)

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound:
        job = make_job(node, resolve(node, upstream), {}, snapshot="0" * 64, network=Network.DEFAULT)
        return Bound(replace(job, id=new_id()), ticket.number())

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        handle = executor.start(Staged(job, workspace, job.environment, identity))
        listener.started()
        for chunk in handle.logs():
            listener.log(chunk)
        outcome = handle.wait()
        handle.close()
        return Finished(outcome, ExitCode.OK, None, None, (), None, {}, None, (), 0.0, None, None)

    loop = Loop(
        plan,
        Callbacks(bind, work, leave=lambda job, finished: Left(job.parameters)),
        terms=Terms(Capacity(os.cpu_count() or 1)),
        recorder=recorder,
        identities={IMAGE: identity},
        executor=executor.name,
        emit=lambda event: None,
    )
    end = loop.run()
    if getattr(end, "state", None) is not State.SUCCEEDED:
        raise RuntimeError(f"the run ended as {end}")


def drive_recorded(plan: Plan, folder: Path) -> None:
    """The same with journal, index and counters of a store."""
    with Store.open(folder / "store", create=True) as store:
        header = {
            "kind": plan.kind,
            "name": plan.name,
            "project": ProjectRef("project", "grid", "/", "valohai.yaml"),
            "title": None,
            "tags": (),
            "argv": ("benchmark",),
            "code": Code(store.objects.put_bytes(b"")),
            "spec": store.objects.put_bytes(b"[]"),
            "plan": plan_to_json(plan),
            "executor": FakeExecutor.name,
            "host": {},
            "version": "0",
            "reuse": asdict(NEVER.options()),
        }
        with store.begin_run(header) as writer:
            drive(plan, writer, folder)


def write_durably(number: int, data: bytes, folder: Path) -> None:
    """Files that are there under their names after a power cut: bytes, fsync, rename, fsync of the folder."""
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for one in range(number):
        fd = os.open("new", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=top)
        os.write(fd, data)
        os.fsync(fd)
        os.close(fd)
        os.rename("new", str(one), src_dir_fd=top, dst_dir_fd=top)
        os.fsync(top)
    os.close(top)


def peak_memory(side: int, records: str) -> int:
    """Megabytes that a process has at most that drives a grid, its records in `memory` or in a `store`."""
    words = [sys.executable, "-m", "benchmarks.scheduling", str(side), records]
    done = subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return int(done.stdout)


def main(side: int, records: str) -> None:
    """One drive; prints the most memory that this process had, in megabytes."""
    collect_rarely()
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(side)
        if records == "memory":
            drive(plan, Memory(), Path(folder))
        else:
            drive_recorded(plan, Path(folder))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
