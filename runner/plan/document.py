"""What a step is told about itself: the `VH_*` identities, `execution.json`, `runtime.json`, `distributed.json`. Pure.

The keys and variables are Valohai's run-time contract (`docs/run-time.md`); here, and only here, its words for states
are used.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.job import Allowance, Gang

_LOCAL = uuid.UUID("5d1a7c1e-5a0e-5e0f-8c55-8f4f4f0f6d11")
"""The name space of the ids that Valohai has and we do not: environment, pipeline node, task."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all executions of a run have in common. `pipeline` is None for a single step; `user` is a login name, `host`
    describes this machine (`runner.provenance.host`)."""

    run_id: str
    run_counter: int
    project_id: str
    project_name: str
    commit: str
    executor: str
    user: str
    host: Mapping[str, Any]
    title: str | None
    tags: tuple[str, ...]
    pipeline: str | None


def identities(
    context: RunContext, execution_id: str, node: str, task: str | None = None, gang: Gang | None = None
) -> dict[str, str]:
    """The `VH_*` variables that say which execution this is; those that name folders are the worker's. `task` is the
    task node of which `node` is a trial, `gang` what it is a member of."""
    variables = {
        "VH_JOB_ID": f"exec-{execution_id}",
        "VH_EXECUTION_ID": execution_id,
        "VH_PROJECT_ID": context.project_id,
    }
    if context.pipeline is not None:
        variables["VH_PIPELINE_ID"] = context.run_id
        variables["VH_PIPELINE_NODE_ID"] = node_id(context, task or node)
    if task is not None:
        variables["VH_TASK_ID"] = task_id(context, task)
    if gang is not None:
        variables["VH_DIST_MEMBER_ID"] = _member_id(gang.index)
        variables["VH_DIST_MEMBER_INDEX"] = str(gang.index)
        variables["VH_DIST_MEMBER_COUNT"] = str(len(gang.addresses))
        variables["VH_LOCAL_IP"] = gang.address
    return variables


def node_id(context: RunContext, node: str) -> str:
    """The id of a node in this run, the same however often it is asked for."""
    return str(uuid.uuid5(_LOCAL, f"{context.run_id}\0{node}"))


def task_id(context: RunContext, node: str) -> str:
    """The id of the task that a node of this run is, the same however often it is asked for."""
    return str(uuid.uuid5(_LOCAL, f"{context.run_id}\0{node}\0task"))


def execution_document(
    context: RunContext,
    *,
    id: str,
    counter: int,
    created: str,
    step: str,
    image: str,
    node: str,
    task: str | None = None,
) -> dict[str, object]:
    """The content of `execution.json`; `created` is a time in ISO 8601, `task` the task node of which `node` is a
    trial."""
    document: dict[str, object] = {
        "valohai.commit-identifier": context.commit,
        # The address that git, too, takes for somebody who has told it none: programs expect a text here.
        "valohai.creator-email": f"{context.user}@{context.host['hostname']}",
        "valohai.creator-id": 0,
        "valohai.creator-name": context.user,
        "valohai.environment-id": str(uuid.uuid5(_LOCAL, context.executor)),
        "valohai.environment-name": context.executor,
        "valohai.environment-slug": context.executor,
        "valohai.execution-counter": counter,
        "valohai.execution-ctime": created,
        "valohai.execution-duration": None,
        "valohai.execution-id": id,
        "valohai.execution-image": image,
        "valohai.execution-qtime": None,
        "valohai.execution-status": "created",
        "valohai.execution-step": step,
        "valohai.execution-tags": list(context.tags),
        "valohai.execution-title": context.title,
        "valohai.project-id": context.project_id,
        "valohai.project-name": f"{context.user}/{context.project_name}",
    }
    if context.pipeline is not None:
        document |= {
            "valohai.pipeline-counter": context.run_counter,
            "valohai.pipeline-id": context.run_id,
            "valohai.pipeline-node-id": node_id(context, task or node),
            "valohai.pipeline-tags": list(context.tags),
            "valohai.pipeline-title": context.title or context.pipeline,
        }
    if task is not None:
        document |= {"valohai.task-counter": context.run_counter, "valohai.task-id": task_id(context, task)}
    return document


def distributed_document(
    context: RunContext, task: str, gang: Gang, executions: Sequence[str], announced: str
) -> dict[str, object]:
    """The content of `distributed.json` for one member of a gang: who all are and where each is reached. `executions`
    are the ids of theirs, by index; they were `announced` all at once, at a time in ISO 8601.

    Programs take the order of the member ids, as numbers, for the ranks: the member with index 0 is the master.
    """
    members = [
        {
            "announce_time": announced,
            "identity": f"{context.host['hostname']}-{index}",
            "job_id": f"exec-{id}",
            "member_id": _member_id(index),
            "network": {"exposed_ports": {}, "local_ips": [address], "public_ips": []},
        }
        for index, (id, address) in enumerate(zip(executions, gang.addresses, strict=True))
    ]
    config = {
        "group_name": f"task-{task_id(context, task)}",
        "member_id": _member_id(gang.index),
        "required_count": len(members),
    }
    return {"config": config, "members": members, "self": members[gang.index]}


def _member_id(index: int) -> str:
    return str(index)


def runtime_document(
    context: RunContext, *, image: str, identity: str, allowance: Allowance, version: str
) -> dict[str, object]:
    """The content of `runtime.json`, whose form Valohai does not publish: where the step runs and what it may use.

    `cpus` and `memory` (bytes) are the step's own bounds where it has some, else all of the machine's; `devices` are
    those that it got, -1 for all there are. What is not known is left out.
    """
    host = context.host
    cpus = len(allowance.cpu_set) or allowance.cpus
    document = {
        "executor": context.executor,
        "image": image,
        "image-id": identity,
        "host": host["hostname"],
        "kernel": host.get("kernel"),
        "processor": host.get("processor"),
        "cpus": _least(cpus, host.get("processors")),
        "memory": _least(allowance.memory, host.get("memory")),
        "devices": dict(allowance.devices) or None,
        "mlrun": version,
    }
    return {key: value for key, value in document.items() if value is not None}


def _least(*bounds: float | None) -> float | None:
    return min((bound for bound in bounds if bound is not None), default=None)
