"""Destroying a file's bytes: nowhere in the store is a piece of it left, and everything else stays."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.catalog import data_of
from runner.store.claim import Claims
from runner.store.identity import new_id
from runner.store.trash import Trash
from runner.upkeep import purge as purge_module
from runner.upkeep import unpack as unpack_module
from runner.upkeep.check import Wish, check
from runner.upkeep.pack import pack
from runner.upkeep.purge import Purge, carry_out, finish_purges, plan_purge
from runner.upkeep.turn import alone

WINDOW = 64
SECRET = random.Random(1).randbytes(5000)


def left(scene: Any, secret: bytes = SECRET) -> list[str]:
    """The files of the store that hold 64 bytes in a row of the secret."""
    windows = {secret[at : at + WINDOW] for at in range(len(secret) - WINDOW)}
    found = []
    for path in sorted(scene.root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if any(data[at : at + WINDOW] in windows for at in range(len(data) - WINDOW + 1)):
                found.append(str(path.relative_to(scene.root)))
    return found


def plan_of(scene: Any, data: bytes = SECRET) -> Purge:
    with scene.reading() as view:
        return plan_purge(view, hash_bytes(data))


def purge(scene: Any, data: bytes = SECRET) -> list[str]:
    plan = plan_of(scene, data)
    with scene.writing() as store:
        return carry_out(store, plan, "me", "asked for")


def spread(scene: Any) -> None:
    """Put the secret wherever bytes of a file can be."""
    layout = scene.layout
    made = scene.execute("prepare", {"people.csv": SECRET})
    digest = hash_bytes(SECRET)
    whole = layout.objects / digest[:2] / digest
    trash = Trash(layout)
    batch = trash.begin("gc", "me")
    waiting = trash.folder(batch) / "objects" / digest[:2] / digest
    waiting.parent.mkdir(parents=True)
    waiting.write_bytes(SECRET)
    destroyed = layout.trash / f".new-{new_id()}" / "objects" / digest[:2] / digest
    destroyed.parent.mkdir(parents=True)
    destroyed.write_bytes(SECRET)
    kept = layout.work / made.id
    for name in ("inputs/raw", "outputs/deep/er", "repository"):
        (kept / name).mkdir(parents=True)
        (kept / name / "copy").write_bytes(SECRET)
    os.link(whole, kept / "linked")
    (kept / "repository").chmod(0o500)
    moved = trash.folder(batch) / "work" / new_id() / "outputs"
    moved.mkdir(parents=True)
    (moved / "people.csv").write_bytes(SECRET)
    (layout.quarantine / f"{digest}~2").write_bytes(b"?" + SECRET[1:])
    (layout.scratch / ".new-1-dead").write_bytes(SECRET[:3000])
    (layout.objects / "ab" / ".new-1-dead").write_bytes(SECRET)
    downloads = layout.cache / "downloads"
    downloads.mkdir(exist_ok=True)
    (downloads / "one.part").write_bytes(SECRET[:1000])
    (downloads / "two.json").write_text(json.dumps({"digest": digest}))
    (downloads / "two.part").write_bytes(b"of another version")
    with scene.writing() as store:
        store.checksums.compute(digest)


def test_nothing_is_left_anywhere(scene: Any) -> None:
    spread(scene)
    scene.execute("other", {"model": b"the model"})
    assert len(left(scene)) >= 12
    others = [path for path in scene.root.rglob("*") if path.is_file()]
    plan = plan_of(scene)
    assert [path for path in scene.root.rglob("*") if path.is_file()] == others
    assert {trace.what for trace in plan.traces} >= {"the object", "a damaged copy", "a half-written copy"}
    assert purge(scene) == []
    assert left(scene) == []
    digest = hash_bytes(SECRET)
    files = [path for path in scene.root.rglob("*") if path.is_file()]
    assert not [path for path in files if digest in path.name or path.name.startswith(("one.", "two."))]
    assert scene.has(hash_bytes(b"the model"))
    with scene.writing() as store:
        report, _ = check(store, Wish(read_data=True))
        assert report.damages == []
        assert report.purged == 1
        with pytest.raises(MlrunError, match=r"purged on .* by me: asked for") as refusal:
            store.objects.put_bytes(SECRET)
    assert refusal.value.code is ExitCode.POLICY


@pytest.mark.parametrize("moment", range(0, 15, 2))
def test_whoever_is_killed_half_way_leaves_what_the_next_command_ends(
    scene: Any, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    spread(scene)
    unlink: Callable[[Path], None] = purge_module._unlink
    calls = 0

    def killed(path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > moment:
            raise KeyboardInterrupt
        unlink(path)

    monkeypatch.setattr(purge_module, "_unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        purge(scene)
    monkeypatch.undo()
    assert left(scene)
    with scene.writing() as store:
        finish_purges(store)
    assert left(scene) == []
    with scene.writing() as store:
        assert finish_purges(store) == []


def test_what_comes_back_is_destroyed_by_the_next_check(scene: Any) -> None:
    scene.execute("prepare", {"people.csv": SECRET})
    purge(scene)
    digest = hash_bytes(SECRET)
    path = scene.layout.objects / digest[:2] / digest
    path.write_bytes(SECRET)
    with scene.writing() as store:
        report, _ = check(store, Wish())
    assert [note.code for note in report.notes] == ["purged"]
    assert report.damages == []
    assert left(scene) == []


def test_what_comes_back_is_destroyed_by_the_next_gc(scene: Any) -> None:
    scene.execute("prepare", {"people.csv": SECRET})
    purge(scene)
    digest = hash_bytes(SECRET)
    (scene.layout.objects / digest[:2] / digest).write_bytes(SECRET)
    scene.collect(last=1)
    assert left(scene) == []


def versions(scene: Any, count: int) -> list[bytes]:
    """Versions of a file, each without a piece that the one before had; all but the newest packed."""
    rng = random.Random(4711)
    common = rng.randbytes(300_000)
    pieces = [rng.randbytes(4000) for _ in range(count)]
    made = [common[:150_000] + piece + common[150_000:] for piece in pieces]
    for data in made:
        scene.execute("grow", {"table": data})
    with scene.writing() as store, alone(store.layout) as turn:
        assert pack(store, turn, least=1000).objects == count - 1
    return made


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_a_packed_file_and_one_that_others_are_made_of_are_destroyed_and_others_stay(scene: Any, which: int) -> None:
    made = versions(scene, 4)
    rng = random.Random(4711)
    rng.randbytes(300_000)
    own = [rng.randbytes(4000) for _ in range(4)][which]
    assert left(scene, own)
    plan = plan_of(scene, made[which])
    assert bool(plan.parts) is (which != 3)
    assert bool(plan.shared) is (which != 3)
    assert purge(scene, made[which]) == []
    assert left(scene, own) == []
    with scene.reading() as store:
        for number, data in enumerate(made):
            if number != which:
                assert store.objects.read(hash_bytes(data)) == data
    with scene.writing() as store:
        assert check(store, Wish(read_data=True))[0].damages == []


@pytest.mark.parametrize("where", [(unpack_module, "_drop"), (purge_module, "find_traces"), (purge_module, "_unlink")])
def test_a_packed_file_is_destroyed_by_the_next_command_after_a_kill(
    scene: Any, monkeypatch: pytest.MonkeyPatch, where: tuple[Any, str]
) -> None:
    made = versions(scene, 3)
    rng = random.Random(4711)
    rng.randbytes(300_000)
    own = rng.randbytes(4000)
    plan = plan_of(scene, made[0])

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*where, killed)
    with scene.writing() as store, pytest.raises(KeyboardInterrupt):
        carry_out(store, plan, "me", "asked for")
    monkeypatch.undo()
    assert left(scene, own)
    with scene.writing() as store:
        finish_purges(store)
    assert left(scene, own) == []
    with scene.writing() as store:
        assert check(store, Wish(read_data=True))[0].damages == []


def test_all_that_was_made_from_it_is_named(scene: Any) -> None:
    raw = scene.execute("prepare", {"people.csv": SECRET, "empty": b""})
    clean = scene.execute("clean", {"clean.csv": b"clean"}, data_of(raw)[:1])
    model = scene.execute("train", {"model": b"the model"}, data_of(clean))
    scene.execute("other", {"model": b"another"}, data_of(raw)[1:])
    scene.name(model, "prod")
    scene.version(data_of(model), "models", "v1")
    plan = plan_of(scene)
    assert [(heir.step, heir.direct) for heir in plan.heirs] == [("clean", True), ("train", False)]
    assert [left.names for heir in plan.heirs for left in heir.outputs] == [(), ("datum://prod", "dataset://models/v1")]
    assert [(touch.kind, touch.counter) for touch in plan.touched] == [("output", 1), ("input", 2)]


def test_code_can_be_purged_and_counts_as_having_been_got(scene: Any) -> None:
    scene.code = ("key = 'secret of somebody'",)
    scene.execute("train", {"model": b"the model"})
    plan = plan_of(scene, scene.code[0].encode())
    assert [heir.step for heir in plan.heirs] == ["train"]
    assert purge(scene, scene.code[0].encode()) == []
    with scene.writing() as store:
        report, _ = check(store, Wish(read_data=True))
    assert (report.damages, report.purged) == ([], 1)


def test_who_uses_it_is_told(scene: Any) -> None:
    scene.execute("prepare", {"people.csv": SECRET})
    assert not plan_of(scene).is_claimed
    claims = Claims(scene.layout.claims)
    claims.claim([hash_bytes(SECRET)])
    assert plan_of(scene).is_claimed
    claims.close()
    assert not plan_of(scene).is_claimed


def test_what_is_nowhere_and_what_is_empty_is_refused(scene: Any) -> None:
    scene.execute("prepare", {"empty": b""})
    with pytest.raises(MlrunError, match="there is no content"):
        plan_of(scene, b"never seen")
    with pytest.raises(MlrunError, match="holds nothing"):
        plan_of(scene, b"")


def test_hard_links_outside_the_store_are_counted(scene: Any, tmp_path: Path) -> None:
    scene.execute("prepare", {"people.csv": SECRET})
    digest = Digest(hash_bytes(SECRET))
    os.link(scene.layout.objects / digest[:2] / digest, tmp_path / "outside")
    assert plan_of(scene).outside == 1
    shutil.rmtree(scene.layout.cache)
    assert purge(scene) == []
    assert (tmp_path / "outside").read_bytes() == SECRET
