"""A project with a store of its own, and runs told into it as the engine would tell them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from runner.app.place import locate
from runner.digest import Digest
from runner.metrics import MetricEvent
from runner.state import State
from runner.store.identity import new_id
from runner.store.lease import current_owner, write_owner
from runner.store.record import Code, LogRef, OutputFile, ProjectRef
from runner.store.store import Store
from runner.store.writer import RunWriter
from runner.worker.log import LogFiles, LogWriter, metrics_file
from tests.patience import wait_for

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Telling:
    """A run under way."""

    store: Store
    writer: RunWriter
    logs: dict[str, LogWriter] = field(default_factory=dict)

    def start(
        self, node: str = "train", parameters: Mapping[str, Any] | None = None, inputs: Sequence[Any] = ()
    ) -> str:
        """An execution that runs; gives its id."""
        id = new_id()
        job = {
            "step": node,
            "image": "python:3.12",
            "script": {"items": ["python train.py --C=0.5"], "stop_at_failure": True},
            "snapshot": self.writer.run().code.snapshot,
            "parameters": dict(parameters or {}),
            "inputs": list(inputs),
            "environment": {"VH_JOB_ID": id},
            "network": "default",
            "time_limit": None,
        }
        counter = self.writer.new_execution_counter()
        created = {"type": "execution-created", "id": id, "node": node, "counter": counter, "job": job}
        identity = {"id": "host:abc", "interpreter": "/usr/bin/python3"}
        started = {"type": "execution-started", "id": id, "executor": "sandbox", "identity": identity}
        self.writer.append([{"type": "node-moved", "node": node, "state": "running"}, created, started])
        self.logs[id] = LogWriter(self.writer.log_folder(id))
        return id

    def say(self, id: str, data: bytes, stream: str = "stdout") -> None:
        """Print something."""
        self.logs[id].append(stream, data)  # type: ignore[arg-type]

    def measure(self, id: str, **values: object) -> None:
        """Print a metadata event."""
        offset = self.logs[id].append("stdout", json.dumps(values).encode() + b"\n")
        self.logs[id].event(MetricEvent(offset, values))

    def flushed(self, id: str, name: str, data: bytes) -> None:
        """Wait until a file of the log has `data`: it is written a moment later."""
        path = self.writer.folder.logs / id / name
        wait_for(lambda: path.exists() and data in path.read_bytes(), f"{data!r} in {name} of {id}")

    def finish(
        self,
        id: str,
        state: str = "succeeded",
        outputs: Mapping[str, bytes] | None = None,
        metrics: Mapping[str, object] | None = None,
        **more: object,
    ) -> None:
        """End an execution and its node, and put what it left into the store."""
        self.logs.pop(id).close()
        folder = self.writer.folder.logs / id
        files = LogFiles.below(folder)
        log = LogRef(*(self._keep(path) for path in (files.stdout, files.stderr, files.index)))
        kept = [
            OutputFile(name, self.store.objects.put_bytes(data), len(data)) for name, data in (outputs or {}).items()
        ]
        ended = {
            "type": "execution-finished",
            "id": id,
            "state": state,
            "reason": "exit",
            "exit_code": 0 if state == "succeeded" else 1,
            "duration": 12.5,
            "outputs": [asdict(output) for output in kept],
            "log": asdict(log),
            "metrics": dict(metrics or {}),
            "metric_log": self._keep(metrics_file(folder)) if metrics_file(folder).exists() else None,
            **more,
        }
        node = self.writer.run().executions[id].node
        self.writer.append([ended, {"type": "node-moved", "node": node, "state": state, "reason": "exit"}])
        self.writer.drop_log(id)

    def _keep(self, path: Path) -> Digest:
        return self.store.objects.put_bytes(path.read_bytes())

    def die(self) -> None:
        """Lose the process that drives the run."""
        self.close_logs()
        write_owner(self.writer.folder.owner, replace(current_owner(), start_time=1))
        self.writer.close()

    def close_logs(self) -> None:
        """Close the logs of executions that have not ended."""
        while self.logs:
            self.logs.popitem()[1].close()

    def end(self, state: str = "succeeded", reason: str | None = None) -> None:
        """End the run."""
        self.writer.append([{"type": "run-finished", "state": state, "reason": reason, "duration": 13.0}])
        self.writer.close()


@dataclass
class Project:
    """A project folder and its store."""

    folder: Path
    root: Path
    store: Store
    ref: ProjectRef
    told: list[Telling] = field(default_factory=list)

    def begin(self, *nodes: str, kind: str = "exec", name: str = "train", **more: Any) -> Telling:
        """A run that this process drives."""
        header = {
            "kind": kind,
            "name": name,
            "project": self.ref,
            "title": None,
            "tags": (),
            "argv": ("exec", "train"),
            "code": Code(Digest("0" * 64), COMMIT, "main", None, "v1-0-g0123456", dirty=False),
            "spec": Digest("1" * 64),
            "plan": {"nodes": [{"name": node, "step": node} for node in nodes or ("train",)]},
            "executor": "sandbox",
            "host": {"hostname": "here", "memory": 1 << 30},
            "version": "0.1.0",
        } | more
        self.told.append(Telling(self.store, self.store.begin_run(header)))
        return self.told[-1]

    def run(
        self,
        *,
        metrics: Mapping[str, object] | None = None,
        parameters: Mapping[str, object] | None = None,
        outputs: Mapping[str, bytes] | None = None,
        log: bytes = b"",
        state: State = State.SUCCEEDED,
        node: str = "train",
        **more: Any,
    ) -> str:
        """A whole run of one execution; gives the execution's id."""
        telling = self.begin(node, **more)
        id = telling.start(node, parameters)
        if log:
            telling.say(id, log)
        if metrics:
            telling.measure(id, **metrics)
        telling.finish(id, state, outputs, metrics)
        telling.end(state)
        return id


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The current folder is a project, and the store is its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "valohai.yaml").write_text("- step: {name: train, image: busybox, command: 'true'}\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLRUN_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in list(os.environ):
        if name.startswith("GIT_") or name in {"MLRUN_EXECUTOR", "MLRUN_DEBUG"}:
            monkeypatch.delenv(name)
    with Store.open(tmp_path / "store", create=True) as store:
        made = Project(folder, tmp_path / "store", store, locate(folder).ref)
        yield made
        for telling in made.told:
            telling.close_logs()
            telling.writer.close()
