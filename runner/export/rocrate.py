"""Workflow Run RO-Crate: a Process Run Crate 0.5 for a step, a Provenance Run Crate 0.5 for a pipeline. Pure.

The profiles: https://www.researchobject.org/workflow-run-crate/. A pipeline of which no step ran has no actions of
steps, which the last profile asks for: it is a Workflow Run Crate 0.5.
"""

from posixpath import basename
from typing import Any, ClassVar

from runner.digest import Digest
from runner.export.crate import Entity, Graph, Payload, local, moment, ref, refs, schema_type, status
from runner.export.document import Document, Folder, json_bytes
from runner.export.subject import Part, Subject
from runner.export.telling import (
    began,
    clean,
    clean_value,
    code_uri,
    command,
    failure,
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
from runner.state import DONE, FINAL
from runner.store.record import Execution, Run

_CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_PROCESS, _WORKFLOW, _PROVENANCE, _WORKFLOW_CRATE = _PROFILES
_METADATA = "ro-crate-metadata.json"
_SPEC = "valohai.yaml"
_OURS = frozenset({_METADATA, "", "code", "inputs", "outputs", "logs"})
"""Names that the YAML file cannot have in a crate."""
_BIOSCHEMAS = "https://bioschemas.org/profiles"
_YAML = "https://docs.valohai.com/hc/en-us/articles/18704302494481-valohai-yaml"


class ROCrate:
    """The run with its code, inputs, outputs and logs, each file with its digest."""

    summary: ClassVar[str] = "Workflow Run RO-Crate 0.5: folder or .zip"

    def document(self, subject: Subject) -> Document | Folder:
        """A folder of everything; with `metadata_only` the metadata alone."""
        crate = _Crate(subject)
        metadata = json_bytes({"@context": _CONTEXT, "@graph": crate.graph.entities()})
        if subject.metadata_only:
            return Document(metadata)
        what = subject.chosen or subject.run
        files = {_METADATA: metadata, **crate.payload.files}
        return Folder(f"ro-crate-{what.id}", files, tuple(crate.payload.folders))


def _plan(run: Run) -> bytes:
    """What the YAML file said of the pipeline, without the values of variables and the places of files."""
    keys = ("name", "step", "upstream")
    nodes = [{key: node[key] for key in keys if key in node} for node in run.plan["nodes"]]
    return json_bytes(clean_value({"kind": run.kind, "name": run.name, "nodes": nodes}))


class _Crate:
    """Everything that the metadata tell, gathered once."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.graph = Graph()
        run, what = subject.run, subject.chosen or subject.run
        self._pipeline = run.kind == "pipeline" and subject.chosen is None
        self._ran = [*subject.executions()]
        descriptor = self.graph.add(_METADATA, "CreativeWork", about=ref("./"))
        profiles = [_PROCESS] if not self._pipeline else [_PROCESS, _WORKFLOW, _WORKFLOW_CRATE]
        profiles += [_PROVENANCE] if self._pipeline and self._ran else []
        base = [ref("https://w3id.org/ro/crate/1.1")]
        descriptor["conformsTo"] = base + ([ref(_WORKFLOW_CRATE)] if self._pipeline else [])
        self.root = self.graph.add(
            "./",
            "Dataset",
            name=clean(run.title or f"{run.kind} {run.name} of {run.project.name}"),
            description=f"What {run.kind} run {run.counter} of the project {clean(run.project.name)} was made from and "
            f"what it left. It {failure(what) if what.state not in DONE else what.state}.",
            datePublished=moment(what.finished or what.created),
            keywords=", ".join(map(clean, subject.tags)),
            license=ref("#license"),
            conformsTo=[ref(one) for one in profiles],
        )
        self.graph.add("#license", "CreativeWork", name="not stated",
                       description="The record of the run states no licence: ask the people who ran it.")  # fmt: skip
        for one in profiles:
            name, version = _PROFILES[one]
            self.graph.add(one, "CreativeWork", name=name, version=version)
        self.payload = Payload(subject, self.graph, self.root)
        self._made: dict[str, Entity] = {}
        self._source: dict[str, Entity] = {}
        if self._pipeline:
            self._tell_pipeline()
        else:
            self._spec()
            for part, execution in self._ran:
                self._action(part, execution)
        if not self._ran and not self._pipeline:
            self._never_ran()

    def _engine(self) -> Entity:
        version = self.subject.run.version
        return self.graph.add(local("mlrun", version), "SoftwareApplication", name="mlrun", softwareVersion=version)

    def _spec(self) -> Entity | None:
        """The YAML file; None where it should come along and is gone."""
        run = self.subject.run
        if self.subject.contents.gone(run.spec) and not self.subject.metadata_only:
            return None
        name = basename(run.project.file)
        place = _SPEC if name in _OURS else name
        return self.payload.file(place, f"spec-{run.spec}", name, run.spec)

    def _tell_pipeline(self) -> None:
        run, graph = self.subject.run, self.graph
        workflow = self._spec() or self.payload.text("plan.json", _plan(run), encodingFormat="application/json")
        workflow["@type"] = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]
        workflow |= {
            "name": clean(run.name),
            "version": run.code.identifier,
            "conformsTo": ref(f"{_BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"),
            "programmingLanguage": ref("#valohai-yaml"),
        }
        graph.add("#valohai-yaml", "ComputerLanguage", name="valohai.yaml", url=ref(_YAML))
        self.root["mainEntity"] = ref(workflow)
        action = graph.add(local("run", run.id), "CreateAction", instrument=ref(workflow), **self._times(run))
        action |= {"name": f"run {run.counter}", "description": f"The run of the pipeline {clean(run.name)}."}
        graph.link(self.root, "mentions", action)
        controls: list[Entity] = []
        for position, part in enumerate(self.subject.parts):
            step = self._step(workflow, part, position)
            if part.execution is None:
                continue
            tool = self._tool(part)
            graph.link(workflow, "hasPart", tool)
            done = self._action(part, part.execution)
            how = f"node {clean(part.node.name)}" + (
                ", for which an earlier execution stands" if part.is_reused else ""
            )
            control = graph.add(local("control", run.id, part.node.name, part.execution.id), "ControlAction", name=how)
            control |= {"instrument": ref(step), "object": ref(done), "actionStatus": status(part.execution)}
            controls.append(control)
            self._connect(workflow, step, part, part.execution)
            for name in ("object", "result"):
                graph.link(
                    action, name, *(one for one in done.get(name, []) if not one["@id"].startswith("#execution"))
                )
        if controls:
            organise = graph.add(local("organize", run.id), "OrganizeAction", name=f"mlrun ran {clean(run.name)}")
            organise |= {"instrument": ref(self._engine()), "object": refs(controls), "result": ref(action)}
            organise |= self._times(run)
            graph.link(self.root, "mentions", organise)

    def _step(self, workflow: Entity, part: Part, position: int) -> Entity:
        """The node in the workflow; only steps that ran are tools of it, as the profile has it."""
        step = self.graph.add(
            local("node", part.node.name),
            "HowToStep",
            name=clean(part.node.name),
            position=str(position),
            workExample=ref(self._tool(part)),
        )
        if part.execution is None:
            why = f", {part.node.reason}" if part.node.reason else ""
            stand_in = ", but the execution that stands for it is not on record any more" if part.is_reused else ""
            step["description"] = f"It did not run here: {part.node.state}{why}{stand_in}."
        self.graph.link(workflow, "step", step)
        return step

    def _tool(self, part: Part) -> Entity:
        """A step of the code of one run; the one that ran may have another name than that of the node it stands for."""
        code = part.code
        name = part.node.step if part.execution is None else part.execution.step
        tool = self.graph.add(
            local("step", name, code.snapshot[:16]),
            "SoftwareSourceCode",
            name=clean(name),
            version=code.identifier,
            codeRepository=repository(code),
            identifier=code_uri(code),
        )
        if part.execution is not None:
            tool["isPartOf"] = ref(self.payload.code(part.run, part.code))
            tool["description"] = "\n".join(command(part.execution)) or "It has no command."
        return tool

    def _action(self, part: Part, execution: Execution) -> Entity:
        graph, tool = self.graph, self._tool(part)
        action = graph.add(
            local("execution", execution.id),
            "CreateAction",
            name=f"execution {execution.counter}",
            description=f"Execution {execution.counter} of the step {clean(execution.step)}: {failure(execution)}.",
            instrument=ref(tool),
            **self._times(execution),
        )
        graph.link(self.root, "mentions", action)
        place = f"{execution.counter}-{execution.node.replace('/', '_')}"
        for name, value in parameters(execution).items():
            formal = self._formal(tool, "input", "parameter", name, schema_type(value))
            graph.link(action, "object", self._value(execution, "parameter", name, value, formal))
        for one in got(execution):
            formal = self._formal(tool, "input", "input", one.input, "File")
            file = self._made.get(one.datum or "") or self._file_of_input(one.digest, one.file.name, one.file.size)
            self._example(formal, file)
            graph.link(action, "object", file)
        for id, output in left(execution):
            formal = self._formal(tool, "output", "output", file_name(output.name), "File")
            file = self.payload.file(
                f"outputs/{place}/{output.name}", f"datum-{id}", output.name, output.digest, output.size
            )
            self._made[id], self._source[id] = file, formal
            self._example(formal, file)
            graph.link(action, "result", file)
        for name, value in flat(execution.metrics):
            graph.link(action, "result", self._value(execution, "metric", name, value))
        self._environment(action, tool, execution)
        self._logs(action, execution, place)
        return action

    def _file_of_input(self, digest: Digest, name: str, size: int) -> Entity:
        return self.payload.file(f"inputs/{digest[:16]}/{name}", f"content-{digest}", name, digest, size)

    def _environment(self, action: Entity, tool: Entity, execution: Execution) -> None:
        told: dict[str, str | None] = {**variables(execution), **dict.fromkeys(names_of_secrets(execution))}
        for name, value in told.items():
            formal = self._formal(tool, "environment", "variable", name, "Text")
            shown = value if value is not None else "(a secret: its value is on no record)"
            self.graph.link(action, "environment", self._value(execution, "variable", name, shown, formal))
        if digest := image_digest(execution):
            image = image_name(execution)
            registry, slash, rest = image.partition("/")
            foreign = bool(slash) and ("." in registry or ":" in registry)
            name, _, tag = (rest if foreign else image).partition("@")[0].partition(":")
            container = self.graph.add(
                local("image", digest),
                "ContainerImage",
                additionalType=ref("https://w3id.org/ro/terms/workflow-run#DockerImage"),
                registry=registry if foreign else "docker.io",
                name=name,
                tag=tag,
                sha256=digest.removeprefix("sha256:"),
            )
            action["containerImage"] = ref(container)

    def _logs(self, action: Entity, execution: Execution, place: str) -> None:
        kept = {"metrics.jsonl": execution.metric_log}
        if execution.log is not None:
            kept |= {"stdout.txt": execution.log.stdout, "stderr.txt": execution.log.stderr}
        for name, digest in kept.items():
            if digest is not None:
                id = f"{name}-{execution.id}"
                self.payload.file(f"logs/{place}/{name}", id, name, digest, None, about=ref(action))

    def _connect(self, workflow: Entity, step: Entity, part: Part, execution: Execution) -> None:
        """Which output of which step became which input."""
        tool = self._tool(part)
        for one in got(execution):
            target = self._formal(tool, "input", "input", one.input, "File")
            source = self._source.get(one.datum or "")
            if source is None:
                continue
            edge = self.graph.add(
                local("connection", source["@id"], target["@id"]),
                "ParameterConnection",
                sourceParameter=ref(source),
                targetParameter=ref(target),
            )
            self.graph.link(step, "connection", edge)
            self.graph.link(workflow, "connection", edge)

    def _formal(self, tool: Entity, of: str, kind: str, name: str, type: str) -> Entity:
        formal = self.graph.add(
            f"{tool['@id']}/{local(kind, name)[1:]}",
            "FormalParameter",
            name=clean(name),
            additionalType=type,
            conformsTo=ref(f"{_BIOSCHEMAS}/FormalParameter/1.0-RELEASE"),
        )
        self.graph.link(tool, of, formal)
        return formal

    def _value(self, execution: Execution, kind: str, name: str, value: Any, formal: Entity | None = None) -> Entity:
        id = local("execution", execution.id, kind, name)
        plain = isinstance(value, list) and value and all(isinstance(one, str | int | float) for one in value)
        shown = value if plain or isinstance(value, str | int | float) else text_of(value)
        entity = self.graph.add(id, "PropertyValue", name=clean(name))
        entity["value"] = shown
        if formal is not None:
            self._example(formal, entity)
        return entity

    def _example(self, formal: Entity, entity: Entity) -> None:
        self.graph.link(formal, "workExample", entity)
        self.graph.link(entity, "exampleOfWork", formal)

    def _times(self, what: Run | Execution) -> Entity:
        times: Entity = {"startTime": moment(began(what)), "actionStatus": status(what)}
        if what.finished:
            times["endTime"] = moment(what.finished)
        if what.state in FINAL and what.state not in DONE:
            times["error"] = failure(what)
        return times

    def _never_ran(self) -> None:
        """A step that was refused before it had an execution: what was to be done failed."""
        run = self.subject.run
        for part in self.subject.parts:
            action = self.graph.add(
                local("run", run.id, part.node.name),
                "CreateAction",
                name=f"run {run.counter}",
                description=f"It had no execution: {part.node.state}.",
                instrument=ref(self._tool(part)),
                **self._times(run),
            )
            self.graph.link(self.root, "mentions", action)
