"""A confusion matrix as a picture: right answers in blue, wrong ones in red, darker the larger their share. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iris import glyph
from iris.canvas import Canvas, Colour

PAPER: Colour = (255, 255, 255)
INK: Colour = (31, 41, 55)
FAINT: Colour = (107, 114, 128)
EMPTY: Colour = (243, 244, 246)
BLUES: tuple[Colour, ...] = ((219, 234, 254), (96, 165, 214), (22, 78, 134))
REDS: tuple[Colour, ...] = ((254, 226, 215), (239, 122, 84), (166, 38, 28))

EDGE = 44  # pixels around everything
HEAD = 130  # above the cells: title and note
FOOT = 84  # below the cells: names and axis title
BETWEEN = 8
TITLE, NAME, AXIS = 26, 17, 15  # heights of capitals
LONGEST = 26  # characters of a name before it is cut


def draw(matrix: NDArray[np.int64], names: Sequence[str], title: str, note: str) -> bytes:
    """A PNG. Row i of the matrix holds what is `names[i]`, column j what was taken for `names[j]`."""
    shown = [name if len(name) <= LONGEST else name[: LONGEST - 3] + "..." for name in names]
    widest = max(glyph.width_of(name, NAME) for name in shown)
    cell = max(round(widest) + 28, min(164, 900 // len(names)))
    left = EDGE + AXIS + 30 + round(widest) + 18
    span = len(names) * (cell + BETWEEN) - BETWEEN
    words = max(glyph.width_of(title, TITLE), glyph.width_of(note, AXIS))
    canvas = Canvas(max(left + span, EDGE + round(words)) + EDGE, HEAD + span + FOOT + EDGE // 2, PAPER)

    canvas.text(EDGE - 4, EDGE + TITLE / 2, title, TITLE, INK, "left")
    canvas.text(EDGE - 4, EDGE + TITLE + 28, note, AXIS, FAINT, "left")
    canvas.upright_text(EDGE + AXIS / 2, HEAD + span / 2, "actual", AXIS, FAINT)
    canvas.text(left + span / 2, HEAD + span + 64, "predicted", AXIS, FAINT)
    for index, name in enumerate(shown):
        start = index * (cell + BETWEEN)
        canvas.text(left - 14, HEAD + start + cell / 2, name, NAME, INK, "right")
        canvas.text(left + start + cell / 2, HEAD + span + 26, name, NAME, INK)
    _draw_cells(canvas, matrix, left, cell)
    return canvas.png()


def _draw_cells(canvas: Canvas, matrix: NDArray[np.int64], left: int, cell: int) -> None:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = min(cell * 0.22, cell * 0.75 / (0.9 * len(str(matrix.max()))))
    for (row, column), count in np.ndenumerate(matrix):
        x, y = left + column * (cell + BETWEEN), HEAD + row * (cell + BETWEEN)
        colour = _colour(float(shares[row, column]), BLUES if row == column else REDS) if count else EMPTY
        ink = PAPER if _is_dark(colour) else INK if count else FAINT
        canvas.box(x, y, cell, cell, cell * 0.06, colour)
        canvas.text(x + cell / 2, y + cell * (0.43 if count else 0.5), str(count), size, ink)
        if count:
            canvas.text(x + cell / 2, y + cell * 0.72, f"{shares[row, column]:.0%}", cell * 0.09, ink)


def _colour(share: float, ramp: Sequence[Colour]) -> Colour:
    """The colour of a share from 0 to 1, between the colours of the ramp."""
    places = np.linspace(0, 1, len(ramp))
    red, green, blue = (round(float(np.interp(share, places, channel))) for channel in zip(*ramp, strict=True))
    return red, green, blue


def _is_dark(colour: Colour) -> bool:
    """Whether white reads better than ink on it, by its luma (ITU-R BT.601)."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue < 150
