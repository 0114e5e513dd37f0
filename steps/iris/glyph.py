"""A small stroke font: every character is a few strokes of a round pen. Pure: text in, coverage out.

A stroke is a kind and a chain of points, two characters each (x, then y, in base 36): `-` joins them by straight
lines, `~` by a smooth curve from the first to the last, `o` by a smooth closed curve inside their polygon (four corners
make an oval). Capitals stand on y = 16 and reach up to 0, small letters to 6; descenders go down to 21.
"""

import itertools
import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

CAPITAL = 16  # units from the top of a capital to the line it stands on
DESCENT = 5  # units below that line
GAP = 4  # units between two characters
SPACE = 6
DOT = 1.3  # how much thicker than a stroke a dot is, or it would look thinner

Coverage = NDArray[np.float64]
Points = NDArray[np.float64]

STROKES = {
    "a": "-a6ag o06a6ag0g",
    "b": "-000g o06a6ag0g",
    "c": "~9986060g8g9d",
    "d": "-a0ag o06a6ag0g",
    "e": "-0bab ~aba6060g7gae",
    "f": "~804045 -454g -0686",
    "g": "o06a6ag0g -a6ah ~ahal1l1j",
    "h": "-000g ~0b06969b -9b9g",
    "i": "-060g -0101",
    "j": "-464h ~4h4l0l -4141",
    "k": "-000g -860b -398g",
    "l": "-000d ~0d0g3g",
    "m": "-060g ~0a06767a -7a7g ~7a76e6ea -eaeg",
    "n": "-060g ~0b06969b -9b9g",
    "o": "o06a6ag0g",
    "p": "-060l o06a6ag0g",
    "q": "-a6al o06a6ag0g",
    "r": "-060g ~0b0666",
    "s": "~7776060b8b8g1g0e",
    "t": "-303d ~3d3g7g -0676",
    "u": "-060b ~0b0g9g9b -969g",
    "v": "-064g86",
    "w": "-063g76bge6",
    "x": "-068g -860g",
    "y": "-065g -a63l",
    "z": "-06860g8g",
    "A": "-0g60cg -2bab",
    "B": "-0g00 -0050 ~50a0a858 -5808 ~58b8bg5g -5g0g",
    "C": "~c3a0000gagcd",
    "D": "-0g00 -0040 ~40c0cg4g -4g0g",
    "E": "-90000g9g -0878",
    "F": "-90000g -0878",
    "G": "~c3a0000gcgc9 -c979",
    "H": "-000g -b0bg -08b8",
    "I": "-000g",
    "J": "-707b ~7b7g0g0c",
    "K": "-000g -a00a -48bg",
    "L": "-000g8g",
    "M": "-0g006bc0cg",
    "N": "-0g00bgb0",
    "O": "o00e0eg0g",
    "P": "-0g00 -0050 ~50b0b959 -5909",
    "Q": "o00e0eg0g -9bfh",
    "R": "-0g00 -0050 ~50b0b959 -5909 -59bg",
    "S": "~a3900008a8ag1g0d",
    "T": "-00c0 -606g",
    "U": "-000a ~0a0gbgba -bab0",
    "V": "-006gc0",
    "W": "-004g81cgg0",
    "X": "-00bg -b00g",
    "Y": "-0068c0 -686g",
    "Z": "-00b00gbg",
    "0": "o00a0ag0g",
    "1": "-03404g",
    "2": "~0400a0a80g -0gag",
    "3": "~0200a0a848 ~48a8ag0g0d",
    "4": "-7g700bab",
    "5": "-901007 ~0725a5ag0g0d",
    "6": "o06a6ag0g ~80000b",
    "7": "-00a03g",
    "8": "o10909818 o08a8ag0g",
    "9": "o00a0aa0a ~a5ag2g",
    ".": "-0g0g",
    ",": "-1g0j",
    ":": "-0707 -0g0g",
    "-": "-0a6a",
    "_": "-0iai",
    "+": "-0aaa -555f",
    "=": "-08a8 -0dad",
    "/": "-0g80",
    "%": "-c01g o00606707 o79d9dg7g",
    "(": "~40000g4g",
    ")": "~00404g0g",
    "'": "-0004",
}
UNKNOWN = "-000g8g8000"


def mask(text: str, size: float, weight: float = 0.11) -> Coverage:
    """The text as coverage from 0 to 1, `size` pixels from the top of a capital to the line; the pen's width is
    `weight` of the size. Ascent, descent and half a pen on each side are part of the picture, whatever the text."""
    scale = size / CAPITAL
    radius = max(0.5, size * weight / 2)
    border = int(np.ceil(radius * DOT)) + 1
    width, lines = _layout(text)
    shape = int(np.ceil((CAPITAL + DESCENT) * scale)) + 2 * border, int(np.ceil(width * scale)) + 2 * border
    coverage = np.zeros(shape)
    for line in lines:
        pixels = line * scale + border
        pen = radius * DOT if np.all(line == line[0]) else radius
        for start, end in itertools.pairwise(pixels):
            _ink(coverage, start, end, pen)
    return coverage


def width_of(text: str, size: float) -> float:
    """How many pixels wide the text is, without the pen's border."""
    return _layout(text)[0] * size / CAPITAL


def _layout(text: str) -> tuple[float, list[Points]]:
    """The width of the text and all its lines, in units."""
    lines: list[Points] = []
    x = 0.0
    for character in _plain(text):
        if character == " ":
            x += SPACE
            continue
        strokes = _glyph(character)
        lines += [line + np.array([x, 0]) for line in strokes]
        x += max(float(line[:, 0].max()) for line in strokes) + GAP
    return max(0.0, x - GAP), lines


def _plain(text: str) -> str:
    """The text without accents, which the font does not have."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


@cache
def _glyph(character: str) -> tuple[Points, ...]:
    return tuple(_line(stroke) for stroke in STROKES.get(character, UNKNOWN).split())


def _line(stroke: str) -> Points:
    """A stroke as a chain of points, close enough to look round."""
    kind, pairs = stroke[0], stroke[1:]
    points = np.array([[int(pairs[i], 36), int(pairs[i + 1], 36)] for i in range(0, len(pairs), 2)], dtype=np.float64)
    if kind == "-":
        return points
    return _curve(np.vstack([points[-1], points, points[:1]]), closed=True) if kind == "o" else _curve(points)


def _curve(points: Points, closed: bool = False) -> Points:
    """The quadratic B-spline of the points: parabolas that touch the middle of each side of the polygon."""
    middles = (points[:-1] + points[1:]) / 2
    if not closed:
        middles[0], middles[-1] = points[0], points[-1]
    t = np.linspace(0, 1, 9)[:, None]
    pieces = zip(middles[:-1], points[1:-1], middles[1:], strict=True)
    return np.vstack([(1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end for start, corner, end in pieces])


def _ink(coverage: Coverage, start: Points, end: Points, radius: float) -> None:
    """Draw one piece of line into the coverage; its edge is one pixel soft."""
    low = np.maximum(np.floor(np.minimum(start, end) - radius - 1), 0).astype(int)
    high = np.ceil(np.maximum(start, end) + radius + 2).astype(int)
    window = coverage[low[1] : high[1], low[0] : high[0]]
    rows, columns = np.mgrid[low[1] : low[1] + window.shape[0], low[0] : low[0] + window.shape[1]]
    pixels = np.stack([columns, rows], axis=-1) + 0.5
    along = end - start
    length = float(along @ along)
    place = np.clip((pixels - start) @ along / length, 0, 1) if length else np.zeros(window.shape)
    distance = np.linalg.norm(pixels - start - place[..., None] * along, axis=-1)
    np.maximum(window, np.clip(radius + 0.5 - distance, 0, 1), out=window)
