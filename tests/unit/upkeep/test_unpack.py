"""Unpacking: objects are whole again, in the trash as well, and what only recipes needed goes."""

import pytest

from runner.digest import hash_bytes, hash_file
from runner.errors import ExitCode, MlrunError
from runner.store.packed import Packed
from runner.store.store import Store
from runner.store.trash import Trash

from .versions import RANDOM, SIZE, content, damage, growing, is_packed, is_whole, packed_whole, tell, unpacked


def test_unpacking_frees_an_object_from_all_recipes_and_drops_leftovers(store: Store) -> None:
    versions = [RANDOM[: SIZE + 10 * number] + b"end %d" % number for number in range(4)]
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    others = [b"other" + data for data in growing(2)]
    for data in others:
        tell(store, outputs=[("other.csv", data)])
    before = {path.name for path in store.layout.objects.glob("??/*")}
    packed_whole(store)
    leftovers = {path.name for path in store.layout.objects.glob("??/*")} - before
    assert len(leftovers) == 1
    done = unpacked(store, versions[0])
    assert sorted(done.whole) == sorted(hash_bytes(data) for data in versions[:3])
    assert set(done.dropped) == leftovers
    assert [is_whole(store, data) for data in versions] == [True] * 4
    assert [content(store, data) for data in versions] == versions
    assert list(Packed(store.layout.packed).digests()) == [hash_bytes(others[0])]
    assert all(hash_file(path) == path.name for path in store.layout.objects.glob("??/*"))


def test_unpacking_the_newest_version_makes_all_others_whole(store: Store) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    unpacked(store, versions[2])
    assert [is_whole(store, data) for data in versions] == [True] * 3
    assert not list(Packed(store.layout.packed).digests())


def test_leftovers_that_are_a_recorded_file_as_well_are_not_dropped(store: Store) -> None:
    tail = RANDOM[SIZE : 2 * SIZE]
    tell(store, outputs=[("tail.csv", tail)])
    tell(store, outputs=[("table.csv", RANDOM[: 10 * SIZE] + tail)])
    tell(store, outputs=[("table.csv", RANDOM[: 10 * SIZE])])
    packed_whole(store)
    unpacked(store, RANDOM[: 10 * SIZE])
    assert is_whole(store, tail)


def test_recipes_in_the_trash_are_unpacked_in_the_trash(store: Store) -> None:
    versions = growing(2)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    trash = Trash(store.layout)
    batch = trash.begin("gc", "me")
    trash.move(batch, Packed(store.layout.packed).path(hash_bytes(versions[0])))
    unpacked(store, versions[1])
    assert not is_whole(store, versions[0])
    trash.restore(batch)
    assert is_whole(store, versions[0])
    assert content(store, versions[0]) == versions[0]


def test_a_recipe_that_makes_something_else_is_never_put_in_the_place_of_an_object(store: Store) -> None:
    versions = growing(2)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    damage(store.objects.path(hash_bytes(versions[1])))
    with pytest.raises(MlrunError) as caught:
        unpacked(store, versions[1])
    assert caught.value.code is ExitCode.STORE
    assert hash_bytes(versions[0]) in caught.value.message
    assert not is_whole(store, versions[0])
    assert is_packed(store, versions[0])
