"""Comparing files and cutting them: what is found equal is equal, and cuts follow the content."""

import os

import pyfastcdc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.upkeep import chunk
from runner.upkeep.chunk import average_size, chunks, shared_end, shared_start

from .windows import WITH_FILES, Opened


def longest(one: bytes, other: bytes) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@WITH_FILES
@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40), st.integers(1, 8))
def test_shared_starts_and_ends_are_as_long_as_they_can_be(
    opened: Opened, same: bytes, one: bytes, other: bytes, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "_BLOCK", block)
        assert shared_start(opened(same + one), opened(same + other)) == longest(same + one, same + other)
        ends = (one + same)[::-1], (other + same)[::-1]
        assert shared_end(opened(one + same), opened(other + same)) == longest(*ends)


@given(st.integers(0, 50), st.integers(0, 50))
@WITH_FILES
def test_only_the_windows_are_compared(opened: Opened, begin: int, end: int) -> None:
    data = opened(b"x" * 30 + b"abcabc" + b"x" * 30)
    window = data._replace(begin=begin, end=max(begin, end))
    content = os.pread(window.fd, window.size, window.begin)
    assert shared_start(window, opened(b"x" * 60)) == longest(content, b"x" * 60)
    assert shared_end(window, opened(b"x" * 60)) == longest(content[::-1], b"x" * 60)


def test_large_files_that_differ_in_one_byte_are_equal_up_to_it_and_behind_it(opened: Opened) -> None:
    data = bytearray(os.urandom(5_000_001))
    one = opened(bytes(data))
    data[3_333_333] ^= 1
    other = opened(bytes(data))
    assert shared_start(one, other) == 3_333_333
    assert shared_end(one, other) == 5_000_001 - 3_333_334


def test_a_file_that_ends_before_its_size_is_equal_no_further(opened: Opened) -> None:
    one, other = opened(b"a" * 100), opened(b"a" * 100)
    os.truncate(other.fd, 60)
    assert shared_start(one, other) == 60


def test_chunks_lie_side_by_side_and_bear_the_hash_of_their_bytes(opened: Opened) -> None:
    data = os.urandom(300_000)
    window = opened(data)._replace(begin=1000, end=290_000)
    found = list(chunks(window, 2048))
    assert [one.end for one in found[:-1]] == [one.begin for one in found[1:]]
    assert (found[0].begin, found[-1].end) == (1000, 290_000)
    assert len({one.key for one in found}) == len(found) > 50
    again = {one.key: data[one.begin : one.end] for one in chunks(opened(data), 2048)}
    assert sum(again.get(one.key) == data[one.begin : one.end] for one in found) > len(found) / 2


def test_an_insertion_moves_the_chunks_behind_it_without_changing_them(opened: Opened) -> None:
    data = os.urandom(300_000)
    before = {one.key for one in chunks(opened(data), 2048)}
    after = {one.key for one in chunks(opened(data[:1000] + b"inserted" + data[1000:]), 2048)}
    assert len(after - before) <= 4


def test_nothing_has_no_chunks(opened: Opened) -> None:
    assert list(chunks(opened(b""), 2048)) == []


@given(st.integers(0, 1 << 45))
def test_the_number_of_chunks_is_bounded_for_files_of_any_size_that_a_disk_holds(size: int) -> None:
    average = average_size(size)
    assert average & (average - 1) == 0
    assert 2048 <= average <= 1 << 22
    assert size / average <= 1 << 17 or average == 1 << 22


def test_the_chunker_is_the_compiled_one() -> None:
    assert pyfastcdc.FastCDC.__module__.startswith("pyfastcdc.cy")
