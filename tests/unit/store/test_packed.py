"""The recipes of a store: found again, never half, and changed by one process at a time."""

import os
import stat
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import packed as packed_module
from runner.store.layout import Layout
from runner.store.packed import Packed, blocks, made_by
from runner.store.recipe import Piece, Recipe

ONE, OTHER = b"first source" * 3, b"second source" * 3
A = hash_bytes(b"a")


@pytest.fixture
def packed(layout: Layout) -> Packed:
    return Packed(layout.packed)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with files that are named by their digest."""
    for data in (ONE, OTHER):
        (tmp_path / hash_bytes(data)).write_bytes(data)
    return tmp_path


RECIPE = Recipe((Piece(hash_bytes(ONE), 6, 6), Piece(hash_bytes(OTHER), 0, 13), Piece(hash_bytes(ONE), 0, 5)))
MADE = ONE[6:12] + OTHER[:13] + ONE[:5]


def test_a_recipe_is_found_again_read_only_until_it_is_removed(packed: Packed) -> None:
    assert packed.find(A) is None
    packed.put(A, RECIPE)
    assert packed.find(A) == RECIPE
    assert stat.S_IMODE(packed.path(A).stat().st_mode) == 0o444
    packed.remove(A)
    assert packed.find(A) is None
    packed.remove(A)


def test_another_recipe_takes_the_place_of_one_at_once_or_not_at_all(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    better = Recipe((Piece(hash_bytes(ONE), 0, 24),))
    packed.put(A, RECIPE)

    def full(path: Path, data: bytes, **_: object) -> None:
        raise OSError(28, os.strerror(28), str(path))

    with monkeypatch.context() as patch, pytest.raises(MlrunError) as caught:
        patch.setattr(packed_module, "replace_file", full)
        packed.put(A, better)
    assert caught.value.code is ExitCode.DISK
    assert packed.find(A) == RECIPE
    packed.put(A, better)
    assert packed.find(A) == better
    assert [path.name for path in packed.path(A).parent.iterdir()] == [A]


def test_every_packed_object_is_told_in_order_and_nothing_else(packed: Packed, layout: Layout) -> None:
    digests = sorted(hash_bytes(b"%d" % number) for number in range(20))
    assert list(packed.digests()) == []
    for digest in reversed(digests):
        packed.put(digest, RECIPE)
    (layout.packed / digests[0][:2] / ".new-1").touch()
    (layout.packed / "no shard").touch()
    (layout.packed / digests[0][:2] / ("f" * 64)).touch()
    assert list(packed.digests()) == digests


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b'{"format":2,"pieces":[],"size":0}'])
def test_a_damaged_recipe_is_told_with_its_object(packed: Packed, data: bytes) -> None:
    packed.put(A, RECIPE)
    packed.path(A).unlink()
    packed.path(A).write_bytes(data)
    with pytest.raises(MlrunError, match=f"the recipe of the object `{A}`") as caught:
        packed.find(A)
    assert caught.value.code is ExitCode.STORE


def test_only_one_at_a_time_changes_recipes(packed: Packed, layout: Layout) -> None:
    other = Packed(layout.packed)
    with packed.alone():
        with pytest.raises(MlrunError, match="packing or removing objects") as caught, other.alone():
            pass
        assert caught.value.code is ExitCode.LOCKED
    with pytest.raises(ZeroDivisionError), other.alone():
        raise ZeroDivisionError
    with packed.alone():
        assert list(packed.digests()) == []


def test_a_recipe_makes_what_its_sources_hold(sources: Path) -> None:
    def locate(source: Digest) -> Path:
        return sources / source

    assert b"".join(map(bytes, blocks(RECIPE, locate))) == MADE
    assert made_by(RECIPE, locate) == hash_bytes(MADE)
    assert made_by(Recipe(()), locate) == hash_bytes(b"")


def test_a_large_object_is_made_in_blocks(sources: Path) -> None:
    large = os.urandom(1 << 10) * 3000
    (sources / hash_bytes(large)).write_bytes(large)
    recipe = Recipe((Piece(hash_bytes(large), 1, len(large) - 1), Piece(hash_bytes(ONE), 0, 3)))
    sizes, made = [], bytearray()
    for block in blocks(recipe, lambda source: sources / source):
        sizes.append(len(block))
        made += block
    assert made == large[1:] + ONE[:3]
    assert max(sizes) <= 1 << 20


def test_a_missing_or_short_source_is_never_made_up_for(sources: Path) -> None:
    def locate(source: Digest) -> Path:
        return sources / source

    os.truncate(locate(hash_bytes(OTHER)), 3)
    assert made_by(RECIPE, locate) != hash_bytes(MADE)
    locate(hash_bytes(OTHER)).unlink()
    with pytest.raises(FileNotFoundError):
        made_by(RECIPE, locate)
