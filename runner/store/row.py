"""What the index keeps of a run and of an execution: flat rows for lists and queries. Pure."""

from collections.abc import Mapping
from typing import Any

from runner.state import FINAL
from runner.store.record import Execution, Run

Row = dict[str, Any]

PARTS: Mapping[str, type] = {
    "id": str,
    "run": str,
    "project_name": str,
    "state": str,
    "created": str,
    "counter": int,
    "tags": list,
    "nodes": dict,
    "parameters": dict,
    "metrics": dict,
    "inputs": dict,
}
"""What these parts of a row always are."""


def run_row(run: Run) -> Row:
    """A run as a list shows it. `nodes` counts the nodes of its plan by state: of a task node the trials are none."""
    counts: dict[str, int] = {}
    for node in run.nodes.values():
        if node.trial_of is None:
            counts[node.state] = counts.get(node.state, 0) + 1
    return {
        "id": run.id,
        "counter": run.counter,
        **_shared(run),
        "state": run.state,
        "reason": run.reason,
        "created": run.created,
        "finished": run.finished,
        "duration": run.duration,
        "executor": run.executor,
        "nodes": counts,
        "executions": [execution.counter for execution in run.executions.values()],
    }


def execution_row(run: Run, execution: Execution) -> Row:
    """An execution as a list shows it, with what is the same for its whole run."""
    return {
        "id": execution.id,
        "counter": execution.counter,
        "run": run.id,
        "run_counter": run.counter,
        **_shared(run),
        "node": execution.node,
        "step": execution.step,
        "state": execution.state,
        "reason": execution.reason,
        "exit_code": execution.exit_code,
        "detail": execution.detail,
        "created": execution.created,
        "started": execution.started,
        "finished": execution.finished,
        "duration": execution.duration,
        "executor": execution.executor or run.executor,
        "image": execution.job.get("image"),
        "parameters": _mapping(execution.job.get("parameters")),
        "inputs": _inputs(execution.job),
        "metrics": _mapping(execution.metrics),
        "outputs": len(execution.outputs),
        "output_bytes": sum(output.size for output in execution.outputs),
        "warnings": len(execution.warnings),
        "peak_memory": execution.peak_memory,
    }


def is_final(run: Run) -> bool:
    """Whether the journal itself tells the run's end."""
    return run.state in FINAL


def _shared(run: Run) -> Row:
    return {
        "kind": run.kind,
        "name": run.name,
        "project": run.project.id,
        "project_name": run.project.name,
        "title": run.title,
        "tags": list(run.tags),
        "commit": run.code.commit,
        "branch": run.code.branch,
        "dirty": run.code.dirty,
    }


def _inputs(job: Mapping[str, Any]) -> dict[str, int]:
    """The number of files per input."""
    return {item["name"]: len(item["files"]) for item in job.get("inputs", ())}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
