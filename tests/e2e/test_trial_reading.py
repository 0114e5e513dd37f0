"""What verbs that read records say of the trials of a task."""

import pytest

from tests.e2e.test_rerun import TRAIN, YAML


@pytest.fixture
def project(make, tmp_path):
    """A pipeline with a task node that has run; the second of its three trials failed."""
    project = make(YAML, {"train.py": TRAIN}).with_variables(MLRUN_STORE=str(tmp_path / "store"))
    project.succeeds("pipeline", "all")
    return project


def test_a_trial_is_named_by_its_run_and_its_own_name(project):
    shown = project.show("run:1/sweep.3")
    assert (shown["node"], shown["metrics"]) == ("sweep.3", {"rate": 0.3})
    assert project.succeeds("logs", "run:1/sweep.1").out == '{"rate": 0.1}\n'
    assert "model.txt" in project.succeeds("outputs", "run:1/sweep.1").out
    assert "runs by its trials" in project.refused("show", "run:1/sweep", code=2)
    assert "has no node `sweep.4`" in project.refused("show", "run:1/sweep.4", code=2)


def test_a_list_of_runs_counts_nodes_and_one_of_executions_has_the_trials(project):
    (run,) = project.runs()
    assert run["nodes"] == 3
    assert project.succeeds("list", "--json").out.count('"sweep.') == 3


def test_a_trial_is_repeated_as_any_execution_and_a_run_with_all_of_them(project):
    assert project.succeeds("reproduce", "run:1/sweep.3", "--once", "--json").json()["verdict"] == "identical"
    nodes = project.succeeds("reproduce", "run:1", "--once", "--json").json()["nodes"]
    assert [node["node"] for node in nodes] == ["load", "sweep.1", "sweep.2", "sweep.3", "count"]


def test_a_step_runs_with_the_values_of_a_trial(project):
    project.succeeds("exec", "train", "--inputs-from", "run:1", "--node", "sweep.3")
    assert project.show("latest")["job"]["parameters"] == {"rate": 0.3}


def test_a_trial_is_traced_to_what_it_got_and_to_what_got_its_files(project):
    page = project.succeeds("lineage", "run:1/sweep.3").out
    assert "words.txt" in page and "list.txt" in page


def test_a_run_with_trials_is_the_same_in_another_store(project, tmp_path):
    remote = tmp_path / "remote"
    project.succeeds("rerun", "1", "--only", "count", "--no-reuse")
    project.succeeds("push", "--to", str(remote), "run:2")
    elsewhere = project.with_variables(MLRUN_STORE=str(tmp_path / "other"))
    elsewhere.succeeds("pull", "--from", str(remote))
    assert {run["state"] for run in elsewhere.runs()} == {"succeeded"} and len(elsewhere.runs()) == 2
    elsewhere.succeeds("store", "check", "--read-data")
    elsewhere.succeeds("verify", "run:1")
