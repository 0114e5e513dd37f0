"""Work that is under way is held by one thread of one process, and by nobody once that is gone."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.store.flight import Flights

ONE, TWO = hash_bytes(b"one"), hash_bytes(b"two")

HOLD = """
import sys
from pathlib import Path
from runner.store.flight import Flights
flights = Flights(Path(sys.argv[1]))
print("held" if flights.take(sys.argv[2]) else "busy", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "flights"


def elsewhere(file: Path, work: Digest) -> "subprocess.Popen[str]":
    """A process that takes the work and lives until its input ends; its first line says whether it got it."""
    command = [sys.executable, "-c", HOLD, str(file), work]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_work_is_held_once_until_it_is_let_go(file: Path) -> None:
    flights = Flights(file)
    let_go = flights.take(ONE)
    assert let_go is not None
    assert flights.take(ONE) is None
    assert flights.take(TWO) is not None
    let_go()
    let_go()
    assert flights.take(ONE) is not None
    # Who has let go before has nothing more to say.
    let_go()
    assert flights.take(ONE) is None
    flights.close()


def test_who_holds_work_in_this_process_is_known_until_it_is_let_go(file: Path) -> None:
    flights = Flights(file)
    first = flights.take(ONE, "first")
    assert first is not None
    assert (flights.holder(ONE), flights.holder(TWO)) == ("first", None)
    first()
    assert flights.holder(ONE) is None
    assert flights.take(ONE, "second") is not None
    first()
    assert flights.holder(ONE) == "second"
    flights.close()
    with elsewhere(file, ONE) as other:
        assert answer(other) == "held"
        assert (flights.take(ONE, "third"), flights.holder(ONE)) == (None, None)
        other.communicate()


def test_another_process_sees_what_is_held_and_only_that(file: Path) -> None:
    flights = Flights(file)
    let_go = flights.take(ONE)
    assert let_go is not None
    with elsewhere(file, ONE) as busy, elsewhere(file, TWO) as free:
        assert (answer(busy), answer(free)) == ("busy", "held")
        assert flights.take(TWO) is None
        for process in (busy, free):
            process.communicate()
    assert flights.take(TWO) is not None
    let_go()
    with elsewhere(file, ONE) as third:
        assert answer(third) == "held"
        third.communicate()
    flights.close()


def test_a_process_that_is_killed_holds_nothing(file: Path) -> None:
    flights = Flights(file)
    with elsewhere(file, ONE) as other:
        assert answer(other) == "held"
        assert flights.take(ONE) is None
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert flights.take(ONE) is not None
    flights.close()


def test_what_is_closed_holds_nothing(file: Path) -> None:
    first, second = Flights(file), Flights(file)
    first.take(ONE)
    assert second.take(ONE) is None
    first.close()
    first.close()
    assert second.take(ONE) is not None
    second.close()


def test_where_nothing_can_be_held_everybody_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    flights = Flights(tmp_path / "cache" / "flights")
    assert flights.take(ONE) is not None
    assert flights.take(ONE) is not None

    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    there = Flights(tmp_path / "flights")
    assert there.take(ONE) is not None
    assert there.take(ONE) is not None
    there.close()
