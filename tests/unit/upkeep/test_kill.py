"""A removal, or its undoing, that is killed: nothing named is lost, and the next command ends the work."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from runner.app import upkeep
from runner.store.trash import Trash

Scene = Any

CALLS = ("rename", "unlink", "mkdir", "rmdir", "fsync", "replace")


@pytest.mark.parametrize(("act", "stride"), [("collect", 2), ("now", 3), ("undo", 1)])
def test_a_kill_at_any_call_loses_nothing_and_the_next_command_ends_the_work(
    scene: Scene, act: str, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    reached, point = False, 0
    while not reached:
        point += stride
        scene = type(scene)(scene.root.parent / f"store-{point}")
        old, kept = (scene.execute(outputs={"model": data}) for data in (b"old", b"kept"))
        scene.name(kept, "prod")
        if act == "undo":
            scene.collect()
        reached = killed_at(point, partial(do, scene, act))
        assert scene.lost() == [], f"killed at call {point}"
        if act != "undo" or Trash(scene.layout).batches():
            do(scene, act)
        assert scene.lost() == [], f"killed at call {point}"
        assert scene.has(old.outputs[0].digest) == (act == "undo"), f"killed at call {point}"
        assert (old.id in scene.removed().dropped) == (act != "undo"), f"killed at call {point}"
    assert point > 10


def do(scene: Scene, act: str) -> None:
    if act == "undo":
        upkeep.undo(scene.settings)
    else:
        scene.collect(now=act == "now")


def killed_at(point: int, work: Callable[[], object]) -> bool:
    """Do `work` in a process that is killed before its call number `point` that changes the disk; whether it ended
    before that."""
    child = os.fork()
    if child == 0:
        try:
            left = point
            for name in CALLS:
                real = getattr(os, name)

                def call(*arguments: Any, real: Callable[..., Any] = real, **options: Any) -> Any:
                    nonlocal left
                    left -= 1
                    if left == 0:
                        os._exit(9)
                    return real(*arguments, **options)

                setattr(os, name, call)
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}, f"the work failed with {code}"
    return code == 0
