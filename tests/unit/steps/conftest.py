"""Runs a step script as the plain process it is, in folders of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]

Inputs = Mapping[str, Mapping[str, str | bytes | Path]]


@dataclass(frozen=True, slots=True)
class Finished:
    code: int
    out: str
    err: str
    outputs: Path

    @property
    def events(self) -> dict[str, dict[str, Any]]:
        """The JSON lines by their stage. Every line of the output has to be one."""
        return {event["stage"]: event for event in map(json.loads, self.out.splitlines())}

    def text(self, name: str) -> str:
        return (self.outputs / name).read_text(encoding="utf-8")

    def written(self) -> dict[str, bytes]:
        files = (path for path in self.outputs.rglob("*") if path.is_file())
        return {str(path.relative_to(self.outputs)): path.read_bytes() for path in files}


StepRunner = Callable[..., Finished]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def step(tmp_path_factory: pytest.TempPathFactory) -> StepRunner:
    """Call it with a script, its arguments, and `inputs={input: {file: content or path}}`."""

    def run(script: str, *arguments: str, inputs: Inputs | None = None) -> Finished:
        folder = tmp_path_factory.mktemp(script)
        (folder / "outputs").mkdir()
        for name, files in (inputs or {}).items():
            for file, content in files.items():
                _place(folder / "inputs" / name / file, content)
        variables = {"VH_INPUTS_DIR": str(folder / "inputs"), "VH_OUTPUTS_DIR": str(folder / "outputs")}
        done = subprocess.run(
            [sys.executable, str(REPOSITORY / "steps" / f"{script}.py"), *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **variables, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr, folder / "outputs")

    return run


@pytest.fixture(scope="session")
def ingested(step: StepRunner) -> Finished:
    return step("ingest")


@pytest.fixture(scope="session")
def preprocessed(step: StepRunner, ingested: Finished) -> Finished:
    return step("preprocess", inputs={"data": {"iris.csv": ingested.outputs / "iris.csv"}})


@pytest.fixture(scope="session")
def trained(step: StepRunner, preprocessed: Finished) -> Finished:
    return step("train", inputs=training_inputs(preprocessed))


@pytest.fixture(scope="session")
def train_on(step: StepRunner, preprocessed: Finished) -> StepRunner:
    """Trains on the preprocessed flowers; call it with the arguments."""
    return lambda *arguments: step("train", *arguments, inputs=training_inputs(preprocessed))


def training_inputs(preprocessed: Finished) -> Inputs:
    return {
        "train-set": {"train.csv": preprocessed.outputs / "train.csv"},
        "scaler": {"scaler.pkl": preprocessed.outputs / "scaler.pkl"},
    }


def _place(path: Path, content: str | bytes | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
