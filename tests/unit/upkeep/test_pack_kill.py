"""Packs that are stopped or killed, and others that read and write meanwhile: no version is ever gone."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.store.store import Store

from .versions import (
    RANDOM,
    SIZE,
    content,
    is_whole,
    packed_whole,
    tell,
    unpacked,
)


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
from runner.upkeep.turn import alone

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
    with alone(store.layout) as turn:
        pack(store, turn, least=1000)
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
                    unpacked(own, versions[0])
    finally:
        (tmp_path / "enough").touch()
        said = [user.communicate()[0] for user in users]
    assert [user.returncode for user in users] == [0, 0]
    print(f"{packed} packed, used {said}")
    assert all(map(int, said))
    assert packed
