"""Which nodes of a pipeline can ever start: cycles, what waits for them, and nodes that nothing is joined to. Pure."""

from collections import deque
from collections.abc import Collection, Iterator

from runner.spec.check.sheet import Findings
from runner.spec.model import Edge, Pipeline
from runner.spec.tree import shorten

MAX_SHOWN = 20
"""How many nodes that can never start are named; the last one names how many more there are."""

Following = dict[str, dict[str, Edge]]
"""The edges that leave each node, by the node they lead to; of several the first."""


def check_reach(findings: Findings, pipeline: Pipeline, broken: Collection[str]) -> None:
    """Cycles are errors; the other findings are for a file, not for a run. `broken` are nodes that can never end."""
    following: Following = {node.name: {} for node in pipeline.nodes}
    for edge in pipeline.edges:
        if edge.source.node in following and edge.target.node in following:
            following[edge.source.node].setdefault(edge.target.node, edge)
    for names, edge in _cycles(following):
        place = findings.sheet.part(findings.sheet.ends(pipeline, edge)[1], 0)
        shown = [f"`{shorten(name)}`" for name in [*names, names[0]]]
        if len(shown) > 12:
            shown = [*shown[:6], "…", *shown[-5:]]
        said = "these nodes wait for each other" if len(names) > 1 else "this node waits for itself"
        findings.error("cycle", f"{said}: {' → '.join(shown)}", place, "remove one of their edges")
    _check_waiting(findings, pipeline, following, broken)
    _check_lonely(findings, pipeline, following)


def _cycles(following: Following) -> Iterator[tuple[list[str], Edge]]:
    """Cycles of which no two share a node, each with its closing edge; every cycle shares a node with one of them."""
    done: set[str] = set()
    for start in following:
        if start not in done:
            yield from _cycles_from(start, following, done)


def _cycles_from(start: str, following: Following, done: set[str]) -> Iterator[tuple[list[str], Edge]]:
    """The cycles that a walk from `start` closes; it leaves out the nodes that are `done`, and adds its own to them."""
    path: list[str] = [start]
    rest = [iter(following[start])]
    place = {start: 0}
    # For each place of the path: from where on up to it no node is part of a cycle that was told.
    clear = [0]
    while path:
        here = path[-1]
        target = next(rest[-1], None)
        if target is None:
            done.add(here)
            del path[-1], rest[-1], clear[-1], place[here]
        elif target in place:
            first = place[target]
            if first >= clear[-1]:
                clear[first:] = range(first + 1, len(path) + 1)
                yield path[first:], following[here][target]
        elif target not in done:
            place[target] = len(path)
            path.append(target)
            rest.append(iter(following[target]))
            clear.append(clear[-1])


def _check_waiting(findings: Findings, pipeline: Pipeline, following: Following, broken: Collection[str]) -> None:
    """Nodes behind a cycle or behind a broken node. What stands on a cycle or is broken has been told of itself."""
    stuck = _never_ending(following, broken)
    on_cycles = _before_others(following, stuck)
    behind = stuck - on_cycles - set(broken)
    waits_for: dict[str, str] = {}
    for name in stuck:
        for target in following[name]:
            waits_for.setdefault(target, name)
    waiting = [node for node in pipeline.nodes if node.name in behind]
    for number, node in enumerate(waiting[:MAX_SHOWN]):
        more = (
            f", and so do {len(waiting) - MAX_SHOWN} more nodes" if number == MAX_SHOWN - 1 < len(waiting) - 1 else ""
        )
        cause = waits_for[node.name]
        said = (
            "is broken" if cause in broken else "waits for itself" if cause in on_cycles else "can never start either"
        )
        message = f"node `{shorten(node.name)}` can never start: it waits for `{shorten(cause)}`, which {said}{more}"
        findings.warn("unreachable-node", message, node.location, f"mend `{shorten(cause)}` first")


def _never_ending(following: Following, broken: Collection[str]) -> set[str]:
    """The nodes that are left over when one after the other ends."""
    open_edges = dict.fromkeys(following, 0)
    for targets in following.values():
        for target in targets:
            open_edges[target] += 1
    ready = deque(name for name, count in open_edges.items() if count == 0 and name not in broken)
    left = set(following)
    while ready:
        name = ready.popleft()
        left.discard(name)
        for target in following[name]:
            open_edges[target] -= 1
            if open_edges[target] == 0 and target not in broken:
                ready.append(target)
    return left


def _before_others(following: Following, stuck: set[str]) -> set[str]:
    """Those nodes out of `stuck` that are on a cycle or lead to one."""
    preceding: dict[str, list[str]] = {name: [] for name in stuck}
    open_edges = dict.fromkeys(stuck, 0)
    for name in stuck:
        for target in following[name]:
            preceding[target].append(name)
            open_edges[name] += 1
    ready = deque(name for name, count in open_edges.items() if count == 0)
    left = set(stuck)
    while ready:
        name = ready.popleft()
        left.discard(name)
        for source in preceding[name]:
            open_edges[source] -= 1
            if open_edges[source] == 0:
                ready.append(source)
    return left


def _check_lonely(findings: Findings, pipeline: Pipeline, following: Following) -> None:
    """Nodes without any edge, where most others have one."""
    joined = {edge.source.node for edge in pipeline.edges} | {edge.target.node for edge in pipeline.edges}
    lonely = [node for node in pipeline.nodes if node.name not in joined]
    if not pipeline.edges or 2 * len(lonely) >= len(following):
        return
    for node in lonely:
        message = f"no edge touches node `{shorten(node.name)}`, so that it starts at once and nothing waits for it"
        findings.warn("unconnected-node", message, node.location, "join it to the others, or remove it")
