"""The order of the vertices within their ranks, so that few links cross. Pure, and the same for the same graph.

Sweeps by barycentre down and up (Sugiyama, Tagawa, Toda 1981), then exchanges of neighbours (Gansner and others 1993,
"A Technique for Drawing Directed Graphs"); crossings are counted with a binary indexed tree (Barth and others 2004).
"""

from collections.abc import Sequence

from runner.drawing.layer import Layers

_WORK = 400_000
"""Vertices that all sweeps together may visit: small graphs get many sweeps, huge ones at least four."""


def order_layers(layers: Layers) -> None:
    """Reorder `layers.ranks` in place."""
    sweeps = max(4, min(24, _WORK // max(1, layers.size)))
    best, fewest = _copy(layers.ranks), count_crossings(layers)
    idle = 0
    for sweep in range(sweeps):
        if not fewest or idle == 6:
            break
        _sweep(layers, down=sweep % 2 == 0)
        if layers.size <= 3000:
            _exchange(layers)
        crossings = count_crossings(layers)
        idle = 0 if crossings < fewest else idle + 1
        if crossings < fewest:
            best, fewest = _copy(layers.ranks), crossings
    layers.ranks = best


def _copy(ranks: Sequence[list[int]]) -> list[list[int]]:
    return [list(rank) for rank in ranks]


def positions(layers: Layers) -> list[int]:
    """The place of each vertex within its rank."""
    place = [0] * layers.size
    for rank in layers.ranks:
        for position, vertex in enumerate(rank):
            place[vertex] = position
    return place


def _sweep(layers: Layers, *, down: bool) -> None:
    place = positions(layers)
    neighbours = layers.above if down else layers.below
    for rank in layers.ranks if down else reversed(layers.ranks):
        # What has no neighbour on that side keeps its place.
        free = [vertex for vertex in rank if neighbours[vertex]]
        wish = {vertex: sum(place[near] for near in neighbours[vertex]) / len(neighbours[vertex]) for vertex in free}
        sorted_ = iter(sorted(free, key=lambda vertex: wish[vertex]))
        rank[:] = [next(sorted_) if vertex in wish else vertex for vertex in rank]
        for position, vertex in enumerate(rank):
            place[vertex] = position


def _exchange(layers: Layers) -> None:
    """Exchange neighbours as long as that takes crossings away, a few rounds at most."""
    place = positions(layers)
    for _ in range(4):
        better = False
        for rank in layers.ranks:
            for position in range(len(rank) - 1):
                left, right = rank[position], rank[position + 1]
                gain = 0
                for near in (layers.above, layers.below):
                    ours, theirs = [place[v] for v in near[left]], [place[v] for v in near[right]]
                    gain += sum((a > b) - (a < b) for a in ours for b in theirs)
                if gain > 0:
                    rank[position], rank[position + 1] = right, left
                    place[left], place[right] = position + 1, position
                    better = True
        if not better:
            return


def count_crossings(layers: Layers) -> int:
    """How many pairs of links cross between neighbouring ranks."""
    place = positions(layers)
    return sum(
        _inversions([low for vertex in rank for low in sorted(place[v] for v in layers.below[vertex])])
        for rank in layers.ranks
    )


def _inversions(values: Sequence[int]) -> int:
    """How many pairs stand in the wrong order."""
    tree = [0] * (max(values, default=0) + 2)
    total = 0
    for seen, value in enumerate(values):
        index = value + 1
        total += seen
        while index:
            total -= tree[index]
            index &= index - 1
        index = value + 1
        while index < len(tree):
            tree[index] += 1
            index += index & -index
    return total
