"""A run told from begin to end, to be stopped anywhere; acknowledgements on standard output, a line each."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.errors import MlrunError
from runner.store.datum import Datum
from runner.store.durable import create, disk_errors
from runner.store.identity import new_id
from runner.store.record import Code, ProjectRef
from runner.store.store import Store
from runner.store.volume import Volume

SMALL = 70
"""So many small files are synced together."""

Say = Callable[[str], None]


def acknowledge(line: str) -> None:
    """Say that something is durable."""
    os.write(1, line.encode() + b"\n")


def header(store: Store) -> dict[str, Any]:
    """What a run begins with; its code and its file are objects of the store."""
    content = store.objects.put_bytes(b"print(1)\n")
    return {
        "kind": "exec",
        "name": "train",
        "project": ProjectRef("p", "iris", "/x", "valohai.yaml"),
        "title": None,
        "tags": (),
        "argv": ("mlrun",),
        "code": Code(store.objects.put_tree([("train.py", "100644", content, 9)])),
        "spec": store.objects.put_bytes(b"- step: {name: a}\n"),
        "plan": {"nodes": [{"name": "a", "step": "a"}]},
        "executor": "process",
        "host": {},
        "version": "1",
    }


def tell_a_run(store: Store, seed: str, say: Say = acknowledge) -> None:
    """Objects in every way, one execution, a name for one of them, and the end of the run; each is acknowledged when
    it is durable."""
    objects = store.objects
    say(f"object {objects.put_bytes(f'bytes {seed}'.encode())}")
    for digest, _ in objects.put_many(f"many {seed} {number}".encode() for number in range(SMALL)):
        say(f"object {digest}")
    say(f"object {objects.put_stream([b'stream ', seed.encode()])[0]}")
    output = write_apart(store.layout.work / f"output {seed}", f"output {seed}" * 1000)
    digest, size = objects.adopt(output)
    say(f"object {digest}")
    writer = store.begin_run(header(store))
    say(f"run {writer.id} 1")
    id = new_id()
    counter = writer.new_execution_counter()
    result = {"name": "out", "digest": digest, "size": size}
    turns: list[list[dict[str, Any]]] = [
        [{"type": "execution-created", "id": id, "node": "a", "counter": counter, "job": {"image": "x"}}],
        [{"type": "execution-started", "id": id}, {"type": "node-moved", "node": "a", "state": "running"}],
        [{"type": "execution-finished", "id": id, "state": "succeeded", "reason": "exit", "exit_code": 0,
          "outputs": [result]}],
        [{"type": "run-finished", "state": "succeeded"}],
    ]  # fmt: skip
    entries = 1
    for turn in turns:
        writer.append(turn)
        entries += len(turn)
        say(f"run {writer.id} {entries}")
    writer.close()
    with store.refs.changing({"user": "somebody"}) as change:
        change.set_alias(f"name-{seed}", Datum(new_id(), "out", digest, size, id))
    say(f"alias name-{seed} {digest}")
    gather(store, seed, say)


def gather(store: Store, seed: str, say: Say) -> None:
    """Small files that are synced together; each is acknowledged at the end."""
    folder = store.layout.work / f"outputs {seed}"
    with disk_errors(folder):
        folder.mkdir()
    paths = [write_apart(folder / str(number), f"{folder} {number}") for number in range(SMALL)]
    with store.objects.gathering() as together:
        digests = [together.adopt(path)[0] for path in paths]
    for digest in digests:
        say(f"object {digest}")


def write_apart(path: Path, text: str) -> Path:
    """What a step writes: not synced by anybody."""
    with disk_errors(path):
        fd = create(path)
        os.write(fd, text.encode())
        os.close(fd)
    return path


def main(root: Path) -> int:
    """Exit code 0, or that of the error, which is printed."""
    # Small files are synced together also where others write much.
    Volume.pays = lambda *_: True  # type: ignore[method-assign]
    try:
        with Store.open(root, create=True) as store:
            store.reconcile()
            tell_a_run(store, new_id())
    except MlrunError as error:
        with suppress(OSError):
            os.write(2, f"{error.message}\n".encode())
        return error.code
    return 0
