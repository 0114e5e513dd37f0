"""The trash: moved there, found there, brought back whoever else does, and destroyed."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.digest import Digest
from runner.store import identity
from runner.store.identity import new_id
from runner.store.journal import timestamp
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.packed import Packed
from runner.store.recipe import Piece, make_recipe
from runner.store.removal import Removals
from runner.store.trash import WEEK, Batch, Trash


@pytest.fixture
def trash(layout: Layout) -> Trash:
    return Trash(layout)


@pytest.fixture
def digest(layout: Layout) -> Digest:
    return put(layout, b"content")


def put(layout: Layout, data: bytes) -> Digest:
    objects = Objects(layout, writable=True)
    try:
        return objects.put_bytes(data)
    finally:
        objects.close()


def place(layout: Layout, digest: Digest, part: str = "objects") -> Path:
    return layout.root / part / digest[:2] / digest


def pack(layout: Layout, digest: Digest, source: Digest) -> None:
    Packed(layout.packed).put(digest, make_recipe([Piece(source, 0, 7)]))
    place(layout, digest).unlink()


def test_an_object_waits_in_the_trash_and_comes_back(layout: Layout, trash: Trash, digest: Digest) -> None:
    batch = trash.begin("gc", "me")
    assert trash.move(batch, place(layout, digest))
    assert not place(layout, digest).exists() and trash.find(digest)
    assert trash.bring_back(digest)
    assert place(layout, digest).read_bytes() == b"content" and trash.find(digest) is None


def test_what_is_gone_already_cannot_be_moved(layout: Layout, trash: Trash, digest: Digest) -> None:
    place(layout, digest).unlink()
    assert not trash.move(trash.begin("gc", "me"), place(layout, digest))


def test_what_somebody_else_brought_back_is_back(layout: Layout, trash: Trash, digest: Digest) -> None:
    assert trash.bring_back(digest)
    trash.move(trash.begin("gc", "me"), place(layout, digest))
    place(layout, digest).write_bytes(b"content")
    assert trash.bring_back(digest)


def test_what_never_was_there_does_not_come_back(trash: Trash, digest: Digest) -> None:
    assert not trash.bring_back(Digest("0" * 64))


def test_a_recipe_comes_back_with_what_it_is_made_of(layout: Layout, trash: Trash, digest: Digest) -> None:
    source = put(layout, b"content and more")
    pack(layout, digest, source)
    trash.move(trash.begin("gc", "me"), place(layout, source))
    trash.move(trash.begin("gc", "me"), place(layout, digest, "packed"))
    assert trash.bring_back(digest)
    assert place(layout, digest, "packed").exists() and place(layout, source).exists()


def test_a_damaged_recipe_comes_back_as_it_is(layout: Layout, trash: Trash, digest: Digest) -> None:
    place(layout, digest).unlink()
    recipe = place(layout, digest, "packed")
    recipe.parent.mkdir()
    recipe.write_bytes(b"no recipe")
    trash.move(trash.begin("gc", "me"), recipe)
    assert trash.bring_back(digest) and recipe.read_bytes() == b"no recipe"


def test_batches_come_oldest_first_and_say_who_and_why(trash: Trash) -> None:
    begun = [trash.begin(why, "me") for why in ("gc", "rm")]
    assert trash.batches() == begun
    assert [batch.why for batch in begun] == ["gc", "rm"]


def test_a_batch_is_due_after_a_week() -> None:
    assert Batch("i", "2026-02-25T10:00:00.000000Z", "gc", "me").due == "2026-03-04T10:00:00.000000Z"
    assert WEEK == 7 * 86400


@pytest.mark.parametrize("content", [b"", b"[]", b'{"id": 1}', b'{"id":"x","time":"never","why":"gc","by":"me"}'])
def test_a_batch_whose_note_is_damaged_is_told_by_its_id(trash: Trash, content: bytes) -> None:
    batch = trash.begin("gc", "me")
    (trash.folder(batch) / "batch").write_bytes(content)
    (found,) = trash.batches()
    assert found.id == batch.id and found.time[:16] == batch.time[:16] and found.why == "?"


def test_a_whole_batch_comes_back_and_what_is_there_again_stays(layout: Layout, trash: Trash, digest: Digest) -> None:
    run, work = layout.run("0192aaaa-0000-7000-8000-000000000000"), layout.work_folder("e")
    for folder in (run.path, work):
        folder.mkdir()
    run.journal.write_bytes(b"x")
    batch = trash.begin("rm", "me")
    for path in (place(layout, digest), run.path, work):
        trash.move(batch, path)
    place(layout, digest).write_bytes(b"content")
    trash.restore(batch)
    assert run.journal.read_bytes() == b"x" and work.is_dir() and place(layout, digest).stat().st_mode & 0o200
    trash.destroy(batch)
    assert os.listdir(layout.trash) == []


@pytest.mark.parametrize("known", ["a run", "a removal", "a batch"])
def test_a_batch_begun_by_a_clock_that_is_behind_waits_from_the_last_moment_that_is_known(
    layout: Layout, trash: Trash, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    before = trash.begin("gc", "me")
    if known == "a run":
        layout.run(new_id()).path.mkdir()
    elif known == "a removal":
        Removals(layout).append([{"type": "files-dropped", "executions": ["e"]}])
    if known != "a batch":
        trash.destroy(before)
    monkeypatch.setattr("runner.store.trash.timestamp", lambda moment=0: timestamp(moment))
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(identity, "_last", 0)
    batch = trash.begin("gc", "me")
    assert batch.time[:23] >= before.time[:23]
    assert trash.batches()[-1] == batch


def test_neither_a_run_of_another_store_nor_who_purged_elsewhere_says_when_a_batch_was_begun(
    layout: Layout, trash: Trash
) -> None:
    path = layout.run("ffff0000-0000-7000-8000-000000000000").path
    path.mkdir()
    (path / "import").touch()
    told = {"by": "them", "reason": "", "names": [], "digest": "0" * 64}
    Removals(layout).append([{"type": "content-purged", "time": "9999-01-01T00:00:00.000000Z", **told}])
    assert trash.begin("gc", "me").time <= timestamp()


def test_what_was_begun_to_be_destroyed_is_destroyed_by_the_next(layout: Layout, trash: Trash, digest: Digest) -> None:
    first, second = trash.begin("gc", "me"), trash.begin("gc", "me")
    trash.move(first, place(layout, digest))

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trash.destroy(first, killed)
    assert trash.batches() == [second] and trash.find(digest) is None
    trash.destroy(second, shutil.rmtree)
    assert os.listdir(layout.trash) == []


def test_two_that_destroy_the_same_batch_do_not_mind_each_other(layout: Layout, trash: Trash) -> None:
    objects = Objects(layout, writable=True)
    digests = [digest for digest, _ in objects.put_many(str(number).encode() for number in range(300))]
    objects.close()
    batch = trash.begin("gc", "me")
    assert sorted(trash.move_files(batch, "objects", digests)) == sorted(digests)
    trash.give_up(batch)
    with ThreadPoolExecutor(2) as both:
        for ended in [both.submit(trash.destroy_rest) for _ in range(2)]:
            ended.result()
    assert not any(path.is_file() for path in layout.trash.rglob("*"))
    trash.destroy_rest()
    assert os.listdir(layout.trash) == []


def test_a_folder_that_cannot_be_removed_keeps_nothing_else_from_it(
    layout: Layout, trash: Trash, digest: Digest
) -> None:
    first, second = trash.begin("gc", "me"), trash.begin("gc", "me")

    def remove(folder: Path) -> None:
        if first.id in folder.name:
            raise PermissionError(13, "not yours", str(folder))
        shutil.rmtree(folder)

    for batch in (first, second):
        with pytest.raises(PermissionError):
            trash.destroy(batch, remove)
    assert os.listdir(layout.trash) == [f".new-{first.id}"]
    trash.destroy_rest()
    assert os.listdir(layout.trash) == []


def test_a_store_without_a_trash_has_nothing_in_it(layout: Layout, trash: Trash, digest: Digest) -> None:
    layout.trash.rmdir()
    assert trash.batches() == [] and trash.find(digest) is None and trash.bring_back(digest)
