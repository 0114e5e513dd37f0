"""A drawing as an SVG picture that stands alone: no script, no font, nothing fetched. Pure.

Types, kinds and marks are told by shape, stroke and word, never by colour alone. Texts are shortened to fit; the whole
of them is in the `<title>` of their group, which browsers show at the pointer and screen readers read.
"""

from collections.abc import Iterator, Sequence
from html import escape

from runner.drawing.bundle import KIND_WORDS, SIGNS, Bundle, Kind, bundles, kind_of, node_words
from runner.drawing.card import PADDING, STACK, Card, Label, make_card, make_label
from runner.drawing.glyph import shorten_end, text_width
from runner.drawing.layout import Box, Layout, Link, Point, Route, Size, control_points, lay_out
from runner.drawing.model import Drawing, DrawnNode, Mark
from runner.drawing.style import style_sheet
from runner.escape import printable
from runner.sign import tone_of

PAGE = Size(1040, 860)
"""The extent in which a picture should be readable without scrolling: it decides between down and right."""

MARGIN = 24
HEADING = 30
_HEAD = 7

_STACKED = ("task", "group")
_TYPE_WORDS = {
    "execution": "execution",
    "task": "task",
    "deployment": "deployment",
    "file": "file",
    "group": "several executions",
}
"""The legend of the types."""

_FULL, _SMALL = (8, 9, STACK), (4, 4, 2)
"""Of a shape as a box and in the legend: the radius of its corners, what is cut off them, how far cards look out."""


def render(drawing: Drawing) -> str:
    """One pipeline as an SVG document."""
    lines = bundles(drawing)
    cards = [make_card(node) for node in drawing.nodes]
    labels = [make_label(bundle) for bundle in lines]
    links = [Link(bundle.source, bundle.target, label.size) for bundle, label in zip(lines, labels, strict=True)]
    layout = lay_out([_room(node, card) for node, card in zip(drawing.nodes, cards, strict=True)], links, PAGE)
    key = _Legend(drawing)
    heading = shorten_end(printable(drawing.pipeline), max(260, layout.width), 16, bold=True)
    width = max(layout.width, key.width, text_width(heading, 16, bold=True)) + 2 * MARGIN
    height = layout.height + HEADING + 2 * MARGIN + key.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mlg" role="img" width="{_n(width)}" height="{_n(height)}" '
        f'viewBox="0 0 {_n(width)} {_n(height)}">',
        f"<title>{_text(f'{drawing.subject} {printable(drawing.pipeline)}')}</title>",
        f"<desc>{_text(_describe(drawing, lines))}</desc>",
        f"<style>{style_of(drawing)}</style>",
        '<rect class="ground" width="100%" height="100%" rx="10"/>',
        f'<text class="heading" x="{MARGIN}" y="{MARGIN + 13}">{_text(heading)}</text>',
        f'<g transform="translate({_n((width - layout.width) / 2)} {MARGIN + HEADING})">',
    ]
    for bundle, route in zip(lines, layout.routes, strict=True):
        parts += _wire(bundle, route, layout)
    for bundle, label, route in zip(lines, labels, layout.routes, strict=True):
        parts += _label(bundle, label, route)
    for node, card, box in zip(drawing.nodes, cards, layout.boxes, strict=True):
        parts += _node(node, card, box)
    parts += ["</g>", *key.draw(MARGIN, MARGIN + HEADING + layout.height + 18), "</svg>"]
    return "\n".join(parts)


def style_of(drawing: Drawing) -> str:
    """The CSS within its picture: a page that allows no other must name it."""
    return style_sheet({node.type for node in drawing.nodes}, stateful=any(node.state for node in drawing.nodes))


def _n(value: float) -> str:
    """A coordinate with one decimal at most."""
    shown = f"{value:.1f}".removesuffix(".0")
    return "0" if shown == "-0" else shown


def _text(text: str) -> str:
    """A text of a file as it may stand in XML; a newline of ours stays."""
    return "\n".join(escape(printable(line)) for line in text.split("\n"))


def _room(node: DrawnNode, card: Card) -> Size:
    """The box with the cards behind it."""
    more = 2 * STACK if node.type in _STACKED else 0
    return Size(card.size.width + more, card.size.height + more)


def _describe(drawing: Drawing, lines: Sequence[Bundle]) -> str:
    """The picture in words, at most the first hundred nodes of it."""
    following: dict[int, list[str]] = {}
    for bundle in lines:
        following.setdefault(bundle.source, []).append(printable(drawing.nodes[bundle.target].name))
    told = [
        node_words(node) + (f" → {', '.join(following[index])}" if index in following else "")
        for index, node in enumerate(drawing.nodes[:100])
    ]
    return f"{len(drawing.nodes)} nodes, {len(drawing.edges)} edges. " + "; ".join(told)


def _wire(bundle: Bundle, route: Route, layout: Layout) -> Iterator[str]:
    mark = f" {bundle.mark}" if bundle.mark else ""
    points = route.points
    if bundle.source == bundle.target:
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
        # A cubic curve goes three quarters of the way to its control points.
        first = (x0 + (x1 - x0) * 4 / 3, y0 + (y1 - y0) * 4 / 3)
        second = (x3 + (x2 - x3) * 4 / 3, y3 + (y2 - y3) * 4 / 3)
        path = f"M{_p(points[0])}C{_p(first)} {_p(second)} {_p(points[3])}"
        before = second
    else:
        path = _path(points, layout)
        before = points[-2] if points[-2] != points[-1] else _control_before(points, layout)
    yield f'<g class="edge {bundle.kind}{mark}">'
    yield f'<path class="wire" d="{path}"/>'
    yield f'<path class="head" d="{_arrow_head(points[-1], before)}"/>'
    yield "</g>"


def _p(point: Point) -> str:
    return f"{_n(point[0])} {_n(point[1])}"


def _path(points: Sequence[Point], layout: Layout) -> str:
    parts = [f"M{_p(points[0])}"]
    for index in range(1, len(points)):
        start, end = points[index - 1], points[index]
        if start == end:
            continue
        # Straight pieces and bends alternate; a bend without a shift is straight too.
        if index % 2 or start[0] == end[0] or start[1] == end[1]:
            parts.append(f"L{_p(end)}")
        else:
            first, second = control_points(start, end, layout.direction)
            parts.append(f"C{_p(first)} {_p(second)} {_p(end)}")
    return "".join(parts)


def _control_before(points: Sequence[Point], layout: Layout) -> Point:
    return control_points(points[-3], points[-2], layout.direction)[1]


def _arrow_head(tip: Point, before: Point) -> str:
    """A triangle whose tip touches the box, coming from `before`."""
    dx, dy = tip[0] - before[0], tip[1] - before[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1
    ux, uy = dx / length, dy / length
    x, y = tip[0] - ux * _HEAD, tip[1] - uy * _HEAD
    half = _HEAD * 0.55
    left, right = (x - uy * half, y + ux * half), (x + uy * half, y - ux * half)
    return f"M{_p(tip)}L{_p(left)}L{_p(right)}Z"


def _label(bundle: Bundle, label: Label, route: Route) -> Iterator[str]:
    if not label.lines:
        return
    mark = f" {bundle.mark}" if bundle.mark else ""
    box = route.label
    yield f'<g class="note {bundle.kind}{mark}"><title>{_text(label.title)}</title>'
    yield _rect("plate", box, 4)
    for line in label.lines:
        x = box.x + box.width / 2
        yield (
            f'<text class="{line.style}" x="{_n(x)}" y="{_n(box.y + line.y)}" text-anchor="middle">'
            f"{_text(line.text)}</text>"
        )
    yield "</g>"


def _rect(style: str, box: Box, radius: float) -> str:
    return (
        f'<rect class="{style}" x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}" '
        f'rx="{_n(radius)}"/>'
    )


def _node(node: DrawnNode, card: Card, room: Box) -> Iterator[str]:
    mark = f" {node.mark}" if node.mark else f" {tone_of(node.state)}" if node.state else ""
    box = Box(room.x, room.y, card.size.width, card.size.height)
    yield f'<g class="node {node.type}{mark}"><title>{_text(node_words(node))}</title>'
    yield from _shape(node.type, box)
    for line in card.lines:
        yield f'<text class="{line.style}" x="{_n(box.x + PADDING)}" y="{_n(box.y + line.y)}">{_text(line.text)}</text>'
    if card.badge:
        plate = Box(box.x + box.width - card.badge_width - 8, box.y + 9, card.badge_width, 16)
        yield f'<g class="badge">{_rect("pill", plate, 8)}'
        yield f'<text x="{_n(plate.x + plate.width / 2)}" y="{_n(plate.y + 11.5)}">{_text(card.badge)}</text></g>'
    yield "</g>"


def _shape(kind: str, box: Box, measures: tuple[int, int, int] = _FULL) -> Iterator[str]:
    """A rounded box; cards behind it for several executions; cut corners for a deployment; a folded one for a file."""
    radius, cut, stack = measures
    if kind == "deployment":
        x0, y0, x1, y1 = box.x, box.y, box.x + box.width, box.y + box.height
        corners = [(x0 + cut, y0), (x1 - cut, y0), (x1, y0 + cut), (x1, y1 - cut)]
        corners += [(x1 - cut, y1), (x0 + cut, y1), (x0, y1 - cut), (x0, y0 + cut)]
        yield f'<path class="shape" d="M{"L".join(map(_p, corners))}Z"/>'
        return
    if kind == "file":
        x0, y0, x1, y1 = box.x, box.y, box.x + box.width, box.y + box.height
        corners = [(x0, y0), (x1 - cut, y0), (x1, y0 + cut), (x1, y1), (x0, y1)]
        yield f'<path class="shape" d="M{"L".join(map(_p, corners))}Z"/>'
        yield f'<path class="shape" d="M{"L".join(map(_p, [(x1 - cut, y0), (x1 - cut, y0 + cut), (x1, y0 + cut)]))}"/>'
        return
    if kind in _STACKED:
        for step in (2, 1):
            yield _rect("shape", Box(box.x + step * stack, box.y + step * stack, box.width, box.height), radius)
    yield _rect("shape", box, radius)


class _Legend:
    """What the shapes, strokes and signs mean: only what occurs, and only where there is something to tell apart."""

    def __init__(self, drawing: Drawing) -> None:
        types = [kind for kind in _TYPE_WORDS if any(n.type == kind for n in drawing.nodes)]
        kinds = [kind for kind in Kind if any(kind_of(edge) is kind for edge in drawing.edges)]
        found = {node.mark for node in drawing.nodes} | {edge.mark for edge in drawing.edges}
        self._entries: list[tuple[str, str, str]] = []
        if types not in ([], ["execution"]):
            self._entries += [("node", kind, _TYPE_WORDS[kind]) for kind in types]
        if kinds not in ([], [Kind.FILES]):
            self._entries += [("edge", kind, KIND_WORDS[kind]) for kind in kinds]
        self._entries += [("mark", mark, f"{SIGNS[mark]} {mark}") for mark in Mark if mark in found]
        self.width = sum(self._entry_width(word) for _, _, word in self._entries)
        self.height = 34 if self._entries else 0

    def _entry_width(self, word: str) -> float:
        return 34 + text_width(word, 10.5) + 20

    def draw(self, x: float, y: float) -> Iterator[str]:
        """One row, beginning at this place."""
        if not self._entries:
            return
        yield '<g class="legend">'
        for sort, name, word in self._entries:
            if sort == "edge":
                yield f'<g class="edge {name}"><path class="wire" d="M{_n(x)} {_n(y + 8)}h26"/></g>'
            else:
                kind = name if sort == "node" else f"execution {name}"
                yield f'<g class="{kind}">{"".join(_shape(name, Box(x, y + 1, 22, 14), _SMALL))}</g>'
            slanted = " value" if name == Kind.VALUES else ""
            yield f'<text class="key{slanted}" x="{_n(x + 34)}" y="{_n(y + 12)}">{_text(word)}</text>'
            x += self._entry_width(word)
        yield "</g>"
