"""Packing: nothing is lost or changed, the newest version stays whole, and what does not pay is left alone."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.digest import Digest, hash_bytes, hash_file
from runner.errors import ExitCode, MlrunError
from runner.store.catalog import write_listing
from runner.store.claim import Claims
from runner.store.datum import Datum
from runner.store.identity import new_id
from runner.store.packed import Packed, blocks
from runner.store.record import Code, ProjectRef
from runner.store.store import Store
from runner.store.trash import Trash
from runner.store.tree import encode_tree
from runner.store.writer import RunWriter
from runner.upkeep.pack import Report, pack
from runner.upkeep.unpack import unpack

LEAST = 1000
SIZE = 40_000
RANDOM = random.Random(5).randbytes(4_000_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store


def put(store: Store, data: bytes) -> Digest:
    """An object as another process would have left it: claimed by nobody."""
    digest = hash_bytes(data)
    path = store.layout.objects / digest[:2] / digest
    if not path.exists():
        path.write_bytes(data)
        path.chmod(0o444)
    return digest


def header(store: Store) -> dict[str, Any]:
    return {
        "kind": "exec",
        "name": "train",
        "project": ProjectRef("p", "iris", "/iris", "valohai.yaml"),
        "title": None,
        "tags": (),
        "argv": ("mlrun",),
        "code": Code(put(store, encode_tree([]))),
        "spec": hash_bytes(b"spec"),
        "plan": {"nodes": [{"name": "train", "step": "train"}]},
        "executor": "process",
        "host": {},
        "version": "1",
    }


Files = Sequence[tuple[str, bytes]]


def begin(store: Store, inputs: Files = ()) -> tuple[RunWriter, str]:
    given = [
        {
            "name": "data",
            "files": [
                {"name": name, "digest": put(store, data), "size": len(data), "origin": f"/data/{name}"}
                for name, data in inputs
            ],
        }
    ]
    writer, id = store.begin_run(header(store)), new_id()
    entry = {"type": "execution-created", "id": id, "node": "train", "counter": writer.new_execution_counter()}
    writer.append([{**entry, "job": {"step": "train", "inputs": given}}])
    return writer, id


def tell(store: Store, outputs: Files = (), inputs: Files = ()) -> str:
    """A run that has ended, with these files; the id of its execution."""
    writer, id = begin(store, inputs)
    left = [{"name": name, "digest": put(store, data), "size": len(data)} for name, data in outputs]
    writer.append([{"type": "execution-finished", "id": id, "state": "succeeded", "reason": "exit", "outputs": left}])
    writer.append([{"type": "run-finished", "state": "succeeded"}])
    writer.close()
    return id


def is_whole(store: Store, data: bytes) -> bool:
    return store.objects.path(hash_bytes(data)).exists()


def is_packed(store: Store, data: bytes) -> bool:
    return Packed(store.layout.packed).find(hash_bytes(data)) is not None


def content(store: Store, data: bytes) -> bytes:
    """What the store has under the digest of `data`."""
    digest = hash_bytes(data)
    if is_whole(store, data):
        return store.objects.path(digest).read_bytes()
    recipe = Packed(store.layout.packed).find(digest)
    assert recipe is not None, "the object is gone"
    return b"".join(bytes(block) for block in blocks(recipe, store.objects.path))


def size_of_objects(store: Store) -> int:
    tops = store.layout.objects, store.layout.packed
    return sum(path.stat().st_size for top in tops for path in top.rglob("*") if path.is_file())


def packed_whole(store: Store, **options: Any) -> Report:
    """A pack by a process of its own, as far as claims go."""
    with Store.open(store.layout.root, create=not options.get("dry")) as own:
        return pack(own, least=LEAST, **options)


def growing(count: int) -> list[bytes]:
    return [RANDOM[: SIZE + 10 * number] for number in range(count)]


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
    foretold = packed_whole(store, dry=True)
    assert size_of_objects(store) == before
    report = packed_whole(store)
    assert (foretold.objects, foretold.before) == (report.objects, report.before) == (2, SIZE + SIZE - 4999)
    # Recipes are counted as blocks of the disk.
    assert 0 <= before - size_of_objects(store) - (report.before - report.after) <= 2 * 4096
    assert abs(report.after - foretold.after) < 1000


def test_looking_changes_nothing_at_all(store: Store) -> None:
    for data in [*growing(3), os.urandom(SIZE)]:
        tell(store, outputs=[("table.csv", data)])

    def state() -> set[tuple[Path, int]]:
        return {(path, path.stat().st_mtime_ns) for path in store.layout.root.rglob("*")}

    before = state()
    packed_whole(store, dry=True)
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
    (store.layout.cache / "unlike").write_bytes(b"\xff\x00../../etc/passwd\n")
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
    assert pack(store).objects == 0


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
    with Packed(store.layout.packed).alone(), pytest.raises(MlrunError) as caught:
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


def damage(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))
    path.chmod(0o444)


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


@contextmanager
def stopped_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[list[str]]:
    """A pack that ends, as if it was killed, at the `number`-th change of the disk; gives the changes so far."""
    changes: list[str] = []

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def stop(*arguments: Any, **options: Any) -> Any:
            if len(changes) == number:
                raise KeyboardInterrupt
            changes.append(name)
            return call(*arguments, **options)

        return stop

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "unlink", "fsync", "write", "sendfile"):
            patch.setattr(os, name, counted(name, getattr(os, name)))
        yield changes


def test_a_pack_that_is_stopped_at_any_change_loses_nothing_and_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [RANDOM[: SIZE + 10 * number] + b"end %d" % number for number in range(4)]

    def state() -> Store:
        return Store.open(tmp_path / "store", create=True)

    with state() as store:
        for data in versions[:3]:
            tell(store, outputs=[("table.csv", data)])
        packed_whole(store)
        tell(store, outputs=[("table.csv", versions[3])])
    shutil.copytree(tmp_path / "store", tmp_path / "before")
    number = ended = 0
    while not ended:
        shutil.rmtree(tmp_path / "store")
        shutil.copytree(tmp_path / "before", tmp_path / "store")
        with state() as store:
            with stopped_at(monkeypatch, number):
                try:
                    packed_whole(store)
                    ended = number
                except KeyboardInterrupt:
                    pass
            assert [content(store, data) for data in versions] == versions
            packed_whole(store)
            assert [content(store, data) for data in versions] == versions
            assert [is_whole(store, data) for data in versions] == [False] * 3 + [True]
            assert not list(store.layout.scratch.iterdir())
        number += 1
    print(f"{ended} points")
    assert ended > 15


KILLING = """
import os, signal, sys
from pathlib import Path
from runner.store.store import Store
from runner.upkeep.pack import pack

left = int(sys.argv[2])

def counted(call):
    def stop(*arguments, **options):
        global left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return call(*arguments, **options)
    return stop

with Store.open(Path(sys.argv[1]), create=True) as store:
    for name in ("rename", "replace", "unlink", "fsync", "write", "sendfile", "open"):
        setattr(os, name, counted(getattr(os, name)))
    pack(store, least=1000)
"""


def test_a_pack_that_is_killed_leaves_nothing_that_the_next_does_not_put_right(store: Store) -> None:
    versions = [RANDOM[: SIZE + 10 * number] + b"end %d" % number for number in range(4)]
    for data in versions[:3]:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    tell(store, outputs=[("table.csv", versions[3])])
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    killed = 0
    for point in sorted(random.Random(seed).sample(range(60), 6)):
        done = subprocess.run([sys.executable, "-c", KILLING, store.layout.root, str(point)], check=False)
        killed += done.returncode == -signal.SIGKILL
        assert [content(store, data) for data in versions] == versions
    assert killed
    packed_whole(store)
    assert [content(store, data) for data in versions] == versions
    assert [is_whole(store, data) for data in versions] == [False] * 3 + [True]
    assert not list(store.layout.scratch.iterdir())


USING = """
import sys
from pathlib import Path
from runner.digest import Digest, hash_bytes
from runner.store.store import Store

top, writes = Path(sys.argv[1]), sys.argv[2] == "write"
versions = {Digest(name): (top / "versions" / name).read_bytes() for name in sys.argv[3:]}
target, number = top / f"copy-{sys.argv[2]}", 0
print("ready", flush=True)
while not (top / "enough").exists():
    with Store.open(top / "store", create=writes) as store:
        for digest, data in versions.items():
            if writes and number % 3 == 0:
                assert store.objects.put_bytes(data) == digest
            if writes and number % 3 == 1:
                store.objects.materialise(digest, target, writable=False)
                assert target.read_bytes() == data
                target.unlink()
            assert store.objects.has(digest)
            assert store.objects.size(digest) == len(data)
            assert store.objects.read(digest) == data
            number += 1
print(number)
"""


def test_readers_and_writers_beside_packs_find_every_version_at_every_moment(store: Store, tmp_path: Path) -> None:
    versions = [RANDOM[: 3 * SIZE + 10 * number] + b"end %d" % number for number in range(4)]
    names = [hash_bytes(data) for data in versions]
    (tmp_path / "versions").mkdir()
    for name, data in zip(names, versions, strict=True):
        (tmp_path / "versions" / name).write_bytes(data)
        tell(store, outputs=[("table.csv", data)])
    users = [
        subprocess.Popen([sys.executable, "-c", USING, tmp_path, kind, *names], stdout=subprocess.PIPE, text=True)
        for kind in ("read", "write")
    ]
    try:
        for user in users:
            assert user.stdout is not None
            assert user.stdout.readline() == "ready\n"
        packed = 0
        for number in range(40):
            packed += packed_whole(store).objects
            # Another version becomes the newest.
            tell(store, outputs=[("table.csv", versions[number % 3])])
            if number % 4 == 3:
                with Store.open(store.layout.root, create=True) as own:
                    unpack(own, names[:1])
    finally:
        (tmp_path / "enough").touch()
        said = [user.communicate()[0] for user in users]
    assert [user.returncode for user in users] == [0, 0]
    print(f"{packed} packed, used {said}")
    assert all(map(int, said))
    assert packed


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
    done = unpack(store, [hash_bytes(versions[0])])
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
    unpack(store, [hash_bytes(versions[2])])
    assert [is_whole(store, data) for data in versions] == [True] * 3
    assert not list(Packed(store.layout.packed).digests())


def test_leftovers_that_are_a_recorded_file_as_well_are_not_dropped(store: Store) -> None:
    tail = RANDOM[SIZE : 2 * SIZE // 1]
    tell(store, outputs=[("tail.csv", tail)])
    tell(store, outputs=[("table.csv", RANDOM[: 10 * SIZE] + tail)])
    tell(store, outputs=[("table.csv", RANDOM[: 10 * SIZE])])
    packed_whole(store)
    unpack(store, [hash_bytes(RANDOM[: 10 * SIZE])])
    assert is_whole(store, tail)


def test_recipes_in_the_trash_are_unpacked_in_the_trash(store: Store) -> None:
    versions = growing(2)
    for data in versions:
        tell(store, outputs=[("table.csv", data)])
    packed_whole(store)
    trash = Trash(store.layout)
    batch = trash.begin("gc", "me")
    trash.move(batch, Packed(store.layout.packed).path(hash_bytes(versions[0])))
    unpack(store, [hash_bytes(versions[1])])
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
        unpack(store, [hash_bytes(versions[1])])
    assert caught.value.code is ExitCode.STORE
    assert hash_bytes(versions[0]) in caught.value.message
    assert not is_whole(store, versions[0])
    assert is_packed(store, versions[0])
