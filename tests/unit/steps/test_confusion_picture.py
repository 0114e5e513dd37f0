"""The picture's own shapes and letters, seen as pixels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="the steps need numpy")


def run(repository: Path, code: str) -> str:
    """Run code that can import what the steps share, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, 'steps')\n{code}"],
        cwd=repository,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.strip()


def test_every_letter_and_digit_has_a_shape_of_its_own(repository: Path) -> None:
    code = """
import string
from iris import glyph
shapes = [glyph.mask(c, 40).tobytes() for c in string.ascii_letters + string.digits + "~"]
print(len(set(shapes)), len(shapes))
"""
    assert run(repository, code) == "63 63"


def test_an_accent_is_dropped_and_an_unknown_sign_is_a_box(repository: Path) -> None:
    code = """
from iris import glyph
same = lambda a, b: glyph.mask(a, 40).tobytes() == glyph.mask(b, 40).tobytes()
print(same("é", "e"), same("花", "草"), same("花", "e"))
"""
    assert run(repository, code) == "True True False"


def test_letters_stay_within_their_picture_and_soft_at_the_edge(repository: Path) -> None:
    code = """
from iris import glyph
ink = glyph.mask("Ågjpqy(%)", 31)
edges = max(ink[0].max(), ink[-1].max(), ink[:, 0].max(), ink[:, -1].max())
print(edges < 1, ink.max() == 1, ((ink > 0) & (ink < 1)).any())
"""
    assert run(repository, code) == "True True True"


@pytest.mark.parametrize("kinds", [1, 2, 25])
def test_a_matrix_of_any_size_becomes_a_picture(repository: Path, kinds: int) -> None:
    code = f"""
import struct
import numpy as np
from iris import heatmap
names = ["a very long name of a species indeed", *(f"kind {{i}}" for i in range({kinds - 1}))]
png = heatmap.draw(np.full(({kinds}, {kinds}), 123456), names, "Confusion matrix", "note")
print(*struct.unpack_from(">II", png, 16))
"""
    width, height = map(int, run(repository, code).split())
    assert 300 < height <= width < 30_000


def test_rows_without_flowers_are_drawn_as_zeros(repository: Path) -> None:
    code = """
import numpy as np
from iris import heatmap
print(len(heatmap.draw(np.array([[3, 0], [0, 0]]), ["a", "b"], "t", "n")) > 1000)
"""
    assert run(repository, code) == "True"
