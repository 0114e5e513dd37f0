"""Removing whole objects beside whoever begins to use them."""

from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.store.claim import Claims
from runner.store.store import Store
from runner.upkeep.release import clear_scratch, release, scratch_name
from runner.upkeep.turn import alone

from .versions import put


def test_what_is_claimed_after_it_was_moved_away_is_back_before_anything_is_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = put(store, b"kept"), put(store, b"gone")
    claims = Claims(store.layout.claims)
    rename = Path.rename

    def late(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        if path.name == kept:
            claims.claim([kept])
        return moved

    with alone(store.layout) as turn, monkeypatch.context() as patch:
        patch.setattr(Path, "rename", late)
        assert release(turn, [kept, gone]) == [gone]
    claims.close()
    assert store.objects.read(kept) == b"kept"
    assert not store.objects.path(gone).exists()
    assert list(store.layout.scratch.iterdir()) == []


def test_what_is_not_there_was_not_removed_by_us(store: Store) -> None:
    with alone(store.layout) as turn:
        assert release(turn, [Digest(hash_bytes(b"never seen"))]) == []
        assert release(turn, []) == []


def test_only_what_packs_have_left_is_cleared(store: Store) -> None:
    ours, other = store.layout.scratch / scratch_name(), store.layout.scratch / ".new-1-of-a-writer"
    for path in (ours, other):
        path.write_bytes(b"half")
    with alone(store.layout) as turn:
        clear_scratch(turn)
    assert list(store.layout.scratch.iterdir()) == [other]
