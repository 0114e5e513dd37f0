"""Places for boxes, ways for the links between them and rooms for the labels of these. Pure, without any unit.

A layered drawing: a link leaves the band of its rank straight, bends only between two bands, and passes each band on
the way at a point where nothing else stands. So no link touches a box, and no label a box or another label.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from runner.drawing.coordinate import place_vertices
from runner.drawing.layer import Layers, backward, build_layers
from runner.drawing.order import order_layers

Point = tuple[float, float]


class Direction(StrEnum):
    """Where the links lead."""

    DOWN = "down"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Size:
    """The extent of a box or a label."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Link:
    """A line between two boxes, or one from a box to itself, of which each box has one at most; `label` is the room
    that its label needs."""

    source: int
    target: int
    label: Size = Size(0, 0)


@dataclass(frozen=True, slots=True)
class Box:
    """A place: its upper left corner and its extent."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a link from its source to its target. Between the points 0 and 1, 2 and 3 and so on it is straight,
    between 1 and 2, 3 and 4 … it bends: see `control_points`. The label has its room on the way."""

    points: tuple[Point, ...]
    label: Box


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing's places, `boxes` and `routes` in the order of what was laid out."""

    direction: Direction
    width: float
    height: float
    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Spacing:
    """Free space: beside a box, beside a line, between two ranks at least and at most, and between separate parts;
    `straight` is how far a link goes on as it left or entered a box, `loop` how far one that comes back goes."""

    box: float = 26
    line: float = 14
    rank: float = 12
    steep: float = 60
    straight: float = 10
    part: float = 40
    loop: float = 26


def control_points(start: Point, end: Point, direction: Direction) -> tuple[Point, Point]:
    """The two inner control points of the cubic Bézier curve from `start` to `end`: it begins and ends along the
    direction, and both coordinates stay between those of its ends."""
    if direction is Direction.DOWN:
        middle = (start[1] + end[1]) / 2
        return (start[0], middle), (end[0], middle)
    middle = (start[0] + end[0]) / 2
    return (middle, start[1]), (middle, end[1])


def lay_out(boxes: Sequence[Size], links: Sequence[Link], page: Size, spacing: Spacing | None = None) -> Layout:
    """Lay out a graph in the direction that fits a page of this extent better."""
    gaps = spacing or Spacing()
    parts = [_Part(boxes, links, nodes, numbers, gaps) for nodes, numbers in _components(len(boxes), links)]
    layouts = [_pack(parts, len(boxes), len(links), direction, page, gaps) for direction in Direction]
    return max(
        layouts,
        key=lambda layout: (_scale(layout, page), layout.direction is Direction.RIGHT),
    )


def _scale(layout: Layout, page: Size) -> float:
    """How large the drawing may be shown on the page, at most 1."""
    return round(min(1.0, page.width / max(1, layout.width), page.height / max(1, layout.height)), 3)


def _components(count: int, links: Sequence[Link]) -> list[tuple[list[int], list[int]]]:
    """The parts of the graph that nothing joins, in the order of their first boxes: the boxes and links of each."""
    near: list[list[int]] = [[] for _ in range(count)]
    leaving: list[list[int]] = [[] for _ in range(count)]
    for number, link in enumerate(links):
        near[link.source].append(link.target)
        near[link.target].append(link.source)
        leaving[link.source].append(number)
    found, seen = [], set[int]()
    for start in range(count):
        if start not in seen:
            part = _joined(start, near)
            seen.update(part)
            found.append((sorted(part), sorted(number for node in part for number in leaving[node])))
    return found


def _joined(start: int, near: Sequence[Sequence[int]]) -> list[int]:
    """A node and all that its links lead to."""
    part, seen = [start], {start}
    for node in part:
        fresh = dict.fromkeys(other for other in near[node] if other not in seen)
        seen.update(fresh)
        part += fresh
    return part


class _Part:
    """A connected part: its layers and their order are found once, its places once for each direction."""

    def __init__(
        self, boxes: Sequence[Size], links: Sequence[Link], nodes: list[int], numbers: list[int], gaps: Spacing
    ) -> None:
        local = {node: index for index, node in enumerate(nodes)}
        self.nodes = nodes
        self.boxes = [boxes[node] for node in nodes]
        self.numbers = numbers
        self.links = [
            replace(links[number], source=local[links[number].source], target=local[links[number].target])
            for number in self.numbers
        ]
        self.gaps = gaps
        self.flat = [index for index, link in enumerate(self.links) if link.source != link.target]
        pairs = [(self.links[index].source, self.links[index].target) for index in self.flat]
        self.layers: Layers = build_layers(len(nodes), pairs)
        self.backs = backward(len(nodes), pairs)
        order_layers(self.layers)

    def lay_out(self, direction: Direction) -> Layout:
        """The places of this part alone."""
        return _Sheet(self, direction).layout()


def _turned(size: Size, direction: Direction) -> Size:
    return size if direction is Direction.DOWN else Size(size.height, size.width)


class _Sheet:
    """One part in one direction. Inside, links lead down; the result is turned at the end."""

    def __init__(self, part: _Part, direction: Direction) -> None:
        self._part, self._direction, self._gaps = part, direction, part.gaps
        layers = part.layers
        self._boxes = [_turned(size, direction) for size in part.boxes]
        self._loops = self._loop_rooms()
        sizes = [
            Size(box.width + 2 * room.width, max(box.height, room.height))
            for box, room in zip(self._boxes, self._loops, strict=True)
        ]
        sizes += [Size(0, 0)] * (layers.size - len(sizes))
        gap = [self._gaps.box] * layers.nodes + [self._gaps.line] * (layers.size - layers.nodes)
        for vertex, link in zip(layers.labelled, part.flat, strict=True):
            sizes[vertex] = _turned(part.links[link].label, direction)
        self._sizes = sizes
        extents = [size.width for size in sizes]
        xs = place_vertices(layers, extents, gap)
        least = min(x - extent / 2 for x, extent in zip(xs, extents, strict=True))
        self._xs = [x - least for x in xs]
        self._width = max(x + extent / 2 for x, extent in zip(self._xs, extents, strict=True))
        self._leave, self._arrive = self._ports()
        self._bands = self._find_bands()

    def _loop_rooms(self) -> list[Size]:
        """What links from a box to itself need beside it."""
        rooms = [Size(0, 0)] * len(self._boxes)
        for link in self._part.links:
            if link.source == link.target:
                label = _turned(link.label, self._direction)
                rooms[link.source] = Size(self._gaps.loop + label.width + 4, label.height)
        return rooms

    def _ports(self) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
        """Where links leave and enter the boxes, by (link, box): as straight as can be, never two at one place."""
        layers = self._part.layers
        leaving: dict[int, list[tuple[float, int]]] = {}
        entering: dict[int, list[tuple[float, int]]] = {}
        for link, chain in enumerate(layers.chains):
            leaving.setdefault(chain[0], []).append((self._xs[chain[1]], link))
            entering.setdefault(chain[-1], []).append((self._xs[chain[-2]], link))
        return self._spread(leaving), self._spread(entering)

    def _spread(self, ports: dict[int, list[tuple[float, int]]]) -> dict[tuple[int, int], float]:
        spread = {}
        for node, wishes in ports.items():
            wishes.sort()
            reach = self._boxes[node].width * 0.36
            apart = min(self._gaps.line, 2 * reach / max(1, len(wishes) - 1))
            low, high = self._xs[node] - reach, self._xs[node] + reach
            places = [min(max(wish, low), high) for wish, _ in wishes]
            if len(wishes) == 1 and abs(places[0] - wishes[0][0]) > 1:
                places = [self._xs[node]]
            for index in range(1, len(places)):
                places[index] = max(places[index], places[index - 1] + apart)
            limit = high
            for index in reversed(range(len(places))):
                places[index] = limit = min(places[index], limit)
                limit -= apart
            for (_, link), place in zip(wishes, places, strict=True):
                spread[link, node] = place
        return spread

    def _find_bands(self) -> list[tuple[float, float]]:
        """The top and bottom of each rank. The more a link bends between two ranks, the more room is there."""
        layers = self._part.layers
        rank_of = {vertex: rank for rank, vertices in enumerate(layers.ranks) for vertex in vertices}
        bend = [0.0] * len(layers.ranks)
        for link, chain in enumerate(layers.chains):
            for upper, lower in pairwise(chain):
                shift = abs(self._cross(link, upper, self._leave) - self._cross(link, lower, self._arrive))
                bend[rank_of[upper]] = max(bend[rank_of[upper]], shift)
        bands, top = [], 0.0
        for rank, vertices in enumerate(layers.ranks):
            height = max((self._sizes[vertex].height for vertex in vertices), default=0)
            height += 2 * self._gaps.straight if any(vertex < layers.nodes for vertex in vertices) else 0
            bands.append((top, top + height))
            top += height + min(self._gaps.steep, self._gaps.rank + bend[rank] * 0.12)
        self._rank_of = rank_of
        return bands

    def _cross(self, link: int, vertex: int, ports: dict[tuple[int, int], float]) -> float:
        return ports[link, vertex] if vertex < self._part.layers.nodes else self._xs[vertex]

    def layout(self) -> Layout:
        """Everything placed, turned back."""
        boxes = []
        for node, size in enumerate(self._boxes):
            boxes.append(
                Box(self._xs[node] - size.width / 2, self._middle(node) - size.height / 2, size.width, size.height)
            )
        routes = [Route((), Box(0, 0, 0, 0))] * len(self._part.links)
        for number, index in enumerate(self._part.flat):
            routes[index] = self._route(number)
        for index, link in enumerate(self._part.links):
            if link.source == link.target:
                routes[index] = self._loop(boxes[link.source], _turned(link.label, self._direction))
        layout = Layout(Direction.DOWN, self._width, self._bands[-1][1], tuple(boxes), tuple(routes))
        return layout if self._direction is Direction.DOWN else _turn(layout)

    def _middle(self, vertex: int) -> float:
        top, bottom = self._bands[self._rank_of[vertex]]
        return (top + bottom) / 2

    def _route(self, number: int) -> Route:
        chain = self._part.layers.chains[number]
        first, last = chain[0], chain[-1]
        start, end = self._leave[number, first], self._arrive[number, last]
        points = [
            (start, self._middle(first) + self._boxes[first].height / 2),
            (start, self._bands[self._rank_of[first]][1]),
        ]
        for vertex in chain[1:-1]:
            points += [(self._xs[vertex], edge) for edge in self._bands[self._rank_of[vertex]]]
        points += [
            (end, self._bands[self._rank_of[last]][0]),
            (end, self._middle(last) - self._boxes[last].height / 2),
        ]
        vertex = self._part.layers.labelled[number]
        size = self._sizes[vertex]
        label = Box(self._xs[vertex] - size.width / 2, self._middle(vertex) - size.height / 2, size.width, size.height)
        return Route(tuple(reversed(points) if self._part.backs[number] else points), label)

    def _loop(self, box: Box, label: Size) -> Route:
        """Out of the side of a box and back into it."""
        side, middle = box.x + box.width, box.y + box.height / 2
        high, low = middle - box.height / 5, middle + box.height / 5
        out = side + self._gaps.loop - 4
        points = ((side, high), (out, high), (out, low), (side, low))
        return Route(points, Box(out + 4, middle - label.height / 2, label.width, label.height))


def _turn(layout: Layout) -> Layout:
    """Mirror at the diagonal."""

    def turn(box: Box) -> Box:
        return Box(box.y, box.x, box.height, box.width)

    routes = (Route(tuple((y, x) for x, y in route.points), turn(route.label)) for route in layout.routes)
    return Layout(Direction.RIGHT, layout.height, layout.width, tuple(map(turn, layout.boxes)), tuple(routes))


def _pack(parts: Sequence[_Part], boxes: int, links: int, direction: Direction, page: Size, gaps: Spacing) -> Layout:
    """The parts side by side in rows, in order; rows are as wide as the page, or as a part that is wider."""
    laid = [part.lay_out(direction) for part in parts]
    area = sum((layout.width + gaps.part) * (layout.height + gaps.part) for layout in laid)
    widest = max([(area * page.width / page.height) ** 0.5, *(layout.width for layout in laid)])
    places = [Box(0, 0, 0, 0)] * boxes
    routes = [Route((), Box(0, 0, 0, 0))] * links
    width = height = 0.0
    for part, layout, (x, y) in zip(parts, laid, _shelves(laid, widest, gaps.part), strict=True):
        shifted = _shift(x, y)
        for node, box in zip(part.nodes, layout.boxes, strict=True):
            places[node] = shifted(box)
        for number, route in zip(part.numbers, layout.routes, strict=True):
            points = tuple((px + x, py + y) for px, py in route.points)
            routes[number] = Route(points, shifted(route.label))
        width, height = max(width, x + layout.width), max(height, y + layout.height)
    return Layout(direction, width, height, tuple(places), tuple(routes))


def _shift(x: float, y: float) -> Callable[[Box], Box]:
    return lambda box: Box(box.x + x, box.y + y, box.width, box.height)


def _shelves(laid: Sequence[Layout], widest: float, gap: float) -> Iterator[Point]:
    x = y = row = 0.0
    for layout in laid:
        if x and x + layout.width > widest:
            x, y, row = 0.0, y + row + gap, 0.0
        yield x, y
        x += layout.width + gap
        row = max(row, layout.height)
