"""Disks without room: so many bytes or inodes are left when a command begins, from none to more than it needs."""

import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ground import Stage, alone, checked, shown
from injection import Ended
from volume import small

from runner.errors import ExitCode

_ROOM = 96 << 20
_INODES = 6_000
_NEEDS = re.compile(
    r"^.*(is full: needs .*, has .*\d|does not fit .*\d bytes are to come, .*room for \d)", re.MULTILINE
)


@dataclass(frozen=True)
class Shortage:
    """What there is too little of: how a mount is limited, how much is free, and how it is taken until so much is."""

    name: str
    options: str
    free: Callable[[Path], int]
    take: Callable[[Path, int], None]


def _free_bytes(place: Path) -> int:
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def _take_bytes(place: Path, leave: int) -> None:
    piece = bytes(1 << 20)
    with (place / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while (much := _free_bytes(place) - leave) > 0:
            file.write(piece[:much])


def _free_inodes(place: Path) -> int:
    return os.statvfs(place).f_favail


def _take_inodes(place: Path, leave: int) -> None:
    folder = place / "filler"
    folder.mkdir()
    for number in range(_free_inodes(place) - leave):
        (folder / str(number)).touch()


BYTES = Shortage("no room", f"size={_ROOM}", _free_bytes, _take_bytes)
INODES = Shortage("no inodes", f"size={_ROOM},nr_inodes={_INODES}", _free_inodes, _take_inodes)


def starve(stage: Stage, shortage: Shortage, count: int, seed: int) -> tuple[int, int, list[str]]:
    """Run the scene with `count` different amounts left; gives passes, how many found no room, and what was wrong.

    Every other amount is below a tenth of what the command uses, where most ends are.
    """
    used = _used(stage, shortage)
    chance = random.Random(seed)
    amounts = [0, *(int(used * chance.random() * (1.2 if number % 2 else 0.1)) for number in range(count - 1))]
    full, wrong = 0, []
    for amount in amounts:
        found_none, problem = _pass(stage, shortage, amount)
        full += found_none
        if problem:
            wrong.append(f"{stage.scene.name}: {shortage.name}, {amount:,} left of {used:,}: {problem}")
    return len(amounts), full, wrong


@contextmanager
def _place(stage: Stage, shortage: Shortage) -> Iterator[Path]:
    with small(shortage.options) as place:
        subprocess.run(["cp", "-a", f"{stage.prepared}/.", place], check=True)
        yield place


def _used(stage: Stage, shortage: Shortage) -> int:
    """What the command takes, and a part of it more for what it gives back before it ends."""
    with _place(stage, shortage) as place:
        before = shortage.free(place)
        done = alone(stage.scene.body(stage.here, place))
        assert done.code == 0, done
        return int((before - shortage.free(place)) * 1.3) + (64 << 10 if shortage is BYTES else 20)


def _pass(stage: Stage, shortage: Shortage, amount: int) -> tuple[bool, str]:
    with _place(stage, shortage) as place:
        shortage.take(place, amount)
        done = alone(stage.scene.body(stage.here, place))
        problem = _judge(done)
        subprocess.run(["rm", "-rf", place / "filler"], check=True)
        problem = problem or checked(place / "store", shown(done), stage.readable) or _again(stage, place)
        return done.code == ExitCode.DISK, problem


def _judge(done: Ended) -> str:
    text = f"{done.code}: {done.err[-1500:]}"
    if "Traceback" in done.err or "a bug" in done.err:
        return f"a bug: {text}"
    if done.code == ExitCode.DISK and not _NEEDS.search(done.err):
        return f"it does not say what it needs and has: {text}"
    if done.code == ExitCode.STEP_FAILED and "No space left" not in done.err + done.out:
        return f"a step is said to have failed: {text}"
    return "" if done.code in {0, ExitCode.STEP_FAILED, ExitCode.DISK} else f"another exit code: {text}"


def _again(stage: Stage, place: Path) -> str:
    done = alone(stage.scene.body(stage.here, place))
    if done.code != 0:
        return f"with room again it ends with {done.code}: {done.err[-1000:]}"
    return checked(place / "store", shown(done), stage.readable)
