"""From the text of a large pipeline to its last node, with everything that would run left out."""

from collections import deque
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import Sample, race, timed
from benchmarks.peer import find_peer
from benchmarks.project import grid_text, make_project
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run
from runner.engine.action import Bind, EndRun, Start
from runner.engine.machine import Machine
from runner.engine.slots import Capacity
from runner.engine.stimulus import Begun, JobEnded, JobStarted, NodeBound, Stimulus
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments, Plan
from runner.spec.lint import lint
from runner.spec.project import parse_project
from runner.state import Reason, State

PLANNED = "planned after parsing"
"""Every check of the wiring, and every node's values, sources and place in the order."""

DRY_RUN = "mlrun pipeline grid --dry-run"

SNAKEFILE = """\
def above(wildcards):
    number = int(wildcards.number)
    row, column = divmod(number, {side})
    return ([f"n{{number - 1}}"] if column else []) + ([f"n{{number - {side}}}"] if row else [])

rule all:
    input: "n{last}"

rule node:
    input: above
    output: "n{{number}}"
    shell: "touch {{output}}"
"""


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
        PLANNED: lambda: compile_pipeline(project, pipeline, Arguments(str(folder)), str(folder)),
        "every move of the machine": lambda: drive(plan),
    }
    lanes = [timed(name, call) for name, call in stages.items()]
    lanes.append(timed("yaml.CSafeLoader", lambda: _load(data)))
    lanes.append(timed(DRY_RUN, lambda: _dry_run(folder)))
    found = race(lanes, setting.rounds_or(5))
    floor = found["yaml.CSafeLoader"]
    total = Sample((0.0,) * len(floor.values))
    for name in stages:
        total += found[name]
    beside = (floor, "CSafeLoader")
    bars = {PLANNED: "< 1 s for 10,000"}
    rows = [*(Row(name, found[name], beside, bars.get(name, "")) for name in stages), Row("all four", total, beside)]
    rows.append(Row(DRY_RUN, found[DRY_RUN], beside))
    rows.append(Row("yaml.CSafeLoader, which makes plain data", floor))
    notes = [
        f"{side * side:,} nodes, {2 * side * (side - 1):,} edges, {len(data) / 1e6:.1f} MB",
        "the dry run meets the file for the first time each turn: a run would remember that it was checked",
    ]
    if setting.peers:
        try:
            rows += _peer_rows(setting, side)
            notes.append("the peer took one turn after the others; planning is what its dry run takes beyond one node")
        except LeftOut as reason:
            notes.append(str(reason))
    return Report(rows, notes)


def _peer_rows(setting: Setting, side: int) -> list[Row]:
    """Snakemake on the same graph, as one rule whose input is a function: far quicker than a rule for each node."""
    peer = find_peer(setting, "snakemake")
    one, whole = (_peer_turn(setting.folder / f"snakemake{size}", peer.program, size) for size in (1, side))
    return [Row(f"{peer.title}: {PLANNED}", whole - one), Row(f"{peer.title} --dry-run", whole)]


def _peer_turn(folder: Path, program: str, side: int) -> Sample:
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE.format(side=side, last=side * side - 1))
    turn = timed("turn", lambda: run([program, "--dry-run", "--quiet", "all", "--cores", "1"], folder))()
    return Sample((turn["turn"],))


def drive(plan: Plan) -> State:
    """Every move from the first to the last, each job ending well at once; the end of the run."""
    machine, waiting = Machine(plan, Capacity(2)), deque[Stimulus]([Begun()])
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
