"""Small files in the cache: whole or nothing, and never a reason to fail."""

import os
from pathlib import Path

import pytest

from runner.store.memo import keep, recall


def test_what_was_kept_is_recalled_until_something_else_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "memo.json"
    assert recall(path) is None
    for value in ({"a": [1, "ä", None]}, []):
        keep(path, value)
        assert recall(path) == value
    assert [one.name for one in tmp_path.iterdir()] == ["memo.json"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1}{'])
def test_a_file_that_cannot_be_used_says_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "memo.json").write_bytes(data)
    assert recall(tmp_path / "memo.json") is None


def test_what_cannot_be_kept_leaves_what_was_there_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "memo.json"
    keep(path, 1)

    def full(_: object, __: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        patch.setattr(os, "replace", full)
        keep(path, 2)
    with pytest.raises(TypeError):
        keep(path, object())
    assert recall(path) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["memo.json"]
    keep(tmp_path / "no folder" / "memo.json", 1)
    assert recall(tmp_path) is None
