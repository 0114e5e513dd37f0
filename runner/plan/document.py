"""What a step is told about itself: the `VH_*` identities and `execution.json`. Pure.

The keys and variables are Valohai's run-time contract; here, and only here, its words for states are used.
"""

import uuid
from dataclasses import dataclass

_LOCAL = uuid.UUID("5d1a7c1e-5a0e-5e0f-8c55-8f4f4f0f6d11")
"""The name space of the ids that Valohai has and we do not: environment, pipeline node."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all executions of a run have in common. `pipeline` is None for a single step."""

    run_id: str
    run_counter: int
    project_id: str
    project_name: str
    commit: str
    executor: str
    user: str
    title: str | None
    tags: tuple[str, ...]
    pipeline: str | None


def identities(context: RunContext, execution_id: str, node: str) -> dict[str, str]:
    """The `VH_*` variables that say which execution this is; those that name folders are the worker's."""
    variables = {
        "VH_JOB_ID": f"exec-{execution_id}",
        "VH_EXECUTION_ID": execution_id,
        "VH_PROJECT_ID": context.project_id,
    }
    if context.pipeline is not None:
        variables["VH_PIPELINE_ID"] = context.run_id
        variables["VH_PIPELINE_NODE_ID"] = node_id(context, node)
    return variables


def node_id(context: RunContext, node: str) -> str:
    """The id of a node in this run, the same however often it is asked for."""
    return str(uuid.uuid5(_LOCAL, f"{context.run_id}\0{node}"))


def execution_document(
    context: RunContext, *, id: str, counter: int, created: str, step: str, image: str, node: str
) -> dict[str, object]:
    """The content of `execution.json`; `created` is a time in ISO 8601."""
    document: dict[str, object] = {
        "valohai.commit-identifier": context.commit,
        "valohai.creator-email": None,
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
            "valohai.pipeline-node-id": node_id(context, node),
            "valohai.pipeline-tags": list(context.tags),
            "valohai.pipeline-title": context.title or context.pipeline,
        }
    return document
