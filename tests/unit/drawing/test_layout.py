"""Places: nothing overlaps, no link touches a box that it does not join, and the same graph gets the same places."""

from collections.abc import Iterator
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.drawing.layer import backward, build_layers
from runner.drawing.layout import Box, Layout, Link, Point, Size, control_points, lay_out
from runner.drawing.order import count_crossings, order_layers
from runner.errors import MlrunError

PAGE = Size(1000, 800)
SHAPES = [PAGE, Size(10, 10_000), Size(10_000, 10)]

sizes = st.builds(Size, st.integers(20, 240), st.integers(20, 120))
labels = st.one_of(st.just(Size(0, 0)), st.builds(Size, st.integers(1, 180), st.integers(10, 70)))


@st.composite
def graphs(draw: st.DrawFn, most: int = 14) -> tuple[list[Size], list[Link]]:
    """Boxes, and links between any of them, at most one from each to each: cycles and loops too."""
    boxes = draw(st.lists(sizes, min_size=1, max_size=most))
    ends = st.integers(0, len(boxes) - 1)
    links = draw(
        st.lists(
            st.builds(Link, ends, ends, labels), max_size=2 * most, unique_by=lambda link: (link.source, link.target)
        )
    )
    return boxes, links


def sampled(route: tuple[Point, ...], layout: Layout) -> Iterator[Point]:
    """Points along the way of a link, close to each other."""
    for index in range(1, len(route)):
        start, end = route[index - 1], route[index]
        first, second = (start, end) if index % 2 else control_points(start, end, layout.direction)
        for step in range(41):
            t = step / 40
            weights = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t * t, t**3
            x = sum(weight * point[0] for weight, point in zip(weights, (start, first, second, end), strict=True))
            y = sum(weight * point[1] for weight, point in zip(weights, (start, first, second, end), strict=True))
            yield x, y


def overlap(one: Box, other: Box) -> bool:
    return (
        min(one.x + one.width, other.x + other.width) - max(one.x, other.x) > 0.01
        and min(one.y + one.height, other.y + other.height) - max(one.y, other.y) > 0.01
    )


def inside(point: Point, box: Box) -> bool:
    """Whether a point lies within a box, not on its border."""
    x, y = point[0] - box.x, point[1] - box.y
    return 0.01 < x < box.width - 0.01 and 0.01 < y < box.height - 0.01


@settings(deadline=None, max_examples=40)
@given(graphs(), st.sampled_from(SHAPES))
def test_no_two_boxes_or_labels_overlap_and_all_lie_on_the_sheet(
    graph: tuple[list[Size], list[Link]], page: Size
) -> None:
    boxes, links = graph
    layout = lay_out(boxes, links, page)
    assert [(box.width, box.height) for box in layout.boxes] == [(box.width, box.height) for box in boxes]
    labelled = [route.label for route, link in zip(layout.routes, links, strict=True) if link.label.width]
    for one, other in combinations([*layout.boxes, *labelled], 2):
        assert not overlap(one, other)
    for box in [*layout.boxes, *labelled]:
        assert box.x >= -0.01
        assert box.y >= -0.01
        assert box.x + box.width <= layout.width + 0.01
        assert box.y + box.height <= layout.height + 0.01


@settings(deadline=None, max_examples=40)
@given(graphs(), st.sampled_from(SHAPES))
def test_no_link_passes_through_a_box_or_the_label_of_another_link(
    graph: tuple[list[Size], list[Link]], page: Size
) -> None:
    boxes, links = graph
    layout = lay_out(boxes, links, page)
    for number, (route, link) in enumerate(zip(layout.routes, links, strict=True)):
        others = [other.label for index, other in enumerate(layout.routes) if index != number]
        if link.source == link.target:
            continue
        for point in sampled(route.points, layout):
            assert not any(inside(point, box) for box in layout.boxes)
            assert not any(inside(point, label) for label in others if label.width)


@settings(deadline=None, max_examples=40)
@given(graphs(), st.sampled_from(SHAPES))
def test_every_link_leaves_its_source_and_enters_its_target(graph: tuple[list[Size], list[Link]], page: Size) -> None:
    boxes, links = graph
    layout = lay_out(boxes, links, page)
    for route, link in zip(layout.routes, links, strict=True):
        for point, node in ((route.points[0], link.source), (route.points[-1], link.target)):
            box = layout.boxes[node]
            x, y = point[0] - box.x, point[1] - box.y
            assert -0.01 <= x <= box.width + 0.01
            assert -0.01 <= y <= box.height + 0.01
            assert not inside(point, box)


@settings(deadline=None, max_examples=30)
@given(graphs())
def test_the_same_graph_gets_the_same_places(graph: tuple[list[Size], list[Link]]) -> None:
    assert lay_out(*graph, PAGE) == lay_out(*graph, PAGE)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_without_the_backward_links_no_cycle_is_left(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = graph
    left = [pair for pair, back in zip(pairs, backward(count, pairs), strict=True) if not back]
    nodes = set(range(count))
    while free := nodes - {target for source, target in left if source in nodes}:
        nodes -= free
        left = [pair for pair in left if pair[0] in nodes]
        if not nodes:
            break
    assert not nodes


def test_a_graph_without_a_cycle_has_no_backward_link() -> None:
    assert backward(4, [(3, 2), (2, 1), (1, 0), (3, 0)]) == [False] * 4


def test_crossings_that_need_not_be_are_taken_away() -> None:
    pairs = [(0, 5), (1, 4), (2, 3), (0, 4), (1, 5)]
    layers = build_layers(6, pairs)
    order_layers(layers)
    assert count_crossings(layers) == 1


def test_a_long_link_is_straight() -> None:
    boxes = [Size(100, 40)] * 5
    links = [Link(0, 1), Link(1, 2), Link(2, 3), Link(3, 4), Link(0, 4)]
    layout = lay_out(boxes, links, Size(10, 10_000))
    inner = {x for x, _ in layout.routes[4].points[2:-2]}
    assert max(inner) - min(inner) < 0.01


@pytest.mark.parametrize(("page", "wide"), [(Size(10_000, 10), True), (Size(10, 10_000), False)])
def test_the_direction_follows_the_page(page: Size, wide: bool) -> None:
    layout = lay_out([Size(100, 40)] * 6, [Link(index, index + 1) for index in range(5)], page)
    assert (layout.width > layout.height) is wide


def test_a_thousand_nodes_are_laid_out() -> None:
    links = [Link(index // 3, index, Size(60, 14)) for index in range(1, 1000)]
    links += [Link(index, index + 17, Size(60, 14)) for index in range(0, 900, 7)]
    layout = lay_out([Size(120, 50)] * 1000, links, PAGE)
    assert len(layout.boxes) == 1000


def test_nothing_has_a_layout_too() -> None:
    assert lay_out([], [], PAGE).boxes == ()


def test_a_graph_too_large_for_a_picture_is_refused_at_once():
    chain = [(node, node + 1) for node in range(499)]
    skips = [(0, node) for node in range(2, 500)]

    with pytest.raises(MlrunError, match="too large"):
        build_layers(500, [*chain, *skips])
    assert build_layers(500, chain).size > 500
