"""From a graph to layers: cycles are broken, nodes get ranks, long links are cut into pieces of one rank. Pure.

After Sugiyama, Tagawa and Toda (1981). Nodes stand on even ranks; an odd rank between them has room for labels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from runner.errors import usage_error

MAX_VERTICES = 100_000
"""Of a graph that is drawn; more take longer than anybody waits for a picture that nobody can read."""

Pair = tuple[int, int]


@dataclass(slots=True)
class Layers:
    """Vertices in ranks. The first `nodes` vertices are nodes, all others are points that links pass through.

    `ranks` holds the vertices of each rank in their order, `above` and `below` the neighbours of a vertex in the rank
    before and after its own, `chains` the vertices of each link from the upper to the lower end, `labelled` the vertex
    that bears its label.
    """

    nodes: int
    ranks: list[list[int]] = field(default_factory=list)
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)
    labelled: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of vertices."""
        return len(self.above)


def build_layers(count: int, pairs: Sequence[Pair]) -> Layers:
    """The layers of a graph of `count` nodes. No pair may join a node to itself.

    Raises MlrunError (code USAGE) for a graph whose links would pass more than MAX_VERTICES ranks in all.
    """
    downward = [(target, source) if back else (source, target) for (source, target), back in _with_backs(count, pairs)]
    rank = _ranks(count, downward)
    if count + sum(rank[target] - rank[source] for source, target in downward) > MAX_VERTICES:
        raise usage_error(
            "the graph is too large for a picture", "`--format dot`, for a program that draws such graphs"
        )
    layers = Layers(count, [[] for _ in range(max(rank, default=0) + 1)])
    layers.above = [[] for _ in range(count)]
    layers.below = [[] for _ in range(count)]
    crowd = [0] * len(layers.ranks)
    for source, target in downward:
        chain = [source]
        for _ in range(rank[source] + 1, rank[target]):
            layers.above.append([])
            layers.below.append([])
            chain.append(layers.size - 1)
        chain.append(target)
        for upper, lower in pairwise(chain):
            layers.below[upper].append(lower)
            layers.above[lower].append(upper)
        layers.chains.append(chain)
        layers.labelled.append(chain[_label_position(rank[source], rank[target], crowd)])
    _fill(layers, rank)
    return layers


def _label_position(upper: int, lower: int, crowd: list[int]) -> int:
    """The odd rank with the fewest labels, the one nearest to the middle if there are several; counts it as taken."""
    middle = (upper + lower) / 2
    best = min(range(upper + 1, lower, 2), key=lambda rank: (crowd[rank], abs(rank - middle), rank))
    crowd[best] += 1
    return best - upper


def backward(count: int, pairs: Sequence[Pair]) -> list[bool]:
    """Which pairs lead back to where a walk in the order of the nodes came from: without them there is no cycle."""
    following: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for index, (source, target) in enumerate(pairs):
        following[source].append((target, index))
    backs = [source == target for source, target in pairs]
    fed = {target for source, target in pairs if source != target}
    seen, open_ = [False] * count, [False] * count
    # Sources first: a cycle that something feeds is then cut where it closes.
    for start in [node for node in range(count) if node not in fed] + list(range(count)):
        if seen[start]:
            continue
        seen[start] = open_[start] = True
        stack = [(start, iter(following[start]))]
        while stack:
            here, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                open_[here] = False
                stack.pop()
            elif open_[step[0]]:
                backs[step[1]] = True
            elif not seen[step[0]]:
                seen[step[0]] = open_[step[0]] = True
                stack.append((step[0], iter(following[step[0]])))
    return backs


def _with_backs(count: int, pairs: Sequence[Pair]) -> Iterable[tuple[Pair, bool]]:
    return zip(pairs, backward(count, pairs), strict=True)


def topological(count: int, pairs: Iterable[Pair]) -> list[int]:
    """The nodes, each after those before it, else in the order of their numbers as far as a queue keeps it."""
    following: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for source, target in pairs:
        following[source].append(target)
        waiting[target] += 1
    found = [node for node in range(count) if not waiting[node]]
    for node in found:
        for target in following[node]:
            waiting[target] -= 1
            if not waiting[target]:
                found.append(target)
    return found


def _ranks(count: int, pairs: Sequence[Pair]) -> list[int]:
    """Even ranks: the longest way from the top, then each node drawn to the side where it has more links."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in pairs:
        before[target].append(source)
        after[source].append(target)
    order = topological(count, pairs)
    rank = [0] * count
    for node in order:
        rank[node] = max((rank[source] + 2 for source in before[node]), default=0)
    for _ in range(8):
        moved = False
        for node in reversed(order):
            pull = len(after[node]) - len(before[node])
            if pull > 0:
                best = min(rank[target] for target in after[node]) - 2
                moved |= best != rank[node]
                rank[node] = best
        if not moved:
            break
    return rank


def _fill(layers: Layers, rank: Sequence[int]) -> None:
    """Put the vertices into their ranks, in the order in which a walk from the first node meets them."""
    place = dict(enumerate(rank))
    for chain in layers.chains:
        place.update((vertex, rank[chain[0]] + step) for step, vertex in enumerate(chain))
    seen = [False] * layers.size
    for start in sorted(range(layers.nodes), key=lambda node: (rank[node], node)):
        stack = [start]
        while stack:
            vertex = stack.pop()
            if not seen[vertex]:
                seen[vertex] = True
                layers.ranks[place[vertex]].append(vertex)
                stack += reversed(layers.below[vertex])
