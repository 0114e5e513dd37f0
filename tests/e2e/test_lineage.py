"""From a copied model to its training data, and two runs side by side, with real runs."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from blake3 import blake3

PIPELINE = """
- step:
    name: prepare
    image: busybox
    command: sh prepare.sh
    inputs:
      - {name: raw, default: raw.csv}
- step:
    name: train
    image: busybox
    command: sh train.sh {parameter:C}
    parameters:
      - {name: C, type: integer, default: 1}
    inputs:
      - {name: train-set}
- step:
    name: evaluate
    image: busybox
    command: sh evaluate.sh
    inputs:
      - {name: model}
- pipeline:
    name: all
    nodes:
      - {name: prepare, step: prepare, type: execution}
      - {name: train, step: train, type: execution}
      - {name: evaluate, step: evaluate, type: execution}
    edges:
      - [prepare.output.train.csv, train.input.train-set]
      - [train.output.model.pkl, evaluate.input.model]
"""
SCRIPTS = {
    "prepare.sh": 'tail -n +2 "$VH_INPUTS_DIR/raw/raw.csv" >"$VH_OUTPUTS_DIR/train.csv"\n',
    "train.sh": '{ echo "$1"; cat "$VH_INPUTS_DIR/train-set/train.csv"; } >"$VH_OUTPUTS_DIR/model.pkl"\n',
    "evaluate.sh": 'size=$(wc -c <"$VH_INPUTS_DIR/model/model.pkl")\n'
    'echo "{\\"size\\": $size}" | tee "$VH_OUTPUTS_DIR/report.json"\n',
}


@pytest.fixture
def piped(make, sandbox, tmp_path):
    """A project with a store of its own, whose pipeline has run once; the sandbox knows what a step read."""
    project = make(PIPELINE, {"raw.csv": "a,b\n1,2\n3,4\n", **SCRIPTS})
    own = project.with_variables(MLRUN_STORE=str(tmp_path / "store"), MLRUN_EXECUTOR=sandbox)
    own.succeeds("pipeline", "all")
    return own


def test_a_copied_model_leads_to_its_training_data_and_its_result(piped, tmp_path):
    piped.succeeds("outputs", "2", "-d", tmp_path)
    copy = (tmp_path / "model.pkl").rename(tmp_path / "renamed.bin")
    told = piped.succeeds("lineage", copy, folder=tmp_path).out
    raw = blake3((piped.folder / "raw.csv").read_bytes()).hexdigest()
    above, _, below = told.partition("\nmade from it\n")
    assert "execution 2 (train) of run 1" in above
    assert "C=1" in above
    assert "train-set/train.csv" in above
    assert "execution 1 (prepare) of run 1" in above
    assert f"raw/raw.csv  12 B  {raw[:16]}" in above
    assert "execution 3 (evaluate) of run 1" in below
    assert "metrics size 14" in below
    assert "report.json" in below

    graph = piped.succeeds("lineage", copy, "--json").json()
    assert raw in {one["digest"] for one in graph["data"]}
    assert {one["commit"] for one in graph["code"]} == {piped.git("rev-parse", "HEAD").strip()}
    picture = ElementTree.fromstring(piped.succeeds("lineage", copy, "--format", "svg").out)
    texts = {text.strip() for element in picture.iter() for text in element.itertext()}
    assert {"prepare", "train", "evaluate", "renamed.bin", "raw.csv", "report.json"} <= texts


def test_a_node_that_was_reused_leads_to_the_execution_that_stands_for_it(piped, tmp_path):
    done = piped.mlrun("pipeline", "all", "--train.C=2")
    assert done.code == 0, str(done)
    reused = {name for name, node in piped.show("run:2")["nodes"].items() if node["state"] == "reused"}
    assert reused == {"prepare"}
    told = piped.succeeds("lineage", "run:2", "--up").out
    assert "execution 1 (prepare) of run 1" in told
    assert "reused by run 2" in told
    assert "C=2" in told and "C=1" not in told


def test_two_runs_side_by_side_show_what_was_changed_and_what_came_of_it(piped):
    piped.write("evaluate.sh", SCRIPTS["evaluate.sh"] + "echo done\n")
    piped.succeeds("pipeline", "all", "--train.C=25")
    compared = piped.succeeds("compare", "run:1", "run:2", "--code").out
    assert "the same but for times: prepare" in compared
    train, evaluate = compared.split("node evaluate")
    assert "parameter C: 1 → 25" in train
    assert "model.pkl, run:2: line 1" in train
    assert "+echo done" in compared
    assert "evaluate.sh changed (1 line)" in evaluate
    assert ["size", "14", "15", "(+1)"] in [line.split() for line in evaluate.splitlines()]
    found = piped.succeeds("compare", "run:1", "run:2", "--json").json()["comparisons"]
    assert {one["node"]: one["differs"] for one in found} == {"prepare": False, "train": True, "evaluate": True}
    assert "### Node `train`" in piped.succeeds("compare", "run:1", "run:2", "--format", "markdown").out


def test_neither_writes_to_the_store(piped):
    def files() -> dict[str, int]:
        return {str(path): path.lstat().st_mtime_ns for path in Path(piped.command.store).rglob("*")}

    before = files()
    piped.succeeds("lineage", "2/model.pkl")
    piped.succeeds("compare", "1", "2")
    assert files() == before
    assert json.loads(piped.succeeds("lineage", "1", "--json").out)["format"] == 1
