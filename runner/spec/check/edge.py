"""The edges of a pipeline: where they begin and end, and what they can carry. Pure."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from runner.spec.check.sheet import Findings
from runner.spec.model import Edge, Node, Pipeline, Socket, SocketType, Step
from runner.spec.tree import Place, shorten

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

DEPLOYMENT_KEYS = ("id", "version_id")
"""What a deployment node has to give."""

_OF_DEPLOYMENT = (SocketType.FILE, SocketType.DEPLOYMENT, SocketType.DEPENDENCY)
"""The ends that a deployment node has."""


def check_edges(findings: Findings, pipeline: Pipeline) -> None:
    """Every edge of a pipeline."""
    check = _Edges(findings, pipeline)
    for edge in pipeline.edges:
        check.edge(edge)


class _Edges:
    def __init__(self, findings: Findings, pipeline: Pipeline) -> None:
        self._findings = findings
        self._pipeline = pipeline
        self._nodes: Mapping[str, Node] = {node.name: node for node in pipeline.nodes}
        self._given: dict[tuple[str, str], int] = {}
        self._names: dict[tuple[str | None, str, SocketType], frozenset[str]] = {}

    def edge(self, edge: Edge) -> None:
        ends = self._findings.sheet.ends(self._pipeline, edge)
        for socket, place in zip((edge.source, edge.target), ends, strict=True):
            node = self._nodes.get(socket.node)
            if node is None:
                message = f"pipeline `{shorten(self._pipeline.name)}` has no node `{shorten(socket.node)}`"
                hint = self._findings.sheet.guess(socket.node, self._nodes, "the pipeline has no nodes")
                self._findings.error("unknown-node", message, self._findings.sheet.part(place, 0), hint)
            elif socket.type in (SocketType.INPUT, SocketType.PARAMETER) and node.type != "deployment":
                self._check_name(socket, place, node, socket is edge.source)
            elif socket.type is SocketType.FILE and node.type == "deployment" and not node.commit:
                self._check_file(socket, place, node)
            elif socket.type is SocketType.DEPLOYMENT and socket.key not in DEPLOYMENT_KEYS:
                message = f"a deployment has no `{shorten(socket.key)}`"
                hint = self._findings.sheet.guess(socket.key, DEPLOYMENT_KEYS)
                self._findings.dangle("dangling-edge", message, self._findings.sheet.part(place, 2), hint)
        self._check_pair(edge, ends)
        if edge.target.type is SocketType.PARAMETER:
            self._check_double(edge.target, ends[1])

    def _check_name(self, socket: Socket, place: Place, node: Node, source: bool) -> None:
        step = self._findings.sheet.step_of(node)
        if step is None:
            return
        names = self._names_of(node, step, socket.type)
        pattern = source and socket.type is SocketType.INPUT
        if socket.key in names or (pattern and any(fnmatchcase(name, socket.key) for name in names)):
            return
        said = f"step `{shorten(step.name)}` of node `{shorten(socket.node)}`"
        message = f"{said} has no {socket.type} `{shorten(socket.key)}`"
        hint = self._findings.sheet.guess(socket.key, names, f"it has no {socket.type}s")
        self._findings.dangle("dangling-edge", message, self._findings.sheet.part(place, 2), hint)

    def _names_of(self, node: Node, step: Step, type_: SocketType) -> frozenset[str]:
        key = (node.commit, step.name, type_)
        if key not in self._names:
            items = step.inputs if type_ is SocketType.INPUT else step.parameters
            self._names[key] = frozenset(item.name for item in items)
        return self._names[key]

    def _check_file(self, socket: Socket, place: Place, node: Node) -> None:
        """`file.ENDPOINT.FILE`, of an endpoint that the node deploys."""
        endpoint, dot, file = socket.key.partition(".")
        files = self._findings.sheet.endpoint_files
        known = {name: files[name] for name in node.endpoints if name in files}
        if endpoint in known and file in known[endpoint]:
            return
        hint: str | None
        if not dot:
            said, hint = f"`{shorten(socket.key)}` is not of the form `endpoint.file`", "such as `predict.model`"
        elif endpoint not in known:
            said = f"node `{shorten(node.name)}` deploys no endpoint `{shorten(endpoint)}`"
            hint = self._findings.sheet.guess(endpoint, known, "name it in the node's `endpoints`")
        else:
            said = f"endpoint `{shorten(endpoint)}` expects no file `{shorten(file)}`"
            hint = self._findings.sheet.guess(file, known[endpoint], "it has no `files`")
        self._findings.dangle("unknown-endpoint", said, self._findings.sheet.part(place, 2), hint)

    def _check_pair(self, edge: Edge, ends: tuple[Place, Place]) -> None:
        source, target = edge.source.type, edge.target.type
        sheet = self._findings.sheet
        if (source, target) not in PAIRS:
            fitting = sorted(str(other) for one, other in PAIRS if one is source)
            guess = f"{source} goes to {' or '.join(fitting)}" if fitting else f"nothing comes from a {source}"
            said = f"an edge cannot carry {source} to {target}"
            self._findings.dangle("edge-pair", said, sheet.part(ends[1] if fitting else ends[0], 1), guess)
            return
        for socket, place in zip((edge.source, edge.target), ends, strict=True):
            node = self._nodes.get(socket.node)
            if node is not None and _misplaced(socket.type, node):
                said = f"node `{shorten(node.name)}` is of type `{node.type}`, which has no {socket.type}"
                hint = "a deployment has files, a step has inputs" if socket is edge.target else None
                self._findings.dangle("edge-pair", said, sheet.part(place, 1), hint)

    def _check_double(self, target: Socket, place: Place) -> None:
        key = (target.node, target.key)
        if before := self._given.get(key):
            message = f"`{shorten(str(target))}` gets a value from the edge on line {before} too"
            self._findings.dangle("double-edge", message, self._findings.sheet.at(place), "keep one of them")
        self._given[key] = place[0]


def _misplaced(type_: SocketType, node: Node) -> bool:
    if node.type == "deployment":
        return type_ not in _OF_DEPLOYMENT
    return type_ in (SocketType.FILE, SocketType.DEPLOYMENT)
