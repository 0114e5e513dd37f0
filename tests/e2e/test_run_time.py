"""The page on what a step finds speaks of everything that is there, and of nothing else."""

import json
import re

import pytest
import yaml

from .conftest import ROOT

PAGE = (ROOT / "docs" / "run-time.md").read_text(encoding="utf-8")

FILE = """\
- step:
    name: look
    image: mlrun-test/busybox:1
    command:
      - env > "$VH_OUTPUTS_DIR/env.txt"
      - cp "$VH_CONFIG_DIR"/* "$VH_OUTPUTS_DIR/"
      - pwd > "$VH_OUTPUTS_DIR/pwd.txt"
    parameters:
      - {name: epochs, type: integer, default: 3}
      - {name: rate, type: float, default: 1e-05}
      - {name: layers, type: integer, default: [64, 32], multiple: repeat}
      - {name: label, type: string, default: "yes"}
      - {name: nothing, type: string, optional: true}
      - {name: unset, type: flag}
      - {name: chosen, type: flag, default: true}
    inputs:
      - {name: data, default: data.csv}
      - {name: extra, optional: true}
    environment-variables:
      - {name: MODE, default: fast}
      - {name: VH_OUTPUTS_DIR, default: /tmp}
      - {name: VH_JOB_ID, default: mine}
- pipeline:
    name: p
    nodes: [{name: n, type: execution, step: look}]
    edges: []
"""


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading of the page, by the name in the first cell."""
    text = re.split(rf"^#+ {re.escape(heading)}$", PAGE, flags=re.MULTILINE)[1]
    text = re.split(r"^#", text, flags=re.MULTILINE)[0]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in cells}


@pytest.fixture
def found(make, tmp_path):
    """What the step found, alone and in a pipeline: its variables and config files as text, by name."""
    project = make(FILE, {"data.csv": "1,2\n"})

    def look(*words):
        project.succeeds(*words)
        folder = tmp_path / words[0]
        return {name: data.decode() for name, data in project.outputs("latest", folder).items()}

    return look("exec", "--title", "T", "--tag", "t", "look"), look("pipeline", "--no-reuse", "--tag", "t", "p")


def variables(one):
    return dict(line.split("=", 1) for line in one["env.txt"].splitlines() if line.startswith("VH_"))


def test_the_page_names_what_a_step_finds(found):
    alone, piped = found
    told = rows("Variables")
    always = {name for name, cells in told.items() if cells[0] == "always"}
    in_pipelines = {name for name, cells in told.items() if cells[0] == "in a pipeline"}
    assert set(variables(alone)) == always
    assert set(variables(piped)) == always | in_pipelines
    assert variables(alone)["VH_JOB_ID"] == f"exec-{variables(alone)['VH_EXECUTION_ID']}"

    seen = dict(line.split("=", 1) for line in alone["env.txt"].splitlines() if "=" in line)
    fixed = {name: cells[1].strip("`") for name, cells in told.items() if cells[0].startswith("unless you set it")}
    assert {name: seen[name] for name in fixed} | {"OMP_NUM_THREADS": fixed["OMP_NUM_THREADS"]} == fixed

    names = {name for name in alone if name not in ("env.txt", "pwd.txt")}
    assert names == {f"{n}.{s}" for n in ("parameters", "inputs", "execution", "runtime") for s in ("json", "yaml")}
    for name in names:
        if name.endswith(".json"):
            for one in found:
                assert json.loads(one[name]) == yaml.safe_load(one[name.replace(".json", ".yaml")])

    told = rows("execution.json")
    in_pipelines = {name for name, cells in told.items() if cells[0].startswith("in a pipeline")}
    execution = json.loads(alone["execution.json"])
    in_tasks = {name for name, cells in told.items() if cells[0].startswith("in a task")}
    assert set(execution) == set(told) - in_pipelines - in_tasks
    assert set(json.loads(piped["execution.json"])) == set(told) - in_tasks
    nulls = {name for name, value in execution.items() if value is None}
    assert nulls == {"valohai.execution-duration", "valohai.execution-qtime"}
    assert execution["valohai.execution-title"] == "T"
    assert execution["valohai.execution-tags"] == ["t"]
    assert json.loads(piped["execution.json"])["valohai.execution-title"] is None
    assert re.fullmatch(r"[^@]+@[^@]+", execution["valohai.creator-email"])

    runtime = json.loads(alone["runtime.json"])
    assert set(runtime) <= set(rows("runtime.json"))
    assert {"executor", "image", "image-id", "host", "cpus", "memory", "mlrun"} <= set(runtime)

    inputs = json.loads(alone["inputs.json"])
    assert set(inputs["data"]["files"][0]) == set(rows("inputs.json"))
    assert inputs["extra"] == {"files": []}


def test_parameters_have_their_types_and_nothing_is_null(found):
    assert json.loads(found[0]["parameters.json"]) == {
        "epochs": 3,
        "rate": 1e-05,
        "layers": [64, 32],
        "label": "yes",
        "unset": False,
        "chosen": True,
    }


def test_a_step_starts_in_its_repository_and_no_variable_of_its_own_leads_elsewhere(found):
    alone, _ = found
    assert alone["pwd.txt"].strip() == variables(alone)["VH_REPOSITORY_DIR"]
    assert "MODE=fast" in alone["env.txt"].splitlines()
