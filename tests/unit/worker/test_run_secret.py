"""What a program prints of its secrets is masked wherever it goes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.executors.fake import FakeExecutor
from runner.job import Identity, Job, LogChunk, Script
from runner.metrics import MetricEvent
from runner.state import Reason
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.worker.report import Finished, clear
from runner.worker.run import Equipment, run_job

SECRET = "hunter2-hunter2"


class Ear:
    """Notes what the listeners of a run are told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def started(self) -> None:
        pass

    def log(self, chunk: LogChunk) -> None:
        self.told.append(chunk.data)

    def metric(self, event: MetricEvent) -> None:
        self.told.append(dict(event.values))

    def limit(self, reason: Reason) -> None:
        pass

    def taken(self, *given: object) -> None:
        pass


def run(job: Job, objects: Objects, layout: Layout, ear: Ear, *lines: str, **secrets: str) -> Finished:
    job = replace(job, script=Script(lines), secrets=tuple(secrets))
    executor, logs = FakeExecutor(), layout.runs / "run" / "logs" / job.id
    identity = executor.resolve("python:3.12") or Identity("", {})
    finished = run_job(job, Equipment(executor, objects, layout.work), identity, logs, ear, secrets=secrets)
    assert executor.started[0].secrets == secrets
    assert clear(finished) is None
    return finished


def files_with(folder: Path, data: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and data in path.read_bytes()]


def test_logs_metrics_and_listeners_get_no_secret(job: Job, objects: Objects, layout: Layout) -> None:
    ear = Ear()
    lines = (f"print token {SECRET}", f"warn {SECRET}!", json.dumps({"key": SECRET, SECRET: 1}), "exit 3")
    finished = run(job, objects, layout, ear, *lines[:2], f"print {lines[2]}", lines[3], TOKEN=SECRET)

    assert finished.log is not None
    assert objects.read(finished.log.stdout) == b'token ***\n{"key": "***", "***": 1}\n'
    assert objects.read(finished.log.stderr) == b"***!\n"
    assert finished.metrics == {"key": "***", "***": 1}
    assert SECRET not in repr(ear.told) + repr(finished)
    assert files_with(layout.runs.parent, SECRET.encode()) == []
    assert finished.work is not None


def test_what_is_held_back_at_the_end_is_not_lost(job: Job, objects: Objects, layout: Layout) -> None:
    ear = Ear()
    finished = run(job, objects, layout, ear, f"print a {SECRET[:-1]}", TOKEN=f"{SECRET[:-1]}\nand more")

    assert finished.log is not None
    assert objects.read(finished.log.stdout) == b"a ***\n"


def test_a_value_that_is_too_short_is_a_warning(job: Job, objects: Objects, layout: Layout) -> None:
    finished = run(job, objects, layout, Ear(), "print a banana", SHORT="a", LONG=SECRET)

    assert finished.warnings == ("too short or too plain to be hidden in the log: `SHORT`",)
    assert finished.log is not None
    assert objects.read(finished.log.stdout) == b"a banana\n"


@pytest.mark.parametrize("line", [f"refuse cannot {SECRET}"])
def test_the_sentence_about_a_failure_has_no_secret(job: Job, objects: Objects, layout: Layout, line: str) -> None:
    finished = run(job, objects, layout, Ear(), line, TOKEN=SECRET)

    assert finished.outcome.detail == "cannot ***"
