"""What is known of the content of files, and when it is not believed any more."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.digest import hash_bytes
from runner.process import boot_id
from runner.store import verified as verified_module
from runner.store.verified import HASHED, Verified

CONTENT = b"x" * HASHED
DIGEST = hash_bytes(CONTENT)
OTHER = hash_bytes(b"other")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "object"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def verified(tmp_path: Path) -> Iterator[Verified]:
    verified = Verified(tmp_path / "cache", writable=True)
    yield verified
    verified.close()


def knows(verified: Verified, path: Path) -> bool:
    with path.open("rb") as file:
        return verified.knows(DIGEST, file.fileno())


def note(verified: Verified, path: Path) -> None:
    verified.note([(DIGEST, path.stat())])


def notes_file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / f"verified-{boot_id()}.sqlite"


def wait_for_the_clock(path: Path) -> None:
    """Until a change of a file moves its ctime."""
    probe, before = path.with_name("probe"), path.stat().st_ctime_ns
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > before:
            return


def test_what_was_noted_is_known_to_all_processes_until_the_file_changes(tmp_path: Path, file: Path) -> None:
    one, other = (Verified(tmp_path / "cache", writable=True) for _ in range(2))
    assert not knows(one, file)
    note(one, file)
    assert knows(one, file)
    assert knows(other, file)
    with file.open("rb") as opened:
        assert not one.knows(OTHER, opened.fileno())
    wait_for_the_clock(file)
    before = file.stat()
    file.write_bytes(b"y" * HASHED)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not knows(one, file)
    assert not knows(other, file)
    one.close()
    other.close()


@pytest.mark.parametrize("change", ["mode", "name", "link", "replaced"])
def test_whatever_moves_the_ctime_or_puts_another_file_there_ends_it(
    verified: Verified, file: Path, change: str
) -> None:
    note(verified, file)
    wait_for_the_clock(file)
    match change:
        case "mode":
            file.chmod(0o600)
        case "name":
            file = file.rename(file.with_name("moved"))
        case "link":
            file.with_name("link").hardlink_to(file)
        case _:
            other = file.with_name("other")
            other.write_bytes(CONTENT)
            other.rename(file)
    assert not knows(verified, file)


def test_links_that_are_made_and_removed_here_keep_it(verified: Verified, file: Path) -> None:
    note(verified, file)
    for number in range(3):
        wait_for_the_clock(file)
        with file.open("rb") as opened, verified.keeping(opened.fileno()):
            file.with_name(f"link {number}").hardlink_to(file)
        assert knows(verified, file)
    folder = os.open(file.parent, os.O_RDONLY)
    for number in range(3):
        wait_for_the_clock(file)
        verified.unlink(f"link {number}", dir_fd=folder)
        assert knows(verified, file)
    os.close(folder)
    assert os.listdir(file.parent).count("link 0") == 0


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_change_is_not_hidden_by_a_link(verified: Verified, file: Path, when: str) -> None:
    note(verified, file)
    wait_for_the_clock(file)

    def change() -> None:
        before = file.stat()
        file.write_bytes(b"y" * HASHED)
        if when == "before":
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    if when == "before":
        change()
    with file.open("rb") as opened, verified.keeping(opened.fileno()):
        file.with_name("link").hardlink_to(file)
        if when == "meanwhile":
            change()
    assert not knows(verified, file)


def test_what_was_read_just_after_a_change_is_not_noted(
    verified: Verified, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = file.stat()
    monkeypatch.setattr(time, "time_ns", lambda: status.st_ctime_ns + 1_000_000)
    verified.note_found(DIGEST, status, status)
    assert not knows(verified, file)
    monkeypatch.setattr(time, "time_ns", lambda: status.st_ctime_ns + 3_000_000_000)
    verified.note_found(DIGEST, status, status)
    assert knows(verified, file)


def test_what_changed_while_it_was_read_is_not_noted(
    verified: Verified, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.stat()
    wait_for_the_clock(file)
    file.write_bytes(CONTENT)
    monkeypatch.setattr(time, "time_ns", lambda: before.st_ctime_ns + 10**12)
    verified.note_found(DIGEST, before, file.stat())
    assert not knows(verified, file)


def test_a_reader_reads_notes_and_writes_none(tmp_path: Path, verified: Verified, file: Path) -> None:
    reader = Verified(tmp_path / "cache", writable=False)
    assert not knows(reader, file)
    note(reader, file)
    assert knows(reader, file), "what it found out itself it knows as long as it lives"
    assert not (tmp_path / "cache").exists()
    note(verified, file)
    another = Verified(tmp_path / "cache", writable=False)
    before = notes_file(tmp_path).stat()
    assert knows(another, file)
    after = notes_file(tmp_path).stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    reader.close()
    another.close()


@pytest.mark.parametrize("content", [b"", b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
@pytest.mark.parametrize("writable", [True, False])
def test_a_damaged_file_is_thrown_away(tmp_path: Path, file: Path, content: bytes, writable: bool) -> None:
    notes_file(tmp_path).parent.mkdir()
    notes_file(tmp_path).write_bytes(content)
    verified = Verified(tmp_path / "cache", writable=writable)
    assert not knows(verified, file)
    note(verified, file)
    assert knows(verified, file)
    assert (notes_file(tmp_path).read_bytes() == content) is not writable
    verified.close()


def test_a_file_that_is_damaged_while_it_is_open_is_thrown_away(tmp_path: Path, file: Path) -> None:
    verified = Verified(tmp_path / "cache", writable=True)
    note(verified, file)
    with notes_file(tmp_path).open("r+b") as notes:
        notes.write(b"\xff" * notes_file(tmp_path).stat().st_size)
    knows(verified, file)
    note(verified, file)
    assert knows(verified, file)
    verified.close()


def test_a_table_of_another_make_is_thrown_away(tmp_path: Path, file: Path) -> None:
    (tmp_path / "cache").mkdir()
    with sqlite3.connect(notes_file(tmp_path)) as database:
        database.execute("CREATE TABLE verified (other TEXT)")
    database.close()
    verified = Verified(tmp_path / "cache", writable=True)
    note(verified, file)
    assert knows(verified, file)
    verified.close()


def test_where_nothing_can_be_kept_it_is_kept_in_memory(tmp_path: Path, file: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    verified = Verified(tmp_path / "cache", writable=True)
    note(verified, file)
    assert knows(verified, file)
    with file.open("rb") as opened, verified.keeping(opened.fileno()):
        wait_for_the_clock(file)
        file.with_name("link").hardlink_to(file)
    assert knows(verified, file)
    verified.close()


def test_a_cache_that_is_deleted_meanwhile_harms_nothing(tmp_path: Path, verified: Verified, file: Path) -> None:
    note(verified, file)
    notes_file(tmp_path).unlink()
    (tmp_path / "cache").rmdir()
    assert knows(verified, file)
    verified.close()
    assert not knows(verified, file)
    note(verified, file)
    assert knows(verified, file)


def test_notes_of_other_boots_are_removed_and_not_believed(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified_module, "boot_id", lambda: "before")
    before = Verified(tmp_path / "cache", writable=True)
    note(before, file)
    before.close()
    (tmp_path / "cache" / "other").write_text("stays")
    monkeypatch.undo()
    after = Verified(tmp_path / "cache", writable=True)
    assert not knows(after, file)
    note(after, file)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {notes_file(tmp_path).name, "other"}
    after.close()


def test_small_files_are_not_noted(verified: Verified, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * (HASHED - 1))
    note(verified, tmp_path / "small")
    assert not knows(verified, tmp_path / "small")
    verified.note_found(DIGEST, *[(tmp_path / "small").stat()] * 2, small=True)


def test_numbers_as_large_as_a_file_system_may_give_are_noted(tmp_path: Path, verified: Verified, file: Path) -> None:
    real = file.stat()
    large = os.stat_result((real.st_mode, (1 << 64) - 1, (1 << 64) - 2, *tuple(real)[3:]))
    verified.note([(DIGEST, large)])
    assert notes_file(tmp_path).exists()


def test_processes_that_link_one_file_at_the_same_time_never_lose_what_is_known(tmp_path: Path, file: Path) -> None:
    first = Verified(tmp_path / "cache", writable=True)
    note(first, file)
    first.close()
    children = []
    for name in "abcd":
        child = os.fork()
        if child == 0:
            verified, known = Verified(tmp_path / "cache", writable=True), True
            folder = os.open(tmp_path, os.O_RDONLY)
            for number in range(100):
                known = known and knows(verified, file)
                with file.open("rb") as opened, verified.keeping(opened.fileno()):
                    (tmp_path / f"{name}{number}").hardlink_to(file)
                verified.unlink(f"{name}{number}", dir_fd=folder)
            os._exit(0 if known else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


def test_threads_and_a_forked_process_share_it(verified: Verified, file: Path) -> None:
    note(verified, file)
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(knows(verified, file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8
    child = os.fork()
    if child == 0:
        note(verified, file)
        os._exit(0 if knows(verified, file) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert knows(verified, file)
