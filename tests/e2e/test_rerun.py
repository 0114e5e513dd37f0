"""A recorded run once more: from a node on, one node only, what failed; and nodes that mimic earlier ones."""

import pytest

YAML = """\
- step:
    name: load
    image: busybox
    command: echo "$WORD {parameter-value:seed}" > "$VH_OUTPUTS_DIR/words.txt"
    parameters: [{name: seed, type: integer, default: 1}]
    environment-variables: [{name: WORD, default: hello}]
- step:
    name: train
    image: busybox
    command: python train.py {parameters}
    parameters: [{name: rate, type: float}]
    inputs: [{name: data}]
- step:
    name: count
    image: busybox
    command:
      - cd "$VH_INPUTS_DIR/models" && ls | tee "$VH_OUTPUTS_DIR/list.txt"
      - cat ./*
    inputs: [{name: models}]
- task:
    name: rates
    step: train
    type: grid_search
    on-child-error: continue-and-complete
    parameters:
      - {name: rate, style: multiple, rules: {items: [0.1, 0.2, 0.3]}}
- pipeline:
    name: all
    nodes:
      - {name: load, type: execution, step: load}
      - {name: sweep, type: task, task: rates}
      - {name: count, type: execution, step: count}
    edges:
      - [load.output.*, sweep.input.data]
      - [sweep.output.*, count.input.models]
"""
TRAIN = """\
import sys
rate = sys.argv[1].partition("=")[2]
if rate == "0.2":
    raise SystemExit(4)
print('{"rate": %s}' % rate)
with open("/valohai/outputs/model.txt", "w") as file:
    file.write(rate + " of " + open("/valohai/inputs/data/words.txt").read())
"""


@pytest.fixture
def project(make, tmp_path):
    """A project whose pipeline has run once with values of its own; the second of three trials failed."""
    project = make(YAML, {"train.py": TRAIN}).with_variables(MLRUN_STORE=str(tmp_path / "store"))
    project.succeeds("pipeline", "all", "--load.seed", "7", "--var", "WORD=moin")
    return project


def states(project, run="run:latest"):
    return {name: node["state"] for name, node in project.show(run)["nodes"].items()}


def test_from_a_node_on_runs_that_and_all_below_with_the_values_of_the_earlier_run(project):
    project.write("train.py", TRAIN.replace('"0.2"', '"0.3"'))
    project.succeeds("rerun", "1", "--from", "sweep")
    run = project.show()
    assert states(project) == {
        "load": "reused", "sweep": "succeeded", "count": "succeeded",
        "sweep.1": "succeeded", "sweep.2": "succeeded", "sweep.3": "failed",
    }  # fmt: skip
    assert run["nodes"]["load"]["reused"]["taken"] and run["nodes"]["load"]["detail"] == "execution 1, taken from run 1"
    assert "0.2 of moin 7" in project.log()


def test_a_task_that_is_taken_stands_with_the_trials_that_it_had(project):
    project.write("valohai.yaml", YAML.replace("cat ./*", "cat ./1-*"))
    project.write("train.py", "raise SystemExit(9)\n")
    project.succeeds("rerun", "run:1", "--only", "count")
    assert states(project) == dict.fromkeys(["load", "sweep", "count", "sweep.1", "sweep.3"], "reused") | {
        "count": "succeeded"
    }
    assert project.log().splitlines() == ["1-model.txt", "3-model.txt", "0.1 of moin 7"]
    page = project.succeeds("why", "run:2").out
    assert "node sweep of run 2 was reused: 2 trials, taken from run 1" in page
    assert page.count("nobody asked what is different") == 3


def test_what_is_below_the_only_node_stands_as_it_was(project):
    project.succeeds("rerun", "1", "--only", "load", "--no-reuse")
    found = states(project)
    assert (found["load"], found["sweep"], found["count"]) == ("succeeded", "reused", "reused")


def test_what_failed_and_all_below_run_again_on_the_code_of_now(project):
    project.write("valohai.yaml", YAML.replace("continue-and-complete", "continue-and-error"))
    project.fails("pipeline", "all", "--no-reuse")
    assert states(project)["count"] == "skipped"
    project.write("train.py", TRAIN.replace("raise SystemExit(4)", "pass"))
    project.succeeds("rerun", "latest", "--failed")
    found = states(project)
    assert (found["load"], found["sweep.2"], found["count"]) == ("reused", "succeeded", "succeeded")


def test_a_node_mimics_one_of_an_earlier_run_whatever_has_changed(project):
    project.succeeds("pipeline", "all", "--load.seed", "8", "--mimic", "run:1:load")
    run = project.show()
    assert run["nodes"]["load"]["reused"]["taken"] and run["state"] == "succeeded"
    assert "of moin 7" in project.log()
    project.succeeds("rerun", "latest", "--only", "count", "--no-reuse")
    assert "of moin 7" in project.log()


def test_a_dry_rerun_tells_what_would_stand_and_records_nothing(project):
    said = project.succeeds("rerun", "1", "--from", "count", "--dry-run").out
    assert "reused: execution 1, taken from run 1" in said and "reused: 2 trials, taken from run 1" in said
    assert len(project.runs()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rerun", "1", "--from", "nope"), "has no node `nope`"),
        (("rerun", "1", "--only", "sweep.2"), "`sweep.2` is a trial of `sweep`"),
        (("rerun", "1", "--failed"), "every node of run 1 succeeded"),
        (("rerun", "9"), "there is no run `9`"),
        (("rerun", "1", "--from", "load", "--only", "load"), "only one of"),
        (("pipeline", "all", "--mimic", "run:1:nope*"), "matches no node"),
        (("pipeline", "all", "--mimic", "1"), "does not say which nodes"),
    ],
)
def test_what_cannot_be_meant_is_refused(project, words, said):
    assert said in project.refused(*words, code=2)
    assert len(project.runs()) == 1


def test_a_task_that_the_file_has_lost_is_refused_though_a_step_is_called_so(project):
    varied = "{name: seed, style: multiple, rules: {items: [1, 2]}}"
    project.write(
        "valohai.yaml", f"{YAML}- task: {{name: load, step: load, type: grid_search, parameters: [{varied}]}}\n"
    )
    project.succeeds("task", "load")
    project.write("valohai.yaml", YAML)
    assert "the file has no task `load` any more" in project.refused("rerun", "latest", code=2)


def test_what_left_nothing_that_is_still_there_stands_for_nothing(project):
    digest = next(iter(project.show("1")["outputs"]))["digest"]
    project.succeeds("purge", digest, "--yes", "--reason", "test")
    said = project.refused("rerun", "1", "--from", "count", code=41)
    assert "node `load` cannot be taken from run 1" in said
    assert len(project.runs()) == 1
