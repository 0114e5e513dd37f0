"""Giving a step a large input that the store holds already."""

from pathlib import Path

from benchmarks.content import make_master
from benchmarks.measure import race, timed
from benchmarks.report import Report, Row
from benchmarks.setting import Setting, run
from benchmarks.storing import put
from runner.job import Identity, InputFile, Job, JobInput, Script, View, Workspace
from runner.store.store import Store
from runner.worker.stage import fill, make_folders
from runner.worker.tree import remove_tree


def measure(setting: Setting) -> Report:
    """All folders of a step with an input of 2 GB that is in the store, beside `cp` of the file."""
    size = setting.size(2_000_000_000, 100_000_000)
    source, copy = setting.folder / "input", setting.folder / "copy"
    make_master(source, size)
    store_folder = setting.folder / "store"
    put(store_folder, source)
    with Store.open(store_folder, create=True) as store:
        (digest,) = (path.name for path in (store_folder / "objects").glob("*/*") if path.is_file())
        workspace = Workspace.below(store.layout.work / "step")
        job = _job(digest, size, store.objects.put_tree([]))

        def stage() -> None:
            make_folders(workspace)
            fill(job, workspace, View(), Identity("", {}), store.objects)

        def clear() -> None:
            remove_tree(workspace.root, store.objects.unlink)

        before = _used(store_folder)
        stage()
        grown = _used(store_folder) - before
        clear()
        lanes = [
            timed("stage", stage, after=clear),
            timed("copy", lambda: run(["cp", "--reflink=never", source, copy]), after=copy.unlink),
        ]
        found = race(lanes, setting.rounds_or(5))
    rows = [
        Row("mlrun: a step staged", found["stage"], (found["copy"], "cp"), "< 50 ms"),
        Row("cp of the input", found["copy"]),
    ]
    return Report(rows, [f"{size // 1_000_000} MB; the staged step takes {grown:,} bytes of the disk"])


def _job(digest: str, size: int, snapshot: str) -> Job:
    given = JobInput("data", (InputFile("input.bin", digest, size, "input.bin"),))
    return Job("step", "step", "", Script(("true",)), snapshot, {}, (given,), {})


def _used(folder: Path) -> int:
    """Bytes of the disk below `folder`, those of a file with several names once."""
    found = {(status.st_dev, status.st_ino): status.st_blocks * 512 for status in map(Path.lstat, folder.rglob("*"))}
    return sum(found.values())
