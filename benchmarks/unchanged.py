"""Recognising that nothing has changed, in a tree of 100,000 files: as the code of a run and as its input."""

import os
import time
from pathlib import Path

from benchmarks.measure import race, timed
from benchmarks.project import make_project
from benchmarks.report import Report, Row
from benchmarks.setting import Setting, run
from runner.cli.main import collect_rarely
from runner.data import local
from runner.data.means import Means, Want
from runner.errors import Location
from runner.job import InputFile
from runner.plan.model import Source
from runner.provenance.folder import capture_folder
from runner.provenance.tree import Captured
from runner.provenance.worktree import capture_worktree
from runner.spec.model import Input
from runner.store.store import Store

_FOLDER = 100
"""Files of a folder."""
BAR = "< 1 s"


def measure(setting: Setting) -> Report:
    """A tree of 100,000 files that has not changed, as code in git and outside it and as input; beside `git status`."""
    collect_rarely()
    count = setting.size(100_000, 5_000)
    top = setting.folder / "project"
    for number in range(count):
        place = top / f"data/d{number // _FOLDER:04d}/f{number:06d}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"file %08d\n" % number)
    make_project(top, "- step: {name: a, image: a, command: 'true'}\n")
    with Store.open(Path(os.environ["MLRUN_STORE"]), create=True) as store:
        cache, objects = store.layout.cache, store.objects

        def fetch(uri: str) -> tuple[InputFile, ...]:
            want = Want(Input("data", Location("valohai.yaml", 1, 1)), Source(uri, str(top)), top)
            return local.fetch(want, Means(objects, cache))

        def folder() -> Captured:
            return capture_folder(objects, top / "data", cache)

        # Files that have just changed are never trusted.
        time.sleep(0.2)
        lanes = [
            timed("code", lambda: capture_worktree(objects, top, cache)),
            timed("folder", folder),
            timed("input", lambda: fetch("data")),
            timed("pattern", lambda: fetch("data/**")),
            timed("git", lambda: run(["git", "status"], top)),
        ]
        found = race(lanes, setting.rounds_or(5))
    beside = (found["git"], "git status")
    return Report(
        [
            Row(f"mlrun: code in git, {count:,} files", found["code"], beside, BAR),
            Row("mlrun: code outside git", found["folder"], beside, BAR),
            Row("mlrun: the input `data`", found["input"], beside, BAR),
            Row("mlrun: the input `data/**`", found["pattern"], beside, BAR),
            Row("git status", found["git"]),
        ],
        ["mlrun looks at every file and asks for every object; git at every file of its index"],
    )
