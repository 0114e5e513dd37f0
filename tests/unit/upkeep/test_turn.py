"""One command at a time moves objects about."""

from threading import Event, Thread
from typing import Any

import pytest

from runner.errors import ExitCode, MlrunError
from runner.upkeep.turn import alone

Scene = Any


def test_the_second_gives_up_when_the_first_takes_too_long(scene: Scene) -> None:
    scene.execute()
    with alone(scene.layout), pytest.raises(MlrunError) as caught, alone(scene.layout, patience=0):
        pass
    assert caught.value.code is ExitCode.LOCKED and caught.value.hint


def test_the_second_has_its_turn_when_the_first_has_ended(scene: Scene) -> None:
    scene.execute()
    had = Event()

    def second() -> None:
        with alone(scene.layout):
            had.set()

    with alone(scene.layout):
        thread = Thread(target=second)
        thread.start()
        assert not had.is_set()
    thread.join(60)
    assert had.is_set()


def test_another_error_than_a_lock_is_not_waited_for(scene: Scene) -> None:
    scene.execute()
    scene.layout.packed.rmdir()
    scene.layout.packed.write_bytes(b"in the way")
    with pytest.raises(MlrunError) as caught, alone(scene.layout):
        pass
    assert caught.value.code is ExitCode.STORE
