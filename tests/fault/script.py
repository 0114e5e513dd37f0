"""A run told from begin to end, to be stopped anywhere: `python script.py STORE`, acknowledgements on stdout."""

import os
import sys
from pathlib import Path
from typing import Any

from runner.digest import hash_bytes
from runner.errors import MlrunError
from runner.store.identity import new_id
from runner.store.record import Code, ProjectRef
from runner.store.store import Store
from runner.store.volume import Volume

SMALL = 70
"""So many small files are synced together."""


def acknowledge(kind: str, *facts: object) -> None:
    """Say that something is durable, by a system call that the tests leave alone."""
    os.writev(1, [" ".join([kind, *map(str, facts)]).encode() + b"\n"])


def header() -> dict[str, Any]:
    return {
        "kind": "exec",
        "name": "train",
        "project": ProjectRef("p", "iris", "/x", "valohai.yaml"),
        "title": None,
        "tags": (),
        "argv": ("mlrun",),
        "code": Code(hash_bytes(b"tree")),
        "spec": hash_bytes(b"spec"),
        "plan": {"nodes": [{"name": "a", "step": "a"}]},
        "executor": "process",
        "host": {},
        "version": "1",
    }


def tell_a_run(store: Store, seed: str) -> None:
    """Objects in every way, one execution, and the end of the run; each is acknowledged when it is durable."""
    objects = store.objects
    acknowledge("object", objects.put_bytes(f"bytes {seed}".encode()))
    for digest, _ in objects.put_many(f"many {seed} {number}".encode() for number in range(5)):
        acknowledge("object", digest)
    acknowledge("object", objects.put_stream([b"stream ", seed.encode()])[0])
    output = store.layout.work / f"output {seed}"
    with output.open("wb", buffering=0) as file:
        os.writev(file.fileno(), [f"output {seed}".encode()])
    acknowledge("object", objects.adopt(output)[0])
    writer = store.begin_run(header())
    acknowledge("run", writer.id, 1)
    id = new_id()
    counter = writer.new_execution_counter()
    acknowledge("counter", counter)
    turns: list[list[dict[str, Any]]] = [
        [{"type": "execution-created", "id": id, "node": "a", "counter": counter, "job": {"image": "x"}}],
        [{"type": "execution-started", "id": id}, {"type": "node-moved", "node": "a", "state": "running"}],
        [{"type": "execution-finished", "id": id, "state": "succeeded", "reason": "exit", "exit_code": 0}],
        [{"type": "run-finished", "state": "succeeded"}],
    ]
    entries = 1
    for turn in turns:
        writer.append(turn)
        entries += len(turn)
        acknowledge("run", writer.id, entries)
    writer.close()
    gather(store, seed)


def gather(store: Store, seed: str) -> None:
    """Small files that are synced together, also where others write much; each is acknowledged at the end."""
    folder = store.layout.work / f"outputs {seed}"
    folder.mkdir()
    paths = [folder / str(number) for number in range(SMALL)]
    for path in paths:
        with path.open("wb", buffering=0) as file:
            os.writev(file.fileno(), [f"{path}".encode()])
    with store.objects.gathering() as together:
        digests = [together.adopt(path)[0] for path in paths]
    for digest in digests:
        acknowledge("object", digest)


def main(root: Path) -> int:
    """Exit code 0, or that of the error, which is printed."""
    Volume.pays = lambda *_: True  # type: ignore[method-assign]
    try:
        with Store.open(root, create=True) as store:
            store.reconcile()
            acknowledge("opened")
            tell_a_run(store, new_id())
    except MlrunError as error:
        acknowledge("error", error.message)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
