"""What a larger repository adds to a step: the step gets a fresh copy of it, which is removed afterwards."""

import os
import shutil
from pathlib import Path

from benchmarks.chain import chain_lane, run_pipeline
from benchmarks.measure import Sample, race, timed
from benchmarks.project import chain_text, make_project, write_tree
from benchmarks.report import Report, Row
from benchmarks.setting import Setting, run
from runner.settings import Settings


def measure(setting: Setting) -> Report:
    """Steps of a project of one file and of one with 1,000 more, beside `cp -r` of these, a few of each in turn."""
    executor = "sandbox" if shutil.which("bwrap") else "process"
    settings = Settings(Path(os.environ["MLRUN_STORE"]), executor=executor)
    small = make_project(setting.folder / "small", chain_text(4))
    files, size = setting.size(1000, 200), setting.size(20_000_000, 4_000_000)
    tree = write_tree(setting.folder / "tree", files, size)
    shutil.copytree(tree, setting.folder / "large")
    large = make_project(setting.folder / "large", chain_text(4))
    first, _ = run_pipeline(large, "chain", settings)
    copy = setting.folder / "copy"

    def make_copy() -> None:
        run(["cp", "-r", tree, copy])

    def remove_copy() -> None:
        run(["rm", "-rf", copy])

    def both() -> None:
        make_copy()
        remove_copy()

    lanes = [
        chain_lane("small", small, settings),
        chain_lane("large", large, settings),
        timed("cp", make_copy, times=3, after=remove_copy),
        timed("cp, rm", both, times=3),
    ]
    found = race(lanes, setting.rounds_or(10))
    more, copying = found["large"] - found["small"], found["cp"]
    rows = [
        Row("a step, small repository", found["small"]),
        Row(f"a step, {files:,} files and {size / 1e6:.0f} MB", found["large"]),
        Row("cp -r of these files", copying),
        Row("more for the step", more, (copying, "cp -r"), "< 1.5 × cp -r"),
        Row("the same, beside a copy that is removed too", more, (found["cp, rm"], "cp -r and rm -rf")),
        Row("cp -r and rm -rf", found["cp, rm"]),
        Row("before the first step, first run", Sample((first,))),
        Row("before the first step, later runs", found["large: begin"]),
    ]
    notes = [
        "the step copies the files and removes the copy when it ends; `cp -r` alone only copies",
        f"executor: {executor}",
    ]
    return Report(rows, notes)
