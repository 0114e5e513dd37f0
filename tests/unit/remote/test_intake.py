"""Objects on their way into a store: what is taken, what is gone on with, and what is refused."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import MlrunError
from runner.remote.depot import Depot
from runner.remote.directory import Directory
from runner.remote.intake import Intake
from runner.remote.lane import Lanes
from runner.remote.meter import Meter
from runner.remote.remote import Halted
from tests.unit.remote.scene import object_path

LARGE = 3_000_000


@pytest.fixture
def depot(remote: Path) -> Iterator[Depot]:
    depot = Depot(Directory(remote, str(remote)))
    yield depot
    depot.close()


@pytest.fixture
def intake(yours: Any, depot: Depot) -> Callable[[], Intake]:
    return lambda: Intake(yours.store, depot, Meter(Lanes(4)))


def offer(remote: Path, data: bytes, digest: Digest | None = None) -> Digest:
    """Put content there, under its name or another."""
    digest = digest or hash_bytes(data)
    object_path(remote, digest).parent.mkdir(parents=True, exist_ok=True)
    object_path(remote, digest).write_bytes(data)
    return digest


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, LARGE])
def test_an_object_is_taken_once(yours: Any, remote: Path, intake: Any, size: int) -> None:
    data = os.urandom(size)
    digest = offer(remote, data)
    taking = intake()
    assert taking.take({digest: size}) == {}
    assert taking.take({digest: size}) == {}
    assert (taking.received, taking.received_bytes) == (1, size)
    assert yours.store.objects.read(digest) == data
    assert taking.lacking({digest: size}) == {}


@pytest.mark.parametrize("size", [100, LARGE])
def test_what_is_refused_is_not_asked_for_again(
    yours: Any, remote: Path, intake: Any, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = offer(remote, bytes(size), hash_bytes(b"else"))
    absent = hash_bytes(b"nowhere")
    good = offer(remote, b"good")
    taking, wanted = intake(), {wrong: size, absent: size, good: 4}
    refused = taking.take(wanted)
    assert set(refused) == {wrong, absent}
    assert "other content" in refused[wrong].message and "is not there" in refused[absent].message
    assert yours.store.objects.read(good) == b"good"
    asked: list[str] = []
    monkeypatch.setattr(Directory, "download", lambda self, name, *rest: asked.append(name))
    assert set(taking.take(wanted)) == {wrong, absent}
    assert not asked
    assert not list((yours.store.layout.cache / "parts").glob("*"))


@pytest.mark.parametrize("size", [100, LARGE])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_size_that_was_made_up_says_nothing_of_the_right_one(
    yours: Any, remote: Path, intake: Any, size: int, change: int
) -> None:
    digest = offer(remote, os.urandom(size))
    taking = intake()
    assert set(taking.take({digest: size + change})) == {digest}
    assert taking.take({digest: size}) == {}
    assert yours.store.objects.verify(digest)


def test_a_part_that_is_a_link_is_not_followed(yours: Any, remote: Path, intake: Any, tmp_path: Path) -> None:
    digest = offer(remote, os.urandom(LARGE))
    (yours.store.layout.cache / "parts").mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (yours.store.layout.cache / "parts" / digest).symlink_to(victim)
    with pytest.raises(MlrunError):
        intake().take({digest: LARGE})
    assert victim.read_bytes() == b"mine"


def test_a_part_that_another_process_writes_is_waited_for_until_somebody_interrupts(
    yours: Any, remote: Path, depot: Depot
) -> None:
    digest = offer(remote, os.urandom(LARGE))
    part = yours.store.layout.cache / "parts" / digest
    part.parent.mkdir()
    lanes, failures = Lanes(1), []

    def take() -> None:
        try:
            Intake(yours.store, depot, Meter(lanes)).take({digest: LARGE})
        except BaseException as error:
            failures.append(error)

    with part.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        thread = threading.Thread(target=take)
        thread.start()
        with pytest.raises(ZeroDivisionError):
            lanes.carry(lambda one: 1 // one, [0])
        thread.join()
    assert [type(error) for error in failures] in ([Halted], [])
    assert not yours.store.objects.has(digest)
    assert Intake(yours.store, depot, Meter(Lanes(1))).take({digest: LARGE}) == {}
    assert yours.store.objects.verify(digest)


def test_only_parts_that_nobody_went_on_with_for_long_are_swept(yours: Any, intake: Any) -> None:
    parts = yours.store.layout.cache / "parts"
    intake().sweep()
    parts.mkdir()
    (parts / "old").write_bytes(b"x")
    (parts / "young").write_bytes(b"x")
    os.utime(parts / "old", (1e9, 1e9))
    intake().sweep()
    assert [path.name for path in parts.iterdir()] == ["young"]


def large(mine: Any, remote: Path) -> tuple[str, bytes]:
    run = mine.run("model", size=9_000_000)
    mine.push(remote, run)
    digest = next(iter(run.executions.values())).outputs[0].digest
    return digest, mine.store.objects.read(digest)


@pytest.mark.parametrize("left", [b"", b"good", b"wrong", b"too long"])
def test_what_a_broken_pull_left_is_gone_on_with_and_never_believed(
    mine: Any, yours: Any, remote: Path, left: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, data = large(mine, remote)
    parts = yours.store.layout.cache / "parts"
    parts.mkdir()
    begun = {b"good": data[:5_000_000], b"wrong": bytes(5_000_000), b"too long": data + b"x"}.get(left, b"")
    (parts / digest).write_bytes(begun)
    asked: list[int] = []
    download = Directory.download

    def watched(self: Directory, name: str, offset: int, *rest: Any) -> Any:
        if digest in name:
            asked.append(offset)
        return download(self, name, offset, *rest)

    monkeypatch.setattr(Directory, "download", watched)
    yours.pull(remote)
    assert yours.store.objects.read(digest) == data
    assert asked == {b"": [0], b"good": [5_000_000], b"wrong": [5_000_000, 0], b"too long": [9_000_000]}[left]
    assert not list(parts.iterdir())
