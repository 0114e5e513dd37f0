"""From what the file says and the user gave to a plan. Pure.

Values, the later the stronger: the step's default, the node's override, the pipeline's parameter, an edge (at binding),
the command line: an edge into something that the command line gives brings nothing, but still orders the nodes.
Everything that is wrong is refused here, before anything starts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from runner.errors import Location, did_you_mean, spec_error, usage_error
from runner.job import Value
from runner.plan import graph
from runner.plan.model import Arguments, Given, Plan, PlannedNode, Source
from runner.spec.model import Edge, Node, OnError, Override, Parameter, Pipeline, Project, SocketType, Step
from runner.spec.value import coerce

CARRIED = {
    (SocketType.OUTPUT, SocketType.INPUT),
    (SocketType.INPUT, SocketType.INPUT),
    (SocketType.PARAMETER, SocketType.PARAMETER),
    (SocketType.METADATA, SocketType.PARAMETER),
    (SocketType.ENVIRONMENT_VARIABLE, SocketType.ENVIRONMENT_VARIABLE),
    (SocketType.DEPENDENCY, SocketType.DEPENDENCY),
}
"""The pairs of edge ends that carry something here; deployments are not run."""


def compile_step(step: Step, arguments: Arguments, root: str) -> Plan:
    """A plan of one node, named like the step. `root` is the project folder. Raises MlrunError."""
    given = arguments.nodes.get(step.name, Given())
    node = _plan_node(step.name, "", step, None, {}, given, (), arguments, root)
    return Plan("exec", step.name, {node.name: node})


def compile_pipeline(project: Project, pipeline: Pipeline, arguments: Arguments, root: str) -> Plan:
    """The plan of a pipeline. Raises MlrunError for what cannot be run, with the place in the file."""
    _check_names(pipeline, arguments)
    steps = {node.name: _node_step(project, node) for node in pipeline.nodes}
    targets = _pipeline_values(pipeline, steps, arguments.parameters)
    incoming: dict[str, list[Edge]] = {node.name: [] for node in pipeline.nodes}
    for edge in pipeline.edges:
        _check_edge(edge, steps)
        incoming[edge.target.node].append(edge)
    planned = {}
    for node in pipeline.nodes:
        edges = tuple(incoming[node.name])
        _check_single_source(edges)
        planned[node.name] = replace(
            _plan_node(
                node.name,
                f"{node.name}.",
                steps[node.name],
                node.override,
                targets.get(node.name, {}),
                arguments.nodes.get(node.name, Given()),
                edges,
                arguments,
                root,
                node.append_edges,
            ),
            on_error=node.on_error,
        )
    try:
        ordered = graph.order({name: node.upstream for name, node in planned.items()})
    except graph.Cycle as error:
        location = next(edge.location for edge in pipeline.edges if edge.target.node == error.path[0])
        raise spec_error(f"pipeline `{pipeline.name}` has a cycle: {error}", location) from None
    return Plan("pipeline", pipeline.name, {name: planned[name] for name in ordered})


def _node_step(project: Project, node: Node) -> Step:
    """The step of a node, its override's image and command applied. Raises for kinds of node that are not run."""
    reason = _unsupported(node)
    if reason:
        raise spec_error(f"node `{node.name}`: {reason}", node.location, hint="run its steps with `mlrun exec`")
    step = project.steps.get(node.step or "")
    if step is None:
        for kind, name, problem in project.broken:
            if kind == "step" and name == node.step:
                raise spec_error(problem.message, problem.location, problem.hint)
        hint = did_you_mean(node.step or "", project.steps)
        raise spec_error(f"node `{node.name}`: there is no step `{node.step}`", node.location, hint)
    override = node.override
    if override is None:
        return step
    return replace(step, image=override.image or step.image, command=override.command or step.command)


def _unsupported(node: Node) -> str | None:
    if node.type != "execution":
        return f"{node.type} nodes are not supported by this version"
    if node.commit:
        return "nodes at another commit are not supported by this version"
    if node.on_error is OnError.RETRY:
        return "`on-error: retry` is not supported by this version"
    if any(set(action.then) - {"noop"} for action in node.actions):
        return "actions are not supported by this version"
    return None


def _plan_node(
    name: str,
    prefix: str,
    step: Step,
    override: Override | None,
    targeted: Mapping[str, tuple[object, str]],
    given: Given,
    edges: tuple[Edge, ...],
    arguments: Arguments,
    root: str,
    append_edges: bool = False,
) -> PlannedNode:
    """`prefix` is what stands before a name in the options of the command line: `NODE.` in a pipeline."""
    upstream = tuple(dict.fromkeys(edge.source.node for edge in edges))
    edges = tuple(edge for edge in edges if append_edges or not _is_given(edge, given))
    fed = {(edge.target.type, edge.target.key) for edge in edges}
    parameters = _parameters(prefix, step, override, targeted, given.parameters, fed)
    inputs = _inputs(prefix, step, override, given.inputs, fed, arguments.folder, root)
    environment = _environment(step, override, arguments.environment, fed)
    step = replace(step, image=arguments.image or step.image)
    return PlannedNode(
        name,
        step,
        parameters,
        inputs,
        environment,
        edges,
        upstream,
        append_edges=append_edges,
        keep_going=arguments.keep_going,
    )


def _is_given(edge: Edge, given: Given) -> bool:
    """Whether the command line says what this edge would bring; several files may come together, values may not."""
    match edge.target.type:
        case SocketType.INPUT:
            return edge.target.key in given.inputs
        case SocketType.PARAMETER:
            return edge.target.key in given.parameters
        case _:
            return False


def _parameters(
    prefix: str,
    step: Step,
    override: Override | None,
    targeted: Mapping[str, tuple[object, str]],
    given: Mapping[str, object],
    fed: Iterable[tuple[SocketType, str]],
) -> dict[str, Value]:
    values: dict[str, Value] = {}
    overridden = override.parameters if override else {}
    for parameter in step.parameters:
        raw: object = parameter.default
        place: str | None = f"{parameter.location}: default"
        if parameter.name in overridden:
            raw, place = overridden[parameter.name], f"{override.location if override else ''}: override"
        if parameter.name in targeted:
            raw, place = targeted[parameter.name]
        if parameter.name in given:
            raw, place = given[parameter.name], f"`--{prefix}{parameter.name}`"
        value = _value(parameter, raw, place or "")
        if value is not None:
            values[parameter.name] = value
        elif (SocketType.PARAMETER, parameter.name) not in fed and not parameter.optional:
            raise usage_error(
                f"parameter `{parameter.name}` of step `{step.name}` has no value",
                hint=f"give one with `--{prefix}{parameter.name} VALUE`",
            )
    return values


def _value(parameter: Parameter, raw: object, place: str) -> Value | None:
    """The typed value; a flag that nobody set is false, as the run-time contract of `parameters.json` wants."""
    if raw is None:
        return False if parameter.type == "flag" else None
    return coerce(parameter, raw, place)


def _inputs(
    prefix: str,
    step: Step,
    override: Override | None,
    given: Mapping[str, tuple[str, ...]],
    fed: Iterable[tuple[SocketType, str]],
    folder: str,
    root: str,
) -> dict[str, tuple[Source, ...]]:
    sources: dict[str, tuple[Source, ...]] = {}
    overridden = override.inputs if override else {}
    for declared in step.inputs:
        if declared.name in given:
            found = tuple(Source(uri, folder, trusted=True) for uri in given[declared.name])
        else:
            uris = overridden.get(declared.name, declared.default)
            found = tuple(Source(uri, root) for uri in uris if uri)
        if not found and not declared.optional and (SocketType.INPUT, declared.name) not in fed:
            raise usage_error(
                f"input `{declared.name}` of step `{step.name}` has no files",
                hint=f"give some with `--{prefix}{declared.name} PATH`",
            )
        sources[declared.name] = found
    return sources


def _environment(
    step: Step,
    override: Override | None,
    given: Mapping[str, str],
    fed: Iterable[tuple[SocketType, str]],
) -> dict[str, str]:
    values: dict[str, str] = {}
    overridden = override.environment_variables if override else {}
    for variable in step.environment_variables:
        value = given.get(variable.name, overridden.get(variable.name, variable.default))
        if value is not None:
            values[variable.name] = value
        elif not variable.optional and (SocketType.ENVIRONMENT_VARIABLE, variable.name) not in fed:
            raise usage_error(
                f"environment variable `{variable.name}` of step `{step.name}` has no value",
                hint=f"give one with `--var {variable.name}=VALUE`",
            )
    return values | {key: value for key, value in overridden.items() if value is not None} | dict(given)


def _pipeline_values(
    pipeline: Pipeline, steps: Mapping[str, Step], given: Mapping[str, object]
) -> dict[str, dict[str, tuple[object, str]]]:
    """What the pipeline's parameters set: values with the words for their origin, by node and parameter."""
    values: dict[str, dict[str, tuple[object, str]]] = {}
    for parameter in pipeline.parameters:
        raw = given.get(parameter.name, parameter.default)
        if raw is None:
            continue
        place = f"pipeline parameter `{parameter.name}`"
        for node, name in parameter.targets:
            if node not in steps or steps[node].parameter(name) is None:
                raise spec_error(f"{place} targets `{node}.parameter.{name}`, which does not exist", parameter.location)
            values.setdefault(node, {})[name] = (raw, place)
    return values


def _check_names(pipeline: Pipeline, arguments: Arguments) -> None:
    known = [parameter.name for parameter in pipeline.parameters]
    for name in arguments.parameters:
        if name not in known:
            raise usage_error(f"pipeline `{pipeline.name}` has no parameter `{name}`", hint=did_you_mean(name, known))
    nodes = [node.name for node in pipeline.nodes]
    for name in arguments.nodes:
        if name not in nodes:
            raise usage_error(f"pipeline `{pipeline.name}` has no node `{name}`", hint=did_you_mean(name, nodes))


def _check_edge(edge: Edge, steps: Mapping[str, Step]) -> None:
    """Refuse an edge that would carry nothing, or to something that is not there."""
    for socket in (edge.source, edge.target):
        if socket.node not in steps:
            hint = did_you_mean(socket.node, steps)
            raise spec_error(f"edge `{socket}`: there is no node `{socket.node}`", edge.location, hint)
    if (edge.source.type, edge.target.type) not in CARRIED:
        raise spec_error(f"an edge from {edge.source.type} to {edge.target.type} carries nothing", edge.location)
    _check_socket(edge.target.type, edge.target.key, steps[edge.target.node], edge.location)
    if edge.source.type is SocketType.PARAMETER:
        _check_socket(edge.source.type, edge.source.key, steps[edge.source.node], edge.location)


def _check_socket(type: SocketType, key: str, step: Step, location: Location) -> None:
    if type is SocketType.INPUT and step.input(key) is None:
        names = [item.name for item in step.inputs]
        raise spec_error(f"step `{step.name}` has no input `{key}`", location, did_you_mean(key, names))
    if type is SocketType.PARAMETER and step.parameter(key) is None:
        names = [item.name for item in step.parameters]
        raise spec_error(f"step `{step.name}` has no parameter `{key}`", location, did_you_mean(key, names))


def _check_single_source(edges: Iterable[Edge]) -> None:
    """Several edges into one input add up; into one parameter they contradict each other."""
    seen: set[tuple[SocketType, str]] = set()
    for edge in edges:
        key = (edge.target.type, edge.target.key)
        if edge.target.type in {SocketType.PARAMETER, SocketType.ENVIRONMENT_VARIABLE} and key in seen:
            raise spec_error(f"two edges lead to `{edge.target}`", edge.location)
        seen.add(key)
