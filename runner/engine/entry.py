"""What the loop writes into the journal: one function per kind of entry. Pure; `runner.store.story` reads them.

A job can be made again of what was written of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from runner.digest import Digest
from runner.engine.action import Conclude, Decide, EndRun, Move
from runner.job import Allowance, Gang, HostMount, Identity, InputFile, Job, JobInput, Network, Script, Value
from runner.store.record import Gathered, LogRef, OutputFile, Owner, Reading, Reused
from runner.worker.report import Finished

_Flat = Allowance | Gang | HostMount | InputFile | LogRef | OutputFile | Owner | Reading | Reused
"""A record that holds no other record."""


def node_moved(move: Move, reused: Reused | None = None) -> dict[str, Any]:
    """A node changed its state; `reused` is the execution that stands for it."""
    return _compact(
        {
            "type": "node-moved",
            "node": move.node,
            "state": move.state,
            "reason": move.reason,
            "detail": move.detail,
            "reused": _fields(reused) if reused else None,
            "point": move.point,
        }
    )


def trials_added(node: str, trials: Mapping[str, Mapping[str, Value]], size: int | None) -> dict[str, Any]:
    """A task node has further trials, by name with the values that were chosen for each, of `size` in all."""
    told = [{"name": name, "parameters": dict(parameters)} for name, parameters in trials.items()]
    return _compact({"type": "trials-added", "node": node, "trials": told, "size": size})


def approval_decided(decision: Decide) -> dict[str, Any]:
    """Somebody let a node go on, or did not."""
    return {
        "type": "approval-decided",
        "node": decision.node,
        "point": decision.point,
        "approved": decision.approved,
        "by": decision.by,
    }


def deployment_gathered(node: str, gathered: Gathered) -> dict[str, Any]:
    """A deployment node has what it would deploy."""
    return {"type": "deployment-gathered", "node": node, "gathered": asdict(gathered)}


def run_parked() -> dict[str, Any]:
    """Nothing can happen before somebody approves or rejects; nobody drives the run meanwhile."""
    return {"type": "run-parked"}


def run_resumed(owner: Owner, again: Iterable[str]) -> dict[str, Any]:
    """A run goes on, driven by `owner`; what became of the nodes in `again` counts no more."""
    return {"type": "run-resumed", "owner": _fields(owner), "again": list(again)}


def execution_created(node: str, counter: int, job: Job, key: Digest | None = None) -> dict[str, Any]:
    """A bound job got a slot; by its base key it can be found to stand for another."""
    return _compact(
        {
            "type": "execution-created",
            "id": job.id,
            "node": node,
            "counter": counter,
            "key": key,
            "job": job_to_json(job),
        }
    )


def execution_started(job: Job, executor: str, identity: Identity) -> dict[str, Any]:
    """The program of a job runs."""
    return {
        "type": "execution-started",
        "id": job.id,
        "executor": executor,
        "identity": {"id": identity.id, **identity.details},
    }


def output_taken(job: Job, file: OutputFile) -> dict[str, Any]:
    """A running job left a file that is in the store already."""
    return {"type": "output-taken", "id": job.id, "output": _fields(file)}


def execution_finished(job: Job, end: Conclude, finished: Finished) -> dict[str, Any]:
    """A job is over and everything it left is in the store."""
    return _compact(
        {
            "type": "execution-finished",
            "id": job.id,
            "state": end.state,
            "reason": end.reason,
            "exit_code": finished.outcome.exit_code,
            "detail": end.detail,
            "duration": round(finished.duration, 6),
            "outputs": [_fields(output) for output in finished.outputs],
            "log": _fields(finished.log) if finished.log else None,
            "metrics": dict(finished.metrics),
            "metric_log": finished.metric_log,
            "warnings": list(finished.warnings),
            "work": str(finished.work) if finished.work else None,
            "read": _fields(finished.read),
            "peak_memory": finished.outcome.peak_memory,
        }
    )


def run_finished(end: EndRun, duration: float, exit_code: int) -> dict[str, Any]:
    """Every node of the run is final; the command that drove it ends with `exit_code`."""
    return _compact(
        {
            "type": "run-finished",
            "state": end.state,
            "reason": end.reason,
            "duration": round(duration, 6),
            "exit_code": int(exit_code),
        }
    )


def _fields(record: _Flat) -> dict[str, Any]:
    """What a record holds, by name; not copied value by value, as `asdict` does at many times the cost, for nobody
    changes it."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _compact(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry without what says nothing."""
    return {key: value for key, value in entry.items() if value is not None}


_TOLD = (
    "valohai.creator-email",
    "valohai.creator-name",
    "valohai.execution-counter",
    "valohai.execution-ctime",
    "valohai.pipeline-counter",
    "valohai.project-name",
)
"""What of `execution.json` nobody could make again from the rest of a record, which may be in another store by then."""


def job_to_json(job: Job) -> dict[str, Any]:
    """A bound job as JSON data, field by field, for the record."""
    document = job.documents.get("execution", {})
    return {
        "step": job.step,
        "image": job.image,
        "script": {"items": list(job.script.items), "stop_at_failure": job.script.stop_at_failure},
        "snapshot": job.snapshot,
        "parameters": dict(job.parameters),
        "inputs": [{"name": one.name, "files": [_fields(file) for file in one.files]} for one in job.inputs],
        "environment": dict(job.environment),
        "network": job.network,
        "time_limit": job.time_limit,
        "no_output_timeout": job.no_output_timeout,
        "stop_condition": job.stop_condition,
        "allowance": _fields(job.allowance),
        "mounts": [_fields(mount) for mount in job.mounts],
        "secrets": list(job.secrets),
        "defaults": dict(job.defaults),
        "told": {key: document[key] for key in _TOLD if key in document},
        **({"gang": _fields(job.gang)} if job.gang else {}),
    }


def job_from_json(id: str, data: Mapping[str, Any]) -> Job:
    """The job that a record tells of, without its documents. Raises KeyError, TypeError or ValueError."""
    allowance, gang = {**data.get("allowance", {})}, data.get("gang")
    return Job(
        id=id,
        step=data["step"],
        image=data["image"],
        script=Script(tuple(data["script"]["items"]), data["script"]["stop_at_failure"]),
        snapshot=data["snapshot"],
        parameters=data["parameters"],
        inputs=inputs_from_json(data["inputs"]),
        environment=data["environment"],
        network=Network(data.get("network", Network.DEFAULT)),
        time_limit=data.get("time_limit"),
        no_output_timeout=data.get("no_output_timeout"),
        stop_condition=data.get("stop_condition"),
        allowance=Allowance(**allowance | {"cpu_set": tuple(allowance.get("cpu_set", ()))}),
        mounts=tuple(HostMount(**mount) for mount in data.get("mounts", ())),
        secrets=tuple(data.get("secrets", ())),
        defaults=data.get("defaults", {}),
        gang=Gang(gang["id"], gang["index"], tuple(gang["addresses"])) if gang else None,
    )


def inputs_from_json(data: Iterable[Mapping[str, Any]]) -> tuple[JobInput, ...]:
    """The inputs of a recorded job. Raises KeyError or TypeError."""
    return tuple(JobInput(given["name"], tuple(InputFile(**file) for file in given["files"])) for given in data)
