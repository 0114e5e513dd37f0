"""A store with many runs of before, written as fast as the disk takes them: for measuring what reads it."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from blake3 import blake3

from runner.digest import hash_bytes
from runner.store.identity import new_id
from runner.store.lease import current_owner
from runner.store.record import Code, ProjectRef
from runner.store.store import Store

_HEAD = {
    "kind": "pipeline",
    "name": "Train",
    "title": None,
    "tags": ["nightly"],
    "argv": ["pipeline", "Train"],
    "executor": "sandbox",
    "host": {"hostname": "here", "cpus": 2, "memory": 8 << 30},
    "version": "0",
}


def seed(root: Path, project: ProjectRef, executions: int, *, nodes: int = 20) -> None:
    """Put runs of `nodes` executions each into the store at `root`, with journals as the engine writes them, and build
    the index from those. The objects that they name are not there."""
    with Store.open(root, create=True) as store:
        owner = asdict(current_owner()) | {"start_time": 1}
        counter = 0
        for number in range(1, -(-executions // nodes) + 1):
            id = new_id()
            count = min(nodes, executions - counter)
            folder = store.layout.run(id)
            for path in (folder.path, folder.inbox, folder.logs):
                path.mkdir(mode=0o700)
            folder.owner.write_bytes(json.dumps(owner).encode())
            folder.journal.write_bytes(_journal(id, number, counter, count, asdict(project), owner))
            counter += count
        os.sync()
        store.rebuild({"user": "benchmark"})


def _journal(id: str, number: int, counter: int, count: int, project: dict[str, str], owner: dict[str, Any]) -> bytes:
    names = [f"node-{one}" for one in range(count)]
    code = asdict(Code(hash_bytes(b"tree"), commit="0123456789abcdef" * 2, branch="main"))
    plan = {"nodes": [{"name": name, "step": "train"} for name in names]}
    known = {"id": id, "counter": number, "project": project, "code": code, "spec": hash_bytes(b"spec"), "plan": plan}
    turns: list[list[dict[str, Any]]] = [[{"type": "run-created", "run": {**_HEAD, **known, "owner": owner}}]]
    for one, name in enumerate(names, counter + 1):
        turns += _execution(name, one)
    turns.append([{"type": "run-finished", "state": "succeeded", "reason": None, "duration": 60.0}])
    lines, check = [], b""
    for turn in turns:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(1_700_000_000 + number * 60))
        body = json.dumps([{**entry, "time": moment} for entry in turn], separators=(",", ":")).encode()
        check = blake3(check + body).hexdigest()[:16].encode()
        lines.append(check + b" " + body + b"\n")
    return b"".join(lines)


def _execution(node: str, counter: int) -> list[list[dict[str, Any]]]:
    id = new_id()
    data = {"name": "a.csv", "digest": hash_bytes(str(counter % 100).encode()), "size": 1000, "origin": "file:a.csv"}
    job = {
        "step": "train",
        "image": "python:3.12",
        "script": {"items": ["python train.py --C 0.5 --depth 3"], "stop_at_failure": True},
        "snapshot": hash_bytes(b"tree"),
        "parameters": {"C": counter % 50 / 10, "depth": counter % 7, "model": "svm", "seed": counter},
        "inputs": [{"name": "data", "files": [data]}],
        "environment": {"VH_JOB_ID": id},
        "network": "default",
    }
    ended = {
        "state": "failed" if counter % 20 == 0 else "succeeded",
        "reason": "exit",
        "exit_code": int(counter % 20 == 0),
        "duration": 12.5,
        "outputs": [{"name": "model.pkl", "digest": hash_bytes(str(counter).encode()), "size": counter}],
        "metrics": {"epoch": 10, "loss": 1 / (1 + counter % 1000), "accuracy": counter % 1000 / 1000},
    }
    return [
        [
            {"type": "node-moved", "node": node, "state": "running"},
            {"type": "execution-created", "id": id, "node": node, "counter": counter, "job": job},
            {"type": "execution-started", "id": id, "executor": "sandbox", "identity": {"id": "host:0"}},
        ],
        [
            {"type": "execution-finished", "id": id, **ended},
            {"type": "node-moved", "node": node, "state": ended["state"]},
        ],
    ]
