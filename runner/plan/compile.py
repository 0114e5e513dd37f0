"""From what the file says and the user gave to a plan. Pure.

Values, the later the stronger: the step's default, the node's override, the pipeline's parameter, an edge (at binding),
the command line: an edge into something that the command line gives brings nothing, but still orders the nodes.
Everything that is wrong is refused here, before anything starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from runner.errors import ExitCode, Location, MlrunError, Severity, did_you_mean, spec_error, usage_error
from runner.job import Value
from runner.plan import graph
from runner.plan.limit import check_limits
from runner.plan.model import Arguments, Given, Plan, PlannedNode, Source
from runner.spec.check.pipeline import pipeline_problems
from runner.spec.model import (
    Edge,
    Node,
    OnError,
    Override,
    Parameter,
    ParameterType,
    Pipeline,
    Project,
    SocketType,
    Step,
)
from runner.spec.value import coerce


def compile_step(step: Step, arguments: Arguments, root: str) -> Plan:
    """A plan of one node, named like the step. `root` is the project folder. Raises MlrunError."""
    wishes = _Wishes(given=arguments.nodes.get(step.name, Given()))
    return Plan("exec", step.name, {step.name: _plan_node(step, wishes, arguments, root, name=step.name)})


def compile_pipeline(project: Project, pipeline: Pipeline, arguments: Arguments, root: str) -> Plan:
    """The plan of a pipeline. Raises MlrunError for what cannot be run, with the place in the file."""
    _check_names(pipeline, arguments)
    _check_wiring(project, pipeline)
    steps = {node.name: _node_step(project, node) for node in pipeline.nodes}
    targets = _pipeline_values(pipeline, arguments.parameters)
    incoming: dict[str, list[Edge]] = {node.name: [] for node in pipeline.nodes}
    for edge in pipeline.edges:
        incoming[edge.target.node].append(edge)
    planned = {
        node.name: _plan_node(
            steps[node.name],
            _Wishes(
                prefix=f"{node.name}.",
                override=node.override,
                targeted=targets.get(node.name, {}),
                given=arguments.nodes.get(node.name, Given()),
                edges=tuple(incoming[node.name]),
                append_edges=node.append_edges,
            ),
            arguments,
            root,
            name=node.name,
            on_error=node.on_error,
        )
        for node in pipeline.nodes
    }
    ordered = graph.order({name: node.upstream for name, node in planned.items()})
    return Plan("pipeline", pipeline.name, {name: planned[name] for name in ordered})


def _check_wiring(project: Project, pipeline: Pipeline) -> None:
    """Refuse what cannot be run: first what this version does not do, then what can never work."""
    for node in pipeline.nodes:
        reason = _unsupported(node)
        if reason:
            raise spec_error(f"node `{node.name}`: {reason}", node.location, hint="run its steps with `mlrun exec`")
    for edge in pipeline.edges:
        if edge.target.type is SocketType.FILE:
            hint = f"write `{edge.target.node}.input.{edge.target.key}` for an input of a step"
            raise spec_error(f"only a deployment node takes files, not `{edge.target}`", edge.location, hint)
    problems = pipeline_problems(project, pipeline, strict=True)
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if errors:
        first, *others = errors
        raise MlrunError(first.message, code=ExitCode.SPEC, location=first.location, hint=first.hint, problems=others)


def _node_step(project: Project, node: Node) -> Step:
    """The step of a node, its override's image, command and mounts applied."""
    step = project.steps[node.step or ""]
    if node.override is None:
        return step
    override = node.override
    return replace(
        step,
        image=override.image or step.image,
        command=override.command or step.command,
        mounts=override.mounts or step.mounts,
    )


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


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What is said about a node besides its step. `prefix` stands before a name in the options of the command line:
    `NODE.` in a pipeline. `targeted` are values of pipeline parameters, each with its place or option."""

    prefix: str = ""
    override: Override | None = None
    targeted: Mapping[str, tuple[object, Location | str]] = field(default_factory=dict)
    given: Given = field(default_factory=Given)
    edges: tuple[Edge, ...] = ()
    append_edges: bool = False

    @property
    def carrying(self) -> tuple[Edge, ...]:
        """The edges that will bring something: all but those into what the command line gives."""
        return tuple(edge for edge in self.edges if self.append_edges or not _is_given(edge, self.given))

    def feeds(self, type: SocketType, key: str) -> bool:
        """Whether an edge will bring a value or files for `key`."""
        return any((edge.target.type, edge.target.key) == (type, key) for edge in self.carrying)


def _plan_node(
    step: Step, wishes: _Wishes, arguments: Arguments, root: str, *, name: str, on_error: OnError = OnError.STOP_ALL
) -> PlannedNode:
    secrets = _secrets(step, wishes, arguments)
    environment = _environment(step, wishes, arguments.environment, secrets)
    check_limits(step, environment)
    return PlannedNode(
        name=name,
        step=replace(step, image=arguments.image) if arguments.image else step,
        parameters=_parameters(step, wishes),
        inputs=_inputs(step, wishes, arguments.folder, root),
        environment=environment,
        edges=wishes.carrying,
        upstream=tuple(dict.fromkeys(edge.source.node for edge in wishes.edges)),
        on_error=on_error,
        append_edges=wishes.append_edges,
        keep_going=arguments.keep_going,
        secrets=tuple(sorted(secrets)),
        files={item: files for item, files in wishes.given.files.items() if item not in wishes.given.inputs},
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


def _parameters(step: Step, wishes: _Wishes) -> dict[str, Value]:
    values: dict[str, Value] = {}
    override = wishes.override
    for parameter in step.parameters:
        raw: object = parameter.default
        origin: Location | str = parameter.location
        if override and parameter.name in override.parameters:
            raw, origin = override.parameters[parameter.name], override.location
        if parameter.name in wishes.targeted:
            raw, origin = wishes.targeted[parameter.name]
        if parameter.name in wishes.given.parameters:
            raw, origin = wishes.given.parameters[parameter.name], f"`--{wishes.prefix}{parameter.name}`"
        if raw is not None:
            values[parameter.name] = _value(parameter, raw, origin)
        elif not (_may_be_unset(parameter) or wishes.feeds(SocketType.PARAMETER, parameter.name)):
            raise usage_error(
                f"parameter `{parameter.name}` of step `{step.name}` has no value",
                hint=f"give one with `--{wishes.prefix}{parameter.name} VALUE`",
            )
    return values


def _may_be_unset(parameter: Parameter) -> bool:
    return parameter.optional or parameter.type is ParameterType.FLAG


def _value(parameter: Parameter, raw: object, origin: Location | str) -> Value:
    """The typed value; `origin` is the place in the file that gives `raw`, or the option of the command line."""
    if isinstance(origin, str):
        return coerce(parameter, raw, origin)
    try:
        return coerce(parameter, raw, f"parameter `{parameter.name}`")
    except MlrunError as error:
        raise spec_error(error.message, origin, error.hint) from None


def _inputs(step: Step, wishes: _Wishes, folder: str, root: str) -> dict[str, tuple[Source, ...]]:
    sources: dict[str, tuple[Source, ...]] = {}
    overridden = wishes.override.inputs if wishes.override else {}
    for declared in step.inputs:
        if declared.name in wishes.given.inputs:
            found = tuple(Source(uri, folder, trusted=True) for uri in wishes.given.inputs[declared.name])
        elif wishes.given.files.get(declared.name):
            sources[declared.name] = ()
            continue
        else:
            uris = overridden.get(declared.name, declared.default)
            found = tuple(Source(uri, root) for uri in uris if uri)
        if not found and not declared.optional and not wishes.feeds(SocketType.INPUT, declared.name):
            raise usage_error(
                f"input `{declared.name}` of step `{step.name}` has no files",
                hint=f"give some with `--{wishes.prefix}{declared.name} PATH`",
            )
        sources[declared.name] = found
    return sources


def _secrets(step: Step, wishes: _Wishes, arguments: Arguments) -> frozenset[str]:
    """Variables that get a secret: the user's word beats the file's, and what `--var` says may be read by all."""
    declared = {variable.name for variable in step.environment_variables}
    declared.update(wishes.override.environment_variables if wishes.override else ())
    return (arguments.secret | (arguments.granted & declared)) - arguments.environment.keys()


def _environment(
    step: Step, wishes: _Wishes, given: Mapping[str, str], secrets: frozenset[str] = frozenset()
) -> dict[str, str]:
    """The variables but for those that are secrets. Raises MlrunError for a required one that nothing gives."""
    values: dict[str, str] = {}
    overridden = wishes.override.environment_variables if wishes.override else {}
    for variable in step.environment_variables:
        value = given.get(variable.name, overridden.get(variable.name, variable.default))
        if value is not None:
            values[variable.name] = value
        elif not (
            variable.optional
            or variable.name in secrets
            or wishes.feeds(SocketType.ENVIRONMENT_VARIABLE, variable.name)
        ):
            raise usage_error(
                f"environment variable `{variable.name}` of step `{step.name}` has no value",
                hint=f"give one with `--var {variable.name}=VALUE`, a secret with `mlrun secret set {variable.name}`",
            )
    values |= {key: value for key, value in overridden.items() if value is not None} | dict(given)
    return {key: value for key, value in values.items() if key not in secrets}


def _pipeline_values(
    pipeline: Pipeline, given: Mapping[str, object]
) -> dict[str, dict[str, tuple[object, Location | str]]]:
    """What the pipeline's parameters set: values with their place in the file or their option, by node and name."""
    values: dict[str, dict[str, tuple[object, Location | str]]] = {}
    for parameter in pipeline.parameters:
        raw: object = parameter.default
        origin: Location | str = parameter.location
        if parameter.name in given:
            raw, origin = given[parameter.name], f"`--{parameter.name}`"
        if raw is not None:
            for node, name in parameter.targets:
                values.setdefault(node, {})[name] = (raw, origin)
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
