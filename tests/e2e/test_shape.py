"""The shapes that pipelines have in public: `NAME.yaml` is run for real, `NAME.json` says what must come of it.

Adding a pair of files to `shapes` adds a test. All but `states` may be left out: `words` of the command line, its exit
`code`, the state of the `run`, `parameters` and `inputs` of executions by node, and what the command `says`.
"""

import json
from pathlib import Path

import pytest

SHAPES = sorted((Path(__file__).parent / "shapes").glob("*.yaml"))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_a_shape_runs_as_its_file_says(make, shape):
    told = json.loads(shape.with_suffix(".json").read_text(encoding="utf-8"))
    project = make(shape.read_text(encoding="utf-8"))

    done = project.mlrun("pipeline", "--no-reuse", *told.get("words", ()), "Shape")

    assert done.code == told.get("code", 0), str(done)
    assert told.get("says", "") in done.err
    run = project.show("run:latest")
    assert run["state"] == told.get("run", "succeeded")
    assert {name: node["state"] for name, node in run["nodes"].items()} == told["states"]
    executions = {execution["node"]: execution["job"] for execution in run["executions"].values()}
    for node, parameters in told.get("parameters", {}).items():
        assert executions[node]["parameters"] == parameters
    for node, files in told.get("inputs", {}).items():
        assert files_of(executions[node]) == files


def files_of(job):
    """The files of all inputs, sorted."""
    return sorted(f"{one['name']}/{file['name']}" for one in job["inputs"] for file in one["files"])


def test_a_deployment_keeps_its_id_and_every_run_makes_a_version(make):
    project = make((Path(__file__).parent / "shapes" / "deployment.yaml").read_text())
    found = []
    for _ in range(2):
        project.succeeds("pipeline", "--no-reuse", "Shape")
        run = project.show("run:latest")
        found.append(run["nodes"]["deploy"]["gathered"])
        (call,) = (one for one in run["executions"].values() if one["node"] == "call")
        assert call["job"]["parameters"] == {"version": found[-1]["version_id"]}

    assert found[0]["id"] == found[1]["id"]
    assert found[0]["version_id"] != found[1]["version_id"]
    assert (found[0]["deployment"], found[0]["aliases"], found[0]["deployed"]) == ("Shop", ["staging"], False)
    assert list(found[0]["endpoints"]["predict"]) == ["model"]


CODE = """\
- step:
    name: tell
    image: busybox
    command: cat code.txt
    inputs: [{name: data, optional: true}]
"""
PIPELINE = """\
- pipeline:
    name: p
    nodes:
      - {name: old, type: execution, step: tell, commit: COMMIT}
      - {name: new, type: execution, step: told}
    edges: [[old.output.*, new.input.data]]
"""


@pytest.fixture
def grown(made):
    """A project with a step under another name and other code since the commit `first`."""
    project = made(CODE, {"code.txt": "old code\n"})
    project.git("tag", "first")
    project.write("code.txt", "new code\n")
    project.write("valohai.yaml", CODE.replace("tell", "told") + PIPELINE.replace("COMMIT", "first"))
    return project


def test_a_node_at_another_commit_runs_the_step_and_the_code_of_that_commit(grown):
    grown.succeeds("pipeline", "p")

    run = grown.show("run:latest")
    counters = {one["node"]: str(one["counter"]) for one in run["executions"].values()}
    assert grown.log(counters["old"]) == "old code\n"
    assert grown.log(counters["new"]) == "new code\n"
    assert run["codes"]["old"]["commit"] == grown.git("rev-parse", "first").strip()
    assert run["code"]["dirty"]


def test_a_node_at_another_commit_is_reused_while_only_the_code_of_today_changes(grown):
    grown.succeeds("pipeline", "p")
    grown.write("code.txt", "newer code\n")

    grown.succeeds("pipeline", "p")

    run = grown.show("run:latest")
    assert {name: node["state"] for name, node in run["nodes"].items()} == {"old": "reused", "new": "succeeded"}


@pytest.mark.parametrize(
    ("commit", "said"),
    [
        ("never", "node `old`: there is no commit `never` in"),
        ("HEAD~9", "node `old`: there is no commit `HEAD~9` in"),
        ("'library:shop/tell'", "which is a library, and only Valohai has those"),
        ("--all", "node `old`: there is no commit `--all` in"),
    ],
)
def test_a_commit_that_is_not_there_is_refused_at_its_node(grown, commit, said):
    grown.write("valohai.yaml", CODE.replace("tell", "told") + PIPELINE.replace("COMMIT", commit))

    error = grown.refused("pipeline", "p", code=10)

    assert error.startswith("valohai.yaml:9:16: error: ")
    assert said in error


def test_a_step_that_the_other_commit_lacks_is_refused_at_its_node(grown):
    grown.write("valohai.yaml", CODE.replace("tell", "told") + PIPELINE.replace("COMMIT", "first").replace("tell", "t"))

    assert "node `old` runs step `t`, which commit `first` lacks" in grown.refused("pipeline", "p", code=10)
