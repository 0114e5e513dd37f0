"""What a step costs in the sandbox beyond the sandbox itself."""

import os
import subprocess
from pathlib import Path

from benchmarks.bare import sandbox_command
from benchmarks.chain import chain_lane
from benchmarks.measure import race, timed
from benchmarks.project import chain_text, make_project
from benchmarks.report import Report, Row
from benchmarks.setting import Setting
from runner.settings import Settings


def measure(setting: Setting) -> Report:
    """A chain of `true` steps beside `bwrap … true` with the same words, ten of each in turn."""
    project = make_project(setting.folder / "project", chain_text(11))
    store = Path(os.environ["MLRUN_STORE"])
    words = sandbox_command(setting.folder)
    lanes = [
        chain_lane("step", project, Settings(store, executor="sandbox")),
        timed("bwrap", lambda: subprocess.run(words, stdin=subprocess.DEVNULL, check=True), times=10),
    ]
    found = race(lanes, setting.rounds_or(10))
    step, bare = found["step"], found["bwrap"]
    rows = [
        Row("a step of mlrun", step, (bare, "bwrap … true")),
        Row("bwrap … true, the same words", bare),
        Row("overhead", step - bare, None, "< 30 ms"),
        Row("once per run, before the first step", found["step: begin"]),
    ]
    return Report(rows, ["binding, staging, running, collecting and all durable records of a step are in its time"])
