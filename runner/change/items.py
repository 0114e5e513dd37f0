"""Two files → the items that differ, and which item or node of the one is which of the other. Pure.

Works on the normalised trees, so that broken items, unknown kinds and unknown keys are compared, too.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from runner.change.compare import Comparison, features
from runner.change.likeness import renamed
from runner.change.model import Detail, ItemChange, Kind, Part
from runner.change.shape import NODE, SHAPES, SORTS, Body, Shape, name_of
from runner.spec.model import Project
from runner.spec.normalise import kind_of
from runner.spec.socket import split_socket
from runner.spec.tree import Table

Bodies = Mapping[str, Body]


@dataclass(slots=True)
class Names:
    """Names of the base side by those of the head side, for what is on both; nodes by the pipeline's head name."""

    items: dict[str, dict[str, str]] = field(default_factory=dict)
    nodes: dict[str, dict[str, str]] = field(default_factory=dict)

    def was(self, sort: str, name: str) -> str | None:
        """The base name of an item of the head side; None for a new one."""
        return self.items.get(sort, {}).get(name)


def bodies_of(project: Project) -> dict[str, dict[str, Body]]:
    """The bodies of all items by kind and name. Of several with one name the last counts."""
    found: dict[str, dict[str, Body]] = {}
    for index, item in enumerate(project.tree):
        sort = kind_of(item) or (next(iter(item), None) if isinstance(item, Table) else None)
        if sort is None or not isinstance(item, Table):
            continue
        body = item[sort]
        body = body if isinstance(body, Mapping) else {"content": body}
        named = found.setdefault(sort, {})
        name = name_of(sort, body) or f"#{index + 1}"
        named.pop(name, None)
        named[name] = body
    return found


def compare_items(base: Project, head: Project) -> tuple[tuple[ItemChange, ...], Names]:
    """The items that differ, in the order of the head file after the order of kinds, and who is who."""
    old, new = bodies_of(base), bodies_of(head)
    broken = {(sort, name) for sort, name, _ in head.broken}
    names = Names()
    changes: list[ItemChange] = []
    for sort in sorted({*old, *new}, key=lambda sort: (SORTS.index(sort) if sort in SORTS else len(SORTS), sort)):
        changes += _compare_sort(sort, old.get(sort, {}), new.get(sort, {}), names, broken)
    return tuple(changes), names


def _compare_sort(
    sort: str, old: Bodies, new: Bodies, names: Names, broken: set[tuple[str, str | None]]
) -> Iterator[ItemChange]:
    shape = SHAPES.get(sort, Shape())
    was = {name: name for name in new if name in old}
    was |= _renamed_items(sort, shape, old, new)
    names.items[sort] = was
    for name, body in new.items():
        if name not in was:
            yield ItemChange(sort, name, Kind.ADDED, broken=(sort, name) in broken)
            continue
        change = _compare_item(sort, shape, name, was[name], old[was[name]], body, names)
        if change.details or change.remarks or change.was:
            yield ItemChange(
                sort, name, change.kind, change.was, change.details, change.remarks, broken=(sort, name) in broken
            )
    kept = set(was.values())
    yield from (ItemChange(sort, name, Kind.REMOVED) for name in old if name not in kept)


def _renamed_items(sort: str, shape: Shape, old: Bodies, new: Bodies) -> dict[str, str]:
    skip = frozenset({"step"} if sort == "policy" else {"name"})
    gone = {name: frozenset(features(shape, body, skip)) for name, body in old.items() if name not in new}
    come = {name: frozenset(features(shape, body, skip)) for name, body in new.items() if name not in old}
    return renamed(gone, come) if gone and come else {}


def _compare_item(sort: str, shape: Shape, name: str, was: str, before: Body, after: Body, names: Names) -> ItemChange:
    comparison = Comparison()
    if sort == "pipeline":
        nodes = _who_is_who(before, after, names.items.get("step", {}))
        names.nodes[name] = nodes
        called = {old: new for new, old in nodes.items() if old != new}
        for old, new in called.items():
            comparison.details.append(Detail(Kind.RENAMED, (Part("node", new),), None, old, new))
        before = _with_nodes_called(before, called) if called else before
    key = "step" if sort == "policy" else "name"
    if isinstance(after.get(key), str) and name != was:
        before = {**before, key: after[key]}
    comparison.compare(shape, before, after)
    kind = Kind.CHANGED if name == was else Kind.RENAMED
    return ItemChange(
        sort, name, kind, None if name == was else was, tuple(comparison.details), tuple(comparison.remarks)
    )


def _who_is_who(before: Body, after: Body, steps: Mapping[str, str]) -> dict[str, str]:
    """The base names of the nodes of a pipeline by their head names."""
    old, new = _nodes(before), _nodes(after)
    was = {name: name for name in new if name in old}
    gone, come = old.keys() - new.keys(), new.keys() - old.keys()
    if not gone or not come:
        return was
    return was | renamed(_node_features(before, old, gone, {}), _node_features(after, new, come, steps), alike=0.5)


def _nodes(pipeline: Body) -> dict[str, Body]:
    rows = pipeline.get("nodes")
    found = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return {row["name"]: row for row in found if isinstance(row.get("name"), str)}


def _node_features(
    pipeline: Body, nodes: Bodies, names: Set[str], steps: Mapping[str, str]
) -> dict[str, frozenset[object]]:
    """Of some nodes what they run and how, and the edges that they have, in the order of the file. A step that is
    renamed counts under its base name."""
    found: dict[str, set[object]] = {}
    for name, body in nodes.items():
        if name in names:
            step = body.get("step")
            body = {**body, "step": steps.get(step, step)} if isinstance(step, str) else body
            found[name] = set(features(NODE, body, frozenset({"name"})))
    edges = pipeline.get("edges")
    for edge in edges if isinstance(edges, list) else ():
        ends = [split_socket(end) if isinstance(end, str) else None for end in _ends(edge)]
        if len(ends) != 2:
            continue
        for name in {end[0] for end in ends if end is not None and end[0] in found}:
            found[name].add(("edge", *(("", *end[1:]) if end and end[0] == name else end for end in ends)))
    return {name: frozenset(pieces) for name, pieces in found.items()}


def _ends(edge: object) -> list[object]:
    if isinstance(edge, Mapping):
        return [edge.get("source"), edge.get("target")]
    return list(edge) if isinstance(edge, list) else []


def _with_nodes_called(pipeline: Body, called: Mapping[str, str]) -> Body:
    """The pipeline with some of its nodes under other names, wherever they are named."""

    def end(text: object) -> object:
        parts = split_socket(text) if isinstance(text, str) else None
        return f"{called[parts[0]]}.{parts[1]}.{parts[2]}" if parts and parts[0] in called else text

    def edge(row: object) -> object:
        if isinstance(row, Mapping):
            return {key: end(value) if key in ("source", "target") else value for key, value in row.items()}
        return [end(text) for text in row] if isinstance(row, list) else row

    def node(row: object) -> object:
        name = str(row.get("name")) if isinstance(row, Mapping) else ""
        return {**row, "name": called[name]} if isinstance(row, Mapping) and name in called else row

    def parameter(row: object) -> object:
        if not isinstance(row, Mapping):
            return row
        return {key: _each(value, end) if key in ("target", "targets") else value for key, value in row.items()}

    changes = {"edges": edge, "nodes": node, "parameters": parameter}
    return {
        key: [changes[key](row) for row in value] if key in changes and isinstance(value, list) else value
        for key, value in pipeline.items()
    }


def _each(value: object, change: Callable[[object], object]) -> object:
    return [change(item) for item in value] if isinstance(value, list) else change(value)
