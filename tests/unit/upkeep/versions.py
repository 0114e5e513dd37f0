"""Files in versions, as outputs and inputs of runs, for tests of packing."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.digest import Digest, hash_bytes
from runner.store.identity import new_id
from runner.store.packed import Packed, blocks
from runner.store.record import Code, ProjectRef
from runner.store.store import Store
from runner.store.tree import encode_tree
from runner.store.writer import RunWriter
from runner.upkeep.pack import Report, pack
from runner.upkeep.turn import alone
from runner.upkeep.unpack import Unpacked, unpack

LEAST = 1000
SIZE = 40_000
RANDOM = random.Random(5).randbytes(4_000_000)


def put(store: Store, data: bytes) -> Digest:
    """An object as another process would have left it: claimed by nobody."""
    digest = hash_bytes(data)
    path = store.layout.objects / digest[:2] / digest
    if not path.exists():
        path.write_bytes(data)
        path.chmod(0o444)
    return digest


def header(store: Store) -> dict[str, Any]:
    return {
        "kind": "exec",
        "name": "train",
        "project": ProjectRef("p", "iris", "/iris", "valohai.yaml"),
        "title": None,
        "tags": (),
        "argv": ("mlrun",),
        "code": Code(put(store, encode_tree([]))),
        "spec": hash_bytes(b"spec"),
        "plan": {"nodes": [{"name": "train", "step": "train"}]},
        "executor": "process",
        "host": {},
        "version": "1",
    }


Files = Sequence[tuple[str, bytes]]


def begin(store: Store, inputs: Files = ()) -> tuple[RunWriter, str]:
    given = [
        {
            "name": "data",
            "files": [
                {"name": name, "digest": put(store, data), "size": len(data), "origin": f"/data/{name}"}
                for name, data in inputs
            ],
        }
    ]
    writer, id = store.begin_run(header(store)), new_id()
    entry = {"type": "execution-created", "id": id, "node": "train", "counter": writer.new_execution_counter()}
    writer.append([{**entry, "job": {"step": "train", "inputs": given}}])
    return writer, id


def tell(store: Store, outputs: Files = (), inputs: Files = ()) -> str:
    """A run that has ended, with these files; the id of its execution."""
    writer, id = begin(store, inputs)
    left = [{"name": name, "digest": put(store, data), "size": len(data)} for name, data in outputs]
    writer.append([{"type": "execution-finished", "id": id, "state": "succeeded", "reason": "exit", "outputs": left}])
    writer.append([{"type": "run-finished", "state": "succeeded"}])
    writer.close()
    return id


def is_whole(store: Store, data: bytes) -> bool:
    return store.objects.path(hash_bytes(data)).exists()


def is_packed(store: Store, data: bytes) -> bool:
    return Packed(store.layout.packed).find(hash_bytes(data)) is not None


def content(store: Store, data: bytes) -> bytes:
    """What the store has under the digest of `data`."""
    digest = hash_bytes(data)
    if is_whole(store, data):
        return store.objects.path(digest).read_bytes()
    recipe = Packed(store.layout.packed).find(digest)
    assert recipe is not None, "the object is gone"
    return b"".join(bytes(block) for block in blocks(recipe, store.objects.path))


def size_of_objects(store: Store) -> int:
    tops = store.layout.objects, store.layout.packed
    return sum(path.stat().st_size for top in tops for path in top.rglob("*") if path.is_file())


def packed_whole(store: Store, *, again: bool = True) -> Report:
    """A pack by a process of its own, as far as claims go."""
    with Store.open(store.layout.root, create=True) as own, alone(own.layout, patience=0) as turn:
        return pack(own, turn, least=LEAST, again=again)


def foretold(store: Store) -> Report:
    """What a pack would do."""
    with Store.open(store.layout.root, create=False) as own:
        return pack(own, None, least=LEAST)


def unpacked(store: Store, data: bytes) -> Unpacked:
    """Unpack what is made of `data`, or with it."""
    with alone(store.layout) as turn:
        return unpack(store, turn, [hash_bytes(data)])


def growing(count: int) -> list[bytes]:
    return [RANDOM[: SIZE + 10 * number] for number in range(count)]


def damage(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))
    path.chmod(0o444)
