"""Sweeps: how trials are chosen, compared, given up and gone on with, and how the best one is found."""

import shlex
import signal

import pytest

from tests.e2e.conftest import Make, Project

YAML = """\
- step:
    name: train
    image: busybox
    command:
      - |
        a={parameter-value:a} b={parameter-value:b}
        echo "{\\"score\\": $((a * 10 + b))}"
        echo $a-$b > "$VH_OUTPUTS_DIR/model.txt"
        test $b != 13
    parameters:
      - {name: a, type: integer, default: 1}
      - {name: b, type: integer, default: 2}
- step:
    name: slow
    image: busybox
    command:
      # A bad one would take for ever.
      - |
        a={parameter-value:a} pause=0.02
        if [ $a -lt 3 ]; then pause=1; fi
        for round in $(seq 20); do echo "{\\"score\\": $a}"; sleep $pause; done
        while [ $a -lt 3 ]; do sleep 1; done
    parameters:
      - {name: a, type: integer, default: 1}
- step:
    name: gather
    image: busybox
    command:
      - cd "$VH_INPUTS_DIR/models" && for file in *; do echo "$file $(cat $file)"; done | sort
      - cat "$VH_CONFIG_DIR/parameters.json"
    parameters:
      - {name: scores, type: integer, multiple: repeat, optional: true}
    inputs:
      - {name: models}
- step:
    name: list
    image: busybox
    command: "echo '{\\"found\\": [4, 5, 6]}'"
- step:
    name: keep
    image: busybox
    command: ls "$VH_INPUTS_DIR/models" > "$VH_OUTPUTS_DIR/kept.txt"
    inputs:
      - {name: models}
- policy: {step: slow, prune: {metric: score, goal: maximize, startup: 2}}
- task:
    name: grid
    step: train
    parameters:
      - {name: a, style: linear, rules: {start: 1, end: 3, step: 1}}
      - {name: b, style: multiple, rules: {items: [4, 5]}}
- task:
    name: few
    step: train
    type: random_search
    execution-count: 4
    parameters:
      - {name: a, style: random, rules: {min: 1, max: 1000000}}
- task:
    name: sets
    step: train
    type: manual_search
    parameter-sets:
      - {a: 7, b: 1}
      - {a: 8}
- task:
    name: bayes
    step: train
    type: bayesian_tpe
    execution-count: 23
    execution-batch-size: 2
    optimization-target-metric: score
    optimization-target-value: 555
    parameters:
      - {name: a, style: random, rules: {min: 1, max: 99}}
- task:
    name: unlucky
    step: train
    parameters:
      - {name: b, style: multiple, rules: {items: [12, 13, 14]}}
- task:
    name: race
    step: slow
    parameters:
      - {name: a, style: multiple, rules: {items: [8, 9, 1, 2, 7]}}
- pipeline:
    name: whole
    nodes:
      - {name: list, type: execution, step: list}
      - {name: tune, type: task, step: train}
      - {name: gather, type: execution, step: gather}
    edges:
      - [list.metadata.found, tune.parameter.a]
      - [tune.output.model.txt, gather.input.models]
      - [tune.metadata.score, gather.parameter.scores]
- pipeline:
    name: kept
    nodes:
      - {name: tune, type: task, task: sets}
      - {name: keep, type: execution, step: keep}
      - {name: gather, type: execution, step: gather}
    edges:
      - [tune.output.model.txt, keep.input.models]
      - [keep.output.kept.txt, gather.input.models]
- pipeline:
    name: two
    nodes:
      - {name: one, type: task, step: train}
      - {name: other, type: task, step: train}
    edges: []
- pipeline:
    name: marathon
    nodes:
      - {name: list, type: execution, step: list}
      - {name: tune, type: task, task: distance}
    edges:
      - [list.dependency.x, tune.dependency.x]
- task:
    name: distance
    step: slow
    parameters:
      - {name: a, style: linear, rules: {start: 3, end: 60, step: 1}}
"""


@pytest.fixture
def project(shared: Project) -> Project:
    return shared


def parameters(project: Project, task: str) -> list[dict[str, object]]:
    """The values of the trials of the latest run of a task, in the order in which they were chosen."""
    shown = project.succeeds("task", "show", task, "--json").json()
    return [one["parameters"] for one in sorted(shown["trials"], key=lambda one: int(one["trial"]))]


def test_a_grid_runs_every_combination_and_the_second_time_none(project: Project) -> None:
    project.succeeds("task", "grid", "-j", "2")
    assert parameters(project, "grid") == [{"a": a, "b": b} for a in (1, 2, 3) for b in (4, 5)]
    again = project.succeeds("task", "grid", "--json").json()
    assert again["executions"] == {}
    assert [node["state"] for node in again["nodes"].values() if node["trial_of"]] == ["reused"] * 6


def test_a_trial_may_be_reused_from_another_sweep(project: Project) -> None:
    project.succeeds("task", "grid")
    swept = project.succeeds("exec", "train", "--sweep", "a=2..3", "--sweep", "b=5,6", "--json").json()
    states = {(one["parameters"]["a"], one["parameters"]["b"]): one["state"] for one in swept["nodes"].values()
              if one["trial_of"]}  # fmt: skip
    assert states == {(2, 5): "reused", (3, 5): "reused", (2, 6): "succeeded", (3, 6): "succeeded"}


def test_the_best_trial_is_found_and_what_it_left_can_be_promoted(project: Project) -> None:
    project.succeeds("task", "grid")
    best = project.succeeds("task", "show", "grid", "--best", "score")
    assert "trial 6 of 6 has the greatest score: 35" in best.out
    hint = best.err.split("`mlrun alias ")[1].split("`")[0]
    project.succeeds("alias", *hint.split())
    assert "model.txt" in project.succeeds("alias", hint.split()[0]).out
    least = project.succeeds("task", "show", "grid", "--best", "score", "--goal", "minimize", "--json").json()
    assert least["parameters"] == {"a": 1, "b": 4}


def test_the_end_of_a_sweep_names_the_command_that_lists_its_trials(project: Project) -> None:
    hint = project.succeeds("task", "grid", "--metric", "score").err.split("trials: `mlrun ")[1]
    assert "6 trials" in project.succeeds(*hint.split("`")[0].split()).err
    assert "`--best score`" in hint


def test_the_end_of_a_pipeline_names_the_outputs_of_its_last_node_and_of_no_trial(project: Project) -> None:
    """The last node that left any, whether it ran or an earlier execution stands for it."""
    for more in ([], [], ["--refresh", "tune"], ["--refresh", "keep"]):
        done = project.succeeds("pipeline", "kept", *more)
        hint = done.err.split("outputs: `mlrun ")[1].split("`")[0]
        assert "kept.txt" in project.succeeds(*shlex.split(hint)).out, str(done)


def test_the_end_of_a_pipeline_whose_last_outputs_are_of_a_sweep_names_the_command_that_lists_its_trials(
    project: Project,
) -> None:
    for _ in range(2):
        err = project.succeeds("pipeline", "two").err
        assert "outputs:" not in err
        hint = err.split("trials: `mlrun ")[1].split("`")[0]
        assert "1 trial of `other`" in project.succeeds(*shlex.split(hint)).err


def test_the_latest_run_may_have_several_tasks(project: Project) -> None:
    project.succeeds("pipeline", "two")
    assert "has 2 tasks" in project.refused("task", "show", "latest", code=2)
    assert "`one`" in project.succeeds("task", "show", "latest", "--node", "one").err


def test_random_values_are_the_same_each_time(project: Project) -> None:
    project.succeeds("task", "few")
    first = parameters(project, "few")
    assert len({str(one) for one in first}) == 4
    project.succeeds("task", "few", "--no-reuse")
    assert parameters(project, "few") == first


def test_the_sets_of_a_manual_search_run_as_they_are(project: Project) -> None:
    project.succeeds("task", "sets")
    assert parameters(project, "sets") == [{"a": 7, "b": 1}, {"a": 8, "b": 2}]


def test_a_bayesian_search_learns_and_chooses_the_same_again(project: Project) -> None:
    pytest.importorskip("optuna")
    project.succeeds("task", "bayes", "-j", "2")
    found = parameters(project, "bayes")
    assert len(found) == 23
    assert project.succeeds("task", "bayes", "-j", "1", "--json").json()["executions"] == {}
    assert parameters(project, "bayes") == found


def test_what_goes_on_with_a_failed_sweep_is_told_and_does_so(project: Project) -> None:
    told = project.fails("task", "unlucky", "--a", "77").err.splitlines()[-1]
    resume, rerun = (words.split("`")[0].split() for words in told.split("`mlrun ")[1:])
    assert project.fails(*resume, "--json").json()["state"] == "failed"
    assert project.fails(*rerun, "--json").json()["state"] == "failed"


def test_a_failed_trial_fails_the_task_once_the_others_are_done(project: Project) -> None:
    project.fails("task", "unlucky")
    shown = project.succeeds("task", "show", "unlucky", "--json").json()
    assert sorted(one["state"] for one in shown["trials"]) == ["failed", "succeeded", "succeeded"]
    project.succeeds("task", "unlucky", "--on-child-error", "continue-and-complete")


def test_hopeless_trials_are_given_up_by_what_they_print(project: Project) -> None:
    project.succeeds("task", "race", "-j", "3")
    shown = project.succeeds("task", "show", "race", "--json").json()
    given_up = {one["parameters"]["a"] for one in shown["trials"] if one["reason"] == "pruned"}
    assert {1, 2} <= given_up <= {1, 2, 7, 8}
    assert shown["trials"][0]["parameters"] == {"a": 9}, "the best first"


def test_what_the_command_line_says_beats_the_task(project: Project) -> None:
    project.succeeds("task", "grid", "--a", "9", "--b", "1", "--b", "3")
    ran = [one["job"]["parameters"] for one in project.show()["executions"].values()]
    assert sorted(ran, key=str) == [{"a": 9, "b": 1}, {"a": 9, "b": 3}]


def test_a_list_of_metadata_becomes_trials_and_their_files_keep_apart(project: Project) -> None:
    project.succeeds("pipeline", "whole")
    assert parameters(project, "tune") == [{"a": 4}, {"a": 5}, {"a": 6}]
    run = project.show()
    gathered = next(one for one in run["executions"].values() if one["node"] == "gather")
    log = project.log(str(gathered["counter"]))
    assert [line for line in log.splitlines() if "model" in line] == [
        "1-model.txt 4-2",
        "2-model.txt 5-2",
        "3-model.txt 6-2",
    ]
    assert gathered["job"]["parameters"]["scores"] == [42, 52, 62]


def test_a_sweep_that_was_killed_goes_on_where_it_was(make: Make) -> None:
    project = make(YAML)
    running = project.start("exec", "slow", "--sweep", "a=3..8", "-j", "1", "--prune", "none", "--no-reuse")
    running.until("[2/6]")
    running.signal(signal.SIGKILL)
    running.end()
    before = {one["node"] for one in project.show()["executions"].values() if one["state"] == "succeeded"}
    project.succeeds("resume", "latest")
    run = project.show()
    assert parameters(project, "slow") == [{"a": a} for a in range(3, 9)]
    attempts = {name: node["executions"] for name, node in run["nodes"].items() if node["trial_of"]}
    assert all(len(attempts[name]) == 1 for name in before)
    assert {node["state"] for node in run["nodes"].values()} == {"succeeded"}


def test_a_sweep_that_was_stopped_says_of_how_many_trials_and_what_of_it_is_kept(project: Project) -> None:
    done = 0
    for words in (("pipeline", "--no-reuse", "-j", "1", "marathon"), ("resume", "-j", "1", "latest")):
        before = done
        running = project.start(*words)
        running.until(f"[{before + 2}/58]")
        running.signal(signal.SIGINT)
        ended = running.end()
        assert ended.code == 130, str(ended)
        assert " of 58 trials" in ended.out, str(ended)
        done = int(ended.out.split("/58 done")[0].split()[-1])
        assert done >= before + 2
    assert f"2 nodes, 1 kept, {before} of 58 trials kept" in ended.err, str(ended)
    assert "of 58 trials of `tune`" in project.succeeds("task", "show", "latest").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task"], "needs a NAME"),
        (["task", "gird"], "did you mean `grid`"),
        (["task", "grid", "--lr", "1"], "has no option `--lr`"),
        (["task", "grid", "--a", "deep"], "`deep` is not an integer"),
        (["task", "grid", "--trials", "3"], "does not go with a grid search"),
        (["task", "grid", "--prune", "median"], "needs a metric"),
        (["task", "grid", "--goal", "most", "--metric", "score"], "is no goal"),
        (["task", "grid", "--on-child-error", "panic"], "there is no `--on-child-error panic`"),
        (["exec", "train", "--sweep", "a"], "has no values"),
        (["exec", "train", "--sweep", "a=1,,2"], "has an empty value"),
        (["exec", "train", "--sweep", "c=1,2"], "has no parameter `c`"),
        (["exec", "train", "--sweep", "a=1,x"], "`x` is not an integer"),
        (["exec", "train", "--sweep", "a=8..2"], "there is nothing"),
        (["exec", "train", "--sweep", "a=1..10000000"], "10,000,000 values, more than 100,000"),
        (["exec", "train", "--sweep", "a=1,2", "--a", "3"], "both give `a`"),
        (["exec", "train", "--trials", "3"], "nothing to try without `--sweep`"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(project: Project, words: list[str], said: str) -> None:
    assert said in project.refused(*words, code=2)
