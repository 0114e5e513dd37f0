"""Setting damaged objects aside and restoring them: nothing good goes, and nothing is taken that does not match."""

import os
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.store.packed import Packed
from runner.store.removal import Removals
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep.inventory import Found, Inventory
from runner.upkeep.quarantine import Quarantine, quarantined, restore

from .versions import content, damage, growing, packed_whole, put, tell

DATA = b"the model" * 20


@pytest.fixture
def inventory(store: Store) -> Inventory:
    return Inventory(store.layout)


@pytest.fixture
def quarantine(store: Store, inventory: Inventory) -> Quarantine:
    return Quarantine(store.layout, inventory)


def damaged(store: Store, inventory: Inventory) -> tuple[Digest, Found]:
    digest = put(store, DATA)
    damage(store.objects.path(digest))
    found = inventory.find(digest)
    assert found is not None
    return digest, found


def test_a_copy_that_is_good_at_a_second_look_stays(store: Store, inventory: Inventory, quarantine: Quarantine) -> None:
    digest, found = damaged(store, inventory)
    damage(store.objects.path(digest))
    assert quarantine.take(digest, found) is None
    assert store.objects.read(digest) == DATA
    assert list(quarantined(store.layout)) == []


def test_a_copy_that_is_gone_by_now_is_no_error(store: Store, inventory: Inventory, quarantine: Quarantine) -> None:
    digest, found = damaged(store, inventory)
    found.path.unlink()
    assert quarantine.take(digest, found) is None


def test_a_good_file_that_takes_the_place_of_a_damaged_one_after_the_look_is_put_back(
    store: Store, inventory: Inventory, quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, found = damaged(store, inventory)
    look = Inventory.problem

    def replaced(self: Inventory, copy: Found, name: Digest) -> str | None:
        problem = look(self, copy, name)
        good = store.layout.scratch / "good"
        good.write_bytes(DATA)
        good.replace(copy.path)
        return problem

    monkeypatch.setattr(Inventory, "problem", replaced)
    assert quarantine.take(digest, found) is None
    assert store.objects.read(digest) == DATA
    assert list(store.layout.quarantine.iterdir()) == []


def test_a_recipe_is_set_aside_as_one(store: Store, inventory: Inventory, quarantine: Quarantine) -> None:
    versions = growing(2)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    digest = hash_bytes(versions[0])
    path = Packed(store.layout.packed).path(digest)
    path.chmod(0o644)
    path.write_bytes(b"{}")
    found = inventory.find(digest)
    assert found is not None
    aside = quarantine.take(digest, found)
    assert aside is not None
    assert aside.name == f"{digest}.recipe"
    assert inventory.set_aside(digest) == [aside]


def test_nothing_is_restored_from_a_file_that_does_not_match(
    store: Store, inventory: Inventory, tmp_path: Path
) -> None:
    digest = hash_bytes(DATA)
    other, pipe, folder = tmp_path / "other", tmp_path / "pipe", tmp_path / "folder"
    other.write_bytes(DATA[:-1])
    os.mkfifo(pipe)
    folder.mkdir()
    assert restore(store, inventory, digest, [tmp_path / "missing", other, pipe, folder, Path("/x\0y")]) is None
    assert inventory.find(digest) is None


def test_a_file_that_changes_between_two_readings_is_stored_under_its_own_name_at_most(
    store: Store, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, path = hash_bytes(DATA), tmp_path / "table.csv"
    path.write_bytes(DATA)
    put_file = type(store.objects).put_file

    def changed(self: object, fd: int) -> tuple[Digest, int]:
        path.write_bytes(DATA[::-1])
        return put_file(store.objects, fd)

    monkeypatch.setattr(type(store.objects), "put_file", changed)
    assert restore(store, inventory, digest, [path]) is None
    assert inventory.find(digest) is None


@pytest.mark.usefixtures("bound")
def test_a_file_that_may_not_be_read_is_passed_over_for_the_next(
    store: Store, inventory: Inventory, tmp_path: Path
) -> None:
    forbidden, good = tmp_path / "forbidden", tmp_path / "good"
    for path in (forbidden, good):
        path.write_bytes(DATA)
    forbidden.chmod(0)
    assert restore(store, inventory, hash_bytes(DATA), [forbidden, good]) == f"restored from `{good}`"
    assert store.objects.read(hash_bytes(DATA)) == DATA


def test_a_packed_object_comes_back_from_the_trash_with_what_it_is_made_of(store: Store, inventory: Inventory) -> None:
    versions = growing(2)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    trash = Trash(store.layout)
    batch = trash.begin("gc", "me")
    trash.move(batch, Packed(store.layout.packed).path(hash_bytes(versions[0])))
    assert restore(store, inventory, hash_bytes(versions[0]), []) == "restored from the trash"
    assert content(store, versions[0]) == versions[0]


def test_purged_content_is_not_restored_from_where_it_still_is(
    store: Store, inventory: Inventory, tmp_path: Path
) -> None:
    digest, path = hash_bytes(DATA), tmp_path / "people.csv"
    path.write_bytes(DATA)
    about = {"digest": digest, "by": "me", "reason": "asked for", "names": [], "size": len(DATA), "parts": []}
    Removals(store.layout).append([{"type": "content-purged", **about}])
    assert restore(store, inventory, digest, [path]) is None
    assert inventory.find(digest) is None
