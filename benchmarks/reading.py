"""How long the reading verbs take in a store with 200 executions, and in one with 100,000."""

import os
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.chain import run_pipeline
from benchmarks.measure import Sample, race, timed
from benchmarks.project import fan_text, make_project
from benchmarks.report import Report, Row
from benchmarks.seeding import seed
from benchmarks.setting import Setting, run
from runner.app.place import locate
from runner.settings import Settings

MANY = (
    "list",
    "list runs",
    "list --where loss<0.01",
    "list --sort loss",
    "show latest",
    "show 777",
    "datum show 777/model.pkl --uses",
    "lineage 777/model.pkl",
)
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
    many = setting.size(100_000, 2_000)
    notes = [f"{20 * runs} executions in {runs} runs, each with five metric events, a log and one output"]
    notes.append(f"then {many:,} executions in runs of 20, each with three metrics, an input and an output")
    return Report([Row("python -c pass", floor), *rows, *_among_many(setting, project, many)], notes)


def _among_many(setting: Setting, project: Path, executions: int) -> list[Row]:
    store = setting.folder / "many"
    began = time.perf_counter()
    seed(store, locate(project).ref, executions)
    made = Sample((time.perf_counter() - began,))
    verbs = {f"mlrun {verb} ({executions:,})": verb for verb in MANY}
    elsewhere = ["env", f"MLRUN_STORE={store}", "mlrun"]
    lanes = [timed(name, partial(run, [*elsewhere, *verb.split(" ")], project)) for name, verb in verbs.items()]
    found = race(lanes, setting.rounds_or(10))
    bars = {name: "< 300 ms" if verb == "list" else "" for name, verb in verbs.items()}
    return [
        *(Row(name, sample, None, bars[name]) for name, sample in found.items()),
        Row("seeding, with rebuild", made),
    ]
