"""Ids are UUIDs of version 7."""

import time
from uuid import UUID

import pytest

from runner.store.identity import is_id, new_id


def test_an_id_is_a_uuid_of_version_7_that_tells_its_time() -> None:
    id = UUID(new_id())
    assert id.version == 7
    assert id.variant == "specified in RFC 4122"
    assert abs((id.int >> 80) - time.time_ns() // 1_000_000) < 10_000


def test_ids_sort_by_the_order_in_which_they_were_made() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert sorted(ids) == ids
    assert len(set(ids)) == len(ids)


def test_ids_stay_in_order_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert new_id() > before


def test_an_id_follows_one_of_another_process_though_the_clock_was_set_back() -> None:
    newest = "01ffb0ec-14ff-7fff-bfff-ffffffffffff"
    following = new_id(newest)
    assert following > newest
    assert new_id() > following


@pytest.mark.parametrize("made_up", ["ffffffff-ffff-7fff-bfff-ffffffffffff", "no id", ""])
def test_an_id_that_no_clock_made_moves_nothing(made_up: str) -> None:
    assert new_id(made_up) < "1"


ID = "01a1f0b4-7c00-7abc-8000-00000000000a"


@pytest.mark.parametrize("text", ["", "..", "../../etc/passwd", "x" * 36, ID.upper(), ID[:-1]])
def test_what_is_no_id_never_becomes_a_file_name(text: str) -> None:
    assert not is_id(text)
    assert is_id(ID)
    assert is_id(new_id())
