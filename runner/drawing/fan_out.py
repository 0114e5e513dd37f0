"""How many executions a task node becomes, and over which parameters: `9 × lr, depth`. Pure."""

import math
from collections.abc import Mapping

from runner.escape import printable
from runner.spec.model import Edge, Node, Pipeline, Project, SocketType, Style, Task, TaskType, Variation

MANY = "n"
"""A number that only the run will know."""

Counts = Mapping[str, int | None]
"""How many values each varied parameter takes; None where only the run knows it."""


class FanOut:
    """The task nodes of one pipeline, whose edges and parameters are gone through once for all of them."""

    def __init__(self, project: Project, pipeline: Pipeline) -> None:
        self._project = project
        self._nodes = {node.name: node for node in reversed(pipeline.nodes)}
        self._lists: dict[str, dict[str, int | None]] = {}
        for parameter in pipeline.parameters:
            if isinstance(parameter.default, list) and len(parameter.default) > 1:
                for node, name in parameter.targets:
                    self._lists.setdefault(node, {})[name] = len(parameter.default)
        self._edges: dict[str, list[Edge]] = {}
        for edge in pipeline.edges:
            if edge.target.type is SocketType.PARAMETER:
                self._edges.setdefault(edge.target.node, []).append(edge)

    def of(self, node: Node) -> str | None:
        """What a task node varies, in a few words; None for other nodes and where nothing is varied."""
        if node.type != "task":
            return None
        task = self._project.tasks.get(node.task) if node.task else None
        spread = self._spread(node)
        if task is None:
            return _product(spread)
        if task.type is TaskType.GRID_SEARCH:
            return _product(_varied(task) | spread)
        if task.type is TaskType.MANUAL_SEARCH:
            return _sets(task) or _product(spread)
        if task.type is TaskType.DISTRIBUTED:
            return _words(task.execution_count, ["distributed"])
        return _words(task.execution_count, list(_varied(task) | spread) or [task.name])

    def _spread(self, node: Node) -> dict[str, int | None]:
        """The parameters of the node that get a list from the pipeline or from an edge: each value is one execution."""
        counts = dict(self._lists.get(node.name, {}))
        for edge in self._edges.get(node.name, ()):
            if edge.source.type is SocketType.METADATA:
                counts[edge.target.key] = None
            elif edge.source.type is SocketType.PARAMETER:
                value = self._default(edge.source.node, edge.source.key)
                if isinstance(value, list) and len(value) > 1:
                    counts[edge.target.key] = len(value)
        return counts

    def _default(self, source: str, name: str) -> object:
        """The value of a node's parameter as the file gives it."""
        node = self._nodes.get(source)
        if node is None:
            return None
        if node.override and name in node.override.parameters:
            return node.override.parameters[name]
        step = self._project.steps.get(node.step or "")
        parameter = step.parameter(name) if step else None
        return parameter.default if parameter else None


def _varied(task: Task) -> dict[str, int | None]:
    """The parameters that a task gives more than one value."""
    counts = {variation.name: _count(variation) for variation in task.variations}
    return {name: count for name, count in counts.items() if count != 1}


def _count(variation: Variation) -> int | None:
    rules = variation.rules
    if variation.style is Style.SINGLE:
        return 1
    if variation.style is Style.MULTIPLE:
        items = rules.get("items")
        return len(items) if isinstance(items, list | tuple) else None
    if variation.style is Style.LINEAR:
        return _steps(rules)
    count = rules.get("count")
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else None


def _steps(rules: Mapping[str, object]) -> int | None:
    """How many numbers lie between `start` and `end`, both included; a hair's breadth is forgiven, as 0.1 is no
    binary number."""
    start, end, step = (_number(rules.get(key)) for key in ("start", "end", "step"))
    start = _number(rules.get("min")) if start is None else start
    end = _number(rules.get("max")) if end is None else end
    if start is None or end is None or not step or (end - start) / step < 0:
        return None
    ratio = (end - start) / step
    return math.floor(ratio + 1e-9) + 1 if math.isfinite(ratio) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _sets(task: Task) -> str | None:
    names = dict.fromkeys(name for values in task.parameter_sets for name in values)
    if names:
        return _words(len(task.parameter_sets), list(names))
    varied = _varied(task)
    known = [count for count in varied.values() if count is not None]
    return _words(max(known, default=None), list(varied)) if varied else None


def _product(counts: Counts) -> str | None:
    if not counts:
        return None
    known = [count for count in counts.values() if count is not None]
    return _words(math.prod(known) if len(known) == len(counts) else None, list(counts))


def _words(count: int | None, names: list[str]) -> str:
    return f"{MANY if count is None else count} × {', '.join(printable(name) for name in names)}"
