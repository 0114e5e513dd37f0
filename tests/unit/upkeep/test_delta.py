"""Taking versions apart: whatever was edited, the pieces make the same bytes again, and cost about what was edited."""

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.digest import Digest
from runner.store.recipe import make_recipe
from runner.upkeep.chunk import Window
from runner.upkeep.delta import LEFTOVER, Delta, Parts

from .windows import WITH_FILES, Opened

BASE = Digest("b" * 64)
AVERAGE = 256
"""The smallest that the chunker takes, so that small files have many chunks."""
RANDOM = random.Random(20).randbytes(200_000)


@st.composite
def edits(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Appends, inserts, deletes, moves or repeats a part."""
    kind = draw(st.sampled_from(["append", "insert", "delete", "move", "repeat", "change"]))
    where, other, size = (draw(st.integers(0, 60_000)) for _ in range(3))
    new = random.Random(draw(st.integers(0, 3))).randbytes(draw(st.integers(0, 5_000)))

    def edit(data: bytes) -> bytes:
        at, to = where % (len(data) + 1), other % (len(data) + 1)
        part = data[at : at + size]
        match kind:
            case "append":
                return data + new
            case "insert":
                return data[:at] + new + data[at:]
            case "delete":
                return data[:at] + data[at + size :]
            case "move":
                rest = data[:at] + data[at + size :]
                return rest[:to] + part + rest[to:]
            case "repeat":
                return data[:to] + part + data[to:]
            case _:
                return data[:at] + new + data[at + len(new) :]

    return edit


def put_together(parts: Parts, base: bytes, leftovers: bytes) -> bytes:
    sources = {BASE: base, LEFTOVER: leftovers}
    return b"".join(sources[source][offset : offset + length] for source, offset, length in parts.pieces)


def content(windows: list[Window]) -> bytes:
    return b"".join(os.pread(window.fd, window.size, window.begin) for window in windows)


@WITH_FILES
@given(st.integers(0, 60_000), st.lists(st.lists(edits(), max_size=4), min_size=1, max_size=4))
def test_every_version_comes_back_byte_for_byte(
    opened: Opened, size: int, versions: list[list[Callable[[bytes], bytes]]]
) -> None:
    base = RANDOM[:size]
    delta = Delta(BASE, opened(base), AVERAGE)
    leftovers, taken = b"", []
    for number, version in enumerate(versions):
        data = base
        for edit in version:
            data = edit(data)
        parts = delta.take_apart(opened(data))
        if number == 1:
            # What is not kept must not be pointed to by those that come later.
            delta.undo()
            continue
        leftovers += content(parts.leftovers)
        taken.append((data, parts))
    for data, parts in taken:
        assert put_together(parts, base, leftovers) == data
        assert make_recipe(parts.pieces).size == len(data)


@pytest.mark.parametrize(
    ("old", "most", "pieces"),
    [
        (RANDOM[:150_000], 0, 1),
        (RANDOM, 0, 1),
        (RANDOM[20:], 0, 1),
        (RANDOM + b"more", 4, 2),
        (b"more" + RANDOM, 4, 2),
        (RANDOM[:70_000] + b"more" + RANDOM[70_000:], 4, 3),
        (RANDOM[:70_000] + RANDOM[71_000:], 0, 2),
        (RANDOM[:70_000] + b"x" * 10 + RANDOM[70_010:], 10, 3),
        (RANDOM[:50_000] + b"x" * 10 + RANDOM[50_010:150_000] + b"x" * 10 + RANDOM[150_010:], 20, 5),
        (RANDOM[100_000:] + RANDOM[:100_000], 0, 2),
        (RANDOM * 3, 0, 3),
    ],
    ids=[
        "before-an-append", "same", "after-a-prepend", "cut-off", "headless", "inserted", "deleted", "changed",
        "changed-twice", "moved", "repeated",
    ],
)  # fmt: skip
def test_a_version_costs_what_the_newest_does_not_have(opened: Opened, old: bytes, most: int, pieces: int) -> None:
    parts = Delta(BASE, opened(RANDOM), AVERAGE).take_apart(opened(old))
    assert put_together(parts, RANDOM, content(parts.leftovers)) == old
    assert parts.cost == most
    assert len(make_recipe(parts.pieces).pieces) == pieces


def test_what_several_versions_have_and_the_newest_has_not_is_left_over_once(opened: Opened) -> None:
    delta = Delta(BASE, opened(RANDOM[:100_000]), AVERAGE)
    gone = RANDOM[100_000:]
    first = delta.take_apart(opened(RANDOM[:50_000] + gone + RANDOM[50_000:100_000]))
    second = delta.take_apart(opened(gone + RANDOM[:100_000]))
    assert first.cost == len(gone)
    assert second.cost < AVERAGE * 20


def test_what_is_twice_in_a_version_is_left_over_once(opened: Opened) -> None:
    gone = RANDOM[100_000:150_000]
    parts = Delta(BASE, opened(RANDOM[:100_000]), AVERAGE).take_apart(opened(gone + gone + gone))
    assert parts.cost < 1.2 * len(gone)


def test_bytes_without_anything_in_common_are_all_left_over(opened: Opened) -> None:
    parts = Delta(BASE, opened(RANDOM), AVERAGE).take_apart(opened(os.urandom(50_000)))
    assert parts.cost == 50_000
