"""What a step is told about itself."""

from typing import Any

from runner.job import Allowance
from runner.plan.document import RunContext, execution_document, identities, runtime_document

HOST = {"hostname": "box", "kernel": "Linux 6", "processor": None, "processors": 4, "memory": 8_000}


def context(**other: Any) -> RunContext:
    known: dict[str, Any] = {
        "run_id": "run",
        "run_counter": 7,
        "project_id": "project",
        "project_name": "iris",
        "commit": "abc",
        "executor": "docker",
        "user": "somebody",
        "host": HOST,
        "title": None,
        "tags": ("a",),
        "pipeline": None,
    }
    return RunContext(**{**known, **other})


def runtime(allowance: Allowance) -> dict[str, object]:
    return runtime_document(context(), image="python:3", identity="sha256:1", allowance=allowance, version="1")


def test_the_runtime_is_the_whole_machine_where_nothing_bounds_the_step() -> None:
    assert runtime(Allowance()) == {
        "executor": "docker",
        "image": "python:3",
        "image-id": "sha256:1",
        "host": "box",
        "kernel": "Linux 6",
        "cpus": 4,
        "memory": 8_000,
        "mlrun": "1",
    }


def test_the_runtime_tells_what_the_step_may_use() -> None:
    bounded = runtime(Allowance(cpus=0.5, memory=100, devices={"nvidia.com/gpu": 1}))
    assert (bounded["cpus"], bounded["memory"], bounded["devices"]) == (0.5, 100, {"nvidia.com/gpu": 1})
    assert runtime(Allowance(cpu_set=(0, 2)))["cpus"] == 2


def test_the_runtime_is_never_more_than_the_machine() -> None:
    greedy = runtime(Allowance(cpus=64, memory=10**9))
    assert (greedy["cpus"], greedy["memory"]) == (4, 8_000)


def test_an_execution_outside_a_pipeline_says_nothing_of_one() -> None:
    known = {"id": "id", "counter": 1, "created": "now", "step": "s", "image": "i", "node": "n"}
    document = execution_document(context(), **known)
    assert not [key for key in document if "pipeline" in key]
    assert document["valohai.creator-email"] == "somebody@box"
    piped = execution_document(context(pipeline="p"), **known)
    assert piped["valohai.pipeline-title"] == "p"
    assert piped["valohai.pipeline-node-id"] == identities(context(pipeline="p"), "id", "n")["VH_PIPELINE_NODE_ID"]
