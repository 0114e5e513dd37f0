"""From what the file says and the user gave to a plan. Pure.

Values, the later the stronger: the step's default, the node's override, what its task varies, the pipeline's parameter,
an edge (at binding), the command line: an edge into something that the command line gives brings nothing, but still
orders the nodes. Everything that is wrong is refused here, before anything starts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from runner.errors import ExitCode, Location, MlrunError, Severity, did_you_mean, spec_error, usage_error
from runner.plan import graph
from runner.plan.limit import check_limits
from runner.plan.model import Arguments, Commit, Given, Plan, PlannedNode, Service, Tuning
from runner.plan.space import check_trials
from runner.plan.task import known_step, swept, tuned
from runner.plan.value import Wishes, choose_environment, choose_inputs, choose_parameters, choose_secrets
from runner.settings import RETRIES
from runner.spec.check.pipeline import pipeline_problems
from runner.spec.extension import Policy
from runner.spec.model import Edge, Node, OnError, Pipeline, Project, SocketType, Step, Task

LIBRARY = "library:"
"""Begins the `commit` of a node that is in no repository of the user's."""

_NO_COMMITS: Mapping[str, Commit] = MappingProxyType({})


def compile_step(step: Step, arguments: Arguments, root: str, policy: Policy | None = None) -> Plan:
    """A plan of one node, named like the step. `root` is the project folder; `policy` is the step's. Raises
    MlrunError."""
    wishes = Wishes(given=arguments.nodes.get(step.name, Given()))
    node = _with_policy(_plan_node(step, wishes, arguments, root, name=step.name), policy)
    return Plan("exec", step.name, {step.name: node}, arguments=arguments)


def compile_task(project: Project, name: str, arguments: Arguments, root: str) -> Plan:
    """A plan of one task node: of the task of this name, or of the sweep over the step of this name for which the
    command line has values. Raises MlrunError."""
    tuning = arguments.tuning or Tuning()
    task = swept(project.steps[name], tuning) if tuning.sweep else project.tasks[name]
    step = known_step(project, task)
    wishes = Wishes(given=arguments.nodes.get(name, Given()), task=task)
    node = replace(_plan_node(step, wishes, arguments, root, name=name), kind="task")
    node = tuned(_with_policy(node, project.policies.get(step.name)), tuning)
    check_trials(node)
    return Plan("task", name, {name: node}, arguments=arguments)


def compile_pipeline(
    project: Project,
    pipeline: Pipeline,
    arguments: Arguments,
    root: str,
    *,
    commits: Mapping[str, Commit] = _NO_COMMITS,
    retries: int = RETRIES,
) -> Plan:
    """The plan of a pipeline. `commits` are those at which nodes are, by the names that they give them; `retries` is
    how many times more a node is tried whose `on-error` is `retry`. The policies of `project` are for all nodes.

    Raises MlrunError for what cannot be run, with the place in the file.
    """
    _check_names(pipeline, arguments)
    _check_wiring(project, pipeline, commits)
    targets = _pipeline_values(pipeline, arguments.parameters)
    incoming: dict[str, list[Edge]] = {node.name: [] for node in pipeline.nodes}
    for edge in pipeline.edges:
        incoming[edge.target.node].append(edge)
    planned: dict[str, PlannedNode] = {}
    for node in pipeline.nodes:
        commit = commits[node.commit] if node.commit else None
        source, edges = commit.project if commit else project, tuple(incoming[node.name])
        if node.type == "deployment":
            one = _plan_deployment(source, node, edges)
        else:
            one = _plan_work(source, node, edges, targets.get(node.name, {}), arguments, root)
            again = retries if node.on_error is OnError.RETRY else 0
            one = _with_policy(one, project.policies.get(one.step.name), again)
        planned[node.name] = replace(
            one,
            kind=node.type,
            on_error=node.on_error,
            # What is only taken as it was asks nobody once more.
            actions=() if node.name in arguments.taken else node.actions,
            commit=commit.id if commit else None,
            taken_from=arguments.taken.get(node.name),
        )
        check_trials(planned[node.name])
    ordered = graph.order({name: node.upstream for name, node in planned.items()})
    return Plan("pipeline", pipeline.name, {name: planned[name] for name in ordered}, arguments=arguments)


# What is refused ------------------------------------------------------------------------------------------------------


def _check_names(pipeline: Pipeline, arguments: Arguments) -> None:
    known = [parameter.name for parameter in pipeline.parameters]
    for name in arguments.parameters:
        if name not in known:
            raise usage_error(f"pipeline `{pipeline.name}` has no parameter `{name}`", hint=did_you_mean(name, known))
    nodes = [node.name for node in pipeline.nodes]
    for name in arguments.nodes:
        if name not in nodes:
            raise usage_error(f"pipeline `{pipeline.name}` has no node `{name}`", hint=did_you_mean(name, nodes))


def _check_wiring(project: Project, pipeline: Pipeline, commits: Mapping[str, Commit]) -> None:
    """Refuse what cannot be run: first what is not here, then what can never work."""
    types = {node.name: node.type for node in pipeline.nodes}
    for node in pipeline.nodes:
        if node.commit and node.commit not in commits:
            said = (
                "a library, and only Valohai has those" if node.commit.startswith(LIBRARY) else "no commit of this run"
            )
            raise spec_error(
                f"node `{node.name}` is at `{node.commit}`, which is {said}",
                node.location,
                "copy its step into your file, or name a commit of this repository",
            )
    for edge in pipeline.edges:
        if edge.target.type is SocketType.FILE and types.get(edge.target.node) in ("execution", "task"):
            hint = f"write `{edge.target.node}.input.{edge.target.key}` for an input of a step"
            raise spec_error(f"only a deployment node takes files, not `{edge.target}`", edge.location, hint)
    files = {name: commit.project for name, commit in commits.items()}
    problems = pipeline_problems(project, pipeline, strict=True, others=files)
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if errors:
        first, *others = errors
        raise MlrunError(first.message, code=ExitCode.SPEC, location=first.location, hint=first.hint, problems=others)


# Nodes ----------------------------------------------------------------------------------------------------------------


def _plan_work(
    project: Project,
    node: Node,
    edges: tuple[Edge, ...],
    targeted: Mapping[str, tuple[object, Location | str]],
    arguments: Arguments,
    root: str,
) -> PlannedNode:
    """A node that runs a step, or the trials of one. `project` is the file in which that step is."""
    task = _task_of(project, node)
    step = project.steps[task.step if task else node.step or ""]
    override = node.override
    if override is not None:
        step = replace(
            step,
            image=override.image or step.image,
            command=override.command or step.command,
            mounts=override.mounts or step.mounts,
        )
    given = arguments.nodes.get(node.name, Given())
    known = [*(one.name for one in step.parameters), *(one.name for one in step.inputs)]
    for name in (*given.parameters, *given.inputs):
        if name not in known:
            raise usage_error(f"step `{step.name}` of node `{node.name}` has no `{name}`", did_you_mean(name, known))
    wishes = Wishes(
        prefix=f"{node.name}.",
        override=override,
        targeted=targeted,
        given=given,
        edges=edges,
        append_edges=node.append_edges,
        task=task,
    )
    return _plan_node(step, wishes, arguments, root, name=node.name)


def _task_of(project: Project, node: Node) -> Task | None:
    """The task of a task node; one that names a bare step has one trial, unless a list spreads over more."""
    if node.type != "task":
        return None
    return project.tasks[node.task] if node.task else Task(node.name, node.location, node.step or "")


def _plan_deployment(project: Project, node: Node, edges: tuple[Edge, ...]) -> PlannedNode:
    """A node that runs nothing. Raises MlrunError for a file of an endpoint that no edge brings."""
    deployment = node.deployment or node.name
    brought = {edge.target.key for edge in edges if edge.target.type is SocketType.FILE}
    files = tuple((name, file.name) for name in node.endpoints for file in project.endpoints[name].files)
    for endpoint, file in files:
        if f"{endpoint}.{file}" not in brought:
            raise spec_error(
                f"nothing brings file `{file}` of endpoint `{endpoint}` to node `{node.name}`",
                node.location,
                f"add an edge such as `[train.output.FILE, {node.name}.file.{endpoint}.{file}]`",
            )
    return PlannedNode(
        name=node.name,
        step=Step(name=deployment, location=node.location, image="", command=()),
        parameters={},
        inputs={},
        environment={},
        edges=edges,
        upstream=_sources(edges),
        service=Service(deployment, node.endpoints, node.aliases, files),
    )


def _plan_node(step: Step, wishes: Wishes, arguments: Arguments, root: str, *, name: str) -> PlannedNode:
    secrets = choose_secrets(step, wishes, arguments)
    environment = choose_environment(step, wishes, arguments.environment, secrets)
    check_limits(step, environment)
    parameters, task = choose_parameters(step, wishes)
    return PlannedNode(
        name=name,
        step=replace(step, image=arguments.image) if arguments.image else step,
        parameters=parameters,
        inputs=choose_inputs(step, wishes, arguments.folder, root),
        environment=environment,
        edges=wishes.carrying,
        upstream=_sources(wishes.edges),
        append_edges=wishes.append_edges,
        keep_going=arguments.keep_going,
        secrets=tuple(sorted(secrets)),
        files={item: files for item, files in wishes.given.files.items() if item not in wishes.given.inputs},
        task=task,
    )


def _sources(edges: Sequence[Edge]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(edge.source.node for edge in edges))


def _with_policy(node: PlannedNode, policy: Policy | None, retries: int = 0) -> PlannedNode:
    """A node with what a policy says of its step; where it does not say how often the node is tried again, `retries`
    counts."""
    if policy is None:
        return replace(node, retries=retries)
    return replace(
        node,
        retries=retries if policy.retries is None else policy.retries,
        pool=policy.pool,
        priority=policy.priority or 0,
        pruning=policy.pruning if node.task else None,
    )


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
