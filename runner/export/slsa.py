"""Who built what from what, as an in-toto Statement with SLSA provenance: the outputs of a run are the subjects. Pure.

in-toto Attestation Framework, Statement v1 (github.com/in-toto/attestation); SLSA v1.0, Provenance
(slsa.dev/spec/v1.0/provenance). What the fields mean for this builder is in `docs/export.md`, under the name of
`BUILD_TYPE`; a change of meaning takes another name.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, ClassVar
from urllib.parse import quote

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError, usage_error
from runner.export.document import Document
from runner.export.subject import Contents, Part, Subject
from runner.export.telling import (
    Got,
    clean,
    command,
    file_name,
    got,
    image_digest,
    image_name,
    names_of_secrets,
    parameters,
    repository,
    variables,
)
from runner.state import FINAL
from runner.store.record import Code, Execution, Run

BUILD_TYPE = "urn:mlrun-yaml:build-type:run:v1"
BUILDER = "urn:mlrun-yaml:builder:local"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

Labelled = tuple[str, Part, Execution]
"""An execution, with what it is called in the statement: the name of its node, numbered where there are several."""


class Slsa:
    """The format `slsa`: a statement that whoever writes it down signs."""

    summary: ClassVar[str] = "a signed in-toto statement with SLSA v1 provenance"

    def document(self, subject: Subject) -> Document:
        """The statement, to be signed as in-toto's. Raises MlrunError for a run that goes on or left nothing."""
        content = json.dumps(statement(subject), indent=2, ensure_ascii=False, allow_nan=False).encode()
        return Document(content, signed_as=PAYLOAD_TYPE)


def statement(subject: Subject) -> dict[str, Any]:
    """The statement as JSON data. Raises MlrunError for a run that goes on or left nothing."""
    run = subject.run
    if run.state not in FINAL or run.finished is None:
        # The end of a run that lost its runner may not be written down yet; then its time would be another one later.
        raise usage_error(f"run {run.counter} is {run.state}", hint="wait for its end: only then its outputs are known")
    labelled = list(_labelled(subject))
    subjects = [
        _descriptor(subject.contents, f"{label}/{file_name(output.name)}", output.digest)
        for label, _, execution in labelled
        for output in execution.outputs
    ]
    if not subjects:
        raise MlrunError(
            f"run {run.counter} left no output that a statement could be about",
            code=ExitCode.USAGE,
            hint="`--format ro-crate` and the others tell of a run without outputs, too",
        )
    return {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": _external(subject, labelled),
                "internalParameters": _internal(run, labelled),
                "resolvedDependencies": list(_dependencies(subject, labelled)),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"mlrun": run.version}},
                "metadata": {"invocationId": run.id, "startedOn": run.created, "finishedOn": run.finished},
                "byproducts": list(_byproducts(subject.contents, labelled)),
            },
        },
    }


def _labelled(subject: Subject) -> Iterator[Labelled]:
    times = Counter(part.node.name for part in subject.parts)
    numbers = {name: count(1) for name in times}
    for part, execution in subject.executions():
        name = label = part.node.name
        while times[name] > 1 and label in times:
            label = f"{name}.{next(numbers[name])}"
        yield file_name(label), part, execution


def _external(subject: Subject, labelled: Iterable[Labelled]) -> dict[str, Any]:
    """What the user asked for."""
    run = subject.run
    return {
        **({} if subject.chosen is None else {"execution": subject.chosen.id}),
        "kind": run.kind,
        "name": clean(run.name),
        "file": clean(run.project.file),
        "commit": run.code.commit,
        "dirty": run.code.dirty,
        "executions": {
            label: {
                "step": clean(execution.step),
                "image": image_name(execution),
                "command": list(command(execution)),
                "parameters": _finite(parameters(execution)),
                "environment": variables(execution),
                "secrets": list(names_of_secrets(execution)),
            }
            for label, _, execution in labelled
        },
    }


def _internal(run: Run, labelled: Iterable[Labelled]) -> dict[str, Any]:
    """What became of it, and what the runner decided."""
    return {
        "state": str(run.state),
        "executions": {
            label: {
                "id": execution.id,
                "run": part.run.id,
                "reused": part.is_reused,
                "state": str(execution.state),
                "executor": execution.executor or part.run.executor,
                "startedOn": execution.started,
                "finishedOn": execution.finished,
            }
            for label, part, execution in labelled
        },
    }


def _dependencies(subject: Subject, labelled: list[Labelled]) -> Iterator[dict[str, Any]]:
    run, contents = subject.run, subject.contents
    snapshots = {code.snapshot: code for code in (run.code, *(part.code for _, part, _ in labelled))}
    for snapshot, code in snapshots.items():
        told = _descriptor(contents, "code", snapshot)
        yield {**told, "uri": f"urn:mlrun-yaml:snapshot:{snapshot}"}
        if code.commit:
            yield _commit(code)
    yield _descriptor(contents, run.project.file, run.spec)
    for label, _, execution in labelled:
        for given in got(execution):
            name = f"{label}/{given.input}/{file_name(given.file.name)}"
            yield {**_descriptor(contents, name, given.digest), **_origin(given)}
    seen: set[str] = set()
    for _, _, execution in labelled:
        identity = str((execution.identity or {}).get("id") or "")
        if identity and identity not in seen:
            seen.add(identity)
            yield _environment(execution, identity)


def _commit(code: Code) -> dict[str, Any]:
    address = repository(code)
    told = {"uri": f"git+{address}"} if address else {}
    dirty = {"annotations": {"dirty": True}} if code.dirty else {}
    return {"name": "commit", **told, "digest": {"gitCommit": code.commit}, **dirty}


def _origin(given: Got) -> dict[str, str]:
    """The address that a file came from; a path is none."""
    return {} if given.is_local else {"uri": quote(given.source, safe="%/:@#[]!$&'()*+,;=~")}


def _environment(execution: Execution, identity: str) -> dict[str, Any]:
    """The image by its digest; or what else the programs came from."""
    name = image_name(execution)
    if (digest := image_digest(execution)) is not None:
        return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
    return {"name": name, "uri": f"urn:mlrun-yaml:environment:{quote(clean(identity), safe=':')}"}


def _byproducts(contents: Contents, labelled: Iterable[Labelled]) -> Iterator[dict[str, Any]]:
    for label, _, execution in labelled:
        logs = {} if execution.log is None else {"stdout": execution.log.stdout, "stderr": execution.log.stderr}
        if execution.metric_log is not None:
            logs["metrics"] = execution.metric_log
        for name, digest in logs.items():
            yield _descriptor(contents, f"{label}/{name}", digest)


def _descriptor(contents: Contents, name: str, digest: Digest) -> dict[str, Any]:
    """A content by its digests: that of the store alone where the content is gone."""
    digests = {"blake3": str(digest)}
    if contents.gone(digest) is None:
        digests["sha256"] = contents.sha256(digest)
    return {"name": clean(name), "digest": digests}


def _finite(value: Any) -> Any:
    """JSON data that every reader takes: what is no finite number as text."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping():
            return {key: _finite(one) for key, one in value.items()}
        case list():
            return [_finite(one) for one in value]
    return value
