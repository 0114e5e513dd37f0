"""An SQLite file that can be made again: damage is put aside, a reader writes nothing, nothing is changed half."""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner.errors import ExitCode, MlrunError
from runner.store import database
from runner.store.database import Database, Misunderstood

VERSION = 2
Opened = Callable[..., Database]


def build(tables: sqlite3.Connection, version: int) -> None:
    """Tables of version 2, filled from elsewhere with one row."""
    if version < 1:
        tables.execute("CREATE TABLE numbers (number INTEGER)")
    tables.execute("DELETE FROM numbers")
    tables.execute("INSERT INTO numbers VALUES (1)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "guard").touch()
    return tmp_path / "index"


@pytest.fixture
def opened(path: Path) -> Iterator[Opened]:
    made: list[Database] = []

    def make(*, writable: bool = True, version: int = VERSION) -> Database:
        made.append(Database(path, path.with_name("guard"), version, build, writable=writable))
        return made[-1]

    yield make
    for one in made:
        one.close()


def numbers(tables: Database) -> list[int]:
    return tables.select("SELECT number FROM numbers ORDER BY number", (), lambda rows: [number for (number,) in rows])


def put(tables: Database, number: int) -> None:
    tables.change(lambda connection: connection.execute("INSERT INTO numbers VALUES (?)", (number,)))


def files(path: Path) -> set[str]:
    return {entry.name for entry in path.parent.iterdir()} - {"guard"}


def test_it_is_built_once_and_keeps_what_was_put_in(path: Path, opened: Opened) -> None:
    tables = opened()
    assert numbers(tables) == [1]
    put(tables, 2)
    tables.close()
    assert numbers(opened()) == [1, 2]
    assert numbers(opened(writable=False)) == [1, 2]


def test_a_reader_without_a_file_builds_in_memory_and_leaves_no_trace(path: Path, opened: Opened) -> None:
    assert numbers(opened(writable=False)) == [1]
    assert files(path) == set()


@pytest.mark.parametrize("harm", [b"junk" * 2000, b"", b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_that_is_none_is_put_aside_by_a_writer_only(path: Path, opened: Opened, harm: bytes) -> None:
    path.write_bytes(harm)
    assert numbers(opened(writable=False)) == [1]
    assert path.read_bytes() == harm
    assert numbers(opened()) == [1]
    aside = [entry for entry in path.parent.iterdir() if ".damaged-" in entry.name]
    assert [entry.read_bytes() for entry in aside] == ([harm] if harm else [])


def test_what_is_not_understood_is_damage(path: Path, opened: Opened) -> None:
    tables = opened()
    put(tables, 2)

    def understand(rows: list[Any]) -> int:
        if len(rows) > 1:
            raise Misunderstood("two rows")
        return int(rows[0][0])

    assert tables.select("SELECT number FROM numbers", (), understand) == 1
    assert len([name for name in files(path) if ".damaged-" in name]) == 1


def test_what_is_never_understood_is_told_at_last(opened: Opened) -> None:
    def understand(rows: list[Any]) -> None:
        raise Misunderstood("whatever there is")

    with pytest.raises(MlrunError, match="whatever there is") as caught:
        opened().select("SELECT 1", (), understand)
    assert caught.value.code is ExitCode.STORE


def test_a_change_that_fails_changes_nothing(opened: Opened) -> None:
    tables = opened()

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (2)")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tables.change(work)
    assert numbers(tables) == [1]
    put(tables, 3)
    assert numbers(tables) == [1, 3]


def test_a_file_of_an_older_version_is_brought_up_and_one_of_a_newer_refused(path: Path, opened: Opened) -> None:
    assert numbers(opened(version=1)) == [1]
    assert numbers(opened()) == [1]
    with pytest.raises(MlrunError, match="newer version") as caught:
        numbers(opened(version=1))
    assert caught.value.code is ExitCode.STORE
    assert numbers(opened(version=1, writable=False)) == [1]
    # Whoever wants it anew gets it; the newer one stays beside it.
    opened(version=1).rebuild(lambda connection: build(connection, 1))
    assert len([name for name in files(path) if ".damaged-" in name]) == 1


def test_a_file_that_was_replaced_is_opened_anew_before_anything_is_changed(path: Path, opened: Opened) -> None:
    first = opened()
    put(first, 2)
    path.rename(path.with_name("moved"))
    put(first, 3)
    assert numbers(opened(writable=False)) == [1, 3]


def test_nobody_puts_the_file_aside_while_it_is_changed(path: Path, opened: Opened) -> None:
    def work(_: sqlite3.Connection) -> None:
        with path.with_name("guard").open("rb") as guard, pytest.raises(BlockingIOError):
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)

    opened().change(work)


def test_a_locked_file_is_said_to_be_locked(path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.0)
    tables = opened()
    assert numbers(tables) == [1]
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(MlrunError, match="locked") as caught:
            put(tables, 2)
    finally:
        other.close()
    assert caught.value.code is ExitCode.LOCKED
    put(tables, 2)


def test_what_can_be_left_out_does_not_wait_for_a_locked_file(path: Path, opened: Opened) -> None:
    tables = opened()
    assert numbers(tables) == [1]

    def put_unless_locked(number: int) -> None:
        tables.change_unless_locked(lambda connection: connection.execute("INSERT INTO numbers VALUES (?)", (number,)))

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        put_unless_locked(2)
    put_unless_locked(3)
    assert numbers(tables) == [1, 3]
    # What cannot be left out waits as before.
    assert tables.select("PRAGMA busy_timeout", (), lambda rows: rows) == [(60_000,)]


def test_why_nothing_may_be_written_is_told_in_the_words_of_the_system(
    path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: Path) -> OSError:
        return OSError(errno.EROFS, os.strerror(errno.EROFS), "guard")

    tables = opened()
    put(tables, 2)
    tables.close()
    monkeypatch.setattr(database, "_connect", lambda uri: sqlite3.connect(f"{uri}?mode=ro", uri=True))
    with pytest.raises(MlrunError, match="readonly database"):
        put(tables, 3)
    monkeypatch.setattr(database, "refusal", refuse)
    with pytest.raises(MlrunError, match="Read-only file system: `guard`") as caught:
        put(tables, 3)
    assert caught.value.code is ExitCode.STORE
    assert "on a disk that can be written" in str(caught.value.hint)
