"""Recipes: what they mean, what they come to when their sources are packed too, and which files are none."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.digest import Digest, canonical_json, hash_bytes
from runner.store.recipe import Piece, Recipe, compose, decode_recipe, encode_recipe, make_recipe

SOURCES = {hash_bytes(data): data for data in (bytes(range(200)), bytes(range(250, 50, -1)), b"abcabcabc" * 9)}


def content(recipe: Recipe, sources: Mapping[Digest, bytes] = SOURCES) -> bytes:
    return b"".join(sources[source][offset : offset + length] for source, offset, length in recipe.pieces)


@st.composite
def pieces(draw: st.DrawFn, sources: Mapping[Digest, bytes] = SOURCES) -> list[Piece]:
    found = []
    for _ in range(draw(st.integers(0, 8))):
        source = draw(st.sampled_from(sorted(sources)))
        begin = draw(st.integers(0, len(sources[source])))
        end = draw(st.integers(begin, len(sources[source])))
        found.append(Piece(source, begin, end - begin))
    return found


@given(pieces())
def test_joining_pieces_changes_no_byte_and_leaves_nothing_to_join(found: list[Piece]) -> None:
    recipe = make_recipe(found)
    assert content(recipe) == content(Recipe(tuple(found)))
    assert recipe.size == len(content(recipe))
    assert make_recipe(recipe.pieces) == recipe
    assert all(piece.length for piece in recipe.pieces)


@given(pieces())
def test_a_recipe_comes_back_from_its_file(found: list[Piece]) -> None:
    recipe = make_recipe(found)
    assert decode_recipe(encode_recipe(recipe)) == recipe


@given(st.data())
def test_a_composed_recipe_makes_the_same_bytes_without_the_sources_that_went(data: st.DataObject) -> None:
    middle = {}
    for _ in range(3):
        recipe = make_recipe(data.draw(pieces()))
        middle[hash_bytes(content(recipe))] = recipe
    known = SOURCES | {digest: content(recipe) for digest, recipe in middle.items()}
    gone = {digest: recipe for digest, recipe in middle.items() if digest not in SOURCES}
    recipe = make_recipe(data.draw(pieces(known)))
    composed = compose(recipe, gone)
    assert content(composed) == content(recipe, known)
    assert not composed.sources & gone.keys()


ONE = "1" * 64


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        canonical_json({"format": 2, "pieces": [], "size": 0}),
        canonical_json({"format": 1, "pieces": []}),
        canonical_json({"format": 1, "pieces": 5, "size": 0}),
        canonical_json({"format": 1, "pieces": [[ONE, 0, 5]], "size": 6}),
        canonical_json({"format": 1, "pieces": [[ONE, 0, 0]], "size": 0}),
        canonical_json({"format": 1, "pieces": [[ONE, -1, 5]], "size": 5}),
        canonical_json({"format": 1, "pieces": [[ONE, 0, 1 << 63]], "size": 1 << 63}),
        canonical_json({"format": 1, "pieces": [[ONE, 0, True]], "size": 1}),
        canonical_json({"format": 1, "pieces": [[ONE, 0, 5.0]], "size": 5.0}),
        canonical_json({"format": 1, "pieces": [[ONE, 0]], "size": 5}),
        canonical_json({"format": 1, "pieces": [["../../etc/passwd", 0, 5]], "size": 5}),
        canonical_json({"format": 1, "pieces": [[["a"], 0, 5]], "size": 5}),
        canonical_json({"format": 1, "pieces": [[ONE, 0, 5], [ONE, 5, 5]], "size": 10}),
        canonical_json({"format": 1, "more": 1, "pieces": [[ONE, 0, 5]], "size": 5}),
        json.dumps({"format": 1, "pieces": [[ONE, 0, 5]], "size": 5}).encode(),
    ],
)
def test_what_no_pack_wrote_is_no_recipe(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"recipe|Expecting|codec"):
        decode_recipe(data)


@given(st.data())
def test_a_recipe_that_was_cut_off_is_refused(data: st.DataObject) -> None:
    whole = encode_recipe(make_recipe(data.draw(pieces())))
    with pytest.raises(ValueError):
        decode_recipe(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_a_recipe_tells_its_sources() -> None:
    one, two = sorted(SOURCES)[:2]
    assert make_recipe([Piece(one, 0, 5), Piece(two, 1, 5), Piece(one, 9, 1)]).sources == {one, two}
