"""Packing: nothing is lost or changed, the newest version stays whole, and what does not pay is left alone."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.catalog import write_listing
from runner.store.claim import Claims
from runner.store.datum import Datum
from runner.store.identity import new_id
from runner.store.packed import Packed
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep.pack import pack
from runner.upkeep.turn import alone

from .versions import (
    RANDOM,
    SIZE,
    begin,
    content,
    damage,
    foretold,
    growing,
    is_whole,
    packed_whole,
    put,
    size_of_objects,
    tell,
)


def test_ten_versions_that_grow_by_a_line_cost_about_one(store: Store) -> None:
    versions = growing(10)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    report = packed_whole(store)
    assert (report.groups, report.objects, report.unlike, report.busy) == (1, 9, 0, 0)
    assert size_of_objects(store) < 1.2 * SIZE
    assert [is_whole(store, data) for data in versions] == [False] * 9 + [True]
    assert [content(store, data) for data in versions] == versions


def test_what_the_report_says_is_what_the_disk_says(store: Store) -> None:
    for data in (RANDOM[:SIZE], b"x" + RANDOM[5000:SIZE], RANDOM[:SIZE] + b"end"):
        tell(store, outputs=[("table.csv", data)])
    before = size_of_objects(store)
    told = foretold(store)
    assert size_of_objects(store) == before
    report = packed_whole(store)
    assert (told.objects, told.before) == (report.objects, report.before) == (2, SIZE + SIZE - 4999)
    # Recipes are counted as blocks of the disk.
    assert 0 <= before - size_of_objects(store) - (report.before - report.after) <= 2 * 4096
    assert abs(report.after - told.after) < 1000


def test_looking_changes_nothing_at_all(store: Store) -> None:
    for data in [*growing(3), os.urandom(SIZE)]:
        tell(store, outputs=[("table.csv", data)])

    def state() -> set[tuple[Path, int]]:
        return {(path, path.stat().st_mtime_ns) for path in store.layout.root.rglob("*")}

    before = state()
    foretold(store)
    assert state() == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)
@given(st.data())
def test_all_versions_come_back_however_they_were_edited_and_however_often_packed(
    store: Store, data: st.DataObject
) -> None:
    row, versions = new_id(), [RANDOM[:SIZE]]
    tell(store, outputs=[(row, versions[0])])
    for _ in range(data.draw(st.integers(2, 5))):
        before = data.draw(st.sampled_from(versions))
        at, to = sorted(data.draw(st.tuples(*[st.integers(0, len(before))] * 2)))
        part = data.draw(st.sampled_from([b"", b"new", before[:3000], RANDOM[50_000:60_000]]))
        versions.append(before[:at] + part + before[to:])
        tell(store, outputs=[(row, versions[-1])])
        if data.draw(st.booleans()):
            packed_whole(store)
        for version in versions:
            assert content(store, version) == version


def test_five_generations_of_packs_leave_recipes_that_lead_to_whole_objects_only(store: Store) -> None:
    versions = [RANDOM[: SIZE + 10 * number] + b"end %d" % number for number in range(6)]
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
        packed_whole(store)
        assert is_whole(store, data)
    packed = Packed(store.layout.packed)
    assert len(list(packed.digests())) == 5
    for digest in packed.digests():
        recipe = packed.find(digest)
        assert recipe is not None
        assert all(store.objects.path(source).exists() for source in recipe.sources)
    assert [content(store, data) for data in versions] == versions
    assert size_of_objects(store) < 1.2 * SIZE


def test_what_cannot_be_made_smaller_stays_whole_and_the_store_does_not_grow(store: Store) -> None:
    versions = [os.urandom(SIZE) for _ in range(3)]
    for data in versions:
        tell(store, outputs=[("model.bin", data)])
    before = size_of_objects(store)
    report = packed_whole(store)
    assert (report.objects, report.unlike) == (0, 2)
    assert size_of_objects(store) == before
    assert all(is_whole(store, data) for data in versions)


def test_what_was_found_unlike_is_compared_again_only_on_demand(store: Store) -> None:
    for data in (os.urandom(SIZE), os.urandom(SIZE)):
        tell(store, outputs=[("model.bin", data)])
    assert packed_whole(store, again=False).unlike == 1
    assert packed_whole(store, again=False).unlike == 0
    assert packed_whole(store).unlike == 1


def test_a_cache_that_was_deleted_or_cannot_be_used_holds_up_no_pack(store: Store) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    shutil.rmtree(store.layout.cache)
    assert packed_whole(store).objects == 2
    (store.layout.cache / "unlike.json").write_bytes(b"\xff\x00../../etc/passwd\n")
    put(store, versions[0])
    assert packed_whole(store, again=False).objects == 1


def test_inputs_with_one_name_are_versions_of_each_other(store: Store) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, inputs=[("train.csv", data)])
    assert packed_whole(store).objects == 2
    assert [is_whole(store, data) for data in versions] == [False, False, True]


def test_files_of_different_names_have_nothing_to_do_with_each_other(store: Store) -> None:
    for number, data in enumerate(growing(3)):
        tell(store, outputs=[(f"table{number}.csv", data)])
    assert packed_whole(store).objects == 0


def test_files_of_one_name_in_versions_of_a_dataset_are_versions_of_each_other(store: Store) -> None:
    versions = growing(4)
    with store.refs.changing({"user": "me"}) as change:
        for number, data in enumerate(versions):
            datum = Datum(put(store, data), "table.csv", put(store, data), len(data), "")
            manifest = write_listing(store.objects, [datum])
            change.make_version(("dataset", "iris"), f"v{number}", manifest, [datum], {})
        change.alias_version(("dataset", "iris"), "prod", "v1")
    packed_whole(store)
    assert [is_whole(store, data) for data in versions] == [False, True, False, True]


def test_what_an_alias_means_stays_whole(store: Store) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    with store.refs.changing({"user": "me"}) as change:
        change.set_alias("good", Datum(new_id(), "table.csv", hash_bytes(versions[0]), SIZE, new_id()))
    packed_whole(store)
    assert [is_whole(store, data) for data in versions] == [True, False, True]


def test_a_version_that_is_used_again_is_the_newest(store: Store) -> None:
    versions = growing(3)
    for data in (*versions, versions[0]):
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    assert [is_whole(store, data) for data in versions] == [True, False, False]


def test_small_files_are_left_alone(store: Store) -> None:
    for data in growing(3):
        tell(store, outputs=[("table.csv", data)])
    with alone(store.layout) as turn:
        assert pack(store, turn).objects == 0


def test_what_a_living_process_has_claimed_stays_whole(store: Store) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    claims = Claims(store.layout.claims)
    claims.claim([hash_bytes(versions[0])])
    report = packed_whole(store)
    assert (report.objects, report.busy) == (1, 1)
    assert [is_whole(store, data) for data in versions] == [True, False, True]
    claims.close()
    assert packed_whole(store).objects == 1


def test_what_is_claimed_while_it_is_packed_is_put_back_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    claims = Claims(store.layout.claims)
    put_recipe = Packed.put

    def late(packed: Packed, digest: Digest, recipe: Any) -> None:
        claims.claim([digest] if digest == hash_bytes(versions[1]) else [])
        put_recipe(packed, digest, recipe)

    monkeypatch.setattr(Packed, "put", late)
    report = packed_whole(store)
    assert (report.objects, report.busy) == (1, 1)
    assert [is_whole(store, data) for data in versions] == [False, True, True]
    assert not list(store.layout.scratch.iterdir())
    claims.close()


def test_what_a_run_under_way_got_or_left_stays_whole(store: Store) -> None:
    versions = growing(5)
    tell(store, inputs=[("train.csv", versions[0])])
    writer, id = begin(store, inputs=[("train.csv", versions[1])])
    taken = {"name": "table.csv", "digest": put(store, versions[2]), "size": len(versions[2])}
    writer.append([{"type": "output-taken", "id": id, "output": taken}])
    for data in versions[3:]:
        tell(store, inputs=[("train.csv", data)], outputs=[("table.csv", data)])
    packed_whole(store)
    assert [is_whole(store, data) for data in versions] == [False, True, True, False, True]
    writer.close()


def test_a_work_folder_with_a_hard_link_keeps_its_bytes(store: Store) -> None:
    versions = growing(2)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    link = store.layout.work / "input"
    os.link(store.objects.path(hash_bytes(versions[0])), link)
    packed_whole(store)
    assert not is_whole(store, versions[0])
    assert link.read_bytes() == versions[0]


def test_two_packs_at_once_are_one_too_many(store: Store) -> None:
    with alone(store.layout), pytest.raises(MlrunError) as caught:
        packed_whole(store)
    assert caught.value.code is ExitCode.LOCKED
    packed_whole(store)


def test_a_damaged_older_version_is_told_and_left_for_the_check(store: Store) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    damage(store.objects.path(hash_bytes(versions[0])))
    report = packed_whole(store)
    assert report.damaged == [hash_bytes(versions[0])]
    assert [is_whole(store, data) for data in versions] == [True, False, True]


def test_damage_of_the_newest_version_never_reaches_older_ones(store: Store) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    damage(store.objects.path(hash_bytes(versions[-1])))
    packed_whole(store)
    assert [content(store, data) for data in versions[:2]] == versions[:2]


def test_a_recipe_in_the_trash_still_works_after_what_it_led_to_is_packed(store: Store) -> None:
    versions = growing(3)
    for data in versions[:2]:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    trash = Trash(store.layout)
    batch = trash.begin("gc", "me")
    assert trash.move(batch, Packed(store.layout.packed).path(hash_bytes(versions[0])))
    tell(store, outputs=[("table.csv", versions[2])])
    packed_whole(store)
    assert not is_whole(store, versions[1])
    trash.restore(batch)
    assert [content(store, data) for data in versions] == versions


def test_a_version_that_was_packed_and_comes_back_as_the_newest_is_described_by_itself_no_more(store: Store) -> None:
    versions = growing(2)
    for data in (*versions, versions[0]):
        tell(store, outputs=[("table.csv", data)])
        packed_whole(store)
        put(store, data)
    packed_whole(store)
    tell(store, outputs=[("table.csv", RANDOM[: SIZE * 2])])
    for _ in range(2):
        packed_whole(store)
        assert [content(store, data) for data in versions] == versions
    assert not any(is_whole(store, data) for data in versions)


def test_a_version_that_was_needed_whole_in_between_is_packed_again(store: Store) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    size = size_of_objects(store)
    put(store, versions[1])
    assert packed_whole(store).objects == 1
    assert size_of_objects(store) == size
    assert content(store, versions[1]) == versions[1]


@pytest.mark.parametrize("wrong", [b"{}", None], ids=["no recipe", "another's recipe"])
def test_a_recipe_that_is_wrong_is_replaced_while_its_object_is_whole(store: Store, wrong: bytes | None) -> None:
    versions = growing(3)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    put(store, versions[0])
    path = Packed(store.layout.packed).path(hash_bytes(versions[0]))
    path.chmod(0o644)
    path.write_bytes(wrong or Packed(store.layout.packed).path(hash_bytes(versions[1])).read_bytes())
    packed_whole(store)
    assert not is_whole(store, versions[0])
    assert content(store, versions[0]) == versions[0]


def test_a_full_disk_is_told_and_leaves_everything_readable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = [RANDOM[:SIZE] + b"end %d" % number for number in range(3)]
    for data in versions:
        tell(store, outputs=[("table.csv", data)])

    def full(*_: Any) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch, pytest.raises(MlrunError) as caught:
        patch.setattr(os, "sendfile", full)
        packed_whole(store)
    assert caught.value.code is ExitCode.DISK
    assert [content(store, data) for data in versions] == versions
    assert not list(store.layout.scratch.iterdir())
    assert packed_whole(store).objects == 2
