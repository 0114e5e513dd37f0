"""Taking what a step left into the store, beside what the processor and the disk need at least and beside dvc."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from blake3 import blake3

from benchmarks.content import fill, make_master
from benchmarks.measure import Lane, Sample, race
from benchmarks.peer import find_peer
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run
from runner.store.store import Store
from runner.worker.collect import collect

LARGE, SMALL = 500_000_000, 4096
"""Bytes per file."""

Turn = Callable[[], object]


def measure(setting: Setting) -> Report:
    """2 GB in 4 files and 10,000 files of 4 KB taken into the store beside BLAKE3 with fsync, and beside `dvc add`."""
    notes = ["every turn has files of its own that were just written; mlrun moves them, dvc copies them"]
    program = ""
    try:
        dvc = find_peer(setting, "dvc")
        notes.append(dvc.title)
        program = dvc.program
    except LeftOut as reason:
        notes.append(str(reason))
    rows: list[Row] = []
    for name, title, count, size, bars in (
        ("large", "4 files, 2 GB", 4, setting.size(LARGE, LARGE // 50), ("≤ 1.3 ×", "≤ 0.25 ×")),
        ("small", "10,000 files of 4 KB", setting.size(10_000, 500), SMALL, ("", "≤ 0.4 ×")),
    ):
        folder = setting.folder / name
        folder.mkdir()
        master = folder / "master"
        make_master(master, count * size)
        make_files = partial(fill, master=master, count=count)
        lanes = [
            _lane("ours", folder / "ours", partial(_ours, make_files=make_files, count=count)),
            _lane("floor", folder / "floor", partial(_floor, make_files=make_files)),
        ]
        if program:
            lanes.append(_lane("dvc", folder / "dvc", partial(_dvc, make_files=make_files, program=program)))
        rows += _rows(title, race(lanes, setting.rounds_or(3)), *bars)
        master.unlink()
    return Report(rows, notes)


def _rows(title: str, found: Mapping[str, Sample], floor_bar: str, peer_bar: str) -> list[Row]:
    rows = [Row(f"mlrun: {title}", found["ours"], (found["floor"], "blake3 and fsync"), floor_bar)]
    if "dvc" in found:
        rows += [Row("the same", found["ours"], (found["dvc"], "dvc add"), peer_bar), Row("dvc add", found["dvc"])]
    return [*rows, Row("blake3 of each file, then fsync", found["floor"])]


def _lane(name: str, folder: Path, arranged: Callable[[Path], AbstractContextManager[Turn]]) -> Lane:
    """A lane that arranges everything anew in a new folder, each time; only what then is to be done is timed."""

    def lane() -> Mapping[str, float]:
        folder.mkdir()
        with arranged(folder) as turn:
            began = time.perf_counter()
            turn()
            took = time.perf_counter() - began
        shutil.rmtree(folder)
        return {name: took}

    return lane


@contextmanager
def _ours(folder: Path, make_files: Callable[[Path], None], count: int) -> Iterator[Turn]:
    def turn() -> None:
        found = collect(folder / "outputs", folder / "aside", store.objects)
        if found.failure is not None or len(found.outputs) != count:
            raise LeftOut(f"only {len(found.outputs)} of {count} files were stored: {found.failure}")

    with Store.open(folder / "store", create=True) as store:
        make_files(folder / "outputs")
        yield turn


@contextmanager
def _floor(folder: Path, make_files: Callable[[Path], None]) -> Iterator[Turn]:
    def turn() -> None:
        for path in paths:
            blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)

    make_files(folder / "outputs")
    paths = sorted((folder / "outputs").iterdir())
    yield turn


@contextmanager
def _dvc(folder: Path, make_files: Callable[[Path], None], program: str) -> Iterator[Turn]:
    run(["git", "init", "--quiet"], folder)
    run([program, "init", "--quiet"], folder)
    make_files(folder / "outputs")
    yield lambda: run([program, "add", "--quiet", "outputs"], folder)
