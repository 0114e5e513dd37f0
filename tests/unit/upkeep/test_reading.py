"""Reading all objects: what is damaged is told, what moves is not, and an interrupted round loses nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.digest import Digest
from runner.share import own_share
from runner.store.trash import Trash
from runner.upkeep import reading as module
from runner.upkeep.inventory import Found, Inventory
from runner.upkeep.progress import Progress
from runner.upkeep.reading import Examined, Reader


def reader_of(
    scene: Any, bad: list[Digest], *, progress: Progress | None = None, tell: Callable[[int, int], None] | None = None
) -> Reader:
    def handle(examined: Examined) -> None:
        bad.append(examined.digest)

    return Reader(
        Inventory(scene.layout),
        progress or Progress(),
        save=lambda: None,
        handle=handle,
        tell=tell or (lambda objects, size: None),
        is_over=lambda: False,
    )


def place(scene: Any, digest: str) -> Path:
    return Path(scene.layout.objects / digest[:2] / digest)


def test_an_empty_store_is_read_in_one_round(scene: Any) -> None:
    scene.writing().close()
    reading = reader_of(scene, []).read()
    assert (reading.objects, reading.size, reading.is_full) == (0, 0, True)


def test_every_copy_of_an_object_is_read(scene: Any) -> None:
    digest = scene.put(b"twice")
    trash = Trash(scene.layout)
    trash.move(trash.begin("gc", "me"), place(scene, digest))
    place(scene, digest).write_bytes(b"other")
    bad: list[Digest] = []
    assert reader_of(scene, bad).read().objects == 2
    assert bad == [digest]


def test_an_object_that_always_moves_is_neither_read_nor_damaged(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.put(b"on the move")

    def gone(self: Inventory, found: Found, name: Digest, halt: object = None) -> str | None:
        raise FileNotFoundError

    monkeypatch.setattr(Inventory, "problem", gone)
    bad: list[Digest] = []
    reading = reader_of(scene, bad).read()
    assert (reading.objects, reading.is_full, bad) == (0, True, [])


def test_a_disk_that_fails_ends_the_reading_with_its_error_and_the_progress_before_it(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = sorted(scene.put(b"%d" % number) for number in range(6))
    problem = Inventory.problem

    def failing(self: Inventory, found: Found, name: Digest, halt: Callable[[], bool]) -> str | None:
        if name == digests[3]:
            raise OSError(24, "Too many open files")
        return problem(self, found, name, halt)

    monkeypatch.setattr(Inventory, "problem", failing)
    progress = Progress()
    with pytest.raises(OSError):
        reader_of(scene, [], progress=progress).read()
    assert progress.digest == digests[2]


def test_damage_is_handled_before_the_progress_goes_past_it(scene: Any) -> None:
    digests = sorted(scene.put(b"%d of these" % number) for number in range(4))
    place(scene, digests[1]).chmod(0o644)
    place(scene, digests[1]).write_bytes(b"damaged")
    progress, seen = Progress(), []
    reader = reader_of(scene, [], progress=progress)
    reader.handle = lambda examined: seen.append((examined.digest, progress.digest))
    reader.read()
    assert seen == [(digests[1], digests[0])]


def test_ctrl_c_in_the_first_moment_keeps_the_round_open(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.put(b"something")

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "wait", interrupted)
    reader = reader_of(scene, [])
    reading = reader.read()
    assert reader.interrupted
    assert not reading.is_full
    monkeypatch.undo()
    again = reader_of(scene, [], progress=reader.progress).read()
    assert (again.objects, again.is_full, again.begun) == (1, True, reading.begun)


def test_no_more_objects_wait_than_the_cores_are_worth(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Digest] = []
    digests = Reader._digests

    def counted(self: Reader) -> Iterator[Digest]:
        for digest in digests(self):
            asked.append(digest)
            yield digest

    most = own_share().places * module._AHEAD
    for number in range(most + 10):
        scene.put(b"%d" % number)
    monkeypatch.setattr(Reader, "_digests", counted)
    ahead: list[int] = []
    reader = reader_of(scene, [], tell=lambda objects, size: ahead.append(len(asked) - objects))
    reader.read()
    assert max(ahead) < most
