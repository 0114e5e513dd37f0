"""The odd form of an early article: flat items, `connections:` and no nodes, images that nobody has here."""

import json

import pytest

IMAGES = ("train-images", "train-labels", "test-images", "test-labels")

FILE = """\
- step:
  name: preprocess
  image: tensorflow/tensorflow:1.13.1-gpu-py3
  command: python preprocess.py
  inputs:
    - name: train-images
    - name: train-labels
    - name: test-images
    - name: test-labels
- step:
  name: train
  image: tensorflow/tensorflow:1.13.1-gpu-py3
  command: python train.py {parameters}
  parameters:
    - name: learning_rate
      description: Initial learning rate
      type: float
      default: 0.001
  inputs:
    - name: train-images
    - name: train-labels
    - name: test-images
    - name: test-labels
- pipeline:
  name: Training Pipeline
  connections:
    - [preprocess.output.train-images, train.input.train-images]
    - [preprocess.output.train-labels, train.input.train-labels]
    - [preprocess.output.test-images, train.input.test-images]
    - [preprocess.output.test-labels, train.input.test-labels]
"""

PREPROCESS = """\
import gzip
import os
import pathlib

for folder in sorted(pathlib.Path(os.environ["VH_INPUTS_DIR"]).iterdir()):
    for file in folder.iterdir():
        pathlib.Path(os.environ["VH_OUTPUTS_DIR"], folder.name).write_bytes(gzip.decompress(file.read_bytes()))
"""

TRAIN = """\
import argparse
import json
import os
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float)
rate = parser.parse_args().learning_rate
files = {path.name: path.read_text() for path in pathlib.Path(os.environ["VH_INPUTS_DIR"]).glob("*/*")}
loss = 1.0
for epoch in range(3):
    loss *= 1 - rate
    print(json.dumps({"epoch": epoch, "loss": loss}))
pathlib.Path(os.environ["VH_OUTPUTS_DIR"], "model.json").write_text(json.dumps({"loss": loss, "files": files}))
"""


@pytest.fixture
def article(make):
    return make(FILE, {"preprocess.py": PREPROCESS, "train.py": TRAIN})


@pytest.fixture
def data(tmp_path):
    """The command line that gives the four files from a folder outside the project."""
    import gzip

    words = []
    for name in IMAGES:
        file = tmp_path / f"{name}-idx3-ubyte.gz"
        file.write_bytes(gzip.compress(f"the {name}".encode()))
        words += [f"--preprocess.{name}", str(file)]
    return words


def test_lint_has_located_warnings_only(article):
    done = article.succeeds("lint")

    assert "0 errors" in done.err
    for line in (1, 10, 24):
        assert f"valohai.yaml:{line}:" in done.out
    assert " error " not in done.out


def test_strict_lint_refuses_it(article):
    assert article.mlrun("lint", "--strict").code == 11


def test_it_runs_end_to_end_in_the_sandbox(article, data, sandbox, tmp_path):
    done = article.succeeds("pipeline", "Training Pipeline", *data, "--train.learning_rate=0.5", "--executor", sandbox)

    model = json.loads(article.outputs("latest", tmp_path / "results")["model.json"])
    assert model == {"loss": 0.125, "files": {name: f"the {name}" for name in IMAGES}}
    rows = article.succeeds("list", "--json").json()
    assert [(row["node"], row["image"]) for row in rows] == [
        ("train", "tensorflow/tensorflow:1.13.1-gpu-py3"),
        ("preprocess", "tensorflow/tensorflow:1.13.1-gpu-py3"),
    ]
    assert rows[0]["metrics"] == {"epoch": 2, "loss": 0.125}
    assert "loss=0.125" in done.out


def test_its_root_inputs_must_be_given(article, data):
    said = article.refused("pipeline", "Training Pipeline", *data[2:], code=2)

    assert "input `train-images` of step `preprocess` has no files" in said
    assert "--preprocess.train-images PATH" in said


def test_one_of_its_steps_runs_by_itself(article, data, tmp_path):
    words = [word.replace("preprocess.", "") for word in data]

    article.succeeds("exec", "preprocess", *words)

    assert set(article.outputs("latest", tmp_path / "results")) == set(IMAGES)
