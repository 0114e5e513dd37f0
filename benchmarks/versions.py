"""Ten versions of a large file that grows by a line: adding them, packing them, and what they take on the disk."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.content import make_master
from benchmarks.measure import Sample
from benchmarks.peer import Peer, find_peer
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run
from runner.digest import Digest, hash_bytes
from runner.store.identity import new_id
from runner.store.record import Code, ProjectRef
from runner.store.store import Store
from runner.upkeep.pack import pack
from runner.upkeep.turn import alone
from runner.worker.collect import collect

VERSIONS = 10
SIZE, QUICK = 1_000_000_000, 30_000_000
"""Bytes of a version, about."""
NAME = "table.csv"


def measure(setting: Setting) -> Report:
    """10 versions of a 1 GB file that grows by a line, as outputs and as inputs, beside `dvc add`; then a pack."""
    size = setting.size(SIZE, QUICK)
    if shutil.disk_usage(setting.folder).free < 4 * VERSIONS * size:
        raise LeftOut(f"it needs {_gigabytes(4 * VERSIONS * size)} of disk")
    file = setting.folder / NAME
    make_master(file, size)
    outputs, inputs = setting.folder / "outputs-store", setting.folder / "inputs-store"
    lanes: dict[str, Callable[[], float]] = {
        "output": lambda: _add_output(outputs, file),
        "input": lambda: _add_input(inputs, file),
        "copy": lambda: _copy(setting.folder / "copy", file),
    }
    notes = [f"{VERSIONS} versions of {_gigabytes(size)}, random bytes, each with one line more"]
    dvc = _peer(setting, notes)
    if dvc is not None:
        lanes["dvc"] = _dvc_lane(setting.folder / "dvc", file, dvc)
    times: dict[str, list[float]] = {name: [] for name in lanes}
    for number in range(VERSIONS):
        with file.open("a") as grown:
            grown.write(f"line {number}\n")
        for name, lane in lanes.items():
            # What the one before has left to be written would be waited for by this one.
            os.sync()
            times[name].append(lane())
    samples = {name: Sample(tuple(found)) for name, found in times.items()}
    rows = [Row("mlrun: a version as an input", samples["input"], (samples["copy"], "cp and sync"), "≤ 1.2 ×")]
    if dvc is None:
        rows += [Row("mlrun: a version as an output", samples["output"])]
    else:
        rows += [Row("the same", samples["input"], (samples["dvc"], "dvc add"))]
        rows += [Row("mlrun: a version as an output", samples["output"], (samples["dvc"], "dvc add"), "≤ 0.25 ×")]
        rows += [Row("dvc add", samples["dvc"])]
    rows += [Row("cp and sync", samples["copy"])]
    before = _on_disk(outputs)
    rows += [Row("mlrun store pack, all versions", Sample((_pack(outputs),))), *_reading(outputs)]
    after = _on_disk(outputs)
    stored = f"on the disk: {_gigabytes(before)} before the pack, {_gigabytes(after)} after it, which is"
    notes.append(f"{stored} {after / size:.3f} × one version (bar: < 1.2 ×)")
    if dvc is not None:
        notes.append(f"dvc's cache: {_gigabytes(_on_disk(setting.folder / 'dvc/.dvc/cache'))}")
    return Report(rows, notes)


def _peer(setting: Setting, notes: list[str]) -> Peer | None:
    try:
        dvc = find_peer(setting, "dvc")
    except LeftOut as reason:
        notes.append(str(reason))
        return None
    notes.append(f"{dvc.title}; it copies the file without waiting for the disk, mlrun waits")
    return dvc


def _add_output(root: Path, file: Path) -> float:
    """What happens when a step has ended: its file, just written, becomes an object; then it is recorded."""
    folder, aside = root.with_name("outputs"), root.with_name("aside")
    folder.mkdir()
    run(["cp", "--reflink=never", file, folder / NAME])
    with Store.open(root, create=True) as store:
        began = time.perf_counter()
        found = collect(folder, aside, store.objects)
        took = time.perf_counter() - began
        if found.failure is not None:
            raise LeftOut(f"an output was not stored: {found.failure}")
        _record(store, found.outputs[0].digest, found.outputs[0].size)
    for left in (folder, aside):
        shutil.rmtree(left)
    return took


def _add_input(root: Path, file: Path) -> float:
    """A file of the user's is hashed and copied into the store."""
    with Store.open(root, create=True) as store, file.open("rb", buffering=0) as source:
        began = time.perf_counter()
        store.objects.put_file(source.fileno())
        return time.perf_counter() - began


def _copy(target: Path, file: Path) -> float:
    began = time.perf_counter()
    run(["cp", "--reflink=never", file, target])
    run(["sync", target])
    took = time.perf_counter() - began
    target.unlink()
    return took


def _dvc_lane(folder: Path, file: Path, dvc: Peer) -> Callable[[], float]:
    folder.mkdir()
    run(["git", "init", "--quiet"], folder)
    run([dvc.program, "init", "--quiet"], folder)

    def add() -> float:
        run(["cp", "--reflink=never", file, folder / NAME])
        began = time.perf_counter()
        run([dvc.program, "add", "--quiet", NAME], folder)
        return time.perf_counter() - began

    return add


def _record(store: Store, digest: str, size: int) -> None:
    """A run that left the file."""
    id = new_id()
    writer = store.begin_run(_header())
    counter = writer.new_execution_counter()
    outputs = [{"name": NAME, "digest": digest, "size": size}]
    ended = {"id": id, "state": "succeeded", "reason": "exit", "exit_code": 0, "outputs": outputs}
    writer.append([{"type": "execution-created", "id": id, "node": "a", "counter": counter, "job": {"step": "a"}}])
    writer.append([{"type": "execution-finished", **ended}, {"type": "run-finished", "state": "succeeded"}])
    writer.close()


def _header() -> dict[str, Any]:
    return {
        "kind": "exec",
        "name": "a",
        "project": ProjectRef("p", "p", "/p", "valohai.yaml"),
        "title": None,
        "tags": (),
        "argv": ("exec", "a"),
        "code": Code(hash_bytes(b"tree")),
        "spec": hash_bytes(b"spec"),
        "plan": {"nodes": [{"name": "a", "step": "a"}]},
        "executor": "sandbox",
        "host": {},
        "version": "0",
    }


def _pack(root: Path) -> float:
    with Store.open(root, create=True) as store:
        began = time.perf_counter()
        with alone(store.layout) as turn:
            pack(store, turn)
        return time.perf_counter() - began


def _reading(root: Path) -> Iterator[Row]:
    """Reading the first version, which is packed, beside the last, which is whole; both have been checked before."""
    with Store.open(root, create=False) as store:
        first, last = (store.find_execution("p", name)[1].outputs[0].digest for name in ("1", "latest"))
        for digest in (first, last):
            _read(store, digest)
        packed, whole = _read(store, first), _read(store, last)
    yield Row("mlrun: reading the oldest version", packed, (whole, "the newest, whole"))


def _read(store: Store, digest: Digest) -> Sample:
    began = time.perf_counter()
    with store.objects.open(digest) as file:
        while file.read(1 << 20):
            pass
    return Sample((time.perf_counter() - began,))


def _on_disk(folder: Path) -> int:
    """Bytes that the files below a folder take."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
