"""A store on disk, and jobs for the executor that starts nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.job import InputFile, Job, JobInput, Script
from runner.store.layout import Layout
from runner.store.objects import Objects


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create_or_open(tmp_path / "store")


@pytest.fixture
def objects(layout: Layout) -> Iterator[Objects]:
    objects = Objects(layout)
    yield objects
    objects.close()


@pytest.fixture
def input_file(objects: Objects) -> Callable[..., InputFile]:
    """An input file whose content is in the store."""

    def make(name: str, content: bytes = b"content", origin: str | None = None) -> InputFile:
        return InputFile(name, objects.put_bytes(content), len(content), origin or f"/data/{name}")

    return make


@pytest.fixture
def job(objects: Objects) -> Job:
    """A job over a repository of two files, without inputs."""
    entries = []
    for path, mode, content in (("train.py", "100644", b"print(1)\n"), ("tools/run.sh", "100755", b"#!/bin/sh\n")):
        entries.append((path, mode, str(objects.put_bytes(content)), len(content)))
    return Job(
        id="0190a1b2-0000-7000-8000-000000000001",
        step="train",
        image="python:3.12",
        script=Script(("true",)),
        snapshot=objects.put_tree(entries),
        parameters={"epochs": 5},
        inputs=(),
        environment={"VH_JOB_ID": "exec-1"},
        documents={"parameters": {"epochs": 5}, "execution": {"valohai.execution-title": None}, "runtime": {}},
    )


@pytest.fixture
def with_inputs(job: Job) -> Callable[..., Job]:
    """The job with inputs by name."""

    def make(**inputs: list[InputFile]) -> Job:
        return replace(job, inputs=tuple(JobInput(name, tuple(files)) for name, files in inputs.items()))

    return make
