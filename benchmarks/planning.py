"""From the text of a large pipeline to its last node, with everything that would run left out."""

from collections import deque
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import Sample, race, timed
from benchmarks.project import grid_text, make_project
from benchmarks.report import Report, Row
from benchmarks.setting import Setting, run
from runner.engine.machine import Begun, Bind, EndRun, JobEnded, JobStarted, Machine, NodeBound, Start, Stimulus
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments, Plan
from runner.spec.lint import lint
from runner.spec.project import parse_project
from runner.state import Reason, State


def measure(setting: Setting) -> Report:
    """A grid of 10,000 nodes and 19,800 edges: each stage beside the YAML library's own C reader on the same text."""
    side = setting.size(100, 30)
    text = grid_text(side)
    data = text.encode()
    folder = make_project(setting.folder / "project", text)
    project = parse_project(data, "valohai.yaml")
    pipeline = project.pipelines["grid"]
    plan = compile_pipeline(project, pipeline, Arguments(str(folder)), str(folder))
    stages = {
        "parse": lambda: parse_project(data, "valohai.yaml"),
        "lint": lambda: lint(project),
        "compile": lambda: compile_pipeline(project, pipeline, Arguments(str(folder)), str(folder)),
        "every move of the machine": lambda: drive(plan),
    }
    lanes = [timed(name, call) for name, call in stages.items()]
    lanes.append(timed("yaml.CSafeLoader", lambda: _load(data)))
    lanes.append(timed("mlrun pipeline grid --dry-run", lambda: _dry_run(folder)))
    found = race(lanes, setting.rounds_or(5))
    floor = found["yaml.CSafeLoader"]
    total = Sample((0.0,) * len(floor.values))
    for name in stages:
        total += found[name]
    beside = (floor, "CSafeLoader")
    rows = [*(Row(name, found[name], beside) for name in stages), Row("all four", total, beside)]
    rows.append(Row("mlrun pipeline grid --dry-run", found["mlrun pipeline grid --dry-run"], beside))
    rows.append(Row("yaml.CSafeLoader, which makes plain data", floor))
    notes = [
        f"{side * side:,} nodes, {2 * side * (side - 1):,} edges, {len(data) / 1e6:.1f} MB",
        "the dry run meets the file for the first time each turn: a run would remember that it was checked",
    ]
    return Report(rows, notes)


def drive(plan: Plan) -> State:
    """Every move from the first to the last, each job ending well at once; the end of the run."""
    machine, waiting = Machine(plan, slots=2), deque[Stimulus]([Begun()])
    while waiting:
        for action in machine.handle(waiting.popleft()):
            match action:
                case Bind(name):
                    waiting.append(NodeBound(name))
                case Start(name):
                    waiting += (JobStarted(name), JobEnded(name, True, Reason.EXIT))
                case EndRun(state):
                    return state
                case _:
                    pass
    raise RuntimeError("the machine stands still")


def _load(data: bytes) -> Any:
    return yaml.load(data, Loader=yaml.CSafeLoader)


def _dry_run(folder: Path) -> None:
    run(["mlrun", "pipeline", "grid", "--dry-run"], folder)
