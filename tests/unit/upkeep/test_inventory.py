"""Where an object is: copies that are damaged, forbidden, moved about, or that lead to nothing."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from runner.digest import Digest, hash_bytes
from runner.store.packed import Packed
from runner.store.shelf import Where
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep import inventory as module
from runner.upkeep.inventory import FORBIDDEN, Halted, Inventory

from .versions import RANDOM, SIZE, damage, growing, packed_whole, put, tell


@pytest.fixture
def packed(store: Store) -> tuple[Digest, Digest]:
    """A packed object, and the whole one that it is made of."""
    versions = growing(2)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    return hash_bytes(versions[0]), hash_bytes(versions[1])


def test_what_is_nowhere_is_found_nowhere(store: Store) -> None:
    inventory, digest = Inventory(store.layout), hash_bytes(b"never seen")
    assert inventory.find(digest) is None
    assert list(inventory.copies(digest)) == []
    assert inventory.content(digest) is None
    assert inventory.shard(digest[:2]) == []


def test_a_good_copy_in_the_trash_is_found_before_one_that_cannot_be_right(store: Store) -> None:
    digest = put(store, b"good")
    path = store.objects.path(digest)
    trash = Trash(store.layout)
    trash.move(trash.begin("gc", "me"), path)
    path.mkdir()
    found = Inventory(store.layout).find(digest)
    assert found is not None
    assert (found.place, found.problem) == (Where.TRASH, None)
    assert Inventory(store.layout).content(digest) == b"good"


def test_what_is_no_regular_file_is_never_opened(store: Store) -> None:
    digest = hash_bytes(b"a pipe")
    os.mkfifo(store.objects.path(digest))
    found = Inventory(store.layout).find(digest)
    assert found is not None
    assert Inventory(store.layout).problem(found, digest) == "is no regular file"


def test_a_link_is_not_followed_out_of_the_store(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"content")
    digest = hash_bytes(b"content")
    store.objects.path(digest).symlink_to(tmp_path / "outside")
    assert Inventory(store.layout).content(digest) is None


def test_a_recipe_is_blamed_for_what_it_is_made_of(store: Store, packed: tuple[Digest, Digest]) -> None:
    digest, source = packed
    inventory = Inventory(store.layout)
    path = store.objects.path(source)
    damage(path)
    found = inventory.find(digest)
    assert found is not None
    assert (found.problem, inventory.problem(found, digest)) == (None, "has other content than its name says")
    path.chmod(0o644)
    os.truncate(path, SIZE // 2)
    found = inventory.find(digest)
    assert found is not None
    assert found.problem == f"is made of the object `{source}`, which is too short"
    path.unlink()
    found = inventory.find(digest)
    assert found is not None
    assert found.problem == f"is made of the object `{source}`, which is missing"
    assert inventory.content(digest) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\x00", b"[" * 100_000])
def test_a_recipe_that_says_nothing_is_a_problem_and_no_error(
    store: Store, packed: tuple[Digest, Digest], data: bytes
) -> None:
    path = Packed(store.layout.packed).path(packed[0])
    path.chmod(0o644)
    path.write_bytes(data)
    found = Inventory(store.layout).find(packed[0])
    assert found is not None
    assert found.is_recipe
    assert "cannot be understood" in str(found.problem)


@pytest.mark.usefixtures("bound")
def test_nobody_knows_whether_what_may_not_be_read_is_damaged(store: Store, packed: tuple[Digest, Digest]) -> None:
    inventory = Inventory(store.layout)
    for digest in packed:
        found = inventory.find(digest)
        assert found is not None
        found.path.chmod(0)
        found = inventory.find(digest)
        assert found is not None
        assert inventory.problem(found, digest) == FORBIDDEN


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_want_of_means_is_never_taken_for_damage(
    store: Store, packed: tuple[Digest, Digest], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    inventory = Inventory(store.layout)
    found = inventory.find(packed[1])
    assert found is not None
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(module.os, "open", fail)
        inventory.problem(found, packed[1])
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(Path, "read_bytes", fail)
        inventory.find(packed[0])


def test_an_object_that_is_moved_between_two_looks_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = put(store, b"on the move")
    trash = Trash(store.layout)
    batch = trash.begin("gc", "me")
    trash.move(batch, store.objects.path(digest))
    names, looked = module.names, []

    def listed(folder: Path) -> list[str]:
        """It comes back after it was not found in its place, and before the trash is looked through."""
        if folder == store.layout.trash and not looked:
            looked.append(folder)
            trash.bring_back(digest)
        return names(folder)

    monkeypatch.setattr(module, "names", listed)
    assert Inventory(store.layout).content(digest) == b"on the move"
    found = Inventory(store.layout).find(digest)
    assert found is not None
    assert found.place is Where.WHOLE
    assert looked


def test_a_shard_lists_each_object_once_wherever_its_copies_are(store: Store, packed: tuple[Digest, Digest]) -> None:
    digest, _ = packed
    put(store, growing(1)[0])
    trash = Trash(store.layout)
    trash.move(trash.begin("gc", "me"), Packed(store.layout.packed).path(digest))
    (store.layout.objects / digest[:2] / "README").write_text("no object")
    assert Inventory(store.layout).shard(digest[:2]).count(digest) == 1
    assert "README" not in Inventory(store.layout).shard(digest[:2])


def test_reading_stops_as_soon_as_it_is_told_to(store: Store) -> None:
    digest = put(store, RANDOM)
    found = Inventory(store.layout).find(digest)
    assert found is not None
    with pytest.raises(Halted):
        Inventory(store.layout).problem(found, digest, lambda: True)
