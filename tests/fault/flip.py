"""One flipped bit in each file of a store: found by the check, and never served as if it were whole."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ground import Ground, alone

from runner.digest import Digest, hash_bytes
from runner.errors import MlrunError
from runner.store.objects import Objects
from runner.store.store import Store

_TRUTH = ("objects", "runs", "refs", "packed", "removed")


def flips(here: Ground, prepared: Path, count: int, seed: int) -> Iterator[str]:
    """Flip a bit of each file, in turn, `count` times in all; yields what was wrong after each, empty if nothing."""
    chance = random.Random(seed)
    place = here.folder / "flipped"
    subprocess.run(["cp", "-a", prepared, place], check=True)
    files = sorted(path for top in _TRUTH for path in _files(place / "store" / top) if path.stat().st_size)
    chance.shuffle(files)
    for number in range(count):
        path = files[number % len(files)]
        whole = path.read_bytes()
        bit = chance.randrange(len(whole) * 8)
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        _replace(path, bytes(damaged))
        name = path.relative_to(place / "store")
        wrong = _found(here, place, path) or _served(place, path, hash_bytes(whole))
        yield wrong and f"bit {bit} of {name}: {wrong}"
        # What the check put aside, and what was brought into order, comes back as it was.
        shutil.rmtree(place)
        subprocess.run(["cp", "-a", prepared, place], check=True)


def _found(here: Ground, place: Path, path: Path) -> str:
    done = alone(here.command(place, "store", "check", "--read-data"))
    if "Traceback" in done.err or "this is a bug" in done.err:
        return f"a bug: {done.err}"
    return "" if done.code == 30 else f"the check ends with {done.code} and says: {done.out[-500:]}{done.err[-500:]}"


def _served(place: Path, path: Path, digest: str) -> str:
    """Whether the object, wherever it is now, is read as something else than its name says."""
    if len(path.name) != 64 or path.parent.parent.name != "objects":
        return ""

    def body() -> int:
        with Store.open(place / "store", create=True) as store:
            return sum(
                map(bool, (_served_by(store.objects, Digest(digest), place / str(way), way) for way in range(3)))
            )

    done = alone(body)
    return "" if done.code == 0 else f"it was served: {done.err[-500:]}"


def _served_by(objects: Objects, digest: Digest, target: Path, way: int) -> bool:
    try:
        if way == 0:
            data = objects.read(digest)
        elif way == 1:
            with objects.open(digest) as file:
                data = file.read()
        else:
            objects.materialise(digest, target, writable=True)
            data = target.read_bytes()
    except MlrunError:
        return False
    return hash_bytes(data) != digest


def _replace(path: Path, data: bytes) -> None:
    """Change a file in place, as a disk does: its mode, size and time of modification stay."""
    status = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(data)
    path.chmod(status.st_mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _files(top: Path) -> Iterator[Path]:
    return (path for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file())
