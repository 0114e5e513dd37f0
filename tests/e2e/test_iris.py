"""The example project, from `mlrun init` to a measured model."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from blake3 import blake3

sklearn = pytest.importorskip("sklearn", reason="the example's steps need scikit-learn")

NODES = {
    "ingest": "ingest",
    "validate": "validate",
    "preprocess": "preprocess",
    "train": "train",
    "train-baseline": "train",
    "evaluate": "evaluate",
    "evaluate-baseline": "evaluate",
    "infer": "infer",
}
COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]


def executions(project, run: str = "run:1") -> dict:
    """The executions of a run by node."""
    return {execution["node"]: execution for execution in project.show(run)["executions"].values()}


def test_init_makes_a_committed_project_without_errors(iris):
    report = iris.succeeds("lint", "--json").json()

    # What is missing is the data of the inference pipeline, which is given when it is started.
    assert report["errors"] == 0
    assert {problem["code"] for problem in report["problems"]} == {"unfed-input"}
    assert iris.git("status", "--porcelain") == ""
    assert iris.git("rev-list", "--count", "HEAD").strip() == "1"


def test_the_official_tool_has_nothing_to_say_about_the_example(root):
    lint = pytest.importorskip("valohai_yaml.lint").lint

    result = lint((root / "valohai.yaml.example").read_text())

    assert [str(message) for message in result.messages] == []


def test_every_node_of_the_training_pipeline_succeeds(trained):
    run = trained.show("run:1")

    assert (run["kind"], run["name"], run["state"]) == ("pipeline", "Training Pipeline", "succeeded")
    assert (run["title"], run["tags"]) == ("first light", ["demo"])
    assert {name: node["step"] for name, node in run["nodes"].items()} == NODES
    assert {execution["state"] for execution in run["executions"].values()} == {"succeeded"}


def test_the_metrics_of_the_models_are_plausible(trained):
    found = executions(trained)

    for node in ("evaluate", "evaluate-baseline"):
        metrics = found[node]["metrics"]
        assert 0.85 <= metrics["accuracy"] <= 1
        assert 0.85 <= metrics["f1"] <= 1
        assert sum(map(sum, metrics["confusion_matrix"])) == metrics["rows"] == 34
    assert found["train"]["metrics"]["model"] == "svm"
    assert found["train-baseline"]["metrics"]["model"] == "lda"
    assert found["infer"]["metrics"]["rows"] == found["ingest"]["metrics"]["held_back"] == 15


def test_a_metric_of_training_reaches_the_parameter_of_its_evaluation(trained):
    found = executions(trained)

    for branch in ("", "-baseline"):
        accuracy = found[f"train{branch}"]["metrics"]["train_accuracy"]
        assert found[f"evaluate{branch}"]["job"]["parameters"]["train_accuracy"] == accuracy


def test_list_shows_executions_newest_first(trained):
    rows = trained.succeeds("list", "--where", "run == 1", "--json").json()

    assert [row["counter"] for row in rows] == sorted((row["counter"] for row in rows), reverse=True)
    assert {row["node"] for row in rows} == set(NODES)


def test_list_filters_sorts_and_exports(trained):
    done = trained.succeeds(
        "list",
        "--where",
        "run == 1 and accuracy > 0.5",
        "--sort",
        "node",
        "--columns",
        "node,accuracy",
        "--format",
        "csv",
    )

    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["node"] for row in rows] == ["evaluate", "evaluate-baseline"]
    assert all(0.85 <= float(row["accuracy"]) <= 1 for row in rows)


def test_show_names_every_node_and_its_files(trained):
    page = trained.succeeds("show", "run:1").out

    for word in (*NODES, "model.pkl", "confusion.png", "first light", "demo"):
        assert word in page


def test_the_log_of_an_execution_is_exactly_what_its_program_printed(trained):
    counter = executions(trained)["train"]["counter"]

    lines = [json.loads(line) for line in trained.succeeds("logs", str(counter), "--stdout").out.splitlines()]

    assert [line["stage"] for line in lines] == ["load", "cross-validate", "fit", "save"]


def test_metrics_stand_side_by_side(trained):
    found = executions(trained)
    counters = [str(found[node]["counter"]) for node in ("train", "train-baseline")]

    compared = trained.succeeds("metrics", *counters, "--json").json()
    events = trained.succeeds("metrics", counters[0], "--events", "--json").json_lines()

    assert [one["metrics"]["model"] for one in compared] == ["svm", "lda"]
    assert len(events) >= 4


def test_outputs_are_listed_and_copied_with_their_digests(trained, tmp_path):
    counter = str(executions(trained)["train"]["counter"])

    listed = trained.succeeds("outputs", counter, "--json").json()
    copied = trained.outputs(counter, tmp_path / "results")

    assert {file["name"] for file in listed} == set(copied) == {"model.pkl", "model.txt", "scaler.pkl"}
    for file in listed:
        assert blake3(copied[file["name"]]).hexdigest() == file["digest"]
        assert len(copied[file["name"]]) == file["size"]


def test_the_picture_of_the_confusion_matrix_is_a_png(trained, tmp_path):
    counter = str(executions(trained)["evaluate"]["counter"])

    files = trained.outputs(counter, tmp_path / "results")

    assert files["confusion.png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert "accuracy" in json.loads(files["evaluation.json"])


def test_one_step_runs_by_itself_with_another_parameter(trained):
    done = trained.succeeds("exec", "train", "--C", "0.5")

    assert '"stage": "fit"' in done.out
    assert trained.show("latest")["job"]["parameters"]["C"] == 0.5


def test_bad_data_stops_the_pipeline_at_validate_with_rule_column_and_value(trained, tmp_path):
    done = trained.fails("pipeline", "Training Pipeline", "--ingest.source", bad_flowers(tmp_path / "bad.csv"))

    run = trained.show()
    states = {name: node["state"] for name, node in run["nodes"].items()}
    assert states == {name: {"ingest": "succeeded", "validate": "failed"}.get(name, "skipped") for name in NODES}
    assert "range: `iris.csv` row 7, column `petal_length`: -3.5 is outside" in done.err
    metrics = executions(trained, "run:latest")["validate"]["metrics"]
    assert (metrics["rule"], metrics["column"], metrics["value"]) == ("range", "petal_length", -3.5)


def test_new_flowers_are_named_by_the_inference_pipeline(trained, tmp_path):
    found = executions(trained)
    trained.outputs(str(found["train"]["counter"]), tmp_path / "model")
    trained.outputs(str(found["ingest"]["counter"]), tmp_path / "data")

    trained.succeeds(
        "pipeline",
        "Inference Pipeline",
        "--no-reuse",
        "--validate.data",
        tmp_path / "data" / "new-flowers.csv",
        f"--validate.reference={tmp_path / 'data' / 'reference.csv'}",
        "--infer.model",
        tmp_path / "model" / "model.pkl",
        "--infer.scaler",
        tmp_path / "model" / "scaler.pkl",
    )
    assert executions(trained, "run:latest")["infer"]["metrics"]["rows"] == 15


def bad_flowers(path: Path) -> Path:
    """Iris with one impossible length, in the file's line 7."""
    from sklearn.datasets import load_iris

    iris = load_iris()
    rows = [[*map(float, row), iris.target_names[kind]] for row, kind in zip(iris.data, iris.target, strict=True)]
    rows[5][2] = -3.5
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return path


def test_the_example_runs_with_the_interpreter_of_the_command(trained):
    identity = executions(trained)["train"]["identity"]

    assert identity["version"] == ".".join(map(str, sys.version_info[:3]))
