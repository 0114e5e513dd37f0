"""Taking a large input into the store, beside what the processor and the disk need at least."""

import os
import shutil
from pathlib import Path

from blake3 import blake3

from benchmarks.measure import race, timed
from benchmarks.report import Report, Row
from benchmarks.setting import Setting, run
from runner.store.store import Store

BLOCK = 1 << 20


def measure(setting: Setting) -> Report:
    """1 GB hashed and stored beside BLAKE3 over the same file and `cp` with `sync`; the file is in the page cache."""
    size = setting.size(1000, 100)
    source, copy, store = setting.folder / "input", setting.folder / "copy", setting.folder / "objects"
    with source.open("wb") as file:
        for _ in range(size):
            file.write(os.urandom(1_000_000))
        os.fsync(file.fileno())
    kept = setting.folder / "kept"
    put(kept, source)

    def copy_and_sync() -> None:
        run(["cp", "--reflink=never", source, copy])
        run(["sync", copy])

    lanes = [
        timed("store", lambda: put(store, source), after=lambda: shutil.rmtree(store)),
        timed("again", lambda: put(kept, source)),
        timed("hash", lambda: _hash(source)),
        timed("copy", copy_and_sync, after=copy.unlink),
    ]
    found = race(lanes, setting.rounds_or(5))
    hashing, copying = found["hash"], found["copy"]
    rows = [
        Row("mlrun: hash and store", found["store"], (copying, "cp and sync")),
        Row("mlrun: the same once more", found["again"], (hashing, "blake3")),
        Row("blake3 of the file, all cores", hashing),
        Row("cp and sync", copying),
    ]
    return Report(rows, [f"{size} MB of random bytes"])


def put(folder: Path, source: Path) -> None:
    """Store a file in the store in `folder`, by a process that knows nothing of it yet."""
    with Store.open(folder, create=True) as store, source.open("rb", buffering=0) as file:
        store.objects.put_file(file.fileno())


def _hash(path: Path) -> str:
    return blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()
