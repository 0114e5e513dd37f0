"""What the result of a node depends on: its effective definition, after override, pipeline parameters and edges. Pure.

Lenient: a value that its parameter cannot have counts as it is written, and nothing here refuses a file; whether it
can be run is another question. The order in which values win is that of a run: default, override, pipeline parameter,
edge.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from runner.change.fact import (
    ENDPOINT_NO_EFFECT,
    NO_EFFECT,
    NODE_READ,
    PLACE_NO_EFFECT,
    TASK_NO_EFFECT,
    TYPED,
    UNKNOWN,
    Facts,
    Found,
    Socket,
    coerced,
    joint,
    mappings,
    passing,
    socket_of,
)
from runner.change.shape import Body
from runner.change.value import frozen
from runner.digest import hash_bytes
from runner.spec.command import ALL_PARAMETERS, find_braced, named_parameters
from runner.spec.model import (
    Edge,
    EnvironmentVariable,
    Input,
    Node,
    Parameter,
    ParameterType,
    Pipeline,
    Project,
    SocketType,
    Step,
)


@dataclass(slots=True)
class Effects:
    """The facts of nodes and steps of one file; `bodies` are the items of its tree by kind and name."""

    project: Project
    bodies: Mapping[str, Mapping[str, Body]]

    def of_step(self, step: Step) -> Facts:
        """The facts of a step that is run by itself."""
        return _Walk(self, None, {}).step_facts(step, None, None)

    def of_pipeline(self, pipeline: Pipeline, called: Mapping[str, str]) -> dict[str, Facts | None]:
        """The facts of each node; None for a node whose step or task this file lacks or has broken. `called` gives
        the names under which other nodes are spoken of: those of the head side, for a pipeline of the base side."""
        walk = _Walk(self, pipeline, called)
        facts = {node.name: walk.facts(node) for node in walk.ordered()}
        return {node.name: facts[node.name] for node in pipeline.nodes}

    def step_of(self, node: Node) -> Step | None:
        """The step that a node runs, itself or by its task."""
        name = node.step
        if node.task is not None:
            step = self.bodies.get("task", {}).get(node.task, {}).get("step")
            name = step if isinstance(step, str) else None
        return self.project.steps.get(name) if name else None


class _Walk:
    """Follows the edges of one pipeline, each end once. Every node comes after those it takes from, so that no chain of
    edges is followed further than one of them; what lies on a cycle or below one takes unknown values."""

    def __init__(self, effects: Effects, pipeline: Pipeline | None, called: Mapping[str, str]) -> None:
        self._effects = effects
        self._called = called
        self._nodes = {node.name: node for node in pipeline.nodes} if pipeline else {}
        self._into: dict[tuple[str, SocketType, str], list[Edge]] = {}
        self._sockets: dict[str, list[tuple[SocketType, str]]] = {}
        self._targeted: dict[tuple[str, str], object] = {}
        self._raw: dict[str, Body] = {}
        self._tangled: set[str] = set()
        self._known: dict[tuple[str, str, str], Found] = {}
        self._uris: dict[tuple[str, str], tuple[str, ...]] = {}
        self._said: dict[str, dict[tuple[Socket, Socket], object]] = {}
        if pipeline is None:
            return
        for edge in pipeline.edges:
            self._into.setdefault((edge.target.node, edge.target.type, edge.target.key), []).append(edge)
        for name, type, key in self._into:
            self._sockets.setdefault(name, []).append((type, key))
        for parameter in pipeline.parameters:
            if parameter.default is not None:
                self._targeted |= dict.fromkeys(parameter.targets, parameter.default)
        body = effects.bodies.get("pipeline", {}).get(pipeline.name, {})
        self._raw = {str(row.get("name")): row for row in mappings(body.get("nodes"))}
        for row in mappings(body.get("edges")):
            if more := {key: value for key, value in row.items() if key not in ("source", "target") and value}:
                ends = socket_of(row.get("source")), socket_of(row.get("target"))
                self._said.setdefault(ends[1][0], {})[ends] = frozen(more)

    def ordered(self) -> list[Node]:
        """All nodes, each after its upstreams; those on cycles and below them last."""
        waiting = {name: set[str]() for name in self._nodes}
        below: dict[str, list[str]] = {name: [] for name in self._nodes}
        for (target, _, _), edges in self._into.items():
            for edge in edges:
                if target in waiting and edge.source.node in waiting and edge.source.node not in waiting[target]:
                    waiting[target].add(edge.source.node)
                    below[edge.source.node].append(target)
        ready = [name for name, upstream in waiting.items() if not upstream]
        for name in ready:
            for target in below[name]:
                waiting[target].discard(name)
                ready += [] if waiting[target] else [target]
        self._tangled = {name for name, upstream in waiting.items() if upstream}
        return [self._nodes[name] for name in [*ready, *self._tangled]]

    def facts(self, node: Node) -> Facts | None:
        """The facts of a node; None if its step or task is missing or broken."""
        found = self._node_facts(node)
        if found is not None:
            edges = (edge for socket in self._sockets.get(node.name, ()) for edge in self._into[node.name, *socket])
            found.missing = {edge.source.node: None for edge in edges if edge.source.node not in self._nodes}
            self._add_other_keys(found, node)
        return found

    def _add_other_keys(self, facts: Facts, node: Node) -> None:
        """What a node and the edges to it say besides: nobody knows that it has no effect."""
        for key, value in self._raw.get(node.name, {}).items():
            if key not in NODE_READ and value is not None:
                facts.values["key", key] = frozen(value)
        for (source, target), said in self._said.get(node.name, {}).items():
            ends = (self._name(source[0]), *source[1:]), (self._name(target[0]), *target[1:])
            facts.values["further keys of edge", " → ".join(".".join(filter(None, end)) for end in ends)] = said

    def _node_facts(self, node: Node) -> Facts | None:
        if node.type == "deployment":
            return self._deployment_facts(node)
        if node.commit:
            return self._foreign_facts(node)
        step = self._effects.step_of(node)
        if step is None:
            return None
        facts = self.step_facts(step, node, self._raw.get(node.name, {}).get("override"))
        if node.task is not None:
            body = self._effects.bodies.get("task", {}).get(node.task, {})
            facts.values["task", None] = frozen({key: body[key] for key in body if key not in TASK_NO_EFFECT})
        elif node.type == "task":
            facts.values["type of node", None] = "task"
        return facts

    def step_facts(self, step: Step, node: Node | None, override: object) -> Facts:
        """The facts of a step, of itself or as a node runs it."""
        facts = Facts()
        over = node.override if node else None
        raw: Body = override if isinstance(override, Mapping) else {}
        command = (over.command if over else ()) or step.command
        texts = [item.text for item in command]
        facts.values["image", None] = (over.image if over else None) or step.image
        facts.values["command", None] = "\n".join(texts)
        facts.texts += texts
        self._add_parameters(facts, step, node, "\n".join(texts))
        for declared in step.inputs:
            self._add_input(facts, declared, node)
        self._add_variables(facts, step.environment_variables, node)
        if step.source_path and any("{source-path}" in text for text in texts):
            facts.values["source-path", None] = step.source_path
            facts.texts.append(step.source_path)
        if any(mounts := [body.get("mounts") for body in (step.source, raw)]):
            facts.values["mounts", None] = frozen(mounts)
        for prefix, body in (("", step.source), ("override.", raw)):
            for key, value in body.items():
                if key not in NO_EFFECT and key not in TYPED and value is not None:
                    facts.values["key", prefix + key] = frozen(value)
        return facts

    def _add_parameters(self, facts: Facts, step: Step, node: Node | None, command: str) -> None:
        """Parameters that nothing sets are not passed and count for nothing, unless the command names them."""
        braced = find_braced([command])
        whole = not braced.isdisjoint(ALL_PARAMETERS)
        uris = [uri for declared in step.inputs for uri in self._files(node, declared)[0][0]]
        bare = named_parameters(find_braced(uris))
        order = []
        for parameter in step.parameters:
            value, reads = self._parameter(node, parameter)
            facts.reads |= dict.fromkeys(reads)
            named = f"parameter:{parameter.name}" in braced
            if parameter.type is ParameterType.FLAG:
                passed = whole or named
            elif value is None and not named:
                continue
            else:
                passed = value is not None and (whole or named)
            facts.values["parameter", parameter.name] = (
                frozen(False if value is None and parameter.type is ParameterType.FLAG else value),
                passing(parameter, value) if passed else named,
                joint(parameter, value)
                if parameter.name in bare or f"parameter-value:{parameter.name}" in braced
                else None,
            )
            order += [parameter.name] if whole else []
            for atom in value if isinstance(value, list) else [value]:
                facts.texts += [atom] if isinstance(atom, str) else []
        facts.order = tuple(order)

    def _parameter(self, node: Node | None, parameter: Parameter) -> Found:
        """The effective value, as far as the file can tell, and the nodes that it comes from."""
        if node is None:
            return coerced(parameter, parameter.default), ()
        return self._once(node.name, "parameter", parameter.name, lambda: self._find_parameter(node, parameter))

    def _find_parameter(self, node: Node, parameter: Parameter) -> Found:
        for edge in reversed(self._into.get((node.name, SocketType.PARAMETER, parameter.name), ())):
            source = self._nodes.get(edge.source.node)
            if source is None:
                continue
            if edge.source.type is SocketType.PARAMETER:
                step = self._followed(source)
                other = step.parameter(edge.source.key) if step else None
                if other is not None:
                    value, reads = self._parameter(source, other)
                    return (value if isinstance(value, tuple) else coerced(parameter, value)), reads
            return ("from", self._name(source.name), str(edge.source.type), edge.source.key), (source.name,)
        raw: object = parameter.default
        if node.override and parameter.name in node.override.parameters:
            raw = node.override.parameters[parameter.name]
        return coerced(parameter, self._targeted.get((node.name, parameter.name), raw)), ()

    def _followed(self, source: Node | None) -> Step | None:
        """The step of a node whose own values this file tells: not of another commit, a sweep or a cycle."""
        if source is None or source.commit or source.type == "task" or source.name in self._tangled:
            return None
        return self._effects.step_of(source)

    def _once(self, node: str, kind: str, key: str, find: Callable[[], Found]) -> Found:
        """A value that is found once; one that depends on itself is unknown."""
        place = (node, kind, key)
        if place not in self._known:
            self._known[place] = (UNKNOWN, ())
            self._known[place] = find()
        return self._known[place]

    def _add_input(self, facts: Facts, declared: Input, node: Node | None) -> None:
        (uris, feeds), reads = self._files(node, declared)
        facts.reads |= dict.fromkeys(reads)
        facts.sources += self._uris.get((node.name, declared.name), uris) if node else uris
        placed = (str(declared.keep_directories), declared.filename, declared.on_demand)
        facts.values["input", declared.name] = (uris, placed)
        if feeds:
            facts.values["what edges bring into input", declared.name] = feeds

    def _files(self, node: Node | None, declared: Input) -> tuple[tuple[tuple[str, ...], object], tuple[str, ...]]:
        """The URIs of an input and what edges bring into it, and the nodes that these read."""
        if node is None:
            return (declared.default, ()), ()
        (found, reads) = self._once(node.name, "input", declared.name, lambda: self._find_files(node, declared))
        uris, feeds = found if isinstance(found, tuple) and len(found) == 2 else ((), found)
        return (uris, feeds), reads

    def _find_files(self, node: Node, declared: Input) -> Found:
        uris = declared.default
        if node.override and declared.name in node.override.inputs:
            uris = node.override.inputs[declared.name]
        feeds: list[object] = []
        reads: list[str] = []
        carried: list[str] = []
        for edge in self._into.get((node.name, SocketType.INPUT, declared.name), ()):
            what, who = self._carried(edge)
            feeds.append(what)
            reads += who
            carried += self._uris_of(edge)
        kept = () if feeds and not node.append_edges else uris
        self._uris[node.name, declared.name] = tuple(dict.fromkeys([*kept, *carried]))
        return (kept, tuple(feeds)), tuple(dict.fromkeys(reads))

    def _uris_of(self, edge: Edge) -> tuple[str, ...]:
        """The defaults of inputs that an edge passes on, from as far up as it takes them."""
        return self._uris.get((edge.source.node, edge.source.key), ()) if edge.source.type is SocketType.INPUT else ()

    def _carried(self, edge: Edge) -> Found:
        """What an edge brings: another input's files if it leads from one, else what its node writes."""
        source = self._nodes.get(edge.source.node)
        step = self._followed(source)
        other = step.input(edge.source.key) if step and edge.source.type is SocketType.INPUT else None
        if source is not None and step is not None and other is not None:
            return self._once(source.name, "carried", other.name, lambda: self._passed_on(source, step, other))
        return (self._name(edge.source.node), str(edge.source.type), edge.source.key), (
            (source.name,) if source else ()
        )

    def _passed_on(self, source: Node, step: Step, declared: Input) -> Found:
        """What an edge brings that leads from an input: its files, with the parameters that their URIs name."""
        files, reads = self._files(source, declared)
        names = named_parameters(find_braced(files[0]))
        named = [item for item in step.parameters if item.name in names]
        values = [self._parameter(source, item) for item in named]
        told = (
            files,
            [(item.name, joint(item, value), value) for item, (value, _) in zip(named, values, strict=True)],
        )
        # As a digest: along a chain of edges, values in values would grow deeper than can be compared.
        digest = hash_bytes(repr(told).encode("utf-8", "surrogatepass"))
        makers = dict.fromkeys([*reads, *(name for _, names in values for name in names)])
        return ("input", digest, str(declared.keep_directories), declared.filename), tuple(makers)

    def _add_variables(self, facts: Facts, declared: Iterable[EnvironmentVariable], node: Node | None) -> None:
        values: dict[str, object] = {variable.name: variable.default for variable in declared}
        if node is not None:
            values |= node.override.environment_variables if node.override else {}
            for type, key in self._sockets.get(node.name, ()):
                if type is SocketType.ENVIRONMENT_VARIABLE:
                    values[key], reads = self._variable(node, key)
                    facts.reads |= dict.fromkeys(reads)
        for name, value in values.items():
            if value is not None:
                facts.values["environment variable", name] = value

    def _variable(self, node: Node, name: str) -> Found:
        """A variable is copied from what the other node is given, not from what it does."""
        return self._once(node.name, "variable", name, lambda: self._find_variable(node, name))

    def _find_variable(self, node: Node, name: str) -> Found:
        """The last edge wins whose source has such a variable; without one the node keeps its own."""
        step = self._effects.step_of(node)
        own = {variable.name: variable.default for variable in step.environment_variables} if step else {}
        own |= node.override.environment_variables if node.override else {}
        found: Found = (own.get(name), ())
        for edge in self._into.get((node.name, SocketType.ENVIRONMENT_VARIABLE, name), ()):
            source = self._nodes.get(edge.source.node)
            if source is None:
                continue
            if self._followed(source) is None or edge.source.type is not SocketType.ENVIRONMENT_VARIABLE:
                found = (("from", self._name(source.name), edge.source.key, found[0]), (source.name, *found[1]))
                continue
            carried = self._variable(source, edge.source.key)
            found = found if carried[0] is None else carried
        return found

    def _deployment_facts(self, node: Node) -> Facts:
        facts = Facts()
        endpoints = self._effects.bodies.get("endpoint", {})
        place = self._effects.bodies.get("deployment", {}).get(node.deployment or "", {})
        kept = {key: place[key] for key in place if key not in PLACE_NO_EFFECT}
        facts.values["deployment", None] = (node.deployment, frozen(kept))
        facts.values["aliases", None] = node.aliases
        for name in node.endpoints:
            body = endpoints.get(name, {})
            kept = {key: body[key] for key in body if key not in ENDPOINT_NO_EFFECT}
            facts.values["endpoint", name] = frozen(kept)
            command = kept.get("server-command")
            texts = command if isinstance(command, list) else [command]
            facts.texts += [text for text in texts if isinstance(text, str)]
        self._add_edges(facts, node)
        return facts

    def _foreign_facts(self, node: Node) -> Facts:
        """A node whose step stands in another commit: only what this file says about it is known."""
        facts = Facts(commit=node.commit)
        raw = self._raw.get(node.name, {})
        facts.values["commit", None] = node.commit
        facts.values["step", None] = node.step or node.task
        facts.values["type of node", None] = node.type
        facts.values["override", None] = frozen(raw.get("override"))
        facts.values["edge-merge-mode", None] = node.append_edges
        for (name, key), value in self._targeted.items():
            if name == node.name:
                facts.values["parameter", key] = frozen(value)
        self._add_edges(facts, node)
        return facts

    def _add_edges(self, facts: Facts, node: Node) -> None:
        for type, key in self._sockets.get(node.name, ()):
            if type is not SocketType.DEPENDENCY:
                ends = [self._carried(edge) for edge in self._into[node.name, type, key]]
                facts.values["edge", f"{type}.{key}"] = tuple(what for what, _ in ends)
                facts.reads |= dict.fromkeys(name for _, names in ends for name in names)
                facts.sources += [uri for edge in self._into[node.name, type, key] for uri in self._uris_of(edge)]

    def _name(self, node: str) -> str:
        return self._called.get(node, node)
