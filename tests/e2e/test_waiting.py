"""Identical work at the same time: done once, and whoever waits for it can be stopped like anything else."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

YAML = """\
- step:
    name: once
    image: busybox
    command:
      - echo ready
      - while [ ! -e {parameter-value:gate} ]; do sleep 0.05; done
      - date +%s%N > /valohai/outputs/when.txt
    parameters: [{name: gate, type: string}]
- step:
    name: after
    image: busybox
    command: cp /valohai/inputs/when/when.txt /valohai/outputs/copy.txt
    inputs: [{name: when}]
- pipeline:
    name: p
    parameters:
      - {name: gate, targets: [first.parameters.gate]}
    nodes:
      - {name: first, type: execution, step: once}
      - {name: second, type: execution, step: after}
    edges: [[first.output.*, second.input.when]]
"""

WAITS = "the same work is under way elsewhere"


@pytest.fixture
def project(make):
    return make(YAML)


def one_that_runs_and_one_that_waits(project):
    runs = project.start("pipeline", "p", "--gate", "/never")
    runs.until("ready")
    waits = project.start("pipeline", "p", "--gate", "/never")
    waits.until(WAITS)
    return runs, waits


def test_ctrl_c_ends_who_waits_at_once_and_nobody_else(project) -> None:
    runs, waits = one_that_runs_and_one_that_waits(project)
    waits.signal(signal.SIGINT)
    done = waits.end()
    assert done.code == 130, str(done)
    latest = project.show()
    assert (latest["state"], {name: node["state"] for name, node in latest["nodes"].items()}) == (
        "stopped",
        {"first": "skipped", "second": "skipped"},
    )
    assert latest["executions"] == {}
    assert runs.process.poll() is None
    runs.signal(signal.SIGINT)
    assert runs.end().code == 130


def test_mlrun_stop_ends_who_waits(project) -> None:
    runs, waits = one_that_runs_and_one_that_waits(project)
    assert project.mlrun("stop", "run:latest").code == 0
    assert waits.end().code == 1
    assert runs.process.poll() is None
    runs.signal(signal.SIGINT)
    runs.end()


def test_who_waits_takes_the_work_over_when_the_other_is_stopped_or_killed(project) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        runs, waits = one_that_runs_and_one_that_waits(project)
        runs.signal(number)
        runs.end()
        waits.until("ready")
        waits.signal(signal.SIGINT)
        assert waits.end().code == 130
    assert not [run for run in project.runs() if run["state"] == "running"]


def test_two_at_the_same_time_do_the_work_once(make) -> None:
    project = make(YAML.replace("while [ ! -e {parameter-value:gate} ]; do sleep 0.05; done", "sleep 1"))
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda _: project.mlrun("pipeline", "p", "--gate", "x", "--json"), range(2)))
    assert [one.code for one in done] == [0, 0], "\n".join(map(str, done))
    states = sorted(tuple(node["state"] for node in one.json()["nodes"].values()) for one in done)
    assert states == [("reused", "reused"), ("succeeded", "succeeded")]
    third = project.succeeds("pipeline", "p", "--gate", "x", "--json").json()
    assert third["executions"] == {} and third["state"] == "succeeded"
    assert [node["state"] for node in third["nodes"].values()] == ["reused", "reused"]
    assert project.runs()[0]["reused"] == 2
