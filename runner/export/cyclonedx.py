"""CycloneDX 1.6 (ECMA-424) as JSON: models with hashes and cards, data, the interpreter's distributions, and how all of
it came about. Pure.

Between many outputs and many files stand one component for each execution and one for each of its inputs, so that the
document grows with the record and not with its square. The schema: https://cyclonedx.org/schema/bom-1.6.schema.json.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar
from urllib.parse import quote

from runner.digest import Digest
from runner.export.document import Document, json_document
from runner.export.subject import Part, Subject
from runner.export.telling import (
    Got,
    clean,
    code_uri,
    command,
    distributions,
    file_name,
    flat,
    got,
    image_digest,
    image_name,
    left,
    names_of_secrets,
    parameters,
    repository,
    text_of,
    variables,
)
from runner.store.record import Execution, OutputFile, Run, code_of

_SERIALS = uuid.UUID("0f2b1a53-6f6e-5c0c-9a53-5b1d6d6b7c27")
"""The name space of serial numbers: one run has one, however often it is exported."""

_MODEL_SUFFIXES = frozenset(
    {"bst", "cbm", "ckpt", "gguf", "h5", "joblib", "keras", "mar", "mlmodel", "model", "nemo", "onnx", "pb", "pickle"}
    | {"pkl", "pmml", "pt", "pth", "pte", "safetensors", "skops", "tflite", "ubj"}
)
_MODEL_PROPERTY = "valohai.model-versions"
"""The property by which a step says that an output is of a model."""

_Json = dict[str, Any]
_Users = dict[str, list[Execution]]
"""Who got a datum, by its id."""


class CycloneDX:
    """A bill of materials of what the run left and of what it was made."""

    summary: ClassVar[str] = "CycloneDX 1.6 ML-BOM as JSON"

    def document(self, subject: Subject) -> Document:
        """Valid for every run; one without outputs has no models."""
        run, what = subject.run, subject.chosen or subject.run
        components: dict[str, _Json] = {}
        users = _users(subject)
        for _, execution in subject.each_execution():
            for component in _outputs(subject, execution, users):
                components[component["bom-ref"]] = component
        for made_by, execution in subject.each_execution():
            for component in _ingredients(subject, made_by, execution):
                components.setdefault(component["bom-ref"], component)
        bom: _Json = {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(_SERIALS, what.id)}",
            "version": 1,
            "metadata": {
                "timestamp": what.finished or what.created,
                "tools": {"components": [{"type": "application", "name": "mlrun", "version": run.version}]},
                "component": _project(subject),
                "properties": _properties(
                    run=run.id,
                    state=str(what.state),
                    execution=subject.chosen.id if subject.chosen else None,
                    tags=", ".join(map(clean, subject.tags)) or None,
                ),
            },
            "components": list(components.values()),
            "dependencies": _dependencies(subject, components),
            "formulation": [{"bom-ref": f"formula:{run.id}", "workflows": [_workflow(subject)]}],
        }
        return json_document(bom)


def _project(subject: Subject) -> _Json:
    run = subject.run
    code, address = run.code, repository(run.code)
    component: _Json = {
        "type": "application",
        "bom-ref": _code_ref(run),
        "name": clean(run.project.name),
        "version": code.identifier,
        "hashes": _hashes(code.snapshot),
        "modified": code.dirty,
        "properties": _properties(
            branch=code.branch,
            file=run.project.file,
            spec=f"blake3:{run.spec}",
            gone=subject.contents.gone(code.snapshot),
            not_captured="; ".join(code.not_captured) or None,
        ),
    }
    uri = code_uri(code)
    if uri.startswith("swh:"):
        component["swhid"] = [uri]
    if address:
        component["externalReferences"] = [{"type": "vcs", "url": address}]
    return component


def _users(subject: Subject) -> _Users:
    users: _Users = {}
    for _, execution in subject.each_execution():
        for datum in dict.fromkeys(one.datum for one in got(execution) if one.datum is not None):
            users.setdefault(datum, []).append(execution)
    return users


def _outputs(subject: Subject, execution: Execution, users: _Users) -> Iterator[_Json]:
    datasets = [{"ref": ref} for ref in _inputs(execution).values()]
    for id, output in left(execution):
        told = {"execution": execution.id, "step": execution.step}
        file = _file(subject, f"datum:{id}", output.name, output.digest, output.size, told)
        if is_model(output):
            card = _card(execution, id, datasets, users.get(id, ()))
            file = {key: one for key, one in file.items() if key != "data"}
            file |= {"type": "machine-learning-model", "version": f"execution-{execution.counter}", "modelCard": card}
        yield file


def _ingredients(subject: Subject, run: Run, execution: Execution) -> Iterator[_Json]:
    told = _properties(execution=execution.id, run=run.id, code=f"blake3:{code_of(run, execution.node).snapshot}")
    version = f"execution-{execution.counter}"
    yield {"type": "application", "bom-ref": _step_ref(execution), "name": clean(execution.step),
           "version": version, "properties": told}  # fmt: skip
    for name, ref in _inputs(execution).items():
        yield {"type": "data", "bom-ref": ref, "name": name, "data": [{"type": "dataset", "name": name}]}
    for one in got(execution):
        yield _file(subject, _file_ref(one), one.file.name, one.digest, one.file.size, {"origin": one.source})
    if place := _environment_ref(execution):
        yield _environment(execution, place)
    for name, version in distributions(execution):
        purl = _library_ref(name, version)
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _environment(execution: Execution, ref: str) -> _Json:
    """The image, or else what the step's programs came from."""
    name = image_name(execution)
    if (digest := image_digest(execution)) is None:
        return {"type": "platform", "bom-ref": ref, "name": name or "this machine"}
    hashes = [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]
    return {"type": "container", "bom-ref": ref, "name": name, "version": digest, "hashes": hashes}


def is_model(output: OutputFile) -> bool:
    """Whether an output is a model: the step said so, or its name ends as those of models do."""
    suffix = output.name.rpartition("/")[2].rpartition(".")[2].lower()
    return bool(output.metadata.get(_MODEL_PROPERTY)) or suffix in _MODEL_SUFFIXES


def _file(subject: Subject, ref: str, name: str, digest: Digest, size: int, told: dict[str, str]) -> _Json:
    gone = subject.contents.gone(digest)
    return {
        "type": "data",
        "bom-ref": ref,
        "name": file_name(name),
        "hashes": _hashes(digest),
        "data": [{"type": "dataset", "name": file_name(name)}],
        "properties": _properties(size=str(size), gone=gone, **told),
    }


def _card(execution: Execution, id: str, datasets: list[_Json], users: Iterable[Execution]) -> _Json:
    """What the model was made from and how good it is: by who made it and by its users."""
    metrics = [
        {"type": name, "value": text_of(value), "slice": clean(one.step)}
        for one in (execution, *users)
        for name, value in flat(one.metrics)
    ]
    parts: _Json = {"bom-ref": f"card:{id}"}
    if datasets:
        parts["modelParameters"] = {"datasets": datasets}
    if metrics:
        parts["quantitativeAnalysis"] = {"performanceMetrics": _distinct(metrics)}
    values = parameters(execution).items()
    if values:
        parts["properties"] = [{"name": f"mlrun:parameter:{name}", "value": text_of(value)} for name, value in values]
    return parts


def _dependencies(subject: Subject, components: Iterable[str]) -> list[_Json]:
    """An output comes from its execution; that from the code, its inputs and the programs; an input from its files."""
    depends: dict[str, dict[str, None]] = {ref: {} for ref in components}
    for run, execution in subject.each_execution():
        step, inputs = depends[_step_ref(execution)], _inputs(execution)
        if code_of(run, execution.node).snapshot == subject.run.code.snapshot:
            step[_code_ref(run)] = None
        step |= dict.fromkeys(inputs.values())
        for one in got(execution):
            depends[inputs[clean(one.input)]][_file_ref(one)] = None
        libraries = dict.fromkeys(_library_ref(name, version) for name, version in distributions(execution))
        if ref := _environment_ref(execution):
            step[ref] = None
            depends[ref] |= libraries
        for id, _ in left(execution):
            depends[f"datum:{id}"][_step_ref(execution)] = None
    return [{"ref": ref, "dependsOn": list(on)} if on else {"ref": ref} for ref, on in depends.items()]


def _workflow(subject: Subject) -> _Json:
    run = subject.run
    what = subject.chosen or run
    flow: _Json = {
        "bom-ref": f"workflow:{what.id}",
        "uid": what.id,
        "name": clean(run.name),
        "taskTypes": ["build"],
        "tasks": [_task(subject, part) for part in subject.parts],
        "properties": _properties(state=str(what.state), reason=_reason(what), kind=run.kind),
    }
    return flow | _times(run.created, run.finished)


def _task(subject: Subject, part: Part) -> _Json:
    execution = part.execution
    # An execution that stands for the node may be another node's, too.
    is_own = execution is not None and not part.is_reused
    id = execution.id if execution and is_own else f"{subject.run.id}:{quote(clean(part.node.name), safe='')}"
    task: _Json = {
        "bom-ref": f"task:{id}",
        "uid": id,
        "name": clean(part.node.name),
        "taskTypes": ["build" if execution and execution.outputs else "other"],
        "properties": _properties(
            step=part.node.step,
            state=str(part.node.state),
            reason=_reason(execution) if execution else part.node.reason,
            reused_from=part.run.id if part.is_reused else None,
            reused_execution=part.node.reused.execution if part.node.reused else None,
        ),
    }
    if execution is None:
        return task
    ran = command(execution)
    if ran:
        commands = [{"executed": item} for item in ran if item]
        task["steps"] = [{"name": clean(execution.step), "commands": commands}]
    inputs: list[_Json] = [{"resource": {"ref": ref}} for ref in _inputs(execution).values()]
    values = [{"name": name, "value": text_of(value)} for name, value in parameters(execution).items()]
    inputs += [{"parameters": values}] if values else []
    told: list[Any] = [{"name": name, "value": value} for name, value in variables(execution).items()]
    told += names_of_secrets(execution)
    inputs += [{"environmentVars": told}] if told else []
    outputs: list[_Json] = [{"type": "artifact", "resource": {"ref": f"datum:{id}"}} for id, _ in left(execution)]
    task |= {"inputs": inputs} if inputs else {}
    task |= {"outputs": outputs} if outputs else {}
    return task | _times(execution.started, execution.finished)


def _times(start: str | None, end: str | None) -> _Json:
    return ({"timeStart": start} if start else {}) | ({"timeEnd": end} if end else {})


def _reason(what: Run | Execution) -> str | None:
    return None if what.reason is None else str(what.reason)


def _code_ref(run: Run) -> str:
    return f"code:{run.code.snapshot}"


def _library_ref(name: str, version: str) -> str:
    """Its package URL."""
    return f"pkg:pypi/{quote(name.lower().replace('_', '-'), safe='.-')}@{quote(version, safe='.')}"


def _step_ref(execution: Execution) -> str:
    return f"step:{execution.id}"


def _inputs(execution: Execution) -> dict[str, str]:
    """References of the inputs that have files, by name."""
    names = dict.fromkeys(clean(one.input) for one in got(execution))
    return {name: f"input:{execution.id}/{quote(name, safe='')}" for name in names}


def _environment_ref(execution: Execution) -> str | None:
    if digest := image_digest(execution):
        return f"image:{digest}"
    identity = (execution.identity or {}).get("id")
    return f"environment:{quote(clean(str(identity)), safe=':')}" if identity else None


def _file_ref(one: Got) -> str:
    return f"content:{one.digest}" if one.datum is None else f"datum:{clean(one.datum)}"


def _hashes(digest: Digest) -> list[_Json]:
    return [{"alg": "BLAKE3", "content": digest}]


def _properties(**told: str | None) -> list[_Json]:
    return [
        {"name": f"mlrun:{name.replace('_', '-')}", "value": clean(str(value))}
        for name, value in told.items()
        if value is not None
    ]


def _distinct(items: Iterable[_Json]) -> list[_Json]:
    """Without repetitions, which the schema refuses."""
    return list({json.dumps(item): item for item in items}.values())
