import errno
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import ExitCode, MlrunError
from runner.job import Stream
from runner.metrics import MetricEvent
from runner.worker import log as module
from runner.worker.log import LogFiles, LogPiece, LogWriter, metrics_file, read_merged, tail
from tests.patience import wait_for


class Clock:
    """Nanoseconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * 10**9

    def __call__(self) -> int:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * 10**9)


def merged(folder: Path) -> list[tuple[Stream, bytes]]:
    """The pieces of a log, those of one stream in a row joined."""
    joined: list[tuple[Stream, bytes]] = []
    for _, stream, data in read_merged(LogFiles.below(folder)):
        if joined and joined[-1][0] == stream:
            joined[-1] = (stream, joined[-1][1] + data)
        else:
            joined.append((stream, data))
    return joined


def lines_of(pieces: list[LogPiece]) -> bytes:
    return b"".join(piece.data for piece in pieces)


def test_each_stream_is_exact_and_the_index_merges_them(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log")
    assert log.append("stdout", b"one\n") == 0
    assert log.append("stderr", b"oh\xff\x00") == 0
    assert log.append("stdout", b"two\n") == 4
    log.close()
    files = LogFiles.below(tmp_path / "log")
    assert files.stdout.read_bytes() == b"one\ntwo\n"
    assert files.stderr.read_bytes() == b"oh\xff\x00"
    assert merged(tmp_path / "log") == [("stdout", b"one\n"), ("stderr", b"oh\xff\x00"), ("stdout", b"two\n")]


def test_the_index_is_what_the_format_says(tmp_path: Path) -> None:
    clock = Clock()
    log = LogWriter(tmp_path / "log", clock)
    log.append("stdout", b"one\n")
    clock.pass_time(0.001)
    log.append("stdout", b"two\n")
    log.append("stderr", b"oh\n")
    clock.pass_time(2)
    log.append("stderr", b"no\n")
    log.close()
    assert (tmp_path / "log" / "index").read_text() == (
        "1700000000000000 1 0 4\n1700000000001000 1 4 4\n1700000000001000 2 0 3\n1700000002001000 2 3 3\n"
    )


def test_chunks_of_one_stream_that_come_together_share_a_line(tmp_path: Path) -> None:
    clock = Clock()
    log = LogWriter(tmp_path / "log", clock)
    log.append("stderr", b"first, written at once")
    for _ in range(1000):
        log.append("stdout", b"x\n")
    log.close()
    assert len((tmp_path / "log" / "index").read_bytes().splitlines()) < 20


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=20)), max_size=40))
def test_what_was_appended_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, chunks: list) -> None:  # type: ignore[type-arg]
    folder = tmp_path_factory.mktemp("case") / "log"
    log = LogWriter(folder)
    for stream, data in chunks:
        log.append(stream, data)
    log.close()
    expected: list[tuple[Stream, bytes]] = []
    for stream, data in chunks:
        if expected and expected[-1][0] == stream:
            expected[-1] = (stream, expected[-1][1] + data)
        elif data:
            expected.append((stream, data))
    assert merged(folder) == expected


def test_events_are_strict_json_lines(tmp_path: Path) -> None:
    clock = Clock()
    log = LogWriter(tmp_path / "log", clock)
    assert not metrics_file(tmp_path / "log").exists()
    log.append("stdout", b'{"a": NaN}\n')
    log.event(MetricEvent(0, {"a": float("nan"), "b": [1, "ü"]}))
    log.close()
    (line,) = metrics_file(tmp_path / "log").read_text().splitlines()
    assert json.loads(line) == {"offset": 0, "time": 1_700_000_000_000_000, "values": {"a": "NaN", "b": [1, "ü"]}}


def test_a_burst_is_visible_soon_although_nothing_follows(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log")
    files = LogFiles.below(tmp_path / "log")
    log.append("stdout", b"first")
    log.append("stdout", b" second")
    wait_for(lambda: files.stdout.stat().st_size == 12, "second chunk")
    assert files.stdout.read_bytes() == b"first second"
    assert merged(tmp_path / "log") == [("stdout", b"first second")]
    log.close()


def test_no_thread_is_left_after_closing(tmp_path: Path, new_threads: Callable[[], list[threading.Thread]]) -> None:
    log = LogWriter(tmp_path / "log")
    for _ in range(5):
        log.append("stdout", b"x")
    assert [thread.name for thread in new_threads()] == ["log flusher"]
    log.close()
    assert not new_threads()


def test_a_log_of_a_dead_runner_is_read_to_its_last_byte(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log")
    log.append("stdout", b"one\n")
    log.close()
    with (tmp_path / "log" / "stdout").open("ab") as file:
        file.write(b"two\n")
    with (tmp_path / "log" / "index").open("ab") as file:
        file.write(b"17000000000")
    assert merged(tmp_path / "log") == [("stdout", b"one\ntwo\n")]
    assert lines_of(tail(LogFiles.below(tmp_path / "log"), 1)) == b"two\n"


def test_a_damaged_index_loses_no_byte(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log", Clock())
    log.append("stdout", b"one\n")
    log.append("stderr", b"two\n")
    log.close()
    index = tmp_path / "log" / "index"
    index.write_bytes(index.read_bytes()[:23] + b"\0" * 30 + b"\n")
    assert merged(tmp_path / "log") == [("stdout", b"one\n"), ("stderr", b"two\n")]
    assert lines_of(tail(LogFiles.below(tmp_path / "log"), 5)) in (b"one\ntwo\n", b"two\none\n")


def follow(folder: Path, done: threading.Event) -> Iterator[LogPiece]:
    def more() -> bool:
        return not done.wait(0.002)

    return read_merged(LogFiles.below(folder), more)


def test_a_follower_sees_everything_while_it_is_written(tmp_path: Path) -> None:
    log, done, seen = LogWriter(tmp_path / "log"), threading.Event(), []

    def read() -> None:
        seen.extend(follow(tmp_path / "log", done))

    reader = threading.Thread(target=read)
    reader.start()
    expected: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
    for number in range(2000):
        stream: Stream = "stdout" if number % 3 else "stderr"
        data = b"line %d\n" % number
        expected[stream] += data
        log.append(stream, data)
    log.close()
    done.set()
    reader.join()
    for stream, data in expected.items():
        assert b"".join(piece.data for piece in seen if piece.stream == stream) == data
    assert lines_of(seen) == lines_of(list(read_merged(LogFiles.below(tmp_path / "log"))))


def test_a_follower_reads_files_that_are_removed_to_their_end(tmp_path: Path) -> None:
    log, done = LogWriter(tmp_path / "log"), threading.Event()
    log.append("stdout", b"one\n")
    pieces = follow(tmp_path / "log", done)
    assert next(pieces).data == b"one\n"
    log.append("stdout", b"two\n")
    log.close()
    for path in (tmp_path / "log").iterdir():
        path.unlink()
    done.set()
    assert [piece.data for piece in pieces] == [b"two\n"]


def test_a_log_that_was_never_begun_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_merged(LogFiles.below(tmp_path)))


def test_a_long_line_comes_in_bounded_pieces(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log")
    log.append("stdout", b"x" * 5_000_000)
    log.close()
    pieces = list(read_merged(LogFiles.below(tmp_path / "log")))
    assert max(len(piece.data) for piece in pieces) <= 1 << 20
    assert sum(len(piece.data) for piece in pieces) == 5_000_000


@pytest.mark.parametrize("wanted", [0, 1, 2, 3, 7, 100])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_the_tail_is_the_last_lines_of_the_merged_log(tmp_path: Path, wanted: int, end: bytes) -> None:
    log = LogWriter(tmp_path / "log")
    for number in range(10):
        log.append("stderr" if number % 4 == 0 else "stdout", b"line %d" % number + (b"\n" if number < 9 else end))
    log.close()
    whole = lines_of(list(read_merged(LogFiles.below(tmp_path / "log"))))
    expected = b"".join(whole.splitlines(keepends=True)[-wanted:]) if wanted else b""
    assert lines_of(tail(LogFiles.below(tmp_path / "log"), wanted)) == expected


def test_the_tail_of_a_huge_log_reads_little_and_is_bounded(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log")
    for number in range(30_000):
        log.append("stdout" if number % 2 else "stderr", b"line %06d\n" % number)
    log.append("stdout", b"progress " * 500_000)
    log.close()
    files = LogFiles.below(tmp_path / "log")
    assert len(lines_of(tail(files, 10))) == 1 << 20
    assert lines_of(tail(files, 10, max_bytes=5_000_000)).startswith(b"line 029991\nline 029992\n")


def test_an_empty_log_has_no_tail(tmp_path: Path) -> None:
    LogWriter(tmp_path / "log").close()
    assert tail(LogFiles.below(tmp_path / "log"), 5) == []
    assert merged(tmp_path / "log") == []


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Once set, nothing more can be written."""
    full, write = threading.Event(), module.write_all

    def write_all(fd: int, data: bytes) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(fd, data)

    monkeypatch.setattr(module, "write_all", write_all)
    return full


def test_a_full_disk_is_told_by_the_next_append_and_by_closing(tmp_path: Path, full_disk: threading.Event) -> None:
    log = LogWriter(tmp_path / "log")
    log.append("stdout", b"kept\n")
    full_disk.set()
    with pytest.raises(MlrunError) as failure:
        for _ in range(1000):
            log.append("stdout", b"x" * 1000)
    assert failure.value.code is ExitCode.DISK
    with pytest.raises(MlrunError):
        log.close()
    assert merged(tmp_path / "log") == [("stdout", b"kept\n")]


def test_a_full_disk_in_the_background_is_told_too(tmp_path: Path, full_disk: threading.Event) -> None:
    log = LogWriter(tmp_path / "log")
    log.append("stdout", b"kept\n")
    full_disk.set()
    log.append("stdout", b"lost\n")
    deadline = time.monotonic() + 60
    with pytest.raises(MlrunError) as failure:
        while time.monotonic() < deadline:
            time.sleep(0.01)
            log.append("stdout", b"")
    assert failure.value.code is ExitCode.DISK
    with pytest.raises(MlrunError):
        log.close()


def test_an_execution_has_one_log(tmp_path: Path) -> None:
    LogWriter(tmp_path / "log").close()
    with pytest.raises(MlrunError):
        LogWriter(tmp_path / "log")
