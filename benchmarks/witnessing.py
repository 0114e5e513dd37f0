"""Seeing which files of its code a step opens, beside what the step costs without."""

import subprocess
import sys
from collections.abc import Mapping

from benchmarks.measure import race, timed
from benchmarks.report import Report, Row
from benchmarks.setting import Setting
from runner.job import Identity, Job, Script, View, Workspace
from runner.store.store import Store
from runner.worker.stage import fill, make_folders
from runner.worker.tree import remove_tree
from runner.worker.witness import Witness

_PER_FOLDER = 100
_STEP = """\
import os
for folder, _, names in os.walk("."):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            file.read()
"""


def measure(setting: Setting) -> Report:
    """The look at a copy of 10,000 files before and after, beside making it, and a step that reads them all."""
    count = setting.size(10_000, 1_000)
    with Store.open(setting.folder / "store", create=True) as store:
        texts = [f"number = {number}\n".encode() for number in range(_PER_FOLDER)]
        digests = [store.objects.put_bytes(text) for text in texts]
        entries = [
            (f"{folder}/{number}.py", "100644", digests[number], len(texts[number]))
            for folder in range(count // _PER_FOLDER)
            for number in range(_PER_FOLDER)
        ]
        job = Job("step", "step", "", Script(("true",)), store.objects.put_tree(entries), {}, (), {})
        workspace = Workspace.below(store.layout.work / "step")

        def stage() -> None:
            make_folders(workspace)
            fill(job, workspace, View(), Identity("", {}), store.objects)

        def look() -> None:
            Witness(workspace).close()

        def read() -> None:
            subprocess.run([sys.executable, "-S", "-c", _STEP], cwd=workspace.repository, check=True)

        def seen() -> None:
            witness = Witness(workspace)
            try:
                read()
            finally:
                witness.close()

        def turn() -> Mapping[str, float]:
            found: dict[str, float] = {}
            for name, call in (("stage", stage), ("look", look), ("read", read), ("seen", seen)):
                found.update(timed(name, call)())
            remove_tree(workspace.root, store.objects.unlink)
            return found

        found = race([turn], setting.rounds_or(5))
    rows = [
        Row(f"a copy of {count:,} files made", found["stage"]),
        Row("looked at before and after", found["look"], (found["stage"], "making it"), "< 0.1 ×"),
        Row("a step that reads them all, unseen", found["read"]),
        Row("the same, seen", found["seen"], (found["read"], "unseen")),
    ]
    return Report(rows, ["seen, the step shares the processors with who listens"])
