"""A sweep whose hopeless trials are given up, beside the same sweep to its end."""

import json
import subprocess
from pathlib import Path

from benchmarks.measure import race, timed
from benchmarks.project import make_project
from benchmarks.report import Report, Row
from benchmarks.setting import Setting, run

TEXT = """\
- step:
    name: train
    image: python:3
    command: python train.py {{parameters}}
    parameters:
      - {{name: rate, type: float}}
- task:
    name: sweep
    step: train
    parameters:
      - {{name: rate, style: linear, rules: {{start: 1, end: {trials}, step: 1}}}}
- pipeline:
    name: sweep
    nodes:
      - {{name: sweep, type: task, task: sweep}}
    edges: []
"""

PRUNED = """\
- policy:
    step: train
    prune: {metric: accuracy, goal: maximize}
"""

TRAIN = """\
import json, sys, time

rate = float(sys.argv[1].partition("=")[2])
# Neighbours are of quite different worth, so that no order of the trials is a lucky one.
best = 1 / (1 + (rate * 29) % 53)
for epoch in range(1, 21):
    time.sleep(0.05)
    print(json.dumps({"epoch": epoch, "accuracy": best * (1 - 0.7**epoch)}), flush=True)
"""


def measure(setting: Setting) -> Report:
    """50 trials of 20 epochs, two at a time, with pruning by the median and without."""
    trials = setting.size(50, 10)
    folders = {
        "whole": _project(setting.folder / "whole", TEXT.format(trials=trials)),
        "pruned": _project(setting.folder / "pruned", TEXT.format(trials=trials) + PRUNED),
    }
    words = ["mlrun", "pipeline", "sweep", "--executor", "sandbox", "--jobs", "2", "--no-reuse"]
    lanes = [timed(name, lambda folder=folder: run(words, folder)) for name, folder in folders.items()]
    found = race(lanes, setting.rounds_or(1))
    best = {name: _best(folder, trials) for name, folder in folders.items()}
    rows = [
        Row(f"{trials} trials with pruning", found["pruned"], (found["whole"], "all to their end"), "< 1 ×"),
        Row(f"{trials} trials to their end", found["whole"]),
    ]
    same = "the same best is found" if len(set(best.values())) == 1 else f"another best is found: {best}"
    return Report(rows, [f"{same}; nothing in the program knows of pruning"])


def _project(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    return make_project(folder, text)


def _best(folder: Path, trials: int) -> float:
    """The rate with the greatest accuracy at the last epoch among the latest trials."""
    words = ["mlrun", "list", "--json", "--limit", str(trials)]
    rows = json.loads(subprocess.run(words, cwd=folder, check=True, capture_output=True).stdout)
    ended = [row for row in rows if row["state"] == "succeeded"]
    return float(max(ended, key=lambda row: row["metrics"]["accuracy"])["parameters"]["rate"])
