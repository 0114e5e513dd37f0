"""What a step is told about itself."""

from typing import Any

from runner.job import Allowance, Gang
from runner.plan.document import RunContext, distributed_document, execution_document, identities, runtime_document

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


GANG = Gang("gang", 1, ("10.0.0.2", "10.0.0.3"))


def test_a_trial_is_told_its_task_and_that_task_is_the_node_of_the_pipeline() -> None:
    known = {"id": "id", "counter": 1, "created": "now", "step": "s", "image": "i", "node": "n.2", "task": "n"}
    variables = identities(context(pipeline="p"), "id", "n.2", "n")
    document = execution_document(context(pipeline="p"), **known)
    assert document["valohai.task-id"] == variables["VH_TASK_ID"]
    assert document["valohai.task-counter"] == 7
    assert document["valohai.pipeline-node-id"] == variables["VH_PIPELINE_NODE_ID"]
    assert variables == {**identities(context(pipeline="p"), "id", "n.1", "n")}
    assert variables["VH_PIPELINE_NODE_ID"] == identities(context(pipeline="p"), "id", "n")["VH_PIPELINE_NODE_ID"]
    assert variables["VH_TASK_ID"] not in (variables["VH_PIPELINE_NODE_ID"], context().run_id)


def test_who_is_no_trial_is_told_of_no_task() -> None:
    assert not [name for name in identities(context(), "id", "n") if "TASK" in name or "DIST" in name]


def test_a_member_is_told_its_place_and_its_address() -> None:
    variables = identities(context(), "id", "n.2", "n", GANG)
    assert variables["VH_DIST_MEMBER_ID"] == variables["VH_DIST_MEMBER_INDEX"] == "1"
    assert variables["VH_DIST_MEMBER_COUNT"] == "2"
    assert variables["VH_LOCAL_IP"] == "10.0.0.3"


def test_all_members_are_told_the_same_of_one_another() -> None:
    first, second = (
        distributed_document(context(), "n", Gang("gang", index, GANG.addresses), ("e1", "e2"), "now")
        for index in range(2)
    )
    members: Any = first["members"]
    assert first["members"] == second["members"]
    assert [first["self"], second["self"]] == members
    assert first["config"] == {
        "group_name": f"task-{identities(context(), 'id', 'n.1', 'n')['VH_TASK_ID']}",
        "member_id": "0",
        "required_count": 2,
    }
    assert members[1] == {
        "announce_time": "now",
        "identity": "box-1",
        "job_id": "exec-e2",
        "member_id": "1",
        "network": {"exposed_ports": {}, "local_ips": ["10.0.0.3"], "public_ips": []},
    }
