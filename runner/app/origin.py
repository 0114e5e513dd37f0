"""What an earlier run gives to a step that runs again: the values and files that a node of it had, or would have had.

Reads the store and the recorded YAML file; writes nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runner.app.standing import left_of, made_by
from runner.engine.entry import inputs_from_json
from runner.errors import did_you_mean, usage_error
from runner.escape import printable
from runner.job import InputFile, Value
from runner.plan.address import public
from runner.plan.bind import Left, Resolved, resolve
from runner.plan.model import Arguments, Given, Origin, PlannedNode, Source
from runner.sign import word_of
from runner.spec.model import Edge, Pipeline, SocketType, Step
from runner.spec.project import parse_project
from runner.state import DONE
from runner.store.imported import read_import
from runner.store.record import Execution, NodeRecord, Run, planned_of, trials
from runner.store.store import RUN_PREFIX, Store

LATEST = "latest"
_FEW = 50
"""Executions among which the latest of a step mostly is; in a large store it takes long to list them all."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """The values and files of a node: `files` are in the store, `addresses` are still to be fetched, `environment`
    holds the variables that came over edges. `is_foreign` tells of a run that came from another store."""

    origin: Origin
    parameters: Mapping[str, Value]
    files: Mapping[str, tuple[InputFile, ...]]
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    is_foreign: bool = False


def apply_inherited(
    inherited: Inherited, step: Step, arguments: Arguments, tell: Callable[[str], None]
) -> tuple[Step, Arguments]:
    """Let `inherited` give what the command line does not, as far as the step of today has it; tells what is lost.

    Somebody else's run sets only variables that the step declares: any other could run code, as `LD_PRELOAD` does.
    """
    given = arguments.nodes.get(step.name, Given())
    known = {parameter.name for parameter in step.parameters}, {declared.name for declared in step.inputs}
    lost = [f"parameter `{printable(name)}`" for name in inherited.parameters if name not in known[0]]
    lost += [f"input `{printable(name)}`" for name, files in inherited.files.items() if files and name not in known[1]]
    parameters = {name: value for name, value in inherited.parameters.items() if name in known[0]}
    files = {name: files for name, files in inherited.files.items() if name in known[1]}
    inputs = tuple(
        replace(declared, default=inherited.addresses.get(declared.name, declared.default)) for declared in step.inputs
    )
    environment = dict(inherited.environment)
    if inherited.is_foreign:
        for name in sorted(environment.keys() - {variable.name for variable in step.environment_variables}):
            lost.append(f"variable `{printable(name)}`")
            del environment[name]
    for what in lost:
        tell(f"step `{printable(step.name)}` has no {what} any more")
    merged = Given({**parameters, **given.parameters}, given.inputs, files)
    return replace(step, inputs=inputs), replace(
        arguments,
        nodes={**arguments.nodes, step.name: merged},
        environment={**environment, **arguments.environment},
    )


def from_execution(store: Store, run: Run, execution: Execution) -> Inherited:
    """What an execution had."""
    job = execution.job
    edges = [target.split(".", 2) for _, target in planned_of(run, execution.node)["edges"]]
    set_by_edge = {key for _, kind, key in edges if kind == SocketType.PARAMETER}
    set_before = set(planned_of(run, execution.node)["parameters"]) | set_by_edge
    if (record := run.nodes.get(execution.node)) is not None:
        set_before |= record.parameters.keys()
    variables = {key for _, kind, key in edges if kind == SocketType.ENVIRONMENT_VARIABLE}
    return Inherited(
        Origin(run.id, run.counter, execution.node, execution.id),
        # A flag that nobody set is false for the program, but it was not set to false in the command.
        {name: value for name, value in job["parameters"].items() if value is not False or name in set_before},
        {given.name: given.files for given in inputs_from_json(job["inputs"])},
        environment={name: value for name, value in job["environment"].items() if name in variables},
        is_foreign=_is_foreign(store, run),
    )


def latest_execution(store: Store, project: str, step: Step) -> tuple[Run, Execution] | None:
    """The latest execution of a step that ran here, None when there is none. What was pulled has to be named."""
    for limit in (_FEW, None):
        for row in store.executions(project, limit):
            if row["step"] == step.name:
                found = store.find_execution(project, row["id"])
                if not _is_foreign(store, found[0]):
                    return found
    return None


def _is_foreign(store: Store, run: Run) -> bool:
    return read_import(store.layout.run(run.id).imported) is not None


def from_run(store: Store, project: str, text: str, step: Step, node: str | None, given: Given) -> Inherited:
    """What the node of a run had that runs `step`, or what its upstreams would have given it. `text` names the run: its
    number, `run:N`, `latest` (the latest pipeline that has the step) or the start of an id; `node` one of several.

    Raises MlrunError: USAGE where that means nothing or an upstream did not succeed, INPUT where it left too little.
    """
    run = _find_run(store, project, text.removeprefix(RUN_PREFIX), step)
    name = _find_node(run, step, node)
    made = made_by(store, run, run.nodes[name])
    if made is not None:
        return from_execution(store, *made)
    return _from_upstreams(store, run, name, step, given)


def _find_run(store: Store, project: str, text: str, step: Step) -> Run:
    if text != LATEST:
        return store.find_run(project, text)
    for row in store.runs(project):
        if row["kind"] == "pipeline":
            run = store.run(row["id"])
            if any(node.step == step.name for node in run.nodes.values()):
                return run
    raise usage_error(
        f"no pipeline with step `{printable(step.name)}` was ever run here", hint="`mlrun list runs` shows what was"
    )


def _find_node(run: Run, step: Step, wanted: str | None) -> str:
    names = [node.name for node in run.nodes.values() if node.step == step.name]
    what = f"{run.kind} run {run.counter}, `{printable(run.name)}`,"
    if wanted is not None and wanted in run.nodes and wanted not in names:
        other = printable(run.nodes[wanted].step)
        raise usage_error(
            f"node `{printable(wanted)}` of {what} runs step `{other}`",
            hint=did_you_mean(wanted, map(printable, names)),
        )
    if wanted is not None and wanted not in names:
        hint = did_you_mean(wanted, map(printable, run.nodes))
        raise usage_error(f"{what} has no node `{printable(wanted)}`", hint=hint)
    if not names:
        steps = dict.fromkeys(printable(node.step) for node in run.nodes.values())
        raise usage_error(f"{what} has no node of step `{printable(step.name)}`", hint=did_you_mean(step.name, steps))
    if wanted is None and len(names) > 1:
        shown = ", ".join(f"`{printable(name)}`" for name in names)
        raise usage_error(f"{what} has {len(names)} nodes of this step: {shown}", hint="choose one with `--node NAME`")
    return wanted or names[0]


def _from_upstreams(store: Store, run: Run, name: str, step: Step, given: Given) -> Inherited:
    """What a node that never ran would have got, from the record of its upstreams."""
    planned = planned_of(run, name)
    project = parse_project(store.objects.read(run.spec), f"run {run.counter}")
    pipeline = project.pipelines.get(run.name)
    edges = [edge for edge in _edges(pipeline, planned) if _brings(edge, given)]
    node = PlannedNode(
        name=name,
        step=step,
        parameters=planned["parameters"],
        inputs={key: tuple(Source(uri, "") for uri in uris) for key, uris in planned["inputs"].items()},
        environment={},
        edges=tuple(edges),
        append_edges=bool(pipeline and (found := pipeline.node(name)) and found.append_edges),
    )
    resolved = resolve(node, {above: _left(store, run, name, above) for above in {edge.source.node for edge in edges}})
    return Inherited(
        Origin(run.id, run.counter, name, None),
        resolved.parameters,
        resolved.carried,
        _addresses(step, planned, resolved),
        resolved.environment,
        _is_foreign(store, run),
    )


def _addresses(step: Step, planned: Mapping[str, Any], resolved: Resolved) -> dict[str, tuple[str, ...]]:
    """The addresses that the node had instead of the defaults of its step. The record has none with a password, so that
    those which are the defaults are taken from the file."""
    found = {}
    for declared in step.inputs:
        uris = tuple(planned["inputs"].get(declared.name, ()))
        if declared.name in resolved.sources and uris != tuple(map(public, declared.default)):
            found[declared.name] = uris
    return found


def _edges(pipeline: Pipeline | None, planned: Mapping[str, Any]) -> Iterable[Edge]:
    """The edges that bring something to the node, with their places in the recorded file."""
    wanted = {(source, target) for source, target in planned["edges"]}
    return [edge for edge in pipeline.edges if (str(edge.source), str(edge.target)) in wanted] if pipeline else []


def _brings(edge: Edge, given: Given) -> bool:
    """Whether an edge brings something that the command line does not give."""
    match edge.target.type:
        case SocketType.INPUT:
            return edge.target.key not in given.inputs
        case SocketType.PARAMETER:
            return edge.target.key not in given.parameters
        case kind:
            return kind is SocketType.ENVIRONMENT_VARIABLE


def _left(store: Store, run: Run, name: str, above: str) -> Left:
    """What an upstream node left. Raises MlrunError (USAGE) unless it is done, and STORE."""
    record = run.nodes[above]
    if record.kind == "task" and record.state in DONE:
        return _left_by_trials(store, run, record)
    made = made_by(store, run, record)
    if record.state not in DONE or made is None:
        raise usage_error(
            f"node `{printable(above)}` of run {run.counter} is {word_of(record)}, and `{printable(name)}` needs what "
            "it leaves",
            hint="give what it would bring on the command line, or choose another run",
        )
    return left_of(made[1])


def _left_by_trials(store: Store, run: Run, task: NodeRecord) -> Left:
    """What a task node left: what its trials did that are done and still recorded."""
    numbered = []
    for number, trial in enumerate(trials(run, task.name), 1):
        if trial.state in DONE and (made := made_by(store, run, trial)) is not None:
            numbered.append((number, left_of(made[1])))
    return Left(planned_of(run, task.name)["parameters"], trials=tuple(numbered))
