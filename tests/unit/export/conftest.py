"""Runs of every kind, as their records tell them, with the contents that they name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from runner.digest import Digest, hash_bytes
from runner.export.subject import Subject, parts_of
from runner.store.datum import datum_id
from runner.store.record import Run
from runner.store.story import fold, interrupted
from runner.store.tree import TreeEntry

SECRET = "hunter2-and-more"
PERSON = "anna-of-this-machine"
SNAPSHOT, SPEC = hash_bytes(b"snapshot"), hash_bytes(b"- step: {}\n")
EARLIER = "01980000-0000-7000-8000-0000000000aa"
RUN = "01980000-0000-7000-8000-000000000001"
MODEL, ODD, NOTES = b"a model", b"odd", b"notes"
ODD_NAME = "deep/o\udcffdd\nname \u202e<1>.txt"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
EVENTS = (
    b'{"time":1700000000000000000,"offset":0,"values":{"epoch":1,"loss":0.5}}\n'
    b'{"time":1700000001000000000,"offset":9,"values":{"epoch":2,"loss":"NaN","deep":{"er":3},"note":"fine","matrix":[[1,2],[3,4]]}}\n'
)


@dataclass
class Memory:
    """Contents in memory; those of `lost` are gone."""

    held: dict[Digest, bytes] = field(default_factory=dict)
    lost: dict[Digest, str] = field(default_factory=dict)

    def keep(self, content: bytes) -> Digest:
        digest = hash_bytes(content)
        self.held[digest] = content
        return digest

    def gone(self, digest: Digest) -> str | None:
        return self.lost.get(digest) or (None if digest in self.held else "is missing from the store")

    def read(self, digest: Digest) -> bytes:
        return self.held[digest]

    def sha256(self, digest: Digest) -> str:
        import hashlib

        return hashlib.sha256(self.held[digest]).hexdigest()

    def tree(self, snapshot: Digest) -> tuple[TreeEntry, ...]:
        assert snapshot == SNAPSHOT
        code = self.keep(b"print()")
        return (TreeEntry("train.py", "100755", code, 7), TreeEntry("link", "120000", "../outside", 10))


def planned(name: str) -> dict[str, Any]:
    inputs = {"data": [f"/home/{PERSON}/own.csv"]}
    return {"name": name, "step": name, "upstream": [], "inputs": inputs, "environment": [["TOKEN", SECRET]]}


def clock(second: int) -> str:
    return f"2026-01-02T03:04:{second:02}.123456Z"


def job(step: str, **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "image": "registry.example.com:5000/team/python:3.12",
        "script": {"items": [f"python {step}.py --rate 0.5", "echo 'd\u00f6ne'"], "stop_at_failure": True},
        "snapshot": SNAPSHOT,
        "parameters": {
            "rate": 0.5,
            "layers": [1, 2],
            "name": "two\nlines",
            "on": True,
            "a/b c": "x",
            "none": [],
            "deep": [[1, 2], [3]],
        },
        "inputs": [],
        "environment": {"TZ": "UTC", "TOKEN": SECRET, "VH_JOB_ID": "exec-1"},
        "defaults": {"PYTHONHASHSEED": "0"},
        "secrets": ["API_KEY"],
        **more,
    }


class Tale:
    """A journal of a run that is written step by step."""

    def __init__(self, memory: Memory, kind: str, *nodes: str, id: str = RUN, **code: Any) -> None:
        self._memory = memory
        told = {"snapshot": SNAPSHOT, "commit": COMMIT, "branch": "main", "remote": "git@example.com:me/iris.git"}
        self.entries: list[dict[str, Any]] = [
            {
                "type": "run-created",
                "time": clock(0),
                "run": {
                    "id": id,
                    "counter": 3,
                    "kind": kind,
                    "name": "Train & check" if kind == "pipeline" else nodes[0],
                    "project": {
                        "id": "p-1",
                        "name": "iris",
                        "root": f"/home/{PERSON}/iris",
                        "file": "sub/valohai.yaml",
                    },
                    "title": None,
                    "tags": ["best"],
                    "argv": ["exec", "--env", f"TOKEN={SECRET}"],
                    "code": {**told, **code},
                    "spec": SPEC,
                    "plan": {"kind": kind, "nodes": [planned(name) for name in nodes]},
                    "executor": "sandbox",
                    "host": {"hostname": "here"},
                    "version": "1.2.3",
                    "owner": {"host": "here", "boot_id": "b", "pid": 1, "start_time": 2},
                },
            }
        ]

    def ran(self, node: str, number: int, state: str = "succeeded", **more: Any) -> "Tale":
        """One execution from its beginning to its end."""
        self.began(node, number, **{key: more.pop(key) for key in ("inputs",) if key in more})
        log = {name: self._memory.keep(name.encode()) for name in ("stdout", "stderr", "index")}
        end = {"reason": "exit", "exit_code": 0 if state == "succeeded" else 3, "duration": 1.5, "log": log}
        id = execution_id(number)
        self.entries.append(
            {"type": "execution-finished", "time": clock(20 + number), "id": id, "state": state, **end, **more}
        )
        return self.moved(node, state)

    def began(self, node: str, number: int, inputs: Any = ()) -> "Tale":
        id = execution_id(number)
        host = {"id": "host:abc", "interpreter": "/usr/bin/python3", "distributions": ["NumPy==2.1", "Type_Guard==4"]}
        image = {"id": f"sha256:{hash_bytes(b'image')}", "platform": "linux/amd64"}
        self.entries += [
            {"type": "execution-created", "time": clock(number), "id": id, "node": node, "counter": number,
             "job": job(node, inputs=list(inputs)), "key": hash_bytes(b"key")},
            {"type": "execution-started", "time": clock(10 + number), "id": id, "executor": "docker",
             "identity": host if number == 1 else image},
        ]  # fmt: skip
        return self

    def moved(self, node: str, state: str, **more: Any) -> "Tale":
        self.entries.append({"type": "node-moved", "time": clock(40), "node": node, "state": state, **more})
        return self

    def over(self, state: str = "succeeded", **more: Any) -> Run:
        self.entries.append({"type": "run-finished", "time": clock(50), "state": state, "duration": 50.0, **more})
        return fold(self.entries)


def execution_id(number: int) -> str:
    return f"01980000-0000-7000-8000-0000000001{number:02}"


def outputs(memory: Memory) -> list[dict[str, Any]]:
    return [
        {"name": "model.pkl", "digest": memory.keep(MODEL), "size": 7, "metadata": {"quality": "good"}},
        {"name": ODD_NAME, "digest": memory.keep(ODD), "size": 3},
        {"name": "notes", "digest": memory.keep(NOTES), "size": 5},
        {"name": "notes~2", "digest": memory.keep(NOTES), "size": 5, "version": 2},
    ]


def data(memory: Memory) -> list[dict[str, Any]]:
    origin = "s3://user:hunter2-and-more@bucket/a b/%20/data.csv"
    file = {"name": "data.csv", "digest": memory.keep(b"1,2"), "size": 3, "origin": origin}
    outside = {"name": "own.csv", "digest": memory.keep(b"3,4"), "size": 3, "origin": f"/home/{PERSON}/own.csv"}
    signed = f"https://example.com/far.csv?X-Signature={SECRET}"
    far = {"name": "far.csv", "digest": memory.keep(b"5,6"), "size": 3, "origin": signed}
    return [{"name": "data", "files": [file, outside, far]}, {"name": "empty", "files": []}]


def from_train(memory: Memory) -> list[dict[str, Any]]:
    """The model of the first execution, as an edge brings it."""
    origin = f"datum://{datum_id(execution_id(1), 'model.pkl')}"
    return [
        {"name": "model", "files": [{"name": "model.pkl", "digest": memory.keep(MODEL), "size": 7, "origin": origin}]}
    ]


def trained(tale: Tale, memory: Memory) -> Tale:
    told = {
        "metrics": {"loss": "NaN", "deep": {"er": 3}, "note": "fine", "matrix": [[1, 2], [3, 4]]},
        "metric_log": memory.keep(EVENTS),
    }
    return tale.ran("train", 1, outputs=outputs(memory), inputs=data(memory), **told)


def checked(tale: Tale, memory: Memory, number: int = 2) -> Tale:
    return tale.ran("check", number, inputs=from_train(memory), metrics={"accuracy": 0.9})


def pipeline(memory: Memory, **more: Any) -> Run:
    return checked(trained(Tale(memory, "pipeline", "train", "check", **more), memory), memory).over()


def single(memory: Memory, **code: Any) -> Run:
    return trained(Tale(memory, "exec", "train", **code), memory).over()


def failed(memory: Memory) -> Run:
    tale = trained(Tale(memory, "pipeline", "train", "check"), memory)
    tale.ran("check", 2, "failed", inputs=from_train(memory), detail="bro\udcffken\nline").ran("check", 3, "failed")
    return tale.over("failed", reason="exit")


def stopped(memory: Memory) -> Run:
    tale = Tale(memory, "pipeline", "train", "check").ran("train", 1, "stopped", reason="stop", exit_code=None)
    return tale.moved("check", "skipped", reason="stop").over("stopped", reason="stop")


def lost(memory: Memory) -> Run:
    tale = Tale(memory, "pipeline", "train", "check").began("train", 1, data(memory)).moved("train", "running")
    return interrupted(fold(tale.entries))


def reused(memory: Memory) -> Run:
    stands = {"execution": execution_id(1), "counter": 1, "run": EARLIER}
    tale = Tale(memory, "pipeline", "train", "check").moved("train", "reused", reused=stands)
    return checked(tale, memory).over()


def shared(memory: Memory) -> Run:
    """One execution stands for two nodes, the first of which it is of."""
    stands = {"execution": execution_id(1), "counter": 1, "run": RUN}
    tale = trained(Tale(memory, "pipeline", "train", "twin", "check"), memory).moved("twin", "reused", reused=stands)
    return checked(tale, memory).over()


def reused_of_removed(memory: Memory) -> Run:
    stands = {"execution": execution_id(9), "counter": 9, "run": "01980000-0000-7000-8000-0000000000ff"}
    tale = Tale(memory, "pipeline", "train", "check").moved("train", "reused", reused=stands)
    return tale.moved("check", "reused", reused=stands).over()


def refused(memory: Memory) -> Run:
    tale = Tale(memory, "exec", "train").moved("train", "failed", reason="input", detail="there is no `data.csv`")
    return tale.over("failed", reason="input")


def going_on(memory: Memory) -> Run:
    return fold(Tale(memory, "pipeline", "train", "check").began("train", 1).moved("train", "running").entries)


def without_outputs(memory: Memory) -> Run:
    return Tale(memory, "exec", "train").ran("train", 1).over()


def removed(memory: Memory) -> Run:
    """Everything that the store had is gone."""
    run = pipeline(memory)
    memory.lost = dict.fromkeys((*memory.held, SPEC, SNAPSHOT), "was purged on 2026-02-03 by anna: a req\nuest")
    return run


NO_GIT = {"commit": None, "branch": None, "remote": None}

KINDS: Mapping[str, Callable[[Memory], Run]] = {
    "succeeded pipeline": pipeline,
    "succeeded step": single,
    "failed": failed,
    "stopped": stopped,
    "interrupted": lost,
    "reused": reused,
    "shared": shared,
    "reused of a removed run": reused_of_removed,
    "refused": refused,
    "under way": going_on,
    "without outputs": without_outputs,
    "removed files": removed,
    "dirty code": lambda memory: single(memory, dirty=True, not_captured=["a\udcffb: a pipe"]),
    "no git": lambda memory: pipeline_of(memory, NO_GIT),
}


def pipeline_of(memory: Memory, code: Mapping[str, Any]) -> Run:
    return pipeline(memory, **code)


Make = Callable[..., Subject]


def make_subject(kind: str, *, chosen: bool = False, metadata_only: bool = False) -> Subject:
    memory = Memory({SPEC: b"- step: {}\n", SNAPSHOT: b"snapshot"})
    earlier = single(memory)
    earlier = replace(earlier, id=EARLIER, counter=1)
    run = KINDS[kind](memory)
    one = next(iter(run.executions.values())) if chosen else None
    parts = tuple(parts_of(run, one, {EARLIER: earlier, run.id: run}.get))
    return Subject(run, one, parts, ("best", "two words"), memory, metadata_only)


@pytest.fixture
def subject() -> Make:
    return make_subject
