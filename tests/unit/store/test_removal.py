"""The journal of what was removed on purpose."""

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.journal import DamagedJournal
from runner.store.layout import Layout
from runner.store.removal import Removals, Removed, fold

T1, T2 = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"


def drop(time: str, *ids: str, batch: str = "b1") -> dict[str, object]:
    return {"type": "files-dropped", "time": time, "executions": list(ids), "batch": batch}


@pytest.fixture
def removals(layout: Layout) -> Removals:
    return Removals(layout)


def test_nothing_is_removed_from_a_store_without_the_journal(removals: Removals) -> None:
    assert removals.read() == Removed()


def test_what_was_told_is_read_again(removals: Removals) -> None:
    removals.append([{"type": "files-dropped", "executions": ["e1", "e2"], "batch": "b1"}])
    removals.append([{"type": "files-restored", "executions": ["e1"]}])
    assert list(removals.read().dropped) == ["e2"]


def test_the_last_word_counts() -> None:
    told = [drop(T1, "e1"), {"type": "files-restored", "time": T1, "executions": ["e1"]}, drop(T2, "e1", batch="b2")]
    assert fold(told).dropped == {"e1": T2}


def test_a_batch_knows_who_had_lost_files_before() -> None:
    removed = fold([drop(T1, "e1"), drop(T2, "e1", "e2", batch="b2")])
    assert removed.batches == {"b1": {"e1": True}, "b2": {"e1": False, "e2": True}}


def test_a_removed_run_keeps_its_numbers_until_it_is_back() -> None:
    gone = {"type": "run-removed", "time": T1, "run": "r", "project": "p", "counter": 3, "executions": 7}
    (run,) = fold([gone]).runs.values()
    assert (run.counter, run.executions, run.project, run.time) == (3, 7, "p", T1)
    assert fold([gone, {"type": "run-restored", "time": T2, "run": "r"}]).runs == {}


def test_words_of_later_programs_are_passed_over() -> None:
    assert fold([{"type": "moved-to-the-moon", "time": T1}]) == Removed()


def test_damage_is_told_and_nothing_is_believed(removals: Removals, layout: Layout) -> None:
    removals.append([{"type": "files-dropped", "executions": ["e1"]}])
    removals.append([{"type": "files-dropped", "executions": [hash_bytes(b"2")]}])
    data = bytearray(layout.removed.read_bytes())
    data[40] ^= 1
    layout.removed.write_bytes(data)
    with pytest.raises(DamagedJournal):
        removals.read()


def test_a_journal_that_cannot_be_written_is_an_error_of_the_store(layout: Layout) -> None:
    with pytest.raises(MlrunError) as caught:
        Removals(Layout(layout.format)).append([{"type": "files-restored", "executions": ["e"]}])
    assert caught.value.code is ExitCode.STORE
