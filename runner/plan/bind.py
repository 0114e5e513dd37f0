"""From a planned node and what its upstreams left to a job. Pure.

Two steps, because fetching lies between them: `resolve` says what the node's values are and which sources are still to
be fetched, `make_job` puts the fetched files in. A task node is `settled` instead, once for all its trials; of a
deployment node the files are gathered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from runner.errors import ExitCode, MlrunError
from runner.job import InputFile, Job, JobInput, Network, Value
from runner.plan.limit import Grant, allowance
from runner.plan.match import match_files, match_names, place_files, rename_single, tell_apart
from runner.plan.model import PlannedNode, Source
from runner.plan.value import hint_about
from runner.plan.variation import forget, vary
from runner.spec.command import build_script, interpolate_uri
from runner.spec.model import Edge, Parameter, ParameterType, SocketType, Step
from runner.spec.value import coerce


@dataclass(frozen=True, slots=True)
class Left:
    """What a finished node left for those downstream: effective values, files, last metadata value per key.

    A task node left what its trials did, each by its number, from 1; its `parameters` are those that do not vary. The
    parameters of a deployment node are the ids that it has to give: `id` and `version_id`.
    """

    parameters: Mapping[str, Value] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[JobInput, ...] = ()
    outputs: tuple[InputFile, ...] = ()
    metrics: Mapping[str, object] = field(default_factory=dict)
    trials: tuple[tuple[int, "Left"], ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """A node with its values known: `sources` are to be fetched, `carried` files came over edges. `spread` are the
    lists that edges bring to parameters of a task node: each trial gets one of the values."""

    parameters: Mapping[str, Value]
    environment: Mapping[str, str]
    sources: Mapping[str, tuple[Source, ...]]
    carried: Mapping[str, tuple[InputFile, ...]]
    notices: tuple[str, ...] = ()
    spread: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)


def resolve(node: PlannedNode, upstream: Mapping[str, Left]) -> Resolved:
    """The node's values and files as its upstreams give them. Raises MlrunError (code INPUT) for an edge that brings
    nothing where something is needed."""
    parameters = dict(node.parameters)
    environment = dict(node.environment)
    carried = {name: list(files) for name, files in node.files.items()}
    notices: list[str] = []
    spread: dict[str, tuple[Value, ...]] = {}
    for edge in node.edges:
        left = upstream[edge.source.node]
        match edge.target.type:
            case SocketType.PARAMETER:
                parameters.pop(edge.target.key, None)
                found = _carried_value(node, edge, left)
                if isinstance(found, tuple):
                    spread[edge.target.key] = found
                elif found is not None:
                    parameters[edge.target.key] = found
                elif edge.source.type is SocketType.METADATA:
                    notices.append(f"{edge.location}: {_said_null(edge)}; `{edge.target}` stays without a value")
            case SocketType.INPUT:
                files, told = _carried_files(node, edge, left)
                carried.setdefault(edge.target.key, []).extend(files)
                notices += told
            case SocketType.ENVIRONMENT_VARIABLE if edge.target.key not in node.secrets:
                environment |= _carried_variable(edge, left)
    sources = {
        name: tuple(
            Source(interpolate_uri(source.uri, node.step, parameters), source.folder, source.trusted)
            for source in sources
        )
        for name, sources in node.inputs.items()
        if node.append_edges or name not in carried
    }
    kept = {name: tuple(files) for name, files in carried.items()}
    return Resolved(parameters, environment, sources, kept, tuple(notices), spread)


def settle(node: PlannedNode, upstream: Mapping[str, Left]) -> tuple[PlannedNode, tuple[str, ...]]:
    """A task node whose edges have brought their values, so that only those are left that bring files; and what there
    is to notice. Raises MlrunError as `resolve`."""
    resolved = resolve(node, upstream)
    task = node.task
    for edge in node.edges if task is not None else ():
        name = edge.target.key
        if edge.target.type is not SocketType.PARAMETER or task is None:
            continue
        spread = resolved.spread.get(name)
        task = forget(task, name) if spread is None else vary(task, name, spread, edge.location)
    settled = replace(
        node,
        task=task,
        parameters=resolved.parameters,
        environment=resolved.environment,
        edges=tuple(edge for edge in node.edges if edge.target.type in _OF_TRIALS),
    )
    return settled, resolved.notices


_OF_TRIALS = (SocketType.INPUT, SocketType.DEPENDENCY)
"""Edges into a task node that each trial has: those that bring files, and those that bring nothing."""


# Values ---------------------------------------------------------------------------------------------------------------


def _carried_value(node: PlannedNode, edge: Edge, left: Left) -> Value | tuple[Value, ...] | None:
    """What an edge brings to a parameter: a value, several for the trials of a task node, or nothing."""
    parameter = node.step.parameter(edge.target.key)
    if parameter is None:
        return None
    raw = _raw_value(edge, left)
    if raw is None:
        if edge.source.type is SocketType.METADATA and not parameter.may_be_unset:
            hint = "a parameter that can do without a value says `optional: true`"
            raise _refused(edge, f"{_said_null(edge)}, and `{edge.target}` needs a value", hint)
        return None
    if node.kind == "task" and isinstance(raw, list):
        if not raw:
            raise _refused(edge, f"edge `{edge.source}` → `{edge.target}` brings an empty list, so that nothing runs")
        return tuple(_coerced(edge, parameter, one) for one in raw)
    return _coerced(edge, parameter, raw)


def _said_null(edge: Edge) -> str:
    return f"node `{edge.source.node}` printed null for its metadata `{edge.source.key}`"


def _coerced(edge: Edge, parameter: Parameter, raw: object) -> Value:
    try:
        return coerce(parameter, raw, f"edge `{edge.source}` → `{edge.target}`")
    except MlrunError as error:
        raise _refused(edge, error.message, hint_about(parameter, raw, error.hint)) from None


def _raw_value(edge: Edge, left: Left) -> object:
    """What an edge finds at its source; None where that has no value. Of a task node the values of its trials, but for
    a parameter that does not vary."""
    match edge.source.type:
        case SocketType.METADATA:
            return _latest(edge, left)
        case SocketType.DEPLOYMENT:
            if edge.source.key not in left.parameters:
                known = ", ".join(f"`{name}`" for name in left.parameters)
                raise _refused(edge, f"a deployment has no `{edge.source.key}`", f"it has {known}")
            return left.parameters[edge.source.key]
        case _ if left.trials and edge.source.key not in left.parameters:
            values = [trial.parameters.get(edge.source.key) for _, trial in left.trials]
            return [value for value in values if value is not None] or None
        case _:
            return left.parameters.get(edge.source.key)


def _latest(edge: Edge, left: Left) -> object:
    """The value of a metadata key that was printed last; of a task node those of its trials."""
    key, sources = edge.source.key, [trial for _, trial in left.trials] or [left]
    found = [source.metrics[key] for source in sources if key in source.metrics]
    if not found:
        seen = ", ".join(f"`{name}`" for name in sorted({name for one in sources for name in one.metrics})) or "none"
        message = f"node `{edge.source.node}` printed no metadata `{key}` for `{edge.target}`"
        raise _refused(edge, message, f"its metadata: {seen}")
    return found if left.trials else found[0]


def _carried_variable(edge: Edge, left: Left) -> dict[str, str]:
    """The variable that an edge brings, if its source has it; the trials of a task node have the same ones."""
    environment = left.trials[0][1].environment if left.trials else left.environment
    key = edge.source.key
    return {edge.target.key: environment[key]} if key in environment else {}


# Files ----------------------------------------------------------------------------------------------------------------


def _carried_files(node: PlannedNode, edge: Edge, left: Left) -> tuple[tuple[InputFile, ...], list[str]]:
    """The files that an edge brings, under the names that the step sees, and what there is to notice."""
    if edge.source.type is SocketType.INPUT:
        return _files_of_inputs(node, edge, left), []
    declared = node.step.input(edge.target.key)
    placed: list[InputFile] = []
    fallbacks: dict[str, None] = {}
    for trial, source in left.trials or ((0, left),):
        files, fallback = match_files(edge.source.key, source.outputs)
        own = place_files(declared, files, edge.source.key)
        placed += tell_apart(declared, own, trial) if left.trials else own
        fallbacks |= {fallback: None} if fallback else {}
    if placed:
        return tuple(placed), [f"`{edge.source}` is taken as `{fallback}`" for fallback in fallbacks]
    if declared is not None and (declared.optional or (node.append_edges and node.inputs.get(edge.target.key))):
        said = f"no output of `{edge.source.node}` matches `{edge.source.key}`; `{edge.target}` stays without it"
        return (), [said]
    raise _nothing_matches(edge, [file.name for file in _outputs(left)])


def _files_of_inputs(node: PlannedNode, edge: Edge, left: Left) -> tuple[InputFile, ...]:
    """The files of all inputs whose names an edge key means. Trials that had the same hand them on once."""
    found = [(trial, _files_of_one(edge, source)) for trial, source in left.trials or ((0, left),)]
    if all(files == found[0][1] for _, files in found):
        return found[0][1]
    declared = node.step.input(edge.target.key)
    return tuple(file for trial, files in found for file in tell_apart(declared, files, trial))


def _files_of_one(edge: Edge, left: Left) -> tuple[InputFile, ...]:
    by_name = {item.name: item.files for item in left.inputs}
    names = match_names(edge.source.key, tuple(by_name))[0]
    if not names:
        raise _nothing_matches(edge, list(by_name))
    return tuple(file for name in names for file in by_name[name])


def _outputs(left: Left) -> Iterator[InputFile]:
    yield from left.outputs
    for _, trial in left.trials:
        yield from trial.outputs


def _nothing_matches(edge: Edge, names: list[str]) -> MlrunError:
    names = list(dict.fromkeys(names))
    shown = ", ".join(f"`{name}`" for name in names[:8]) or "nothing"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    hint = f"`{edge.source.node}` left {shown}{more}"
    return _refused(edge, f"`{edge.source}` matches no file for `{edge.target}`", hint)


def gather(node: PlannedNode, upstream: Mapping[str, Left]) -> dict[str, dict[str, InputFile]]:
    """The files of a deployment node by endpoint and name. Raises MlrunError (code INPUT) for an edge that does not
    bring exactly one file."""
    endpoints: dict[str, dict[str, InputFile]] = {name: {} for name in (node.service.endpoints if node.service else ())}
    for edge in node.edges:
        if edge.target.type is SocketType.FILE:
            endpoint, _, name = edge.target.key.partition(".")
            endpoints.setdefault(endpoint, {})[name] = _one_file(edge, upstream[edge.source.node])
    return endpoints


def _one_file(edge: Edge, left: Left) -> InputFile:
    found: dict[tuple[str, str], InputFile] = {}
    for source in [trial for _, trial in left.trials] or [left]:
        is_input = edge.source.type is SocketType.INPUT
        files = _files_of_one(edge, source) if is_input else match_files(edge.source.key, source.outputs)[0]
        found |= {(file.name, file.digest): file for file in files}
    if not found:
        raise _nothing_matches(edge, [file.name for file in _outputs(left)])
    if len(found) > 1:
        shown = ", ".join(dict.fromkeys(f"`{name}`" for name, _ in list(found)[:8])) + (", …" if len(found) > 8 else "")
        message = f"`{edge.source}` matches {len(found)} files for `{edge.target}`, which is one file"
        raise _refused(edge, message, f"it matches {shown}")
    return next(iter(found.values()))


def _refused(edge: Edge, message: str, hint: str | None = None) -> MlrunError:
    return MlrunError(message, code=ExitCode.INPUT, location=edge.location, hint=hint)


# The job --------------------------------------------------------------------------------------------------------------


NOTHING_GRANTED = Grant()


def make_job(
    node: PlannedNode,
    resolved: Resolved,
    fetched: Mapping[str, tuple[InputFile, ...]],
    *,
    snapshot: str,
    network: Network,
    grant: Grant = NOTHING_GRANTED,
) -> Job:
    """The bound job but for what says who it is: its id is empty, and so are the documents and variables that tell of
    it. `grant` is what the user lets this node have of the machine.

    Raises MlrunError when a value cannot be put safely into the command, or a required input ended up empty.
    """
    inputs = []
    for declared in node.step.inputs:
        files = (*fetched.get(declared.name, ()), *resolved.carried.get(declared.name, ()))
        if not files and not declared.optional:
            raise MlrunError(
                f"input `{declared.name}` got no files",
                code=ExitCode.INPUT,
                location=declared.location,
                hint="an input that may be empty says `optional: true`",
            )
        inputs.append(JobInput(declared.name, rename_single(declared, files)))
    parameters = _with_flags(node.step, resolved.parameters)
    return Job(
        id="",
        step=node.step.name,
        image=node.step.image,
        script=build_script(node.step, resolved.parameters, stop_at_failure=not node.keep_going),
        snapshot=snapshot,
        parameters=parameters,
        inputs=tuple(inputs),
        environment=resolved.environment,
        secrets=node.secrets,
        documents={"parameters": parameters},
        network=network,
        time_limit=node.step.time_limit,
        no_output_timeout=node.step.no_output_timeout,
        stop_condition=node.step.stop_condition.text if node.step.stop_condition else None,
        allowance=allowance(node.step, resolved.environment, grant),
        mounts=grant.mounts,
    )


def _with_flags(step: Step, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values with every flag that nobody has set as false, as the run-time contract of `parameters.json` wants.

    The command is built without these: to it a flag that was never set is not one that was set to false.
    """
    unset = [item.name for item in step.parameters if item.type is ParameterType.FLAG and item.name not in values]
    return {**values, **dict.fromkeys(unset, False)}
