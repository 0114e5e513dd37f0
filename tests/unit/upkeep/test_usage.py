"""How much a store takes, and whether it may have more."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runner.errors import ExitCode, MlrunError
from runner.upkeep import usage
from runner.upkeep.usage import check_quota, counted_sizes, measure

Scene = Any

BIG = b"weights " * 1000


def old(folder: Path) -> None:
    """Let the time stamp of a folder be one that can be believed."""
    os.utime(folder, (1e9, 1e9))


def test_every_file_of_a_store_is_counted_once(scene: Scene) -> None:
    scene.execute(outputs={"model": BIG})
    scene.collect()
    files = [path for path in scene.root.rglob("*") if path.is_file() and path.name not in {"format", ".gitignore"}]
    parts = measure(scene.layout)
    assert sum(heap.size for heap in parts.values()) == sum(path.stat().st_size for path in files)
    assert parts["trash"].size > len(BIG)


def test_an_object_that_a_work_folder_shows_counts_as_object(scene: Scene) -> None:
    one = scene.execute(outputs={"model": BIG})
    digest = one.outputs[0].digest
    before = measure(scene.layout)
    folder = scene.layout.work_folder(one.id)
    folder.mkdir()
    os.link(scene.layout.objects / digest[:2] / digest, folder / "model")
    after = measure(scene.layout)
    assert after["whole"] == before["whole"] and after["work"].size == 0


def test_the_fast_count_agrees_with_the_slow_one(scene: Scene) -> None:
    scene.execute(outputs={"model": BIG})
    scene.collect()
    scene.execute(outputs={"other": BIG + b"!"})
    counted = counted_sizes(scene.layout, remember=True)
    parts = measure(scene.layout)
    note = len(next(scene.layout.trash.glob("*/batch")).read_bytes())
    assert counted == {name: parts[name].size - (note if name == "trash" else 0) for name in counted}


def test_a_folder_that_has_not_changed_is_not_counted_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = scene.put(BIG)
    for shard in scene.layout.objects.iterdir():
        old(shard)
    before = counted_sizes(scene.layout, remember=True)
    weighed: list[str] = []
    real = usage.weigh
    monkeypatch.setattr(usage._Memory._size, "__defaults__", (lambda folder: weighed.append(folder) or real(folder),))
    assert counted_sizes(scene.layout, remember=True) == before and weighed == []
    scene.put(BIG + b"!")
    assert counted_sizes(scene.layout, remember=True)["whole"] == before["whole"] + len(BIG) + 1
    assert len(weighed) == 1 and Path(weighed[0]).name != digest[:2]


def test_a_change_in_the_same_tick_of_the_clock_is_not_missed(scene: Scene) -> None:
    digest = scene.put(b"1")
    for shard in scene.layout.objects.iterdir():
        if shard.name != digest[:2]:
            old(shard)
    counted_sizes(scene.layout, remember=True)
    seen = json.loads((scene.layout.cache / "usage.json").read_bytes())
    assert len(seen) == 255 and f"objects/{digest[:2]}" not in seen


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"objects/ab": 3}', b'{"objects/ab": ["x", "y"]}', b"\xff"])
def test_a_damaged_memory_is_none(scene: Scene, content: bytes) -> None:
    scene.put(BIG)
    right = counted_sizes(scene.layout, remember=True)
    (scene.layout.cache / "usage.json").write_bytes(content)
    assert counted_sizes(scene.layout, remember=True) == right


def test_who_only_asks_writes_nothing(scene: Scene) -> None:
    scene.put(BIG)
    before = sorted(scene.root.rglob("*"))
    counted_sizes(scene.layout, remember=False)
    measure(scene.layout)
    assert sorted(scene.root.rglob("*")) == before


def test_a_store_within_its_quota_may_have_more(scene: Scene) -> None:
    scene.put(BIG)
    check_quota(scene.layout, len(BIG))
    check_quota(scene.layout, None)


def test_a_store_over_its_quota_is_refused_with_what_helps(scene: Scene) -> None:
    scene.put(BIG)
    with pytest.raises(MlrunError, match="the store has 8,000 bytes, its quota is 7,999") as caught:
        check_quota(scene.layout, len(BIG) - 1)
    assert caught.value.code is ExitCode.DISK and "`mlrun gc` says what may go" in (caught.value.hint or "")


def test_a_trash_that_is_too_much_is_named_as_what_helps(scene: Scene) -> None:
    scene.execute(outputs={"model": BIG})
    scene.collect()
    with pytest.raises(MlrunError) as caught:
        check_quota(scene.layout, len(BIG))
    assert "`mlrun gc --now` empties its trash" in (caught.value.hint or "")
