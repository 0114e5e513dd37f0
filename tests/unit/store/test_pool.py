"""A pool has as many places as it has, whichever processes their holders are in."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.store.pool import Pools

HOLD = """
import sys
from pathlib import Path
from runner.store.pool import Pools
pools = Pools(Path(sys.argv[1]))
print("held" if pools.take("gpu", int(sys.argv[2]), "other", int(sys.argv[3])) else "busy", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "pools"


@contextmanager
def elsewhere(file: Path, size: int, count: int = 1) -> Iterator[str]:
    """Another process that wants places and lives meanwhile; says whether it got them."""
    command = [sys.executable, "-c", HOLD, str(file), str(size), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.communicate()


def test_no_more_parties_have_a_place_than_there_are(file: Path) -> None:
    pools = Pools(file)
    first, second = pools.take("gpu", 2, "a"), pools.take("gpu", 2, "b")
    assert first is not None
    assert second is not None
    assert pools.take("gpu", 2, "c") is None
    assert pools.take("other", 1, "c") is not None
    first.let_go()
    first.let_go()
    assert pools.take("gpu", 2, "c") is not None
    # Who has let go before has nothing more to say.
    first.let_go()
    assert pools.take("gpu", 2, "d") is None
    pools.close()


def test_places_that_another_process_has_are_taken_until_it_is_gone(file: Path) -> None:
    pools = Pools(file)
    with elsewhere(file, 2) as said:
        assert said == "held"
        assert pools.take("gpu", 2, "a") is not None
        assert pools.take("gpu", 2, "b") is None
        assert pools.take("gpu", 3, "c") is not None
    assert pools.take("gpu", 2, "b") is not None
    with elsewhere(file, 2) as said:
        assert said == "busy"
    pools.close()


def test_a_party_has_all_its_places_or_none_and_its_members_share_them(file: Path) -> None:
    pools = Pools(file)
    single = pools.take("gpu", 3, "a")
    assert single is not None
    assert pools.take("gpu", 3, "gang", 3) is None
    with elsewhere(file, 3, 2) as said:
        assert said == "held", "a party that got nothing holds nothing"
        single.let_go()
        assert pools.take("gpu", 3, "gang", 2) is None
    members = [pools.take("gpu", 3, "gang", 3) for _ in range(3)]
    assert pools.take("gpu", 3, "b") is None
    for held in members:
        assert held is not None
        assert sorted(held.numbers) == [0, 1, 2]
        assert pools.take("gpu", 3, "b") is None
        held.let_go()
    assert pools.take("gpu", 3, "b") is not None
    pools.close()


def test_a_party_that_outnumbers_the_places_has_all_of_them(file: Path) -> None:
    pools = Pools(file)
    held = pools.take("gpu", 2, "gang", 5)
    assert held is not None
    assert pools.take("gpu", 2, "a") is None
    held.let_go()
    assert pools.take("gpu", 2, "a") is not None
    pools.close()


def test_who_closes_has_nothing_any_more(file: Path) -> None:
    first, second = Pools(file), Pools(file)
    held = first.take("gpu", 1, "a")
    assert held is not None
    assert second.take("gpu", 1, "b") is None
    first.close()
    first.close()
    assert second.take("gpu", 1, "b") is not None
    held.let_go()
    assert Pools(file).take("gpu", 1, "c") is None
    second.close()


def test_where_nothing_can_be_held_everybody_has_a_place(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    pools = Pools(tmp_path / "cache" / "pools")
    assert pools.take("gpu", 1, "a") is not None
    assert pools.take("gpu", 1, "b") is not None


def test_parties_have_different_places_also_where_nothing_can_be_held(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    for folder in ("cache", "blocked"):
        pools = Pools(tmp_path / folder / "pools")
        held = [pools.take("gpu", 3, party) for party in "abc"]
        assert [one and one.numbers for one in held] == [(0,), (1,), (2,)], folder
        pools.close()


def test_the_very_places_that_somebody_had_before_are_kept_and_shared_only_with_who_took_them(file: Path) -> None:
    first, second = Pools(file), Pools(file)
    held = first.keep("gpu", [1, 2], "a")
    assert held.numbers == (1, 2)
    again = second.keep("gpu", [2, 3], "b")
    taken = second.take("gpu", 4, "c")
    assert taken is not None
    assert taken.numbers == (0,)
    assert second.take("gpu", 4, "d") is None
    again.let_go()
    held.let_go()
    assert second.take("gpu", 4, "e", 3) is not None
    first.close()
    second.close()
