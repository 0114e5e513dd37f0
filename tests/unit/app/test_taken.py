"""Which nodes a rerun or `--mimic` takes from earlier runs."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.app.taken import Choice, below, choose, mimic
from runner.errors import MlrunError
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments, Plan
from runner.spec.project import parse_project
from runner.state import State
from runner.store.record import NodeRecord, Run

YAML = """
- step: {name: work, image: i, command: c, inputs: [{name: data, optional: true}]}
- endpoint: {name: predict, image: i, port: 8000, server-command: serve, files: [{name: model, path: model}]}
- pipeline:
    name: diamond
    nodes:
      - {name: load, type: execution, step: work, actions: [{when: node-starting, then: require-approval}]}
      - {name: left, type: execution, step: work}
      - {name: right, type: execution, step: work}
      - {name: join, type: execution, step: work}
      - {name: serve, type: deployment, deployment: shop, endpoints: [predict]}
    edges:
      - [load.output.*, left.input.data]
      - [load.output.*, right.input.data]
      - [left.output.*, join.input.data]
      - [right.output.*, join.input.data]
      - [join.output.m, serve.file.predict.model]
"""


def plan(**arguments: Any) -> Plan:
    project = parse_project(YAML.encode(), "valohai.yaml")
    return compile_pipeline(project, project.pipelines["diamond"], Arguments("/", **arguments), "/")


def run(**states: State) -> Run:
    """Run 5; nodes that are not told of have succeeded."""
    every = dict.fromkeys(("load", "left", "right", "join", "serve"), State.SUCCEEDED) | states
    nodes = {name: NodeRecord(name, "work", state=state) for name, state in every.items()}
    nodes["sweep.1"] = NodeRecord("sweep.1", "work", trial_of="sweep")
    return cast(Run, SimpleNamespace(id="five", counter=5, nodes=nodes))


def taken(earlier: Run | None = None, **choice: Any) -> set[str]:
    found = choose(plan(), earlier or run(), Choice(**choice))
    assert set(found.values()) <= {"five"}
    return set(found)


def test_without_a_choice_nothing_is_taken() -> None:
    assert taken() == set()


def test_what_runs_from_a_node_on_is_that_and_all_below() -> None:
    assert below(plan(), ["left"]) == {"left", "join", "serve"}
    assert taken(start=("left",)) == {"load", "right"}
    assert taken(start=("left", "right")) == {"load"}


def test_only_a_node_leaves_even_what_is_below_as_it_was_but_deployments_gather_anew() -> None:
    assert taken(only=("left",)) == {"load", "right", "join"}


def test_failed_means_all_that_did_not_succeed_and_all_below() -> None:
    earlier = run(right=State.FAILED, join=State.SKIPPED, serve=State.SKIPPED, load=State.REUSED)
    assert taken(earlier, failed=True) == {"load", "left"}
    assert taken(run(load=State.INTERRUPTED), failed=True) == set()


def test_a_node_that_the_earlier_run_did_not_have_counts_as_failed() -> None:
    earlier = run()
    del cast(Any, earlier.nodes)["right"]
    assert taken(earlier, failed=True) == {"load", "left"}


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"start": ("lefft",)}, "has no node `lefft`"),
        ({"only": ("sweep.1",)}, "`sweep.1` is a trial of `sweep`"),
        ({"failed": True}, "every node of run 5 succeeded"),
        ({"failed": True, "only": ("left",)}, "only one of"),
        ({"start": ("left",), "only": ("left",)}, "only one of"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(choice: dict[str, Any], said: str) -> None:
    with pytest.raises(MlrunError, match=said) as caught:
        taken(**choice)
    assert caught.value.hint


def test_what_is_taken_has_no_actions_and_the_rest_keeps_its_own() -> None:
    assert plan().nodes["load"].actions
    planned = plan(taken={"load": "five"}).nodes
    assert (planned["load"].taken_from, planned["load"].actions) == ("five", ())
    assert planned["left"].taken_from is None


NODES = ["load", "train-a", "train-b", "odd[1]"]


def find(word: str) -> Run:
    return cast(Run, SimpleNamespace(id=f"id of {word}"))


def test_patterns_choose_nodes_and_the_last_word_counts() -> None:
    words = ["run:5:train*,load", "latest:train-b"]
    assert mimic(NODES, words, find) == {"train-a": "id of 5", "load": "id of 5", "train-b": "id of latest"}


def test_an_exact_name_is_no_pattern() -> None:
    assert mimic(NODES, ["5:odd[1]"], find) == {"odd[1]": "id of 5"}


@pytest.mark.parametrize("word", ["5", "run:5", "5:", ":load", "5:nope*", "5:load,", "5:load,nope"])
def test_a_word_that_matches_nothing_is_refused(word: str) -> None:
    with pytest.raises(MlrunError) as caught:
        mimic(NODES, [word], find)
    assert caught.value.hint
