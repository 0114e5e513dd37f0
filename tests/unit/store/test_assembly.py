"""Packed objects as they are read: every byte in its order, in pieces of whatever size they are asked for."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.digest import Digest, hash_bytes
from runner.store.assembly import Assembly, descriptor
from runner.store.recipe import Piece, Recipe

from .test_recipe import SOURCES, content, pieces


@contextmanager
def opened(recipe: Recipe, *, cut: int | None = None) -> Iterator[tuple[Assembly, dict[Digest, BinaryIO]]]:
    """A stream over a recipe and its sources, of which only `cut` bytes are there."""
    files: dict[Digest, BinaryIO] = {}
    for source in recipe.sources:
        files[source] = tempfile.TemporaryFile(buffering=0)  # type: ignore[assignment]  # noqa: SIM115
        files[source].write(SOURCES[source][:cut])
    with Assembly(recipe, files) as stream:
        yield stream, files


@given(pieces(), st.lists(st.integers(0, 300), min_size=1, max_size=5))
def test_the_bytes_are_the_same_in_whatever_pieces_they_are_read(found: list[Piece], sizes: list[int]) -> None:
    recipe, read = Recipe(tuple(piece for piece in found if piece.length)), bytearray()
    with opened(recipe) as (stream, _):
        while len(read) < recipe.size:
            for size in [*sizes, 7]:
                buffer = bytearray(size)
                read += buffer[: stream.readinto(buffer)]
        assert stream.readinto(bytearray(9)) == 0
    assert read == content(recipe)


@given(pieces())
def test_read_as_a_file_it_is_what_the_recipe_says(found: list[Piece]) -> None:
    recipe = Recipe(tuple(piece for piece in found if piece.length))
    with opened(recipe) as (stream, _), stream.buffered() as file:
        assert file.read() == content(recipe)


SOURCE = hash_bytes(b"abcabcabc" * 9)


def test_a_source_that_is_too_short_ends_it_and_nothing_takes_the_place_of_what_is_lost() -> None:
    recipe = Recipe((Piece(SOURCE, 0, 20), Piece(SOURCE, 3, 5)))
    with opened(recipe, cut=10) as (stream, _):
        assert stream.read() == b"abcabcabca"
        assert stream.read(5) == b""


@pytest.mark.parametrize("buffered", [True, False])
def test_its_sources_are_closed_with_it(buffered: bool) -> None:
    with opened(Recipe((Piece(SOURCE, 0, 3),))) as (stream, files):
        file = stream.buffered() if buffered else stream
        assert file.read(1) == b"a"
        file.close()
        file.close()
        assert [source.closed for source in files.values()] == [True]
        with pytest.raises(ValueError, match="closed"):
            file.read(1)


def test_only_an_object_that_is_one_file_has_a_descriptor() -> None:
    with opened(Recipe((Piece(SOURCE, 0, 3),))) as (stream, _), stream.buffered() as assembled:
        assert descriptor(assembled) is None
    with open(os.devnull, "rb", buffering=0) as file:
        assert isinstance(file, io.FileIO)
        assert descriptor(file) == file.fileno()  # type: ignore[arg-type]
