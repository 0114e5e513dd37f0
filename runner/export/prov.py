"""W3C PROV as PROV-JSON (W3C member submission, 24 April 2013): entities, activities, agents and their relations. Pure.

Every output is an entity of its own, since it may be made only once; its content, which several may share, is another
that it specialises.
"""

from collections import Counter
from typing import Any, ClassVar
from urllib.parse import quote

from runner.digest import Digest
from runner.export.document import Document, json_document
from runner.export.subject import Part, Subject
from runner.export.telling import (
    clean,
    code_uri,
    command,
    file_name,
    flat,
    got,
    image_name,
    left,
    names_of_secrets,
    parameters,
    repository,
    text_of,
    variables,
)
from runner.store.record import Code, Execution, Run, code_of

_PREFIXES = {
    "mlrun": "urn:mlrun-yaml:prov:",
    "parameter": "urn:mlrun-yaml:prov:parameter:",
    "metric": "urn:mlrun-yaml:prov:metric:",
    "variable": "urn:mlrun-yaml:prov:variable:",
}

_Json = dict[str, Any]


def _type(name: str, space: str = "mlrun") -> _Json:
    return {"$": f"{space}:{name}", "type": "prov:QUALIFIED_NAME"}


_CONTENT = _type("Content")


class Prov:
    """What was used, made, started and by whom."""

    summary: ClassVar[str] = "W3C PROV as PROV-JSON"

    def document(self, subject: Subject) -> Document:
        """One document without bundles."""
        teller = _Teller(subject)
        teller.tell()
        return json_document({"prefix": _PREFIXES} | teller.statements)


class _Teller:
    """Collects statements by their kind and id."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._counted: Counter[str] = Counter()
        self.statements: dict[str, _Json] = {}

    def tell(self) -> None:
        """All of the subject."""
        self._runs()
        for run, execution in self._subject.each_execution():
            self._execution(run, execution)
        for part, execution in self._subject.executions():
            if part.is_reused:
                self._relate("wasInfluencedBy", influencee=f"mlrun:run-{self._subject.run.id}",
                             influencer=f"mlrun:execution-{execution.id}",
                             label=f"node {clean(part.node.name)} was reused")  # fmt: skip
        for part in self._subject.parts:
            if part.execution is None:
                self._node(part)

    def _add(self, kind: str, id: str, content: _Json) -> str:
        self.statements.setdefault(kind, {}).setdefault(id, content)
        return id

    def _relate(self, kind: str, **content: Any) -> None:
        self._counted[kind] += 1
        told = {f"prov:{name}": one for name, one in content.items() if one is not None}
        self._add(kind, f"_:{kind}{self._counted[kind]}", told)

    def _runs(self) -> None:
        runs = {part.run.id: part.run for part in self._subject.parts} | {self._subject.run.id: self._subject.run}
        for run in runs.values():
            self._run(run)

    def _run(self, run: Run) -> None:
        activity = self._add(
            "activity",
            f"mlrun:run-{run.id}",
            _present(
                {
                    "prov:label": f"run {run.counter} of {clean(run.name)}",
                    "prov:type": _type("Run"),
                    "prov:startTime": run.created,
                    "prov:endTime": run.finished,
                    "mlrun:kind": run.kind,
                    "mlrun:state": str(run.state),
                    "mlrun:reason": None if run.reason is None else str(run.reason),
                    "mlrun:executor": run.executor,
                    "mlrun:tag": [clean(tag) for tag in self._subject.tags] if run is self._subject.run else None,
                }
            ),
        )
        runner = self._add(
            "agent",
            f"mlrun:runner-{quote(run.version, safe='.')}",
            {"prov:type": _type("SoftwareAgent", "prov"), "prov:label": f"mlrun {run.version}"},
        )
        spec = self._content(run.spec, label=clean(run.project.file), type=_type("Plan", "prov"))
        self._relate("wasAssociatedWith", activity=activity, agent=runner, plan=spec)
        self._relate("used", activity=activity, entity=self._code(run.code), role="code")

    def _code(self, code: Code) -> str:
        return self._add(
            "entity",
            f"mlrun:snapshot-{code.snapshot}",
            _present(
                {
                    "prov:type": _type("Code"),
                    "prov:label": f"code {code.identifier}",
                    "prov:location": code_uri(code),
                    "mlrun:blake3": code.snapshot,
                    "mlrun:commit": code.commit,
                    "mlrun:dirty": code.dirty,
                    "mlrun:branch": clean(code.branch) if code.branch else None,
                    "mlrun:repository": repository(code),
                    "mlrun:notCaptured": [clean(path) for path in code.not_captured],
                    "mlrun:gone": _cleaned(self._subject.contents.gone(code.snapshot)),
                }
            ),
        )

    def _execution(self, made_by: Run, execution: Execution) -> None:
        attributes: _Json = {
            "prov:label": f"execution {execution.counter} of {clean(execution.step)}",
            "prov:type": _type("Execution"),
            "prov:startTime": execution.started,
            "prov:endTime": execution.finished,
            "mlrun:node": clean(execution.node),
            "mlrun:step": clean(execution.step),
            "mlrun:state": str(execution.state),
            "mlrun:reason": None if execution.reason is None else str(execution.reason),
            "mlrun:detail": _cleaned(execution.detail),
            "mlrun:exitCode": execution.exit_code,
            "mlrun:image": image_name(execution),
            "mlrun:identity": _cleaned((execution.identity or {}).get("id")),
            "mlrun:command": "\n".join(command(execution)),
            "mlrun:secret": list(names_of_secrets(execution)),
        }
        attributes |= {f"parameter:{_local(name)}": _value(one) for name, one in parameters(execution).items()}
        attributes |= {f"variable:{_local(name)}": one for name, one in variables(execution).items()}
        attributes |= {f"metric:{_local(name)}": _value(one) for name, one in flat(execution.metrics)}
        activity = self._add("activity", f"mlrun:execution-{execution.id}", _present(attributes))
        run = f"mlrun:run-{made_by.id}"
        self._relate("wasStartedBy", activity=activity, starter=run, time=execution.started or execution.created)
        self._relate("used", activity=activity, entity=self._code(code_of(made_by, execution.node)), role="code")
        for one in got(execution):
            entity = self._content(one.digest, label=file_name(one.file.name), size=one.file.size)
            if one.datum is not None:
                entity = self._datum(clean(one.datum), one.file.name, one.digest, one.file.size)
            self._relate("used", activity=activity, entity=entity, role=clean(one.input))
        for id, output in left(execution):
            entity = self._datum(id, output.name, output.digest, output.size)
            self._relate("wasGeneratedBy", entity=entity, activity=activity, time=execution.finished)
        for digest, name in (
            ((execution.log.stdout, "stdout"), (execution.log.stderr, "stderr")) if execution.log else ()
        ):
            self._relate("wasInfluencedBy", influencee=self._content(digest, label=name), influencer=activity)

    def _node(self, part: Part) -> None:
        """A node that nothing stands for: only what became of it."""
        node = self._add(
            "entity",
            f"mlrun:node-{self._subject.run.id}-{_local(part.node.name)}",
            _present(
                {
                    "prov:type": _type("Node"),
                    "prov:label": f"node {clean(part.node.name)}",
                    "mlrun:step": clean(part.node.step),
                    "mlrun:state": str(part.node.state),
                    "mlrun:reason": None if part.node.reason is None else str(part.node.reason),
                    "mlrun:detail": _cleaned(part.node.detail),
                    "mlrun:reusedExecution": part.node.reused.execution if part.node.reused else None,
                }
            ),
        )
        self._relate("wasInfluencedBy", influencee=node, influencer=f"mlrun:run-{self._subject.run.id}")

    def _datum(self, id: str, name: str, digest: Digest, size: int) -> str:
        attributes = {
            "prov:type": _type("Datum"),
            "prov:label": file_name(name),
            "mlrun:blake3": digest,
            "mlrun:size": size,
        }
        content = self._content(digest, size=size)
        entity = f"mlrun:datum-{_local(id)}"
        if entity not in self.statements.get("entity", {}):
            self._add("entity", entity, attributes)
            self._relate("specializationOf", specificEntity=entity, generalEntity=content)
        return entity

    def _content(
        self,
        digest: Digest,
        *,
        label: str | None = None,
        size: int | None = None,
        type: _Json = _CONTENT,
    ) -> str:
        return self._add(
            "entity",
            f"mlrun:content-{digest}",
            _present(
                {
                    "prov:type": type,
                    "prov:label": label,
                    "mlrun:blake3": digest,
                    "mlrun:size": size,
                    "mlrun:gone": _cleaned(self._subject.contents.gone(digest)),
                }
            ),
        )


def _local(name: str) -> str:
    """Any text as the local part of a qualified name."""
    return quote(name, safe="")


def _value(value: Any) -> Any:
    """A value of an attribute."""
    return value if isinstance(value, str | int | float) else text_of(value)


def _cleaned(text: object) -> str | None:
    return None if text is None else clean(str(text))


def _present(content: _Json) -> _Json:
    return {name: value for name, value in content.items() if value not in (None, [])}
