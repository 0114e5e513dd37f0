"""What is removed and what stays, whoever works in the store meanwhile and wherever the removal is killed."""

import fcntl
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from runner.app import upkeep
from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.claim import Claims
from runner.store.packed import Packed
from runner.store.recipe import Piece, make_recipe
from runner.store.trash import Trash
from runner.upkeep import sweep as sweep_module
from runner.upkeep.retention import Ground
from runner.upkeep.turn import alone

Scene = Any

BIG = b"weights " * 1000


def test_nothing_goes_from_a_store_where_everything_is_young(scene: Scene) -> None:
    scene.execute(outputs={"model": BIG})
    plan = scene.plan(last=None, within=30 * 86400.0)
    assert plan.is_empty and plan.kept == {Ground.YOUNG: 1}


def test_an_expired_execution_loses_its_files_and_keeps_its_record(scene: Scene) -> None:
    old, new = (scene.execute(outputs={"model": data}) for data in (b"old", b"new"))
    done = scene.collect(last=1)
    assert done.plan.losers == [old.id]
    assert not scene.has(old.outputs[0].digest) and not scene.has(old.log.stdout)
    assert scene.has(new.outputs[0].digest, new.log.stdout)
    run = scene.run_of(old)
    assert scene.has(run.code.snapshot, run.spec, old.metric_log)
    assert list(scene.removed().dropped) == [old.id]
    assert scene.lost() == []


def test_a_dry_plan_changes_nothing(scene: Scene) -> None:
    scene.execute(outputs={"model": BIG})
    before = sorted(map(str, scene.root.rglob("*")))
    assert not scene.plan().is_empty
    assert sorted(map(str, scene.root.rglob("*"))) == before


def test_content_that_a_kept_execution_shares_stays_though_another_expires(scene: Scene) -> None:
    old, _ = (scene.execute(outputs={"model": BIG}) for _ in range(2))
    scene.collect(last=1)
    assert scene.has(old.outputs[0].digest)


def test_an_execution_that_would_lose_nothing_is_not_told_to_have_lost_something(scene: Scene) -> None:
    interrupted(scene)
    scene.collect()
    assert scene.removed().dropped == {}


def test_what_has_a_name_stays(scene: Scene) -> None:
    aliased, versioned, unnamed = (scene.execute(outputs={"model": data}) for data in (b"1", b"2", b"3"))
    scene.name(aliased, "prod")
    scene.version([scene.datum(versioned)], "iris", "v1")
    plan = scene.plan()
    assert plan.losers == [unnamed.id] and plan.kept == {Ground.NAMED: 2}
    scene.collect()
    assert scene.lost() == []
    assert scene.has(aliased.outputs[0].digest, versioned.outputs[0].digest, versioned.log.stdout)


@pytest.mark.parametrize("what", ["execution", "run", "datum"])
def test_what_is_pinned_stays(scene: Scene, what: str) -> None:
    one = scene.execute(outputs={"model": BIG})
    with scene.writing() as store, store.refs.changing({"user": "me"}) as change:
        if what == "datum":
            change.pin("datum", scene.datum(one).id, datum=scene.datum(one))
        else:
            change.pin(what, one.id if what == "execution" else scene.run_of(one).id)
    assert scene.plan().is_empty


def test_the_file_that_a_kept_execution_got_stays_with_all_that_its_maker_left(scene: Scene) -> None:
    first = scene.execute("clean", {"data": b"data", "notes": b"notes"})
    second = scene.execute("split", {"half": b"half"}, [scene.datum(first)])
    third = scene.execute("train", {"model": BIG}, [scene.datum(second)])
    scene.name(third, "prod")
    plan = scene.plan()
    assert plan.kept == {Ground.NAMED: 1, Ground.INPUT: 1}
    scene.collect()
    # One step back, and no further: but the file that the middle one got is one of its own files.
    assert scene.has(second.outputs[0].digest, first.outputs[0].digest)
    assert not scene.has(first.outputs[1].digest)
    assert scene.lost() == []


def test_only_the_named_project_loses_something(scene: Scene) -> None:
    one, two = (scene.execute(outputs={"m": name.encode()}, project=name) for name in ("p1", "p2"))
    done = upkeep.remove(scene.settings, upkeep.policy_of(scene.settings, 0), datetime.now(UTC), "p1")
    assert done is not None and done.plan.losers == [one.id]
    assert scene.has(two.outputs[0].digest)


def test_a_run_under_way_keeps_everything(scene: Scene) -> None:
    before = scene.execute(outputs={"data": b"data"})
    with scene.writing() as store:
        writer = scene.begin(store, "train")
        scene.start(writer, "train", [scene.datum(before)])
        store.objects.close()
        done = scene.collect()
        assert done.plan.kept == {Ground.UNDER_WAY: 1, Ground.INPUT: 1}
        assert scene.lost() == []
        writer.close()


def test_orphans_go_when_they_are_a_day_old(scene: Scene) -> None:
    scene.execute()
    orphan = scene.put(b"nobody's")
    assert (scene.plan(days=0).young.files, scene.plan(days=0).orphans.files) == (1, 0)
    scene.collect(last=9)
    assert not scene.has(orphan)


def test_what_a_living_process_claims_after_the_plan_is_put_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    old = scene.execute(outputs={"model": BIG})
    claims = Claims(scene.layout.claims)
    between(monkeypatch, lambda: claims.claim([old.outputs[0].digest]))
    done = scene.collect()
    assert done.swept.back.files == 1
    assert scene.has(old.outputs[0].digest) and not scene.has(old.log.stdout)
    claims.close()


def test_what_a_run_that_begins_meanwhile_names_is_put_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    old = scene.execute(outputs={"model": BIG})
    between(monkeypatch, lambda: scene.execute("again", inputs=[scene.datum(old)]))
    scene.collect()
    assert scene.has(old.outputs[0].digest)
    assert scene.lost() == []


def test_what_gets_a_name_meanwhile_is_put_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    old = scene.execute(outputs={"model": BIG})
    between(monkeypatch, lambda: scene.name(old, "prod"))
    scene.collect()
    assert scene.has(old.outputs[0].digest)


def test_a_name_that_is_only_in_the_log_yet_keeps_what_it_means(scene: Scene) -> None:
    old = scene.execute(outputs={"model": BIG})
    scene.name(old, "prod")
    (path,) = (scene.layout.refs / "alias").iterdir()
    path.unlink()
    assert scene.collect().plan.losers == []


@pytest.mark.parametrize("now", [True, False])
def test_a_journal_that_cannot_be_read_stops_everything(scene: Scene, now: bool) -> None:
    old, broken = (scene.execute(outputs={"model": data}) for data in (b"1", b"2"))
    journal = scene.layout.run(scene.run_of(broken).id).journal
    data = bytearray(journal.read_bytes())
    data[30] ^= 1
    journal.write_bytes(data)
    with pytest.raises(MlrunError, match=journal.parent.name) as caught:
        scene.collect(now=now)
    assert caught.value.code is ExitCode.STORE and "store check" in (caught.value.hint or "")
    assert scene.has(old.outputs[0].digest) and scene.removed().dropped == {}


@pytest.mark.parametrize("now", [True, False])
@pytest.mark.parametrize("loss", ["the journal", "its content", "its last line", "the folder", "all runs"])
def test_a_record_that_is_lost_stops_everything(scene: Scene, now: bool, loss: str) -> None:
    old, lost = (scene.execute(outputs={"model": data}) for data in (b"1", b"2"))
    folder = scene.layout.run(scene.run_of(lost).id)
    match loss:
        case "the journal":
            folder.journal.unlink()
        case "its content":
            folder.journal.write_bytes(b"")
        case "its last line":
            folder.journal.write_bytes(b"".join(folder.journal.read_bytes().splitlines(keepends=True)[:-1]))
        case "the folder":
            shutil.rmtree(folder.path)
        case "all runs":
            shutil.rmtree(scene.layout.runs)
    with pytest.raises(MlrunError, match="no journal tells it") as caught:
        scene.collect(now=now)
    assert caught.value.code is ExitCode.STORE
    assert scene.has(old.outputs[0].digest)
    assert scene.has(lost.outputs[0].digest)


def test_a_tree_that_is_missing_stops_everything(scene: Scene) -> None:
    old = scene.execute(outputs={"model": BIG})
    tree = scene.run_of(old).code.snapshot
    (scene.layout.objects / tree[:2] / tree).unlink()
    with pytest.raises(MlrunError, match="the code of run 1"):
        scene.collect()
    assert scene.has(old.outputs[0].digest)


def test_a_journal_that_breaks_in_the_middle_brings_everything_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = scene.execute(outputs={"model": BIG})
    broken = scene.layout.run("0192aaaa-0000-7000-8000-000000000000")

    def break_in() -> None:
        broken.path.mkdir()
        broken.journal.write_bytes(b"no journal\n")

    between(monkeypatch, break_in)
    with pytest.raises(MlrunError, match=broken.path.name):
        scene.collect()
    assert scene.has(old.outputs[0].digest) and scene.removed().dropped == {}
    assert Trash(scene.layout).batches() == []


def test_files_come_back_within_a_week_and_count_as_removed_no_more(scene: Scene) -> None:
    old = scene.execute(outputs={"model": BIG})
    scene.collect()
    undone = upkeep.undo(scene.settings)
    assert undone is not None and undone.executions == 1
    assert scene.has(old.outputs[0].digest, old.log.stdout) and scene.removed().dropped == {}
    with pytest.raises(MlrunError, match="nothing to undo") as caught:
        upkeep.undo(scene.settings)
    assert caught.value.code is ExitCode.USAGE


def test_the_newest_batch_comes_back_first(scene: Scene) -> None:
    first = scene.execute(outputs={"model": b"1"})
    scene.collect()
    second = scene.execute(outputs={"model": b"2"})
    scene.collect()
    upkeep.undo(scene.settings)
    assert scene.has(second.outputs[0].digest) and not scene.has(first.outputs[0].digest)
    assert list(scene.removed().dropped) == [first.id]
    upkeep.undo(scene.settings)
    assert scene.has(first.outputs[0].digest) and scene.removed().dropped == {}


def test_files_are_destroyed_after_a_week_and_not_before(scene: Scene) -> None:
    old = scene.execute(outputs={"model": BIG})
    scene.collect()
    scene.collect(days=6)
    assert Trash(scene.layout).find(old.outputs[0].digest)
    assert scene.collect(days=8).swept.destroyed.files == 4
    assert Trash(scene.layout).batches() == []
    assert list(scene.removed().dropped) == [old.id]


def test_who_cannot_wait_destroys_at_once_and_empties_the_trash(scene: Scene) -> None:
    scene.execute(outputs={"model": b"1"})
    scene.collect()
    scene.execute(outputs={"model": b"2"})
    assert scene.collect(now=True).swept.destroyed.files == 8
    assert os.listdir(scene.layout.trash) == []


def test_others_have_their_turn_while_files_are_destroyed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    old = scene.execute(outputs={"model": BIG})
    destroy, turns = Trash.destroy_rest, []

    def look(trash: Trash, *arguments: Any) -> None:
        with alone(scene.layout, patience=0.0):
            turns.append(trash.find(old.outputs[0].digest))
        destroy(trash, *arguments)

    monkeypatch.setattr(Trash, "destroy_rest", look)
    assert scene.collect(now=True).swept.destroyed.files == 4
    assert turns == [None] and os.listdir(scene.layout.trash) == []


def test_what_a_killed_removal_gave_up_is_destroyed_by_the_next(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.execute(outputs={"model": BIG})
    monkeypatch.setattr(sweep_module.Sweeper, "end", lambda *_: None)
    scene.collect(now=True)
    assert len(os.listdir(scene.layout.trash)) == 1
    monkeypatch.undo()
    scene.collect(last=9)
    assert os.listdir(scene.layout.trash) == []


def test_what_is_named_again_comes_back_before_the_trash_is_destroyed(scene: Scene) -> None:
    old = scene.execute(outputs={"model": BIG})
    scene.collect()
    # As a program that knows no claims would do it.
    claims, Claims.claim = Claims.claim, lambda *_: None  # type: ignore[method-assign]
    try:
        scene.name(old, "prod")
    finally:
        Claims.claim = claims  # type: ignore[method-assign]
    scene.collect(now=True)
    assert scene.has(old.outputs[0].digest, old.log.stdout)


def test_a_name_keeps_what_is_left_of_an_execution_that_lost_its_files(scene: Scene) -> None:
    old = scene.execute(outputs={"model": BIG, "notes": b"notes"})
    scene.collect()
    scene.name(old, "prod")
    scene.collect(days=8)
    assert scene.has(*(output.digest for output in old.outputs))


def test_objects_of_a_removed_run_go_at_once_and_come_back_with_it(scene: Scene) -> None:
    one = scene.execute(outputs={"model": BIG})
    run = scene.run_of(one)
    with scene.writing() as store:
        store.remove_run(run.id, Trash(scene.layout).begin("rm", "me"))
    done = scene.collect(last=9, days=0)
    assert done.plan.taken_out.files == 4 + 4 and not scene.has(one.outputs[0].digest)
    assert upkeep.undo(scene.settings) is not None
    undone = upkeep.undo(scene.settings)
    assert undone is not None and undone.runs == 1
    assert scene.has(one.outputs[0].digest) and scene.lost() == [] and scene.removed().runs == {}


def test_a_removed_run_that_comes_back_alone_brings_its_objects_out_of_other_batches(scene: Scene) -> None:
    one = scene.execute(outputs={"model": BIG})
    trash = Trash(scene.layout)
    batch = trash.begin("gc", "me")
    trash.move(batch, scene.layout.objects / one.outputs[0].digest[:2] / one.outputs[0].digest)
    with scene.writing() as store:
        store.remove_run(scene.run_of(one).id, trash.begin("rm", "me"))
    upkeep.undo(scene.settings)
    assert scene.has(one.outputs[0].digest)


def test_a_recipe_goes_with_what_only_it_is_made_of(scene: Scene) -> None:
    source, packed = pack_by_hand(scene)
    scene.collect()
    assert not scene.has(source) and not scene.has(packed)
    upkeep.undo(scene.settings)
    assert scene.has(source) and scene.lost() == []


def test_what_a_packed_object_is_made_of_stays_as_long_as_it_is_needed(scene: Scene) -> None:
    source, packed = pack_by_hand(scene)
    scene.name(scene.ended[-1], "prod")
    scene.collect(days=9)
    assert scene.has(source, packed) and scene.lost() == []


def test_a_claim_of_a_packed_object_brings_back_what_it_is_made_of(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, packed = pack_by_hand(scene)
    claims = Claims(scene.layout.claims)
    between(monkeypatch, lambda: claims.claim([packed]))
    scene.collect()
    assert scene.has(source, packed)
    claims.close()


def test_the_work_folder_of_an_expired_execution_goes_and_comes_back(scene: Scene) -> None:
    old = scene.execute(state="failed")
    folder = scene.layout.work_folder(old.id)
    (folder / "outputs").mkdir(parents=True)
    (folder / "outputs" / "half").write_bytes(BIG)
    done = scene.collect()
    assert not folder.exists() and done.plan.losers == [old.id]
    upkeep.undo(scene.settings)
    assert (folder / "outputs" / "half").read_bytes() == BIG


def test_the_work_folder_of_a_kept_execution_stays(scene: Scene) -> None:
    new = scene.execute(state="failed")
    folder = scene.layout.work_folder(new.id)
    folder.mkdir()
    scene.collect(last=1)
    assert folder.is_dir()


def test_unfinished_logs_of_an_expired_execution_go_and_come_back(scene: Scene) -> None:
    run, execution = interrupted(scene)
    folder = scene.layout.run(run).logs / execution
    folder.mkdir()
    (folder / "stdout").write_bytes(BIG)
    scene.collect()
    assert not folder.exists()
    upkeep.undo(scene.settings)
    assert (folder / "stdout").read_bytes() == BIG


def test_half_written_files_of_crashes_go_and_those_of_today_stay(scene: Scene) -> None:
    scene.execute()
    left = [scene.layout.objects / "ab" / ".new-999999999-0", scene.layout.scratch / ".new-999999999-1"]
    written = scene.layout.scratch / f".new-{os.getpid()}-2"
    for path in (*left, written):
        path.write_bytes(b"half")
    assert scene.plan(days=0).stale == []
    assert scene.collect(last=9).swept.destroyed.files == 2
    assert not any(path.exists() for path in left) and written.exists()


def test_a_store_that_is_not_there_is_not_made(scene: Scene) -> None:
    assert upkeep.remove(scene.settings, upkeep.policy_of(scene.settings), datetime.now(UTC)) is None
    assert upkeep.plan_removal(scene.settings, upkeep.policy_of(scene.settings), datetime.now(UTC)) is None
    assert upkeep.undo(scene.settings) is None
    assert not scene.root.exists()


def test_a_half_download_that_nobody_goes_on_with_goes_and_one_under_way_stays(scene: Scene) -> None:
    downloads = scene.layout.cache / "downloads"
    scene.execute()
    downloads.mkdir()
    for name in ("left", "held"):
        for end in ("part", "lock"):
            (downloads / f"{name}.{end}").write_bytes(b"half")
    with (downloads / "held.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert scene.plan(last=9, days=29).stale == []
        scene.collect(last=9, days=31)
    assert not (downloads / "left.part").exists() and (downloads / "held.part").exists()


def interrupted(scene: Scene) -> tuple[str, str]:
    """A run whose only execution left nothing, not even a log."""
    with scene.writing() as store, scene.begin(store, "train") as writer:
        id = scene.start(writer, "train")
        ends = ({"type": "execution-finished", "id": id}, {"type": "run-finished"})
        writer.append([end | {"state": "interrupted"} for end in ends])
        return writer.id, id


def pack_by_hand(scene: Scene) -> tuple[str, str]:
    """An execution with one packed output, and an object that only this is made of."""
    old = scene.execute(outputs={"model": BIG})
    digest, source = old.outputs[0].digest, scene.put(b"more " + BIG)
    Packed(scene.layout.packed).put(digest, make_recipe([Piece(source, 5, len(BIG))]))
    (scene.layout.objects / digest[:2] / digest).unlink()
    assert hash_bytes(BIG) == digest
    return source, digest


def between(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do `work` when everything was moved and nothing looked at again."""
    move = sweep_module.Sweeper._move

    def then(self: Any, *arguments: Any) -> None:
        move(self, *arguments)
        work()

    monkeypatch.setattr(sweep_module.Sweeper, "_move", then)
