"""Whether the nodes and edges of a pipeline fit each other and their steps. Pure."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from runner.errors import Location, Problem, Severity, did_you_mean
from runner.spec.model import Edge, Node, Pipeline, Project, Socket, SocketType, Step
from runner.spec.normalise import items_of
from runner.spec.tree import Row, shorten

PAIRS = frozenset(
    {
        (SocketType.OUTPUT, SocketType.INPUT),
        (SocketType.INPUT, SocketType.INPUT),
        (SocketType.PARAMETER, SocketType.PARAMETER),
        (SocketType.METADATA, SocketType.PARAMETER),
        (SocketType.ENVIRONMENT_VARIABLE, SocketType.ENVIRONMENT_VARIABLE),
        (SocketType.OUTPUT, SocketType.FILE),
        (SocketType.INPUT, SocketType.FILE),
        (SocketType.DEPLOYMENT, SocketType.PARAMETER),
        (SocketType.DEPENDENCY, SocketType.DEPENDENCY),
    }
)
"""What an edge can carry from its source to its target."""

KNOWN_WHEN = ("node-starting", "node-complete", "node-error")
KNOWN_THEN = ("noop", "stop-pipeline", "error-pipeline", "require-approval")


def pipeline_problems(project: Project, pipeline: Pipeline, strict: bool) -> list[Problem]:
    """What is wrong with a pipeline, sorted by place.

    With `strict`, for a run, whatever dangles is an error, and a broken step that a node names is reported; required
    inputs and parameters that nothing feeds are left to the caller, who knows the command line (`unfed_problems`).
    """
    check = _Check(project, pipeline, strict)
    problems = list(check.problems())
    if not strict:
        problems += unfed_problems(project, pipeline)
    return sorted(problems, key=lambda problem: (problem.location, problem.code))


def unfed_problems(project: Project, pipeline: Pipeline) -> list[Problem]:
    """Required inputs and parameters of nodes that neither the file nor an edge gives a value, as warnings."""
    fed = {(edge.target.node, edge.target.type, edge.target.key) for edge in pipeline.edges}
    fed |= {(node, SocketType.PARAMETER, name) for item in pipeline.parameters for node, name in item.targets}
    problems = []
    for node in pipeline.nodes:
        step = _step_of(project, node)
        if step is None or node.type != "execution":
            continue
        for kind, name in _required(step, node):
            if (node.name, kind, name) not in fed:
                message = f"nothing feeds the {kind} `{shorten(name)}` of node `{shorten(node.name)}`"
                hint = f"give it a default, an edge, or `--{node.name}.{name}` on the command line"
                problems.append(Problem(Severity.WARNING, f"unfed-{kind}", message, node.location, hint))
    return problems


def _required(step: Step, node: Node) -> Iterator[tuple[SocketType, str]]:
    """The inputs and parameters that need a value, after the node's override."""
    inputs = node.override.inputs if node.override else {}
    parameters = node.override.parameters if node.override else {}
    for item in step.inputs:
        if not item.optional and not inputs.get(item.name, item.default):
            yield SocketType.INPUT, item.name
    for parameter in step.parameters:
        given = parameters.get(parameter.name, parameter.default)
        if given is None and (parameter.required or (parameter.name in parameters and not parameter.optional)):
            yield SocketType.PARAMETER, parameter.name


def _step_of(project: Project, node: Node) -> Step | None:
    """The step that a node runs, if this file can tell."""
    return None if node.commit or node.step is None else project.steps.get(node.step)


class _Check:
    def __init__(self, project: Project, pipeline: Pipeline, strict: bool) -> None:
        self._project = project
        self._pipeline = pipeline
        self._dangling = Severity.ERROR if strict else Severity.WARNING
        self._strict = strict
        self._nodes: Mapping[str, Node] = {node.name: node for node in pipeline.nodes}

    def problems(self) -> Iterator[Problem]:
        yield from self._node_problems()
        for node in self._pipeline.nodes:
            yield from self._reference_problems(node)
            yield from self._override_problems(node)
            yield from self._action_problems(node)
        for edge in self._pipeline.edges:
            yield from self._edge_problems(edge)
        yield from self._double_problems()
        yield from self._parameter_problems()
        yield from self._cycle_problems()

    def _node_problems(self) -> Iterator[Problem]:
        seen: dict[str, Location] = {}
        for node in self._pipeline.nodes:
            if before := seen.get(node.name):
                message = f"there is a node `{shorten(node.name)}` on line {before.line} too"
                yield Problem(Severity.ERROR, "duplicate-node", message, node.location, "give it another name")
            seen[node.name] = node.location

    def _reference_problems(self, node: Node) -> Iterator[Problem]:
        if node.commit:
            return
        noun = f"node `{shorten(node.name)}`"
        step = node.step
        if node.task is not None:
            tree = self._project.tree
            tasks = {str(body.get("name")): body for body in items_of(tree, "task")} if isinstance(tree, Row) else {}
            if node.task not in tasks:
                message = f"{noun} runs task `{shorten(node.task)}`, which does not exist"
                hint = did_you_mean(node.task, tasks) or "the file has no task"
                yield Problem(Severity.ERROR, "unknown-task", message, node.location, hint)
            else:
                step, noun = str(tasks[node.task].get("step")), f"the task of {noun}"
        if step is None or step in self._project.steps:
            return
        broken = [problem for kind, name, problem in self._project.broken if (kind, name) == ("step", step)]
        if not broken:
            message = f"{noun} runs step `{shorten(step)}`, which does not exist"
            hint = did_you_mean(step, self._project.steps) or "the file has no step"
            yield Problem(Severity.ERROR, "unknown-step", message, node.location, hint)
        elif self._strict:
            yield broken[-1]

    def _override_problems(self, node: Node) -> Iterator[Problem]:
        step = _step_of(self._project, node)
        if step is None or node.override is None:
            return
        inputs, parameters = [item.name for item in step.inputs], [item.name for item in step.parameters]
        for kind, names, known in (
            ("input", node.override.inputs, inputs),
            ("parameter", node.override.parameters, parameters),
        ):
            for name in names:
                if name not in known:
                    message = (
                        f"node `{shorten(node.name)}` overrides the {kind} `{shorten(name)}`, which its step lacks"
                    )
                    hint = did_you_mean(name, known) or f"step `{shorten(step.name)}` has no {kind}s"
                    yield Problem(Severity.ERROR, "unknown-override", message, node.override.location, hint)

    def _action_problems(self, node: Node) -> Iterator[Problem]:
        for action in node.actions:
            words = [(word, KNOWN_WHEN) for word in action.when] + [(word, KNOWN_THEN) for word in action.then]
            for word, known in words:
                if word not in known:
                    message = f"an action of node `{shorten(node.name)}` has the unknown word `{shorten(word)}`"
                    guess = did_you_mean(word, known)
                    yield Problem(Severity.WARNING, "unknown-action", message, action.location, guess)

    def _edge_problems(self, edge: Edge) -> Iterator[Problem]:
        ends = (edge.source, edge.target)
        for socket in ends:
            if socket.node not in self._nodes:
                message = f"pipeline `{shorten(self._pipeline.name)}` has no node `{shorten(socket.node)}`"
                hint = did_you_mean(socket.node, self._nodes) or "the pipeline has no nodes"
                yield Problem(Severity.ERROR, "unknown-node", message, edge.location, hint)
            else:
                yield from self._socket_problems(socket, edge)
        if (edge.source.type, edge.target.type) not in PAIRS:
            message = f"an edge cannot carry {edge.source.type} to {edge.target.type}"
            fitting = sorted(str(target) for source, target in PAIRS if source is edge.source.type)
            guess = f"{edge.source.type} goes to {' or '.join(fitting)}" if fitting else None
            yield Problem(self._dangling, "edge-pair", message, edge.location, guess)

    def _socket_problems(self, socket: Socket, edge: Edge) -> Iterator[Problem]:
        step = _step_of(self._project, self._nodes[socket.node])
        if step is None or socket.type not in (SocketType.INPUT, SocketType.PARAMETER):
            return
        items = step.inputs if socket.type is SocketType.INPUT else step.parameters
        names = [item.name for item in items]
        pattern = socket is edge.source and socket.type is SocketType.INPUT
        if socket.key in names or (pattern and any(fnmatchcase(name, socket.key) for name in names)):
            return
        message = (
            f"step `{shorten(step.name)}` of node `{shorten(socket.node)}` has no {socket.type} `{shorten(socket.key)}`"
        )
        hint = did_you_mean(socket.key, names) or f"it has no {socket.type}s"
        yield Problem(self._dangling, "dangling-edge", message, edge.location, hint)

    def _double_problems(self) -> Iterator[Problem]:
        seen: dict[tuple[str, str], Location] = {}
        for edge in self._pipeline.edges:
            if edge.target.type is not SocketType.PARAMETER:
                continue
            key = (edge.target.node, edge.target.key)
            if before := seen.get(key):
                message = f"`{shorten(str(edge.target))}` gets a value from the edge on line {before.line} too"
                yield Problem(self._dangling, "double-edge", message, edge.location, "keep one of them")
            seen[key] = edge.location

    def _parameter_problems(self) -> Iterator[Problem]:
        for parameter in self._pipeline.parameters:
            noun = f"pipeline parameter `{shorten(parameter.name)}`"
            if not parameter.targets:
                hint = "name its `targets`, such as `train.parameter.epochs`"
                yield Problem(Severity.WARNING, "no-target", f"{noun} sets nothing", parameter.location, hint)
            for node_name, name in parameter.targets:
                node = self._nodes.get(node_name)
                step = _step_of(self._project, node) if node else None
                said, known = "", list(self._nodes)
                if node is None:
                    said = f"sets node `{shorten(node_name)}`, which does not exist"
                elif step is not None and step.parameter(name) is None:
                    known = [item.name for item in step.parameters]
                    said = f"sets `{shorten(name)}`, which step `{shorten(step.name)}` lacks"
                if said:
                    guess = did_you_mean(name if node else node_name, known)
                    yield Problem(Severity.ERROR, "unknown-target", f"{noun} {said}", parameter.location, guess)

    def _cycle_problems(self) -> Iterator[Problem]:
        """One problem for each cycle that shares no node with one reported before."""
        following: dict[str, dict[str, Edge]] = {name: {} for name in self._nodes}
        for edge in self._pipeline.edges:
            if edge.source.node in following and edge.target.node in following:
                following[edge.source.node].setdefault(edge.target.node, edge)
        done: set[str] = set()
        reported: set[str] = set()
        for start in self._nodes:
            path: dict[str, Iterator[str]] = {} if start in done else {start: iter(following[start])}
            while path:
                here = next(reversed(path))
                target = next(path[here], None)
                if target is None:
                    done.add(here)
                    del path[here]
                elif target in path and not (here in reported and target in reported):
                    names = list(path)[list(path).index(target) :]
                    if reported.isdisjoint(names):
                        reported.update(names)
                        yield _cycle(names, following[here][target])
                elif target not in done and target not in path:
                    path[target] = iter(following[target])


def _cycle(names: list[str], edge: Edge) -> Problem:
    shown = [f"`{shorten(name)}`" for name in [*names, names[0]]]
    if len(shown) > 12:
        shown = [*shown[:6], "…", *shown[-5:]]
    message = f"these nodes wait for each other: {' → '.join(shown)}"
    return Problem(Severity.ERROR, "cycle", message, edge.location, "remove one of their edges")
