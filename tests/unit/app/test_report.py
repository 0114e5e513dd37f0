"""What a report is made of: the goals of tasks, the values of a pipeline's parameters, and what was printed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.app.report import make_report
from runner.errors import ExitCode, MlrunError
from runner.goal import Aim
from runner.store.record import Code, ProjectRef, Run
from runner.store.store import Store

TASK = """\
- step: {name: train, image: i, command: x, parameters: [{name: rate, type: float, default: 1}]}
- task: {name: sweep, step: train, type: grid_search,
         parameters: [{name: rate, style: multiple, rules: {items: [1, 2]}}]}
- pipeline:
    name: p
    parameters:
      - {name: folds, default: 5, target: t.parameters.rate}
      - {name: seed, default: 7, target: t.parameters.rate}
    nodes: [{name: t, type: task, task: sweep}]
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store


def swept(store: Store, spec: str, goal: Any = None, **more: Any) -> Run:
    """A run of a pipeline with two trials: the first is better by `loss`, the second by `accuracy`."""
    task = {"name": "t", "step": "train", "kind": "task", "task": "sweep"} | ({"goal": goal} if goal else {})
    header = {
        "kind": "pipeline",
        "name": "p",
        "project": ProjectRef("p", "iris", "/x", "valohai.yaml"),
        "title": None,
        "tags": (),
        "argv": (),
        "code": Code(store.objects.put_tree([])),
        "spec": store.objects.put_bytes(spec.encode()),
        "plan": {"nodes": [task]},
        "executor": "sandbox",
        "host": {},
        "version": "1",
        **more,
    }
    values = [{"loss": 0.1, "accuracy": 0.5}, {"loss": 0.9, "accuracy": 0.8}]
    with store.begin_run(header) as writer:
        trials = [{"name": f"t.{place}", "parameters": {"rate": place}} for place in (1, 2)]
        writer.append([{"type": "trials-added", "node": "t", "trials": trials}])
        for place, metrics in enumerate(values, 1):
            id, log = f"01980000-0000-7000-8000-{place:012}", store.objects.put_bytes(b"a line\n")
            writer.append(
                [
                    {"type": "execution-created", "id": id, "node": f"t.{place}", "counter": place,
                     "job": {"parameters": {"rate": place}, "inputs": []}},
                    {"type": "execution-finished", "id": id, "state": "succeeded", "metrics": metrics,
                     "log": {"stdout": log, "stderr": log, "index": store.objects.put_bytes(b"")}},
                    {"type": "node-moved", "node": f"t.{place}", "state": "succeeded"},
                ]
            )  # fmt: skip
        writer.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
        return store.run(writer.id)


@pytest.mark.parametrize(
    ("told", "metric", "aim", "first"),
    [
        ({"metric": "loss", "aim": "minimize"}, None, None, "the smallest loss"),
        ({"metric": "loss", "aim": "minimize"}, "loss", None, "the smallest loss"),
        ({"metric": "loss", "aim": "minimize"}, None, "maximize", "the greatest loss"),
        ({"metric": "accuracy", "aim": 0.75}, None, None, "the accuracy nearest to 0.75"),
        ({"metric": "loss", "aim": "minimize"}, "accuracy", None, "the greatest accuracy"),
        (None, "loss", "minimize", "the smallest loss"),
        (None, None, None, "in the order in which they were chosen"),
    ],
)
def test_which_trial_is_best_the_user_says_else_the_run(
    store: Store, told: Any, metric: str | None, aim: Aim | None, first: str
) -> None:
    page = make_report(store, swept(store, "- broken: [", told), metric, aim)
    assert f"Trials of t, {'' if 'order' in first else 'the best first: '}{first}" in page
    assert "a line" in page


def test_parameters_of_the_pipeline_are_those_that_were_given_else_their_defaults(store: Store) -> None:
    run = swept(store, TASK, arguments={"parameters": {"folds": "9"}})
    page = make_report(store, run)
    assert '<th scope="row">folds</th><td>9</td>' in page
    assert '<th scope="row">seed</th><td>7</td>' in page


def test_a_metric_that_nothing_has_is_refused(store: Store) -> None:
    run = swept(store, TASK)
    with pytest.raises(MlrunError) as caught:
        make_report(store, run, "acuracy")
    assert caught.value.code is ExitCode.USAGE


def test_a_goal_without_a_metric_is_refused(store: Store) -> None:
    with pytest.raises(MlrunError, match="`--goal` says nothing without a metric") as caught:
        make_report(store, swept(store, TASK), None, "minimize")
    assert caught.value.code is ExitCode.USAGE


def test_a_log_that_is_gone_is_told_and_the_rest_is_there(store: Store) -> None:
    run = swept(store, "- broken: [")
    for digest in {execution.log.stdout for execution in run.executions.values() if execution.log}:
        store.objects.file(digest).unlink()
    page = make_report(store, run)
    assert "There is no log here: the object" in page
    assert "Trials of t" in page
