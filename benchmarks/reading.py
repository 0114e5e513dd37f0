"""How long the reading verbs take in a store with 200 executions."""

import os
import sys
from functools import partial
from pathlib import Path

from benchmarks.chain import run_pipeline
from benchmarks.measure import race, timed
from benchmarks.project import fan_text, make_project
from benchmarks.report import Report, Row
from benchmarks.setting import Setting, run
from runner.settings import Settings

VERBS = (
    "list",
    "list --json",
    "list runs",
    "list --where loss<0.5",
    "show latest",
    "logs latest",
    "metrics latest",
    "outputs latest",
    "lint",
)
COMMAND = (
    """'for i in 1 2 3 4 5; do echo "{\\"epoch\\": $i, \\"loss\\": 0.$i}"; done; date >"$VH_OUTPUTS_DIR/date.txt"'"""
)


def measure(setting: Setting) -> Report:
    """Each verb as a command of its own, beside a Python that does nothing."""
    project = make_project(setting.folder / "project", fan_text(20, COMMAND))
    settings = Settings(Path(os.environ["MLRUN_STORE"]), executor="process")
    runs = setting.size(10, 2)
    for _ in range(runs):
        run_pipeline(project, "fan", settings)
    lanes = [timed("python -c pass", partial(run, [sys.executable, "-c", "pass"]))]
    lanes += [timed(f"mlrun {verb}", partial(run, ["mlrun", *verb.split(" ")], project)) for verb in VERBS]
    found = race(lanes, setting.rounds_or(10))
    floor = found.pop("python -c pass")
    rows = [Row(name, sample, (floor, "python -c pass"), "< 250 ms") for name, sample in found.items()]
    notes = [f"{20 * runs} executions in {runs} runs, each with five metric events, a log and one output"]
    return Report([Row("python -c pass", floor), *rows], notes)
