"""Runs to report on, as their journals tell them, with what their executions left."""

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.export.subject import parts_of
from runner.goal import Goal
from runner.report.subject import Subject
from runner.store.record import Execution, Run
from runner.store.story import fold, interrupted
from tests.unit.export.conftest import Memory

WRITTEN = "2026-01-05T00:00:00.000000Z"
EARLIER = "01980000-0000-7000-8000-0000000000aa"


@dataclass
class Evidence:
    """What is left of executions, in memory; the logs by the execution's number."""

    memory: Memory = field(default_factory=Memory)
    logs: dict[int, bytes] = field(default_factory=dict)

    def gone(self, digest: Digest) -> str | None:
        return self.memory.gone(digest)

    def read(self, digest: Digest) -> bytes:
        return self.memory.read(digest)

    def events(self, run: Run, execution: Execution) -> Iterator[Mapping[str, Any]]:
        if execution.metric_log is not None:
            if why := self.gone(execution.metric_log):
                raise MlrunError(f"the content {why}", code=ExitCode.INPUT)
            for line in self.read(execution.metric_log).splitlines():
                yield json.loads(line)

    def tail(self, run: Run, execution: Execution, lines: int, most: int) -> bytes:
        if execution.counter not in self.logs:
            raise MlrunError("it was removed", code=ExitCode.INPUT)
        return self.logs[execution.counter][-most:]


def at(second: float) -> str:
    whole = int(second)
    return f"2026-01-02T{3 + whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{int(second % 1 * 1e6):06}Z"


class Diary:
    """The journal of a run, written step by step; executions are numbered as they come."""

    def __init__(self, kind: str, name: str, nodes: list[dict[str, Any]], **more: Any) -> None:
        self.evidence = Evidence()
        self.count = 0
        planned = [{"step": node["name"], "image": "python:3.12", **node} for node in nodes]
        self.entries: list[dict[str, Any]] = [
            {
                "type": "run-created",
                "time": at(0),
                "run": {
                    "id": "01980000-0000-7000-8000-000000000001",
                    "counter": 7,
                    "kind": kind,
                    "name": name,
                    "project": {"id": "p-1", "name": "iris", "root": "/home/anna/iris", "file": "valohai.yaml"},
                    "title": None,
                    "tags": [],
                    "argv": ["pipeline", name],
                    "code": {"snapshot": hash_bytes(b"s"), "commit": "0123456789abcdef" * 2 + "01234567",
                             "branch": "main", "remote": "https://anna:hunter2@example.com/iris.git", "dirty": True},
                    "spec": hash_bytes(b"spec"),
                    "plan": {"kind": kind, "name": name, "nodes": planned},
                    "executor": "sandbox",
                    "host": {"hostname": "here", "cpus": 8, "memory": 16 << 30},
                    "version": "1.2.3",
                    "owner": {"host": "here", "boot_id": "b", "pid": 1, "start_time": 2},
                    **more,
                },
            }
        ]  # fmt: skip

    def tell(self, type_: str, **more: Any) -> "Diary":
        self.entries.append({"type": type_, "time": at(0), **more})
        return self

    def moved(self, node: str, state: str, **more: Any) -> "Diary":
        return self.tell("node-moved", node=node, state=state, **more)

    def ran(
        self,
        node: str,
        start: float = 0.0,
        took: float = 1.0,
        state: str = "succeeded",
        *,
        parameters: Mapping[str, Any] | None = None,
        events: list[dict[str, Any]] | None = None,
        files: Mapping[str, bytes] | None = None,
        log: bytes | None = b"done\n",
        command: str = "python train.py",
        **more: Any,
    ) -> "Diary":
        self.count += 1
        number, id = self.count, f"01980000-0000-7000-8000-{self.count:012}"
        keep = self.evidence.memory.keep
        job = {
            "step": node,
            "image": "python:3.12",
            "script": {"items": [command]},
            "parameters": dict(parameters or {}),
            "inputs": [],
            "environment": {"TOKEN": "hunter2", "TZ": "UTC"},
            "secrets": ["API_KEY"],
        }
        if log is not None:
            self.evidence.logs[number] = log
        end: dict[str, Any] = {"reason": "exit", "exit_code": 0 if state == "succeeded" else 1, "duration": took}
        end["outputs"] = [
            {"name": name, "digest": keep(content), "size": len(content)} for name, content in (files or {}).items()
        ]
        if events:
            end["metrics"] = {key: value for event in events for key, value in event.items()}
            end["metric_log"] = keep(b"".join(json.dumps(event).encode() + b"\n" for event in events))
        self.entries += [
            {"type": "execution-created", "time": at(start), "id": id, "node": node, "counter": number, "job": job},
            {"type": "execution-started", "time": at(start + 0.2), "id": id, "executor": "sandbox",
             "identity": {"id": "host:abc", "interpreter": "/usr/bin/python3", "distributions": ["numpy==2.1"]}},
            {"type": "execution-finished", "time": at(start + 0.2 + took), "id": id, "state": state, **end, **more},
        ]  # fmt: skip
        return self.moved(node, state, reason="exit", detail=more.get("detail"))

    def subject(self, state: str | None = "succeeded", **more: Any) -> Subject:
        """The run at its end, or, with None, as it is without one."""
        if state is not None:
            self.entries.append({"type": "run-finished", "time": at(90), "state": state, "duration": 90.0})
        run = fold(self.entries)
        return about(run if state is not None else more.pop("read", lambda one: one)(run), self.evidence, **more)


def about(run: Run, evidence: Evidence, earlier: Run | None = None, **more: Any) -> Subject:
    """The subject of a report about a run."""
    known = {run.id: run, **({earlier.id: earlier} if earlier else {})}
    return Subject(run, tuple(parts_of(run, None, known.get)), ("best",), evidence, WRITTEN, **more)


def png(width: int, height: int) -> bytes:
    """A picture with a gradient."""
    rows = b"".join(
        b"\0" + b"".join(bytes((255 * x // width, 255 * y // height, 160)) for x in range(width)) for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def learning(rate: float, depth: int, epochs: int = 40) -> list[dict[str, Any]]:
    """The events of a training that goes better with some values than with others."""
    best = 0.97 - 0.08 * abs(math.log10(rate) + 2) - 0.01 * abs(depth - 5)
    return [
        {
            "epoch": epoch,
            "loss": 2.3 * math.exp(-epoch * rate * 8) + 0.02 * depth,
            "accuracy": best - best / (epoch + 2),
        }
        for epoch in range(epochs)
    ]


def study(rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1), depths: tuple[int, ...] = (2, 4, 6, 8)) -> Diary:
    """A pipeline with everything: a sweep, attempts, an approval, a deployment, pictures, a reused node."""
    nodes = [
        {"name": "prepare", "parameters": {"seed": 7, "folds": 5}},
        {"name": "tune", "step": "train", "kind": "task", "task": "sweep", "upstream": ["prepare"],
         "edges": [["prepare.output.*.csv", "tune.input.data"], ["prepare.parameter.seed", "tune.parameter.seed"]]},
        {"name": "evaluate", "upstream": ["tune"], "edges": [["tune.output.*.pkl", "evaluate.input.models"],
                                                             ["tune.metadata.accuracy", "evaluate.parameter.scores"]]},
        {"name": "serve", "step": "api", "kind": "deployment", "upstream": ["evaluate"],
         "edges": [["evaluate.output.best.pkl", "serve.file.predict.model"]]},
        {"name": "report", "upstream": ["evaluate"], "edges": [["evaluate.output.*", "report.input.results"]]},
    ]  # fmt: skip
    diary = Diary("pipeline", "Tune & serve", nodes, title="Which depth is best?", tags=["nightly"])
    diary.ran("prepare", 0, 4, parameters={"seed": 7, "folds": 5}, files={"train.csv": b"a,b\n" * 300})
    values = [{"rate": rate, "depth": depth, "kind": "gini"} for rate in rates for depth in depths]
    named = [{"name": f"tune.{place}", "parameters": value} for place, value in enumerate(values, 1)]
    diary.tell("trials-added", node="tune", trials=named).moved("tune", "running")
    for place, (trial, value) in enumerate(zip(named, values, strict=True)):
        events = learning(value["rate"], value["depth"])
        start, took = 5 + place // 4 * 9, 7 + place % 3
        if place == 6:
            diary.ran(trial["name"], start, 2, "stopped", parameters=value, events=events[:9], reason="pruned",
                      exit_code=None)  # fmt: skip
            diary.moved(trial["name"], "stopped", reason="pruned", detail="worse than the median of 6 trials")
        else:
            diary.ran(trial["name"], start, took, parameters=value, events=events, files={"model.pkl": b"m%d" % place})
    diary.moved("tune", "succeeded")
    diary.ran("evaluate", 55, 3, "failed", log=b"Traceback (most recent call last):\nMemoryError\n", reason="oom",
              exit_code=137, peak_memory=5 << 30)  # fmt: skip
    diary.moved("evaluate", "waiting", reason="retry")
    diary.ran("evaluate", 60, 12, events=[{"accuracy": 0.91, "f1": 0.9}], log=b"epoch 1\nepoch 2\nwrote best.pkl\n",
              files={"best.pkl": b"x" * 4000, "confusion.png": png(240, 160), "roc.svg": SVG},
              warnings=["one input file is empty"])  # fmt: skip
    diary.tell("approval-decided", node="serve", point="node-starting", approved=True, by="anna on here")
    diary.moved("serve", "succeeded")
    return diary.ran("report", 76, 6)


SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 60"><rect width="100" height="60" fill="#fff"/>'
    b'<path d="M5 55C20 10 40 8 95 5" fill="none" stroke="#c2410c" stroke-width="3"/><script>alert(1)</script></svg>'
)


def reused() -> Subject:
    """A run of which the first node stands by an execution of an earlier run."""
    before = Diary("pipeline", "Two", [{"name": "a"}, {"name": "b", "upstream": ["a"]}])
    before.ran("a", events=[{"score": 0.5}, {"score": 0.75}])
    earlier = replace(before.subject().run, id=EARLIER, counter=3)
    stands = {"execution": "01980000-0000-7000-8000-000000000001", "counter": 1, "run": EARLIER}
    diary = Diary("pipeline", "Two", [{"name": "a"}, {"name": "b", "upstream": ["a"]}])
    diary.count = 20
    diary.moved("a", "reused", reused=stands, detail="execution 1 stands for it").ran("b")
    diary.evidence.memory.held |= before.evidence.memory.held
    diary.evidence.logs |= before.evidence.logs
    diary.entries.append({"type": "run-finished", "time": at(90), "state": "succeeded", "duration": 90.0})
    return about(fold(diary.entries), diary.evidence, earlier)


def broken() -> Subject:
    """A pipeline of which the first node failed."""
    diary = Diary("pipeline", "Two", [{"name": "a"}, {"name": "b", "upstream": ["a"]}])
    diary.ran("a", state="failed", log=b"ValueError: no data\n", detail="the program ended with 1")
    return diary.moved("b", "skipped", reason="upstream").subject("failed")


def parked() -> Subject:
    """A run that waits for a person."""
    diary = Diary("pipeline", "Two", [{"name": "a"}, {"name": "b", "upstream": ["a"]}]).ran("a")
    return diary.moved("b", "awaiting-approval", point="node-starting").tell("run-parked").subject(None)


def lost() -> Subject:
    """A run whose runner was killed."""
    diary = Diary("exec", "a", [{"name": "a"}]).ran("a")
    del diary.entries[-2:]
    return diary.moved("a", "running").subject(None, read=interrupted)


def under_way() -> Subject:
    diary = Diary("exec", "a", [{"name": "a"}]).ran("a")
    del diary.entries[-2:]
    return diary.moved("a", "running").subject(None)


def purged() -> Subject:
    """A run of whose contents nothing is left."""
    diary = study()
    diary.evidence.memory.lost = dict.fromkeys(
        diary.evidence.memory.held, "was purged on 2026-02-03 by anna: a request"
    )
    diary.evidence.logs.clear()
    return diary.subject()


def never_ran() -> Subject:
    diary = Diary("exec", "a", [{"name": "a"}]).moved("a", "failed", reason="input", detail="there is no `data.csv`")
    return diary.subject("failed")


SUBJECTS: Mapping[str, Callable[[], Subject]] = {
    "everything": lambda: study().subject(goals={"tune": Goal("accuracy", "maximize")}, values={"seed": 7}),
    "reused": reused,
    "failed": broken,
    "parked": parked,
    "interrupted": lost,
    "under way": under_way,
    "purged": purged,
    "one step": lambda: Diary("exec", "a", [{"name": "a"}]).ran("a", events=learning(0.01, 4)).subject(),
    "never ran": never_ran,
}


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    """A run of each kind."""
    return SUBJECTS[request.param]()
