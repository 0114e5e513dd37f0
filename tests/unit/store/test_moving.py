"""Objects that others move, pack or unpack in the moment in which they are asked for."""

import json
from pathlib import Path
from typing import BinaryIO

import pytest

from runner.errors import MlrunError
from runner.store import content
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.packed import write_recipe
from runner.store.recipe import Piece, Recipe
from runner.store.trash import Trash

from .test_shelf import LARGE, pack, throw_away


def test_an_object_that_moves_while_it_is_looked_for_is_found(
    objects: Objects, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = objects.put_bytes(LARGE)
    trash = Trash(layout)
    exists = Path.exists
    steps = iter([lambda: throw_away(layout, digest), lambda: trash.bring_back(digest)] * 2)

    def interfere(path: Path) -> bool:
        found = exists(path)
        if path.name == digest:
            next(steps, lambda: None)()
        return found

    monkeypatch.setattr(Path, "exists", interfere)
    assert objects.read(digest) == LARGE


def test_a_source_that_is_packed_while_it_is_looked_for_leads_to_the_new_recipe(
    objects: Objects, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, half = pack(objects, LARGE), LARGE[: len(LARGE) // 2]
    recipe = layout.packed / digest[:2] / digest
    old = recipe.read_bytes()
    again = pack(objects, half)
    parts = json.loads((layout.packed / again[:2] / again).read_bytes())["pieces"]
    new = json.loads(old)
    new["pieces"][0:1] = parts
    reads = iter([old, old])
    read_bytes = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: next(reads, read_bytes(path)) if path == recipe else read_bytes(path)
    )
    recipe.chmod(0o600)
    recipe.write_text(json.dumps(new, sort_keys=True, separators=(",", ":")))
    with objects.open(digest) as file:
        assert file.read() == LARGE


def test_what_is_known_of_a_recipe_vouches_for_no_other_that_takes_its_place(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, other = pack(objects, LARGE), objects.put_bytes(bytes(len(LARGE)))
    recipe = objects.path(digest).parents[2] / "packed" / digest[:2] / digest
    for _ in range(2):
        objects.open(digest).close()
    opened = content._open

    def replaced_then(path: Path) -> tuple[int, BinaryIO]:
        found = opened(path)
        if path == recipe:
            write_recipe(recipe, Recipe((Piece(other, 0, len(LARGE)),)))
        return found

    monkeypatch.setattr(content, "_open", replaced_then)
    with objects.open(digest) as file:
        assert file.read() == LARGE
    monkeypatch.undo()
    with pytest.raises(MlrunError, match="has other content"):
        objects.open(digest)
