"""Runs a pipeline in this very process and tells what each of its steps took, records and all."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.measure import Lane
from runner.app.place import locate
from runner.app.request import Request, open_project
from runner.app.run import run_plan
from runner.errors import ExitCode
from runner.events import Event, NodeChanged, RunStarted
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments
from runner.settings import Settings
from runner.state import State


class StepFailed(Exception):
    """A run did not end well, so that its times mean nothing."""


@dataclass(slots=True)
class _Ear:
    """Notes when the run had begun and when each step's success was durable."""

    began: float = 0.0
    ends: list[float] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.began = time.perf_counter()
        elif isinstance(event, NodeChanged) and event.state is State.SUCCEEDED:
            self.ends.append(time.perf_counter())


def run_pipeline(project: Path, name: str, settings: Settings) -> tuple[float, list[float]]:
    """Run a pipeline to its end: the seconds until its run was recorded, and the moments at which steps were done.

    Raises StepFailed.
    """
    began = time.perf_counter()
    with _inside(project):
        place = locate(project)
        found = open_project(place, None)
        plan = compile_pipeline(found, found.pipelines[name], Arguments(str(project)), str(place.root))
        ear = _Ear()
        ended = run_plan(Request(plan, place, found, settings, ("benchmark",)), ear.hear)
    if ended.exit != ExitCode.OK:
        raise StepFailed(f"the pipeline `{name}` in {project} failed: {ended.run.reason}")
    return ear.began - began, ear.ends


def chain_lane(name: str, project: Path, settings: Settings) -> Lane:
    """A lane that runs a project's pipeline `chain`: `name` is the median time from the end of a step to the end of
    the next, `name: begin` the time until the run is recorded."""

    def lane() -> Mapping[str, float]:
        begin, ends = run_pipeline(project, "chain", settings)
        steps = [after - before for before, after in pairwise(ends)]
        return {name: median(steps), f"{name}: begin": begin}

    return lane


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
