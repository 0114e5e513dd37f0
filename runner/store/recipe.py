"""How to put an object together that is not stored whole: from ranges of objects that are. Pure.

A recipe is one small file of canonical JSON: `{"format":1,"pieces":[[source,offset,length],…],"size":N}`. Sources are
always stored whole, so a recipe never leads to another recipe. The proof that it is right is the digest of the whole.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from runner.digest import Digest, canonical_json, is_digest

_FORMAT = 1
_END = 1 << 63
"""No file reaches that far."""


class Piece(NamedTuple):
    """`length` bytes of the object `source` from `offset` on."""

    source: Digest
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """The pieces of an object in order; `size` is the sum of their lengths, in bytes."""

    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return sum(piece.length for piece in self.pieces)

    @property
    def sources(self) -> frozenset[Digest]:
        """The objects that must be there to put this one together."""
        return frozenset(piece.source for piece in self.pieces)


def make_recipe(pieces: Iterable[Piece]) -> Recipe:
    """The recipe of pieces in order: those that follow each other in their source become one, empty ones none."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last is not None and last.source == piece.source and last.offset + last.length == piece.offset:
            joined[-1] = last._replace(length=last.length + piece.length)
        elif piece.length:
            joined.append(piece)
    return Recipe(tuple(joined))


def compose(recipe: Recipe, others: Mapping[Digest, Recipe]) -> Recipe:
    """The same object where some of its sources are recipes by now themselves; none of those may lead to another."""
    return make_recipe(part for piece in recipe.pieces for part in _parts(piece, others.get(piece.source)))


def encode_recipe(recipe: Recipe) -> bytes:
    """The content of the file."""
    return canonical_json({"format": _FORMAT, "pieces": recipe.pieces, "size": recipe.size})


def decode_recipe(data: bytes) -> Recipe:
    """The recipe that a file holds. Raises ValueError for anything that `encode_recipe` would not have made."""
    try:
        document = json.loads(data)
        recipe = Recipe(tuple(Piece(*piece) for piece in document["pieces"]))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is not a recipe: {error!r}") from error
    if not all(map(_is_sound, recipe.pieces)) or encode_recipe(make_recipe(recipe.pieces)) != data:
        raise ValueError(f"it is not a recipe of format {_FORMAT}, or its pieces do not fit")
    return recipe


def _parts(piece: Piece, source: Recipe | None) -> Iterator[Piece]:
    if source is None:
        yield piece
        return
    start, end, at = piece.offset, piece.offset + piece.length, 0
    for part in source.pieces:
        low, high = max(start, at), min(end, at + part.length)
        if low < high:
            yield Piece(part.source, part.offset + low - at, high - low)
        at += part.length


def _is_sound(piece: Piece) -> bool:
    numbers = (piece.offset, piece.length)
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    fits = whole and piece.offset >= 0 and piece.length > 0 and piece.offset + piece.length < _END
    return fits and isinstance(piece.source, str) and is_digest(piece.source)
