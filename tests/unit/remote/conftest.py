"""Stores with whole runs in them, and a remote in a folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from runner.digest import Digest
from runner.engine.entry import execution_created, execution_started
from runner.job import Identity, InputFile, Job, JobInput, Script
from runner.remote.depot import Depot
from runner.remote.kind import open_remote
from runner.remote.lane import Lanes
from runner.remote.meter import Meter
from runner.remote.pull import Pulled, pull
from runner.remote.push import Pushed, push
from runner.store.identity import new_id
from runner.store.reach import FILES, Kind, named_by
from runner.store.record import Code, Entry, LogRef, OutputFile, ProjectRef, Run
from runner.store.snapshot import Snapshots
from runner.store.store import Store

Entries = Sequence[Entry]
PROJECT = str(uuid5(UUID(int=0), "a project"))


@dataclass
class Place:
    """A store of somebody, and what they do with a remote."""

    store: Store

    def run(
        self,
        *names: str,
        project: str = PROJECT,
        size: int = 100,
        end: bool = True,
        state: str = "succeeded",
        told: Entries = (),
        **more: Any,
    ) -> Run:
        """A run with one execution that leaves a file of each name, all of them different; its journal has these other
        entries, too."""
        objects = self.store.objects
        code = objects.put_bytes(b"print(1)\n")
        tree = objects.put_tree([("train.py", "100644", code, 9), ("latest", "120000", "train.py", 8)])
        header = {
            "kind": "exec",
            "name": "train",
            "project": ProjectRef(project, "iris", "/home/me/iris", "valohai.yaml"),
            "title": None,
            "tags": (),
            "argv": ("exec", "train"),
            "code": Code(tree, commit="c0ffee" + "0" * 34),
            "spec": objects.put_bytes(b"- step: {}\n"),
            "plan": {"kind": "exec", "name": "train", "nodes": [{"name": "train", "step": "train", "edges": []}]},
            "executor": "process",
            "host": {"hostname": "there", "memory": 5},
            "version": "1.0",
        }
        inputs = (JobInput("data", (InputFile("d.csv", objects.put_bytes(b"given"), 5, "/data/d.csv"),)),)
        with self.store.begin_run({**header, **more}) as writer:
            values: dict[str, Any] = {"C": 0.5, "words": ["a", 1]}
            job = Job(new_id(), "train", "image", Script(("true",)), tree, values, inputs, {"A": "b"})
            writer.append([execution_created("train", writer.new_execution_counter(), job)])
            writer.append([execution_started(job, "process", Identity("python", {"platform": "linux"}))])
            outputs = []
            for name in names or ("model",):
                data = f"{name} of {writer.id}".encode("utf-8", "surrogateescape").ljust(size, b".")
                outputs.append(asdict(OutputFile(name, objects.put_bytes(data), len(data), {"note": [1]})))
            log = LogRef(*(objects.put_bytes(word + writer.id.encode()) for word in (b"out", b"err", b"index")))
            done = {"state": state, "reason": "exit"}
            last = {"type": "execution-finished", "id": job.id, "exit_code": 0, "outputs": outputs, "log": asdict(log)}
            last |= {"metrics": {"acc": float("nan")}, "metric_log": objects.put_bytes(b"{}\n"), "work": "/tmp/kept"}
            writer.append(told)
            if end:
                writer.append([last | done, {"type": "node-moved", "node": "train"} | done])
                writer.append([{"type": "run-finished", "duration": 1.0} | done])
        return self.store.run(writer.id)

    def named(self, run: Run) -> dict[Digest, Kind]:
        """Everything that a run names, by what it is."""
        return {named.digest: named.kind for named in named_by(run, Snapshots(self.store.objects).files)}

    def push(self, remote: Path, *runs: Run, again: bool = False) -> Pushed:
        depot = Depot(open_remote(str(remote)))
        try:
            return push(self.store, depot, runs, Meter(Lanes(4)), again=again)
        finally:
            depot.close()

    def pull(
        self,
        remote: Path,
        *ids: str,
        files: frozenset[Kind] = FILES,
        project: str = PROJECT,
        meter: Meter | None = None,
        accept_purges: bool = False,
    ) -> Pulled:
        depot = Depot(open_remote(str(remote)))
        try:
            wanted = {project: ids or None}
            return pull(self.store, depot, wanted, meter or Meter(Lanes(4)), files, accept_purges=accept_purges)
        finally:
            depot.close()


Places = Callable[[str], Place]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """Stores by name."""
    opened: dict[str, Place] = {}

    def place(name: str) -> Place:
        if name not in opened:
            opened[name] = Place(Store.open(tmp_path / name, create=True))
        return opened[name]

    yield place
    for one in opened.values():
        one.store.close()


@pytest.fixture
def mine(places: Places) -> Place:
    return places("mine")


@pytest.fixture
def yours(places: Places) -> Place:
    return places("yours")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "remote"
