"""A picture made of soft-edged shapes, and its PNG. Needs numpy and zlib only. Pure: bytes out, no disk."""

import struct
import zlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iris import glyph

Colour = tuple[int, int, int]
Anchor = Literal["left", "middle", "right"]


class Canvas:
    """Shapes are painted over one another, at positions in pixels from the top left corner."""

    def __init__(self, width: int, height: int, background: Colour) -> None:
        self._pixels = np.empty((height, width, 3))
        self._pixels[:] = background

    def box(self, x: int, y: int, width: int, height: int, radius: float, colour: Colour) -> None:
        """A filled rectangle with round corners."""
        rows, columns = np.mgrid[0:height, 0:width] + 0.5
        # The distance to a rectangle that is smaller by the radius on each side; negative inside.
        right = np.abs(columns - width / 2) - width / 2 + radius
        down = np.abs(rows - height / 2) - height / 2 + radius
        distance = np.hypot(np.maximum(right, 0), np.maximum(down, 0)) + np.minimum(np.maximum(right, down), 0)
        self._paint(x, y, np.clip(radius + 0.5 - distance, 0, 1), colour)

    def text(self, x: float, y: float, text: str, size: float, colour: Colour, anchor: Anchor = "middle") -> None:
        """One line of text; its capitals are `size` pixels high and centred on y, its `anchor` is at x."""
        ink = glyph.mask(text, size)
        left = {"left": x, "middle": x - ink.shape[1] / 2, "right": x - ink.shape[1]}[anchor]
        top = y - (ink.shape[0] - glyph.DESCENT * size / glyph.CAPITAL) / 2
        self._paint(round(left), round(top), ink, colour)

    def upright_text(self, x: float, y: float, text: str, size: float, colour: Colour) -> None:
        """A line of text that is read from the bottom up, centred on x and y."""
        ink = np.rot90(glyph.mask(text, size))
        left = x - (ink.shape[1] - glyph.DESCENT * size / glyph.CAPITAL) / 2
        self._paint(round(left), round(y - ink.shape[0] / 2), ink, colour)

    def png(self) -> bytes:
        """The picture as a PNG (ISO/IEC 15948): 8 bits per channel, no filter, no time stamp."""
        pixels = np.rint(self._pixels).astype(np.uint8)
        height, width, _ = pixels.shape
        scanlines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(scanlines.tobytes(), 9)) + _chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + body

    def _paint(self, x: int, y: int, coverage: NDArray[np.float64], colour: Colour) -> None:
        """Mix the colour in; what lies outside the canvas is lost."""
        ink = coverage[max(0, -y) :, max(0, -x) :, None]
        window = self._pixels[max(0, y) : max(0, y) + ink.shape[0], max(0, x) : max(0, x) + ink.shape[1]]
        ink = ink[: window.shape[0], : window.shape[1]]
        window += ink * (np.array(colour) - window)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
