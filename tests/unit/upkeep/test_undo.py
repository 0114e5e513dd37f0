"""Bringing back what was removed last, from a trash that is not as it was left."""

import os
from typing import Any

import pytest

from runner.app import upkeep
from runner.errors import ExitCode, MlrunError
from runner.store.trash import Trash

BIG = b"model" * 1000


def test_a_batch_that_does_not_say_what_it_is_comes_back_all_the_same(scene: Any) -> None:
    old = scene.execute(outputs={"model": BIG})
    scene.collect()
    trash = Trash(scene.layout)
    (batch,) = trash.batches()
    (trash.folder(batch) / "batch").write_bytes(b"\xff{")
    assert upkeep.undo(scene.settings) is not None
    assert scene.has(old.outputs[0].digest)
    assert scene.lost() == []


def test_what_was_made_again_meanwhile_stays_and_counts_as_back(scene: Any) -> None:
    old = scene.execute(outputs={"model": BIG})
    scene.collect()
    digest = old.outputs[0].digest
    path = scene.layout.objects / digest[:2] / digest
    path.write_bytes(BIG)
    before = path.stat().st_ino
    assert upkeep.undo(scene.settings) is not None
    assert path.stat().st_ino == before
    assert (scene.removed().dropped, os.listdir(scene.layout.trash)) == ({}, [])


def test_a_file_that_was_lost_in_the_trash_is_missing_from_then_on_and_the_rest_is_back(scene: Any) -> None:
    old = scene.execute(outputs={"model": BIG})
    other = scene.execute(outputs={"model": b"another"})
    scene.collect()
    path = Trash(scene.layout).find(old.outputs[0].digest)
    assert path is not None
    path.unlink()
    undone = upkeep.undo(scene.settings)
    assert undone is not None
    assert scene.has(other.outputs[0].digest)
    assert scene.lost() == [old.outputs[0].digest]


@pytest.mark.usefixtures("bound")
def test_a_trash_that_may_not_be_read_is_told_and_left_alone(scene: Any) -> None:
    old = scene.execute(outputs={"model": BIG})
    scene.collect()
    scene.layout.trash.chmod(0)
    try:
        with pytest.raises(MlrunError) as caught:
            upkeep.undo(scene.settings)
    finally:
        scene.layout.trash.chmod(0o700)
    assert caught.value.code is ExitCode.STORE
    assert list(scene.removed().dropped) == [old.id]
    assert upkeep.undo(scene.settings) is not None
    assert scene.has(old.outputs[0].digest)
