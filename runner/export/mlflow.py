"""A run as the folder that MLflow's file store keeps, read by `mlflow ui` beside it and by `mlflow migrate-filestore`.

A pipeline becomes a parent run with a nested run for each execution. Pure.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from runner.digest import hash_bytes
from runner.export.document import Folder, Stored
from runner.export.subject import Part, Subject
from runner.export.telling import (
    began,
    clean,
    command,
    failure,
    flat,
    got,
    left,
    names_of_secrets,
    parameters,
    portable,
    repository,
    text_of,
)
from runner.state import State
from runner.store.record import Execution, Run, code_of

_TOP = "mlruns"
_RUNNING, _FINISHED, _FAILED, _KILLED = 1, 3, 4, 5
"""Of `mlflow.entities.RunStatus`."""
_STATUS = {
    State.SUCCEEDED: _FINISHED,
    State.REUSED: _FINISHED,
    State.FAILED: _FAILED,
    State.STOPPED: _KILLED,
    State.INTERRUPTED: _KILLED,
    State.SKIPPED: _KILLED,
}
_FOLDERS = ("params", "metrics", "tags", "artifacts")
"""What has not all of them is no run to MLflow."""
_LOCAL = 4
"""Of `mlflow.entities.SourceType`."""
_BAD = re.compile(r"[^\w.\- /]")
"""What MLflow has not in names of parameters, metrics and tags."""
_LONGEST_NAME = 200
"""Bytes of a name, which is also one of a file."""
_LONGEST_PARAMETER, _LONGEST_TAG = 6000, 8000
"""Characters of a value, as MLflow's own validation has it."""
_Item = TypeVar("_Item")
_STEPS = ("step", "epoch", "iteration")
"""Keys of an event that say which step it tells of."""


class MLflow:
    """Parameters, metrics with their history, tags and artifacts."""

    summary: ClassVar[str] = "an MLflow run in a folder mlruns/"

    def document(self, subject: Subject) -> Folder:
        """Start `mlflow ui` in the folder that this one is in: the artifacts are found from there."""
        run = subject.run
        experiment = str(int(hash_bytes(run.project.id.encode())[:15], 16))
        place = f"{_TOP}/{experiment}"
        files: dict[str, bytes | Stored] = {
            f"{place}/meta.yaml": _yaml(
                artifact_location=f"./{place}",
                creation_time=_milliseconds(run.created),
                experiment_id=experiment,
                last_update_time=_milliseconds(run.created),
                lifecycle_stage="active",
                name=clean(run.project.name),
            )
        }
        told = [] if subject.chosen else [_of_run(subject)]
        told += [_of_execution(subject, part, execution) for part, execution in subject.executions()]
        for one in told:
            files |= _files(one, place, experiment)
        folders = tuple(f"{place}/{one.id}/{name}" for one in told for name in _FOLDERS)
        return Folder(f"mlflow-{subject.chosen.id if subject.chosen else run.id}", files, folders)


@dataclass(slots=True)
class _Told:
    """A run of MLflow. `metrics` has (time in ms, value, step) by name."""

    id: str
    name: str
    user: str
    status: int
    start: int
    end: int | None
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    artifacts: dict[str, bytes | Stored] = field(default_factory=dict)


def _of_run(subject: Subject) -> _Told:
    run = subject.run
    told = _begin(run, run, clean(run.name))
    told.tags |= {f"mlrun.tag.{tag}": "true" for tag in subject.tags}
    for part in subject.parts:
        told.tags[f"mlrun.node.{part.node.name}"] = str(part.node.state)
        if part.node.reused:
            told.tags[f"mlrun.reused.{part.node.name}"] = part.node.reused.execution
    if not subject.contents.gone(run.spec) and not subject.metadata_only:
        told.artifacts["valohai.yaml"] = Stored(run.spec)
    return told


def _of_execution(subject: Subject, part: Part, execution: Execution) -> _Told:
    told = _begin(part.run, execution, clean(execution.step))
    if part.is_reused:
        # It is a run of another parent, too, or of another node, and may come to the same store with it.
        told.id = uuid.uuid5(uuid.UUID(subject.run.id), f"{execution.id} {clean(part.node.name)}").hex
    if subject.chosen is None:
        told.tags["mlflow.parentRunId"] = _hexadecimal(subject.run.id)
    elif subject.tags:
        told.tags |= {f"mlrun.tag.{tag}": "true" for tag in subject.tags}
    if part.node.trial_of is not None:
        told.tags["mlrun.task"] = part.node.trial_of
    told.tags |= {
        "mlrun.node": execution.node,
        "mlrun.image": str(execution.job.get("image", "")),
        "mlrun.identity": str((execution.identity or {}).get("id", "")),
        "mlrun.command": "\n".join(command(execution)),
        "mlrun.secrets": ", ".join(names_of_secrets(execution)),
    }
    told.parameters = {name: text_of(value) for name, value in parameters(execution).items()}
    told.tags |= {f"mlrun.input.{one.input}.{one.file.name}": f"blake3:{one.digest}" for one in got(execution)}
    told.metrics = _metrics(subject, execution)
    told.tags |= {f"mlrun.metric.{name}": text_of(value) for name, value in flat(execution.metrics)
                  if name not in told.metrics}  # fmt: skip
    for _, output in left(execution):
        told.tags[f"mlrun.output.{output.name}"] = f"blake3:{output.digest}"
        if gone := subject.contents.gone(output.digest):
            told.tags[f"mlrun.gone.{output.name}"] = gone
        elif not subject.metadata_only:
            told.artifacts[portable(output.name)] = Stored(output.digest)
    return told


def _begin(run: Run, what: Run | Execution, name: str) -> _Told:
    code = code_of(run, what.node) if isinstance(what, Execution) else run.code
    tags = {
        "mlflow.runName": name,
        "mlflow.source.name": clean(run.project.file),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": code.commit if code.commit and not code.dirty else None,
        "mlflow.source.git.branch": code.branch,
        "mlflow.source.git.repoURL": repository(code),
        "mlrun.version": run.version,
        "mlrun.run": run.id,
        "mlrun.id": what.id,
        "mlrun.code": code.identifier,
        "mlrun.snapshot": f"blake3:{code.snapshot}",
        "mlrun.state": str(what.state),
        "mlrun.failure": None if what.state is State.SUCCEEDED else failure(what),
    }
    return _Told(
        id=_hexadecimal(what.id),
        name=name,
        user="",
        status=_STATUS.get(what.state, _RUNNING),
        start=_milliseconds(began(what)),
        end=_milliseconds(what.finished) if what.finished else None,
        tags={name: one for name, one in tags.items() if one is not None},
    )


def _metrics(subject: Subject, execution: Execution) -> dict[str, list[tuple[int, float, int]]]:
    """The history of every number, by its event log; the last values where that is gone or was never kept."""
    found: dict[str, list[tuple[int, float, int]]] = {}
    for time, values in _events(subject, execution):
        numbers = {name: number for name, one in flat(values) if (number := _number(one)) is not None}
        step = next((int(numbers[name]) for name in _STEPS if _is_step(numbers.get(name))), None)
        for name, number in numbers.items():
            history = found.setdefault(name, [])
            history.append((time, number, len(history) if step is None else step))
    return found


def _events(subject: Subject, execution: Execution) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if execution.metric_log is None or subject.contents.gone(execution.metric_log):
        yield _milliseconds(execution.finished or began(execution)), execution.metrics
        return
    for line in subject.contents.read(execution.metric_log).splitlines():
        event = json.loads(line)
        yield int(event["time"]) // 1_000_000, event["values"]


def _is_step(number: float | None) -> bool:
    """A whole number that a column of MLflow's database holds."""
    return number is not None and number.is_integer() and abs(number) < 1 << 63


def _number(value: Any) -> float | None:
    """A metric of MLflow: the record has NaN and infinities as words."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else None


def _files(told: _Told, place: str, experiment: str) -> Iterator[tuple[str, bytes | Stored]]:
    here = f"{place}/{told.id}"
    yield (
        f"{here}/meta.yaml",
        _yaml(
            artifact_uri=f"./{here}/artifacts",
            end_time=told.end,
            entry_point_name="",
            experiment_id=experiment,
            lifecycle_stage="active",
            run_id=told.id,
            run_name=told.name,
            source_name="",
            source_type=_LOCAL,
            source_version="",
            start_time=told.start,
            status=told.status,
            tags=[],
            user_id=told.user,
        ),
    )
    for name, text in _named(told.parameters):
        yield f"{here}/params/{name}", clean(text)[:_LONGEST_PARAMETER].encode()
    for name, text in _named(told.tags):
        yield f"{here}/tags/{name}", clean(text)[:_LONGEST_TAG].encode()
    for name, history in _named(told.metrics):
        lines = (f"{time} {value!r} {step}\n" for time, value, step in history)
        yield f"{here}/metrics/{name}", "".join(lines).encode()
    for path, content in told.artifacts.items():
        yield f"{here}/artifacts/{path}", content


def _named(items: Mapping[str, _Item]) -> Iterator[tuple[str, _Item]]:
    """With names that MLflow takes and that can all be files: of `a` and `a/b` only one could be."""
    files: set[str] = set()
    folders: set[str] = set()
    for name, item in items.items():
        safe = _BAD.sub("_", clean(name))
        above = {safe[:place] for place, char in enumerate(safe) if char == "/"}
        parts = {"", ".", ".."}.intersection(safe.split("/"))
        if parts or len(safe.encode()) > _LONGEST_NAME or safe in files or safe in folders or above & files:
            own = hash_bytes(name.encode("utf-8", "surrogatepass"))[:16]
            start = safe.replace("/", ".").strip(".").encode()[:_LONGEST_NAME].decode(errors="ignore")
            safe, above = f"{start}-{own}", set()
        files.add(safe)
        folders |= above
        yield safe, item


def _hexadecimal(id: str) -> str:
    return uuid.UUID(id).hex


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def _yaml(**content: Any) -> bytes:
    """YAML of scalars: JSON is YAML."""
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in content.items()).encode()
