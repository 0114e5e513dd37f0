"""Content that was destroyed for good: refused in every way, and never there again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.removal import Removals

PURGED = b"personal data" * 10_000


@pytest.fixture
def purged(layout: Layout) -> Digest:
    digest = hash_bytes(PURGED)
    entry = {"type": "content-purged", "digest": digest, "by": "anna", "reason": "asked to", "names": ["a.csv"]}
    Removals(layout).append([entry])
    return digest


@pytest.mark.parametrize("way", ["bytes", "many", "stream", "file", "adopt", "gathered"])
def test_purged_content_is_refused_and_leaves_nothing(
    objects: Objects, layout: Layout, tmp_path: Path, purged: Digest, way: str
) -> None:
    objects.put_bytes(b"other")
    path = tmp_path / "file"
    path.write_bytes(PURGED)

    def gathered() -> None:
        with objects.gathering() as together:
            together.adopt(path)

    def from_file() -> None:
        with path.open("rb") as file:
            objects.put_file(file.fileno())

    ways: dict[str, Callable[[], object]] = {
        "bytes": lambda: objects.put_bytes(PURGED),
        "many": lambda: objects.put_many([b"other", PURGED]),
        "stream": lambda: objects.put_stream([PURGED]),
        "file": from_file,
        "adopt": lambda: objects.adopt(path),
        "gathered": gathered,
    }
    with pytest.raises(MlrunError, match=r"was purged on \d{4}-\d\d-\d\d by anna: asked to") as caught:
        ways[way]()
    assert caught.value.code is ExitCode.POLICY
    assert [path.name for path in layout.objects.rglob("*") if path.is_file()] == [hash_bytes(b"other")]
    assert path.exists() is (way not in {"adopt", "gathered"})
    with pytest.raises(MlrunError, match="was purged"):
        objects.read(purged)


def test_what_is_purged_while_it_is_stored_is_not_there_afterwards(
    objects: Objects, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename
    digest = hash_bytes(PURGED)

    def purge_first(source: Path, target: str) -> None:
        if str(target).endswith(digest):
            entry = {"type": "content-purged", "digest": digest, "by": "a", "reason": "b", "names": []}
            Removals(layout).append([entry])
        rename(source, target)

    monkeypatch.setattr(os, "rename", purge_first)
    with pytest.raises(MlrunError, match="was purged"):
        objects.put_bytes(PURGED)
    assert not objects.path(digest).exists()


def test_a_store_without_removals_is_asked_once_per_object(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Removals, "read", lambda _: pytest.fail("the journal was read"))
    objects.put_bytes(bytes(1 << 20))
