"""`mlrun lint` on a large file beside the official linter: when the file has changed, and when it has not."""

import importlib.metadata
import shutil
import sys
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.measure import race, timed
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run

STEP = """\
- step:
    name: step-{number}
    image: python:3.12-slim
    command:
      - pip install -r requirements.txt
      - python step_{number}.py {{parameters}}
    parameters:
      - name: epochs
        type: integer
        default: 10
        description: How often everything is seen.
      - {{name: learning-rate, type: float, default: 0.001}}
      - {{name: optimizer, type: string, default: adam, description: Its name.}}
      - {{name: verbose, type: flag, default: false}}
    inputs:
      - name: images
        default: s3://bucket/images/{number}.tar
      - name: labels
        optional: true
    environment-variables:
      - name: SEED
        default: '7'
"""

PIPELINE_NODES = 10


def measure(setting: Setting) -> Report:
    """A file of 500 steps and five pipelines, as a command: changed each time, the same each time, and the official."""
    if shutil.which("valohai-yaml", path=str(Path(sys.executable).parent)) is None:
        raise LeftOut("valohai-yaml is not installed: the extra `dev` has it")
    steps = setting.size(500, 50)
    text = project_text(steps, pipelines=5)
    changed, same = setting.folder / "changed.yaml", setting.folder / "same.yaml"
    changed.write_text(text)
    same.write_text(text)
    turns = count(1)
    official = f"valohai-yaml {importlib.metadata.version('valohai-yaml')}"
    lanes = [
        timed("changed", partial(run, ["mlrun", "lint", changed]), after=lambda: _change(changed, text, next(turns))),
        timed("unchanged", partial(run, ["mlrun", "lint", same])),
        timed(official, partial(run, ["valohai-yaml", same])),
    ]
    found = race(lanes, setting.rounds_or(10))
    peer = found.pop(official)
    bars = {"changed": "< 700 ms, < 0.40 × official", "unchanged": "< 300 ms"}
    rows = [Row(f"mlrun lint, {name}", sample, (peer, official), bars[name]) for name, sample in found.items()]
    notes = [
        f"{steps} steps, 5 pipelines of {PIPELINE_NODES} nodes, {len(text) / 1e3:.0f} kB, nothing wrong with any of it"
    ]
    return Report([*rows, Row(official, peer)], notes)


def project_text(steps: int, pipelines: int) -> str:
    """A sound file: steps with parameters and inputs, and pipelines, each a chain of some of them."""
    parts = [STEP.format(number=number) for number in range(steps)]
    parts += [_pipeline(number * PIPELINE_NODES) for number in range(pipelines)]
    return "".join(parts)


def _pipeline(first: int) -> str:
    numbers = range(first, first + PIPELINE_NODES)
    lines = ["- pipeline:", f"    name: from-{first}", "    nodes:"]
    lines += [f"      - {{name: node-{number}, type: execution, step: step-{number}}}" for number in numbers]
    lines += ["    edges:"]
    lines += [f"      - [node-{number}.output.*, node-{number + 1}.input.images]" for number in numbers[:-1]]
    return "\n".join(lines) + "\n"


def _change(file: Path, text: str, turn: int) -> None:
    file.write_text(f"{text}# {turn}\n")
