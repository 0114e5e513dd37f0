"""`valohai.yaml.example` and the scripts say the same."""

import ast
import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("sklearn", reason="the steps need scikit-learn")

DESCRIBE = """
import importlib, json, sys
sys.path.insert(0, "steps")
actions = importlib.import_module(sys.argv[1]).parser()._actions
options = [action for action in actions if action.dest != "help"]
print(json.dumps({o.option_strings[0]: [o.default, o.choices and list(o.choices)] for o in options}))
"""
STEPS = ["ingest", "validate", "preprocess", "train", "evaluate", "infer"]


@pytest.fixture(scope="module")
def example(repository: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.safe_load((repository / "valohai.yaml.example").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def steps(example: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["step"]["name"]: item["step"] for item in example if "step" in item}


@pytest.fixture(scope="module")
def pipelines(example: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["pipeline"]["name"]: item["pipeline"] for item in example if "pipeline" in item}


@pytest.mark.parametrize("name", STEPS)
def test_a_script_takes_the_parameters_of_its_step_with_the_same_defaults(
    repository: Path, steps: dict[str, Any], name: str
) -> None:
    described = subprocess.run(
        [sys.executable, "-c", DESCRIBE, name],
        cwd=repository,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    options = json.loads(described.stdout)
    declared = {f"--{p['name']}": [p.get("default"), p.get("choices")] for p in steps[name].get("parameters", [])}
    if name == "validate":  # the script has the list of species from the table's description
        assert declared["--species"][0] == ["setosa", "versicolor", "virginica"]
        declared["--species"][0] = None
    by_set = {option: [default, choices and set(choices)] for option, (default, choices) in options.items()}
    assert by_set == {option: [default, choices and set(choices)] for option, (default, choices) in declared.items()}


def test_every_file_of_an_edge_is_one_that_its_source_writes(
    pipelines: dict[str, Any], written: dict[str, Any]
) -> None:
    for pipeline in pipelines.values():
        for source, _ in pipeline["edges"]:
            node, kind, key = source.split(".", 2)
            if kind == "output":
                files = written[node.removesuffix("-baseline")].written()
                assert fnmatch.filter(files, key), source


def test_every_metric_of_an_edge_is_one_that_its_source_prints(
    pipelines: dict[str, Any], written: dict[str, Any]
) -> None:
    edges = [source.split(".", 2) for p in pipelines.values() for source, _ in p["edges"]]
    asked = [(node, key) for node, kind, key in edges if kind == "metadata"]
    assert asked
    for node, key in asked:
        events = written[node.removesuffix("-baseline")].events.values()
        assert any(key in event for event in events), (node, key)


def test_every_required_input_of_the_training_pipeline_is_fed_by_an_edge(
    steps: dict[str, Any], pipelines: dict[str, Any]
) -> None:
    pipeline = pipelines["Training Pipeline"]
    fed = {target for _, target in pipeline["edges"]}
    for node in pipeline["nodes"]:
        for input in steps[node["step"]].get("inputs", []):
            assert input.get("optional") or f"{node['name']}.input.{input['name']}" in fed


def test_every_edge_ends_at_something_that_its_step_declares(steps: dict[str, Any], pipelines: dict[str, Any]) -> None:
    for pipeline in pipelines.values():
        step_of = {node["name"]: steps[node["step"]] for node in pipeline["nodes"]}
        for _, target in pipeline["edges"]:
            node, kind, key = target.split(".", 2)
            assert key in [entry["name"] for entry in step_of[node][f"{kind}s"]], target


def test_the_scripts_do_not_know_what_runs_them(repository: Path) -> None:
    for path in (repository / "steps").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in ("runner", "valohai")], path


def test_the_official_tool_finds_no_error_and_no_warning(repository: Path) -> None:
    lint = pytest.importorskip("valohai_yaml.lint", reason="the official valohai-yaml is not installed")
    result = lint.lint_file(str(repository / "valohai.yaml.example"))
    assert (result.error_count, result.warning_count, list(result.messages)) == (0, 0, [])


def run_setup(repository: Path, folder: Path, found: bool) -> str:
    """Run setup.sh where `python` is a stand-in; return what the stand-in was asked to install."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit {0 if found else 1}\necho "$@" >>"{folder}/asked"\n')
    python.chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-e", "-c", "sh steps/setup.sh"], cwd=repository, env=environment, check=True)
    return (folder / "asked").read_text() if (folder / "asked").exists() else ""


def test_nothing_is_installed_where_scikit_learn_is_there_already(repository: Path, tmp_path: Path) -> None:
    assert run_setup(repository, tmp_path, found=True) == ""


def test_scikit_learn_is_installed_where_it_is_missing(repository: Path, tmp_path: Path) -> None:
    asked = run_setup(repository, tmp_path, found=False)
    assert asked == "-m pip install --quiet -r steps/requirements.txt\n"
    assert (repository / "steps/requirements.txt").is_file()


def test_without_the_variables_the_folders_are_those_of_valohai(repository: Path) -> None:
    code = "import sys; sys.path.insert(0, 'steps'); from iris import place; print(place.input_folder('data'))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VH_")}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=repository, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "/valohai/inputs/data\n"


@pytest.fixture(scope="module")
def written(step: Any, ingested: Any, preprocessed: Any, trained: Any) -> dict[str, Any]:
    """What each step of the training pipeline that feeds another one did."""
    validated = step("validate", inputs={"data": {"iris.csv": ingested.outputs / "iris.csv"}})
    return {"ingest": ingested, "validate": validated, "preprocess": preprocessed, "train": trained}
