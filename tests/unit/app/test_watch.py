"""Files whose reading ends when somebody asks for it."""

import io

import pytest

from runner.app.watch import Over, watched


def test_a_file_that_is_watched_reads_like_itself_and_is_closed_with_it() -> None:
    data = bytes(range(256)) * 10_000
    inner = io.BytesIO(data)
    file = watched(inner, lambda: False)
    assert file.read(5) == data[:5]
    assert file.seek(-3, io.SEEK_END) == len(data) - 3
    assert file.read() == data[-3:]
    assert file.seek(1) == file.tell() == 1
    assert file.read() == data[1:]
    file.close()
    assert inner.closed


def test_reading_ends_once_nobody_waits_for_it() -> None:
    over = False
    with watched(io.BytesIO(b"x" * (3 << 20)), lambda: over) as file:
        assert file.read(1 << 20)
        over = True
        with pytest.raises(Over):
            file.read(1 << 20)
