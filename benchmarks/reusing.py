"""What it takes to see that nothing has to run, and to say why something has to."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Lane, Sample, race, timed
from benchmarks.peer import find_peer
from benchmarks.pipeline import PEERS
from benchmarks.project import make_project, passing_text
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run
from runner.digest import Digest
from runner.job import InputFile, Job, JobInput, Script
from runner.reuse.fact import Made, base_key, facts

EXECUTOR = ("--executor", "sandbox")
SMALL = 100
"""Nodes of the chain that the peers have as well."""
KEYS = (100, 1_000, 10_000)
DEMO = {
    "demo": ("mlrun pipeline, the demo unchanged", "< 0.6 s"),
    "why": ("mlrun why train, in the demo", "< 0.5 s"),
}


def measure(setting: Setting) -> Report:
    """A chain of 1,000 nodes that have not changed, the demo, `why`, and keys for 10², 10³ and 10⁴ nodes."""
    size = setting.size(1_000, 200)
    many, few, one = (_ran(setting.folder / f"chain{length}", passing_text(length)) for length in (size, SMALL, 1))
    jobs = {count: [_made(number) for number in range(count)] for count in KEYS}
    lanes = [
        timed("many", lambda: _run_chain(many)),
        timed("few", lambda: _run_chain(few)),
        timed("one", lambda: _run_chain(one)),
        *(timed(f"keys {count}", _keys(jobs[count])) for count in KEYS),
    ]
    notes = [f"`start-up` is the same command on a pipeline of one node; a chain of {size:,} was run once before"]
    try:
        demo = _demo(setting.folder)
        lanes.append(timed("demo", lambda: _run_demo(demo)))
        lanes.append(timed("why", lambda: run(["mlrun", "why", "train", *EXECUTOR], demo)))
    except LeftOut as reason:
        notes.append(str(reason))
    titles: dict[str, str] = {}
    for name in PEERS:
        try:
            titles[name] = _add_peer(setting, name, lanes)
        except LeftOut as reason:
            notes.append(str(reason))
    found = race(lanes, setting.rounds_or(5))
    few_beside = (found["few"], f"mlrun, {SMALL}")
    rows = [
        Row(f"mlrun pipeline, {size:,} unchanged nodes", found["many"]),
        Row("the same without start-up", found["many"] - found["one"], bar="< 0.5 s for 1,000"),
        Row(f"mlrun pipeline, {SMALL} unchanged nodes", found["few"]),
        *(Row(f"{title}, {SMALL} unchanged steps", found[name], few_beside) for name, title in titles.items()),
        Row("mlrun pipeline, start-up", found["one"]),
        *(Row(title, found[name], bar=bar) for name, (title, bar) in DEMO.items() if name in found),
        *(_key_row(count, found[f"keys {count}"], found[f"keys {KEYS[0]}"]) for count in KEYS),
    ]
    return Report(rows, notes)


def _key_row(count: int, sample: Sample, first: Sample) -> Row:
    return Row(f"base keys of {count:,} nodes", sample, (first, f"{KEYS[0]} nodes"))


def _ran(folder: Path, text: str) -> Path:
    """A project whose pipeline `chain` has run once."""
    project = make_project(folder, text)
    _run_chain(project)
    return project


def _run_chain(project: Path) -> None:
    run(["mlrun", "pipeline", "chain", *EXECUTOR], project)


def _demo(folder: Path) -> Path:
    """The example project after its pipeline has run once. Raises LeftOut."""
    run(["mlrun", "init", "demo"], folder)
    try:
        _run_demo(folder / "demo")
    except subprocess.CalledProcessError as error:
        raise LeftOut("the demo cannot run here: its steps need scikit-learn and a network") from error
    return folder / "demo"


def _run_demo(demo: Path) -> None:
    run(["mlrun", "pipeline", "Training Pipeline", *EXECUTOR], demo)


def _add_peer(setting: Setting, name: str, lanes: list[Lane]) -> str:
    """Let another tool see that its steps have not changed; its title. Raises LeftOut."""
    peer = find_peer(setting, name)
    again = PEERS[name](setting.folder / name, peer.program, SMALL, force=False)
    again()
    lanes.append(timed(name, again))
    return peer.title


def _keys(jobs: list[Made]) -> Callable[[], None]:
    def call() -> None:
        for made in jobs:
            base_key(facts(made))

    return call


def _made(number: int) -> Made:
    """What a step of usual size is made of."""
    files = tuple(InputFile(f"file{one}.csv", f"{number:032x}{one:032x}", 1000, "somewhere") for one in range(4))
    job = Job(
        id="",
        step="train",
        image="python:3.12",
        script=Script(("pip install -r requirements.txt", f"python train.py --number={number}")),
        snapshot="0" * 64,
        parameters={"number": number, **{f"p{one}": one / 7 for one in range(8)}},
        inputs=(JobInput("data", files),),
        environment={f"NAME{one}": "value" for one in range(4)},
    )
    return Made(job, "sha256:" + "0" * 64, "docker", Digest("1" * 64))
