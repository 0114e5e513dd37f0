"""The journal survives what a crash leaves, and notices everything else."""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import ExitCode, MlrunError
from runner.store.journal import DamagedJournal, Follower, Journal, is_held, read

TURNS: list[list[dict[str, Any]]] = [
    [{"type": "a", "n": 1, "time": "t"}],
    [{"type": "b", "text": "ä\n\udcff", "time": "t"}, {"type": "c", "time": "t"}],
    [{"type": "d", "value": 1.5, "time": "t"}],
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journal.create(tmp_path / "journal") as journal:
        for turn in TURNS:
            journal.append(turn)
    return tmp_path / "journal"


def test_entries_come_back_in_order(path: Path) -> None:
    assert read(path) == [entry for turn in TURNS for entry in turn]


def test_entries_get_the_moment_unless_they_have_one(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j") as journal:
        first, second = journal.append([{"type": "a"}, {"type": "b", "time": "then"}])
    assert first["time"].endswith("Z")
    assert second["time"] == "then"
    assert read(tmp_path / "j") == [first, second]


def test_a_bare_nan_among_the_values_is_kept(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j") as journal:
        journal.append([{"type": "a", "metrics": {"loss": float("nan")}}])
    assert str(read(tmp_path / "j")[0]["metrics"]["loss"]) == "nan"


def test_a_tail_torn_at_any_byte_loses_only_its_own_turn(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == 0x0A]
    torn = tmp_path / "torn"
    for length in range(len(whole) + 1):
        torn.write_bytes(whole[:length])
        turns = sum(end <= length for end in ends)
        assert read(torn) == [entry for turn in TURNS[:turns] for entry in turn]


def test_a_tail_that_reached_the_disk_only_in_part_is_torn_too(path: Path) -> None:
    before = path.stat().st_size
    taken = Journal.take_over(path)
    assert taken is not None
    with taken[0] as journal:
        journal.append([{"type": "long", "text": "x" * 3 * 512}])
    whole = path.read_bytes()
    for start, end in ((before, 512), (512, 1024), (1024, len(whole))):
        path.write_bytes(whole[:start] + b"\0" * (end - start) + whole[end:])
        assert read(path) == [entry for turn in TURNS for entry in turn]


def test_one_flipped_bit_anywhere_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])
            with pytest.raises(DamagedJournal, match="damaged"):
                read(path)


def test_a_turn_that_vanished_or_moved_is_noticed(path: Path) -> None:
    first, second, third = path.read_bytes().splitlines(keepends=True)
    for lines in ([second, third], [first, third], [first, third, second], [first, first, second]):
        path.write_bytes(b"".join(lines))
        with pytest.raises(DamagedJournal):
            read(path)


def test_whoever_takes_over_goes_on_behind_the_last_whole_turn(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    taken = Journal.take_over(path)
    assert taken is not None
    journal, entries = taken
    with journal:
        assert entries == [entry for turn in TURNS[:2] for entry in turn]
        journal.append(TURNS[2])
    assert path.read_bytes() == whole


def test_a_journal_that_is_open_cannot_be_taken_over(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j")
    assert is_held(tmp_path / "j")
    assert Journal.take_over(tmp_path / "j") is None
    journal.close()
    assert not is_held(tmp_path / "j")
    assert Journal.take_over(tmp_path / "j") is not None


def test_a_follower_gets_each_entry_once_and_waits_for_whole_turns(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    growing = tmp_path / "growing"
    growing.write_bytes(b"")
    follower = Follower(growing)
    seen = []
    for byte in range(len(whole)):
        with growing.open("ab") as file:
            file.write(whole[byte : byte + 1])
        seen += follower.poll()
    assert seen == [entry for turn in TURNS for entry in turn]
    assert follower.poll() == []


def test_a_journal_is_never_created_over_another(path: Path) -> None:
    with pytest.raises(MlrunError) as caught:
        Journal.create(path)
    assert caught.value.code is ExitCode.STORE


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:3]))
    with Journal.create(tmp_path / "j") as journal:
        journal.append(TURNS[1])
    assert read(tmp_path / "j") == TURNS[1]


def test_a_full_disk_undoes_the_turn_and_the_journal_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with Journal.create(tmp_path / "j") as journal:
        journal.append(TURNS[0])
        left = [5]

        def full(fd: int, data: bytes) -> int:
            if not left.pop():
                raise OSError(errno.ENOSPC, "full")
            left.append(0)
            return write(fd, bytes(data)[:5])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(MlrunError, match="full: needs") as caught:
            journal.append(TURNS[1])
        assert caught.value.code is ExitCode.DISK
        monkeypatch.setattr(os, "write", write)
        journal.append(TURNS[2])
    assert read(tmp_path / "j") == [*TURNS[0], *TURNS[2]]


def test_a_failed_sync_ends_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    synced: list[int] = []
    with Journal.create(tmp_path / "j") as journal:
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(MlrunError) as caught:
            journal.append(TURNS[0])
        assert caught.value.code is ExitCode.STORE
        monkeypatch.setattr(os, "fsync", synced.append)
        with pytest.raises(MlrunError, match="any more"):
            journal.append(TURNS[1])
    assert synced == []


SIZES = st.lists(st.integers(min_value=0, max_value=200_000), max_size=6)
TAILS = st.sampled_from([b"", b"0123456789abcdef [{", b"\0" * 40, b"\0" * 5 + b"\n", b"junk", b"junk\n"])


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, tail=TAILS)
def test_who_takes_the_end_of_a_journal_goes_on_as_who_reads_it_all(sizes: list[int], tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, twin = Path(folder) / "journal", Path(folder) / "twin"
        with Journal.create(path) as journal:
            turns = [journal.append([{"type": "x", "n": n, "text": "x" * size}]) for n, size in enumerate(sizes)]
        with path.open("ab") as file:
            file.write(tail)
        twin.write_bytes(path.read_bytes())

        def go_on(take: Callable[[Path], tuple[Journal, list[Any]] | None], place: Path) -> tuple[list[Any], bytes]:
            taken = take(place)
            assert taken is not None
            with taken[0] as journal:
                journal.append([{"type": "y", "time": "t"}])
            return taken[1], place.read_bytes()

        try:
            entries, whole = go_on(Journal.take_over, path)
        except DamagedJournal:
            with pytest.raises(DamagedJournal):
                go_on(Journal.take_end, twin)
            return
        last, ended = go_on(Journal.take_end, twin)
        assert ended == whole
        assert entries == [entry for turn in turns for entry in turn]
        assert last in (entries, turns[-1] if turns else [])


def test_a_sync_that_says_nothing_of_a_file_system_that_has_failed_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    write = os.write

    def refuse_nothing(fd: int, data: bytes | memoryview) -> int:
        if not data:
            raise OSError(errno.EROFS, "Read-only file system")
        return write(fd, data)

    with Journal.create(path) as journal:
        journal.append([{"type": "a"}])
        monkeypatch.setattr(os, "write", refuse_nothing)
        for _ in range(2):
            with pytest.raises(MlrunError) as caught:
                journal.append([{"type": "b"}])
            assert caught.value.code is ExitCode.STORE
