"""Where each vertex stands across the ranks: long links straight, nodes in the middle of their neighbours. Pure.

After Brandes and Köpf, "Fast and Simple Horizontal Coordinate Assignment" (2001): four extreme placements, of which
each vertex takes the mean of the two middle ones. The blocks of a placement are set by longest ways in the graph of
blocks, which keeps every distance.
"""

from collections.abc import Sequence
from itertools import pairwise

from runner.drawing.layer import Layers, topological
from runner.drawing.order import positions

Conflicts = set[tuple[int, int]]


def place_vertices(layers: Layers, size: Sequence[float], gap: Sequence[float]) -> list[float]:
    """The middle of each vertex. `size` is its extent, `gap` the free space that it wants on either side: neighbours
    keep the mean of both. The least value is arbitrary."""
    place = positions(layers)
    conflicts = _conflicts(layers, place)
    placements = []
    for down in (True, False):
        ranks = layers.ranks if down else layers.ranks[::-1]
        near = layers.above if down else layers.below
        for left in (True, False):
            turned = ranks if left else [rank[::-1] for rank in ranks]
            spot = place if left else _mirrored(layers, place)
            root = _align(turned, near, spot, conflicts)
            xs = _compact(turned, root, size, gap)
            placements.append(xs if left else [-x for x in xs])
    return _middle(layers, placements, size)


def _mirrored(layers: Layers, place: Sequence[int]) -> list[int]:
    mirrored = list(place)
    for rank in layers.ranks:
        for vertex in rank:
            mirrored[vertex] = len(rank) - 1 - place[vertex]
    return mirrored


def _conflicts(layers: Layers, place: Sequence[int]) -> Conflicts:
    """The pieces of links that cross a piece between two points of a long link: those stay straight, these yield."""
    found: Conflicts = set()
    for upper, lower in pairwise(layers.ranks):
        first, scanned = 0, 0
        for position, vertex in enumerate(lower):
            inner = _inner_above(layers, vertex)
            if inner is None and position != len(lower) - 1:
                continue
            last = place[inner] if inner is not None else len(upper)
            pieces = ((near, other) for other in lower[scanned : position + 1] for near in layers.above[other])
            found.update(
                (near, other)
                for near, other in pieces
                if not first <= place[near] <= last and min(near, other) < layers.nodes
            )
            scanned, first = position + 1, last
    return found


def _inner_above(layers: Layers, vertex: int) -> int | None:
    if vertex < layers.nodes:
        return None
    above = layers.above[vertex][0]
    return above if above >= layers.nodes else None


def _align(
    ranks: Sequence[Sequence[int]], near: Sequence[Sequence[int]], place: Sequence[int], conflicts: Conflicts
) -> list[int]:
    """Join each vertex to a middle one of its neighbours, none across another; the first vertex of each block."""
    root, taken = list(range(len(near))), [False] * len(near)
    for rank in ranks:
        barrier = -1
        for vertex in rank:
            neighbours = sorted(near[vertex], key=lambda other: place[other])
            half = (len(neighbours) - 1) // 2
            for other in neighbours[half : len(neighbours) - half]:
                if (other, vertex) in conflicts or (vertex, other) in conflicts:
                    continue
                if barrier < place[other] and not taken[other]:
                    taken[other] = True
                    root[vertex] = root[other]
                    barrier = place[other]
                    break
    return root


def _compact(
    ranks: Sequence[Sequence[int]], root: Sequence[int], size: Sequence[float], gap: Sequence[float]
) -> list[float]:
    """Blocks as far to the left as they can go, then those with room drawn to the right."""
    distance: dict[tuple[int, int], float] = {}
    for rank in ranks:
        for left, right in pairwise(rank):
            pair = root[left], root[right]
            apart = (size[left] + gap[left] + size[right] + gap[right]) / 2
            distance[pair] = max(distance.get(pair, 0), apart)
    before: list[list[tuple[int, float]]] = [[] for _ in root]
    after: list[list[tuple[int, float]]] = [[] for _ in root]
    for (left, right), apart in distance.items():
        before[right].append((left, apart))
        after[left].append((right, apart))
    order = [block for block in topological(len(root), distance) if root[block] == block]
    xs = [0.0] * len(root)
    for block in order:
        xs[block] = max((xs[left] + apart for left, apart in before[block]), default=0.0)
    for block in reversed(order):
        if after[block]:
            xs[block] = max(xs[block], min(xs[right] - apart for right, apart in after[block]))
    return [xs[block] for block in root]


def _middle(layers: Layers, placements: Sequence[list[float]], size: Sequence[float]) -> list[float]:
    """Shift all placements to the narrowest one and take the mean of the middle two.

    Every placement keeps the distances between neighbours, and so do order statistics of them and their mean.
    """
    spans = []
    for xs in placements:
        least = min(x - extent / 2 for x, extent in zip(xs, size, strict=True))
        most = max(x + extent / 2 for x, extent in zip(xs, size, strict=True))
        spans.append((least, most))
    low, high = min(spans, key=lambda span: span[1] - span[0])
    shifts = [
        low - least if index % 2 == 0 else high - most  # those that lean left by their left side
        for index, (least, most) in enumerate(spans)
    ]
    middle = []
    for vertex in range(layers.size):
        values = sorted(xs[vertex] + shift for xs, shift in zip(placements, shifts, strict=True))
        middle.append((values[1] + values[2]) / 2)
    return middle
