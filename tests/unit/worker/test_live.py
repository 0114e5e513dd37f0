"""Read-only files, taken while the step runs: promptly, whole, once, and never anything else."""

import errno
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.job import InputFile, JobInput
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.record import OutputFile
from runner.worker import inotify as inotify_module
from runner.worker import live as live_module
from runner.worker.collect import Limits, Taken
from runner.worker.live import Live, has_writers

_BOUND = 60
"""Seconds to wait for what should take one, on a machine that is busy."""


class Watched:
    """A `Live` over a folder, and what it told."""

    def __init__(self, outputs: Path, make: Callable[..., Live]) -> None:
        self.outputs = outputs
        self.told: list[OutputFile] = []
        self._make = make
        self._live: Live | None = None

    def start(self, **options: object) -> None:
        self._live = self._make(tell=self.told.append, **options)
        self._live.start()

    def until(self, count: int) -> None:
        """Wait until so many files were taken and their names are gone."""
        wait_for(lambda: len(self.told) >= count)

    def stop(self) -> tuple[Taken, ...]:
        assert self._live is not None
        return self._live.stop()


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _BOUND
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def seal(path: Path, content: bytes = b"x") -> None:
    """What `valohai.outputs().live_upload` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o444)


@pytest.fixture(params=["inotify", "walking", "no watches left"])
def news(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How it gets to know that there is something to look at."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no more watches")

    if request.param == "walking":
        monkeypatch.setattr(inotify_module.Inotify, "__init__", refuse)
    elif request.param == "no watches left":
        monkeypatch.setattr(inotify_module.Inotify, "watch", refuse)
    return str(request.param)


@pytest.fixture
def outputs(layout: Layout) -> Path:
    folder = layout.work / "id" / "outputs"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def live(outputs: Path, layout: Layout, objects: Objects) -> Iterator[Watched]:
    def make(**options: object) -> Live:
        return Live(outputs, layout.work / "id" / "taken", options.pop("objects", objects), **options)  # type: ignore[arg-type]

    watched = Watched(outputs, make)
    yield watched
    if watched._live is not None:
        watched.stop()


def names(taken: tuple[Taken, ...]) -> list[str]:
    return [one.file.name for one in taken]


def test_a_read_only_file_is_taken_and_its_name_removed_while_the_step_runs(
    live: Watched, outputs: Path, objects: Objects, news: str
) -> None:
    live.start()
    seal(outputs / "model.pkl", b"epoch 1")
    live.until(1)
    wait_for(lambda: not (outputs / "model.pkl").exists())
    (taken,) = live.stop()
    assert taken == Taken("model.pkl", OutputFile("model.pkl", hash_bytes(b"epoch 1"), 7))
    assert objects.read(taken.file.digest) == b"epoch 1"


def test_what_was_there_before_and_what_comes_in_new_folders_is_found(live: Watched, outputs: Path, news: str) -> None:
    seal(outputs / "before" / "a")
    live.start()
    live.until(1)
    seal(outputs / "one" / "two" / "b", b"2")
    (outputs.parent / "elsewhere").mkdir()
    seal(outputs.parent / "elsewhere" / "c", b"3")
    (outputs.parent / "elsewhere").rename(outputs / "moved in")
    live.until(3)
    assert sorted(names(live.stop())) == ["before/a", "moved in/c", "one/two/b"]


def test_a_file_in_a_folder_that_was_renamed_is_found(live: Watched, outputs: Path, news: str) -> None:
    (outputs / "old" / "sub").mkdir(parents=True)
    live.start()
    seal(outputs / "old" / "sub" / "a")
    live.until(1)
    (outputs / "old").rename(outputs / "new")
    seal(outputs / "new" / "sub" / "b")
    live.until(2)
    assert names(live.stop())[1:] == ["new/sub/b"]


def test_the_same_name_again_is_one_version_more(live: Watched, outputs: Path, objects: Objects) -> None:
    (outputs / "other").write_text("a free name")
    live.start()
    for number in range(3):
        seal(outputs / "model", str(number).encode())
        live.until(number + 1)
        wait_for(lambda: not (outputs / "model").exists())
    taken = live.stop()
    assert names(taken) == ["model", "model~2", "model~3"]
    assert [objects.read(one.file.digest) for one in taken] == [b"0", b"1", b"2"]
    assert {one.path for one in taken} == {"model"}


def test_a_file_moved_into_place_and_a_name_of_odd_bytes_are_taken(live: Watched, outputs: Path) -> None:
    live.start()
    odd = os.fsencode(outputs) + b"/new\nline \xff\x1b[2J"
    part = outputs.parent / "part"
    seal(part)
    os.rename(part, odd)
    live.until(1)
    assert names(live.stop()) == ["new\nline \udcff\x1b[2J"]


def test_nothing_is_taken_that_may_still_be_written(live: Watched, outputs: Path) -> None:
    live.start()
    for mode in (0o644, 0o464, 0o446, 0o200, 0o222):
        (outputs / f"{mode:o}").write_text("x")
        (outputs / f"{mode:o}").chmod(mode)
    seal(outputs / "last")
    live.until(1)
    assert names(live.stop()) == ["last"]
    assert len(list(outputs.iterdir())) == 5


def test_links_pipes_sockets_and_folders_are_left_alone(
    live: Watched, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(tmp_path / "secret", b"secret")
    live.start()
    (outputs / "link").symlink_to(tmp_path / "secret")
    (outputs / "loop").symlink_to("loop")
    (outputs / "folder link").symlink_to(tmp_path)
    os.mkfifo(outputs / "pipe", 0o444)
    with socket.socket(socket.AF_UNIX) as server:
        # The address of a socket has little room.
        monkeypatch.chdir(outputs)
        server.bind("socket")
    (outputs / "socket").chmod(0o444)
    (outputs / "folder").mkdir(mode=0o555)
    seal(outputs / "last")
    live.until(1)
    assert names(live.stop()) == ["last"]
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert len(list(outputs.iterdir())) == 6


def test_a_file_that_is_made_read_only_at_once_is_not_taken_before_its_writer_is_done(
    live: Watched, outputs: Path, objects: Objects
) -> None:
    live.start()
    fd = os.open(outputs / "model", os.O_CREAT | os.O_WRONLY, 0o444)
    os.write(fd, b"first ")
    seal(outputs / "witness")
    live.until(1)
    time.sleep(1.5)
    assert names(tuple(live._live._taken if live._live else ())) == ["witness"]
    os.write(fd, b"second")
    os.close(fd)
    live.until(2)
    taken = live.stop()[1]
    assert objects.read(taken.file.digest) == b"first second"


def test_who_may_not_ask_for_writers_waits_until_a_file_is_quiet(
    live: Watched, outputs: Path, objects: Objects, monkeypatch: pytest.MonkeyPatch, news: str
) -> None:
    monkeypatch.setattr(live_module, "has_writers", lambda _: None)
    live.start()
    seal(outputs / "model", b"whole")
    live.until(1)
    assert objects.read(live.stop()[0].file.digest) == b"whole"


def test_a_writer_that_nobody_could_see_does_not_lose_what_it_writes_later(
    live: Watched, outputs: Path, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "has_writers", lambda _: None)
    monkeypatch.setattr(live_module, "_QUIET", 0.1)
    live.start()
    fd = os.open(outputs / "model", os.O_CREAT | os.O_WRONLY, 0o444)
    os.write(fd, b"first ")
    live.until(1)
    wait_for(lambda: not (outputs / "model").exists())
    os.write(fd, b"second")
    os.close(fd)
    (taken,) = live.stop()
    assert objects.read(taken.file.digest) == b"first second"
    assert taken.file.size == 12


class Slow(Objects):
    """Lets the step do something while a file is copied."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def put_file(self, fd: int) -> tuple[Digest, int]:
        stored = super().put_file(fd)
        self.meanwhile()
        return stored


@pytest.mark.parametrize("change", ["rewritten", "replaced", "linked", "appended", "writable", "removed"])
def test_a_file_that_changes_while_it_is_copied_is_not_taken_half(
    live: Watched, outputs: Path, layout: Layout, tmp_path: Path, change: str
) -> None:
    seal(tmp_path / "secret", b"12345")
    model = outputs / "model"
    calls = [0]

    def meanwhile() -> None:
        calls[0] += 1
        if calls[0] > 1:
            return
        match change:
            case "rewritten":
                model.chmod(0o644)
                seal(model, b"after")
            case "replaced":
                seal(outputs.parent / "new", b"after")
                (outputs.parent / "new").rename(model)
            case "linked":
                model.unlink()
                model.symlink_to(tmp_path / "secret")
            case "appended":
                model.chmod(0o644)
                seal(model, model.read_bytes() + b"more")
            case "writable":
                model.chmod(0o644)
            case _:
                model.unlink()

    slow = Slow(layout)
    slow.meanwhile = meanwhile
    live.start(objects=slow)
    seal(model, b"first")
    wait_for(lambda: calls[0] >= 1)
    seal(outputs / "witness", b"w")
    wait_for(lambda: any(file.name == "witness" for file in live.told))
    if change in {"rewritten", "replaced", "appended"}:
        wait_for(lambda: any(file.name == "model" for file in live.told))
    stored = {one.file.name: slow.read(one.file.digest) for one in live.stop()}
    assert stored.pop("witness") == b"w"
    assert stored == {
        "rewritten": {"model": b"after"},
        "replaced": {"model": b"after"},
        "appended": {"model": b"firstmore"},
    }.get(change, {})
    assert (tmp_path / "secret").read_bytes() == b"12345"
    assert os.path.lexists(model) == (change in {"linked", "writable"})
    assert list(layout.work.rglob("taken")) == []


def test_a_file_that_never_rests_is_left_for_the_end(live: Watched, outputs: Path, layout: Layout) -> None:
    slow = Slow(layout)
    calls = [0]

    def meanwhile() -> None:
        calls[0] += 1
        os.utime(outputs / "model")

    slow.meanwhile = meanwhile
    live.start(objects=slow)
    seal(outputs / "model")
    wait_for(lambda: calls[0] >= live_module._TRIES)
    time.sleep(1.5)
    assert names(live.stop()) == []
    assert calls[0] == live_module._TRIES
    assert (outputs / "model").read_bytes() == b"x"


def test_a_copy_of_an_input_stays_though_copying_kept_its_mode(live: Watched, outputs: Path) -> None:
    given = JobInput("data", (InputFile("a", hash_bytes(b"input"), 5, "/data/a"),))
    live.start(inputs=(given,))
    seal(outputs / "copy", b"input")
    seal(outputs / "other", b"INPUT")
    live.until(1)
    assert names(live.stop()) == ["other"]
    assert (outputs / "copy").read_bytes() == b"input"


def test_the_properties_beside_a_file_at_that_moment_are_its_own(live: Watched, outputs: Path) -> None:
    live.start()
    for number in range(2):
        (outputs / "model.metadata.json").write_text(json.dumps({"epoch": number}))
        seal(outputs / "model", str(number).encode())
        live.until(number + 1)
        wait_for(lambda: not (outputs / "model").exists())
    (outputs / "model.metadata.json").unlink()
    os.mkfifo(outputs / "other.metadata.json")
    seal(outputs / "other", b"o")
    live.until(3)
    assert [one.file.metadata for one in live.stop()] == [{"epoch": 0}, {"epoch": 1}, {}]


def test_sidecars_are_never_taken(live: Watched, outputs: Path) -> None:
    live.start()
    seal(outputs / "a.metadata.json", b"{}")
    seal(outputs / "valohai.metadata.jsonl", b"")
    seal(outputs / "last")
    live.until(1)
    assert names(live.stop()) == ["last"]
    assert len(list(outputs.iterdir())) == 2


def test_more_than_the_caps_allow_is_left_for_the_end_which_will_tell(live: Watched, outputs: Path) -> None:
    live.start(limits=Limits(entries=2))
    for number in range(4):
        seal(outputs / str(number), str(number).encode())
        if number < 2:
            live.until(number + 1)
    time.sleep(0.5)
    assert names(live.stop()) == ["0", "1"]
    assert sorted(path.name for path in outputs.iterdir()) == ["2", "3"]


def test_a_full_disk_ends_it_quietly_and_the_file_stays(live: Watched, outputs: Path, layout: Layout) -> None:
    class Full(Objects):
        def put_file(self, fd: int) -> tuple[Digest, int]:
            raise MlrunError("the disk is full", code=ExitCode.DISK)

    live.start(objects=Full(layout))
    seal(outputs / "model")
    time.sleep(0.5)
    assert names(live.stop()) == []
    assert (outputs / "model").exists()


def test_a_folder_that_is_gone_or_that_is_a_link_harms_nobody(live: Watched, outputs: Path, tmp_path: Path) -> None:
    seal(tmp_path / "secret")
    outputs.rmdir()
    outputs.symlink_to(tmp_path)
    live.start()
    time.sleep(0.3)
    assert names(live.stop()) == []
    assert (tmp_path / "secret").exists()


def test_a_folder_swapped_for_a_link_gives_nothing_away(
    live: Watched, outputs: Path, objects: Objects, tmp_path: Path
) -> None:
    for number in range(20):
        seal(tmp_path / "outside" / f"f{number}", f"secret {number}".encode())
    (outputs / "real").mkdir()
    real = os.open(outputs / "real", os.O_RDONLY)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            os.rename(outputs / "real", outputs / "spare")
            os.symlink(tmp_path / "outside", outputs / "real")
            os.unlink(outputs / "real")
            os.rename(outputs / "spare", outputs / "real")

    swapper = threading.Thread(target=swap)
    swapper.start()
    live.start()
    try:
        for number in range(600):
            with open(f"f{number % 20}", "wb", opener=lambda name, flags: os.open(name, flags, dir_fd=real)) as file:
                file.write(b"inside")
            with suppress(FileNotFoundError):
                os.chmod(f"f{number % 20}", 0o444, dir_fd=real)
            time.sleep(0.002)
        live.until(1)
    finally:
        done.set()
        swapper.join()
        os.close(real)
    assert {objects.read(one.file.digest) for one in live.stop()} <= {b"inside", b""}
    outside = {path.name: path.read_bytes() for path in (tmp_path / "outside").iterdir()}
    assert outside == {f"f{number}": f"secret {number}".encode() for number in range(20)}


def test_thousands_of_files_are_taken_and_none_is_missed(live: Watched, outputs: Path, objects: Objects) -> None:
    live.start()
    for number in range(2000):
        seal(outputs / f"{number % 7}" / f"{number}", f"content {number}".encode())
    live.until(2000)
    taken = live.stop()
    assert sorted(names(taken)) == sorted(f"{number % 7}/{number}" for number in range(2000))
    assert all(objects.read(one.file.digest) == f"content {one.path[2:]}".encode() for one in taken)


def test_an_overflow_of_news_is_made_up_for(live: Watched, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = inotify_module.Inotify.read
    lost = [True]

    def read(self: inotify_module.Inotify) -> list[inotify_module.Event]:
        events = real(self)
        if events and lost[0]:
            lost[0] = False
            return [inotify_module.Event(-1, inotify_module.OVERFLOW, b"")]
        return events

    monkeypatch.setattr(inotify_module.Inotify, "read", read)
    live.start()
    seal(outputs / "a" / "model")
    live.until(1)
    assert names(live.stop()) == ["a/model"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_files_of_another_user_are_taken_by_root(live: Watched, outputs: Path) -> None:
    live.start()
    (outputs / "model").write_text("x")
    os.chown(outputs / "model", 65534, 65534)
    (outputs / "model").chmod(0o400)
    live.until(1)
    assert names(live.stop()) == ["model"]


def test_a_step_that_opens_a_file_for_writing_is_not_held_up_by_the_question_for_writers(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    with file.open("rb") as reader:
        assert has_writers(reader.fileno()) is False
        with file.open("ab"):
            assert has_writers(reader.fileno()) is True
        assert has_writers(reader.fileno()) is False
        # A lease that was kept would make this wait for 45 seconds, or send a signal that ends the process.
        fd = os.open(file, os.O_WRONLY | os.O_NONBLOCK)
        os.close(fd)


def test_stopping_twice_and_stopping_what_never_found_a_file_is_fine(live: Watched) -> None:
    live.start()
    assert live.stop() == live.stop() == ()


def test_high_descriptors_are_no_hindrance(live: Watched, outputs: Path, news: str) -> None:
    """Beyond what select(2) takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 2048:
        pytest.skip("nobody here may open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    held = [os.open("/dev/null", os.O_RDONLY)]
    try:
        while held[-1] < 1024:
            held.append(os.dup(held[0]))
        live.start()
        seal(outputs / "model.pkl")
        live.until(1)
    finally:
        live.stop()
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [file.name for file in live.told] == ["model.pkl"]


def test_the_thread_leaves_no_descriptor_behind(
    live: Watched, objects: Objects, outputs: Path, request: pytest.FixtureRequest
) -> None:
    objects.put_bytes(b"what the store itself keeps open is open")
    new_descriptors = request.getfixturevalue("new_descriptors")
    live.start()
    for number in range(50):
        seal(outputs / f"d{number}" / "f", str(number).encode())
    live.until(50)
    live.stop()
    # The kernel takes its time to let watches go, for which nobody waits.
    wait_for(lambda: not new_descriptors())
