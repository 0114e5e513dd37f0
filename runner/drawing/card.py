"""What stands in the box of a node and beside a line of the SVG, measured and placed. Pure; the unit is a pixel."""

from collections.abc import Iterator
from dataclasses import dataclass

from runner.drawing.bundle import SIGNS, Bundle, Kind, badge_of, full_text, kind_of, node_lines, short_text
from runner.drawing.glyph import shorten_end, shorten_middle, text_width, wrap
from runner.drawing.layout import Size
from runner.drawing.model import DrawnNode, Mark
from runner.escape import printable

PADDING = 14
ROOM = 208
"""The widest text of a box."""

LEAST = 104
"""The least width of a box."""

LABEL_ROOM = 190
LABEL_LINES = 5
LABEL_SIZE = 10.5
LABEL_HEIGHT = 14
_ARROW = " → "

STACK = 4
"""How far each of the two cards behind a task node looks out."""

_NAME, _SMALL, _BADGE = 13.5, 11, 10
_HEIGHTS = {"name": 18, "step": 15, "fan": 16, "image": 15}


@dataclass(frozen=True, slots=True)
class Line:
    """A text of one style; `y` is its base line below the top of the box or label."""

    text: str
    style: str
    y: float


@dataclass(frozen=True, slots=True)
class Card:
    """The inside of a node's box. `badge` is the word of its mark or state, as wide as `badge_width`, behind
    the name."""

    size: Size
    lines: tuple[Line, ...]
    badge: str = ""
    badge_width: float = 0


@dataclass(frozen=True, slots=True)
class Label:
    """The text on a line: one row an edge. `title` says all of them in full."""

    size: Size
    lines: tuple[Line, ...]
    title: str


def make_card(node: DrawnNode) -> Card:
    """The box of a node: its name, what it runs, what it varies and its image."""
    rows = list(_rows(node))
    badge = badge_of(node)
    badge_width = text_width(badge, _BADGE, bold=True) + 14 if badge else 0.0
    # The badge stands at the right of the first line of the name.
    widths = [text_width(text, size, bold=style == "name") for text, style, size in rows]
    widths[0] += badge_width + 8 if badge else 0
    y, lines = 9.0, []
    for text, style, _ in rows:
        y += _HEIGHTS[style]
        lines.append(Line(text, style, y - 4))
    return Card(Size(round(max(LEAST, *widths) + 2 * PADDING), y + 9), tuple(lines), badge, badge_width)


def _rows(node: DrawnNode) -> Iterator[tuple[str, str, float]]:
    for text in wrap(printable(node.name), ROOM, _NAME, 2, bold=True):
        yield text, "name", _NAME
    if node.type == "deployment" and not node.step:
        yield "deployment", "step", _SMALL
    for role, text in node_lines(node):
        shorten = shorten_middle if role == "image" else shorten_end
        yield shorten(printable(text), ROOM, _SMALL), role, _SMALL


def make_label(bundle: Bundle) -> Label:
    """The label of a line; empty for a mere order."""
    rows = []
    for edge in bundle.edges:
        text = short_text(edge) or ("order" if edge.mark else "")
        if text:
            sign = f"{SIGNS[edge.mark]} " if edge.mark else ""
            style = "label" if kind_of(edge) is Kind.FILES else "label value"
            rows.append((_shorten_edge(sign + text), f"{style}{_mark_class(edge.mark)}"))
    if len(rows) > LABEL_LINES:
        rows[LABEL_LINES - 1 :] = [(f"… {len(rows) - LABEL_LINES + 1} more", "label")]
    title = "\n".join(full_text(edge) + (f" ({edge.mark})" if edge.mark else "") for edge in bundle.edges)
    if not rows:
        return Label(Size(0, 0), (), title)
    width = max(text_width(text, LABEL_SIZE) for text, _ in rows) + 10
    lines = (Line(text, style, 2 + LABEL_HEIGHT * row + 11) for row, (text, style) in enumerate(rows))
    return Label(Size(round(width), LABEL_HEIGHT * len(rows) + 4), tuple(lines), title)


def _shorten_edge(text: str) -> str:
    """A row of a label in its room: both ends are seen, and the arrow between them."""
    source, arrow, target = text.partition(_ARROW)
    if not arrow or text_width(text, LABEL_SIZE) <= LABEL_ROOM:
        return shorten_middle(text, LABEL_ROOM, LABEL_SIZE)
    room = LABEL_ROOM - text_width(arrow, LABEL_SIZE)
    # What the shorter end leaves of its half goes to the longer one.
    left = max(room / 2, room - text_width(target, LABEL_SIZE))
    source = shorten_middle(source, left, LABEL_SIZE)
    return source + arrow + shorten_middle(target, room - text_width(source, LABEL_SIZE), LABEL_SIZE)


def _mark_class(mark: Mark | None) -> str:
    return f" {mark}" if mark else ""
