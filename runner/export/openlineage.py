"""OpenLineage 2-0-2: one START and one terminal event for the run and for each execution, as NDJSON. Pure.

Run ids are those of the record, which are UUIDs of version 7. The schema of events and facets:
https://openlineage.io/spec/2-0-2/OpenLineage.json.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from runner.digest import Digest
from runner.export.document import Document, json_lines
from runner.export.subject import Subject
from runner.export.telling import (
    PRODUCER,
    Got,
    began,
    clean,
    code_uri,
    failure,
    file_name,
    got,
    image_name,
    left,
    names_of_secrets,
    parameters,
    repository,
    text_of,
    variables,
)
from runner.state import FINAL, State
from runner.store.record import Execution, Run, code_of

_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "parent": "1-2-0/ParentRunFacet",
    "nominalTime": "1-0-1/NominalTimeRunFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "environmentVariables": "1-0-0/EnvironmentVariablesRunFacet",
    "executionParameters": "1-0-0/ExecutionParametersRunFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "tags": "1-0-0/TagsRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "sourceCodeLocation": "1-1-0/SourceCodeLocationJobFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
    "symlinks": "1-0-1/SymlinksDatasetFacet",
    "inputStatistics": "1-0-0/InputStatisticsInputDatasetFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
}
_TERMINAL = {
    State.SUCCEEDED: "COMPLETE",
    State.REUSED: "COMPLETE",
    State.FAILED: "FAIL",
    State.STOPPED: "ABORT",
    State.INTERRUPTED: "ABORT",
    State.SKIPPED: "ABORT",
}
_NAMESPACE = "mlrun"

_Json = dict[str, Any]


class OpenLineage:
    """Events of a run and its executions; of a node that was reused those of the execution that stands for it, under
    the run that it belongs to, so that whoever has them already learns nothing new."""

    summary: ClassVar[str] = "OpenLineage 2-0-2 events, one a line"

    def document(self, subject: Subject) -> Document:
        """Events in the order of time; what goes on has a START only."""
        made = {id: _output_name(execution, output.name) for _, execution in subject.each_execution()
                for id, output in left(execution)}  # fmt: skip
        events = [] if subject.chosen else list(_run_events(subject))
        for run, execution in subject.each_execution():
            events += _execution_events(subject, run, execution, made)
        # An event of the run comes before those of its executions at the same time, and its end after theirs.
        order = {"START": 0, "COMPLETE": 2, "FAIL": 2, "ABORT": 2}
        events.sort(key=lambda event: (event["eventTime"], order[event["eventType"]]))
        return json_lines(events)


def _run_events(subject: Subject) -> Iterator[_Json]:
    run = subject.run
    facets = _run_facets(run, run)
    nodes = [
        {
            "name": clean(part.node.name),
            "step": clean(part.node.step),
            "state": str(part.node.state),
            "run": None if part.execution is None else part.execution.id,
            "reused": part.is_reused,
        }
        for part in subject.parts
    ]
    facets["mlrun_nodes"] = _own("nodes", {"nodes": nodes})
    if subject.tags:
        tags = [{"key": clean(tag), "value": "true", "source": "USER"} for tag in subject.tags]
        facets |= _facet(run, "tags", {"tags": tags})
    yield from _events(run, run, _job(run, None), facets, [], [])


def _execution_events(subject: Subject, run: Run, execution: Execution, made: Mapping[str, str]) -> Iterator[_Json]:
    facets = _run_facets(run, execution)
    parent = {"run": {"runId": run.id}, "job": _name(run, None)}
    facets |= _facet(run, "parent", parent | {"root": parent})
    told = [{"name": name, "value": value} for name, value in variables(execution).items()]
    facets |= _facet(run, "environmentVariables", {"environmentVariables": told}) if told else {}
    values = [{"key": name, "value": text_of(value)} for name, value in parameters(execution).items()]
    facets |= _facet(run, "executionParameters", {"parameters": values}) if values else {}
    facets["mlrun_execution"] = _own(
        "execution",
        {
            "counter": execution.counter,
            "node": clean(execution.node),
            "image": image_name(execution),
            "identity": clean(str((execution.identity or {}).get("id", ""))) or None,
            "exitCode": execution.exit_code,
            "secrets": list(names_of_secrets(execution)),
            "metrics": dict(execution.metrics),
        },
    )
    inputs = [_input(subject, run, one, made) for one in got(execution)]
    outputs = [
        _dataset(subject, run, _project(run), made[id], output.digest, id)
        | {"outputFacets": _facet(run, "outputStatistics", {"size": output.size, "fileCount": 1})}
        for id, output in left(execution)
    ]
    yield from _events(run, execution, _job(run, execution), facets, inputs, outputs)


def _events(
    run: Run, what: Run | Execution, job: _Json, facets: _Json, inputs: list[_Json], outputs: list[_Json]
) -> Iterator[_Json]:
    base = {"producer": PRODUCER + run.version, "schemaURL": _EVENT, "job": job, "inputs": inputs}
    first = {"runId": what.id, "facets": facets}
    yield {"eventType": "START", "eventTime": began(what), "run": first, **base, "outputs": []}
    if what.state not in FINAL:
        return
    kind = _TERMINAL[what.state]
    error = {"message": failure(what), "programmingLanguage": "unknown"}
    more = {} if kind == "COMPLETE" else _facet(run, "errorMessage", error)
    last = {"runId": what.id, "facets": facets | more}
    yield {"eventType": kind, "eventTime": what.finished or began(what), "run": last, **base, "outputs": outputs}


def _run_facets(run: Run, what: Run | Execution) -> _Json:
    nominal = {"nominalStartTime": what.created}
    if what.finished:
        nominal["nominalEndTime"] = what.finished
    engine = {"version": run.version, "name": "mlrun", "openlineageAdapterVersion": run.version}
    return _facet(run, "nominalTime", nominal) | _facet(run, "processing_engine", engine)


def _project(run: Run) -> str:
    return f"{_NAMESPACE}://{run.project.id}"


def _name(run: Run, execution: Execution | None) -> _Json:
    """A step has the same name in every pipeline, so that its history is one."""
    project = clean(run.project.name)
    name = run.name if execution is None else execution.step
    kind = run.kind if execution is None else "step"
    return {"namespace": _project(run), "name": f"{project}.{kind}.{clean(name)}"}


def _job(run: Run, execution: Execution | None) -> _Json:
    kind = "STEP" if execution else run.kind.upper()
    job_type = {"processingType": "BATCH", "integration": "MLRUN", "jobType": kind}
    code = run.code if execution is None else code_of(run, execution.node)
    address = repository(code)
    location = {
        # Of code with changes the repository has no such version.
        "type": "git" if address else "snapshot",
        "url": address or code_uri(code),
        "repoUrl": address,
        "path": clean(run.project.file),
        "version": code.identifier,
        "branch": clean(code.branch) if code.branch else None,
    }
    told = {key: value for key, value in location.items() if value is not None}
    return _name(run, execution) | {
        "facets": _facet(run, "jobType", job_type) | _facet(run, "sourceCodeLocation", told)
    }


def _input(subject: Subject, run: Run, one: Got, made: Mapping[str, str]) -> _Json:
    statistics = {"inputFacets": _facet(run, "inputStatistics", {"size": one.file.size, "fileCount": 1})}
    if one.datum is not None:
        name = made.get(one.datum) or f"datum/{clean(one.datum)}"
        return _dataset(subject, run, _project(run), name, one.digest, one.datum) | statistics
    namespace, name = "file", one.source
    if not one.is_local:
        place, mark, rest = one.source.partition("://")
        host, _, name = rest.partition("/")
        namespace = f"{place}{mark}{host}"
    return _dataset(subject, run, namespace, name or "/", one.digest, None) | statistics


def _dataset(subject: Subject, run: Run, namespace: str, name: str, digest: Digest, datum: str | None) -> _Json:
    facets = _facet(run, "version", {"datasetVersion": f"blake3:{digest}"})
    if datum is not None:
        other = {"namespace": _NAMESPACE, "name": f"datum://{clean(datum)}", "type": "DATUM"}
        facets |= _facet(run, "symlinks", {"identifiers": [other]})
    if gone := subject.contents.gone(digest):
        facets["mlrun_content"] = _own("content", {"blake3": digest, "gone": clean(gone)})
    return {"namespace": namespace, "name": name, "facets": facets}


def _output_name(execution: Execution, name: str) -> str:
    return f"{clean(execution.step)}/{file_name(name)}"


def _facet(run: Run, name: str, content: _Json) -> _Json:
    schema = _FACETS[name]
    url = f"{_SPEC}/facets/{schema}.json#/$defs/{schema.partition('/')[2]}"
    return {name: {"_producer": PRODUCER + run.version, "_schemaURL": url, **content}}


def _own(name: str, content: _Json) -> _Json:
    """A facet that only we have."""
    return {"_producer": PRODUCER, "_schemaURL": f"urn:mlrun-yaml:schema:openlineage:{name}", **content}
