"""What was destroyed at a remote for good: it is lacking here, and refused only by the user's own word."""

from pathlib import Path
from typing import Any

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.remote.depot import Depot
from runner.remote.kind import open_remote
from runner.store.record import Run
from runner.store.removal import Purged, Removals
from runner.store.trash import Trash
from tests.unit.remote.scene import RECORDS, check_honest, forge, removed

CODE = hash_bytes(b"print(1)\n")


def bury(remote: Path, digest: Digest) -> None:
    Depot(open_remote(str(remote))).bury(Purged(digest, "2026-01-01T00:00:00Z", "me", "asked", ("people",), 5))


def output_of(run: Run) -> Digest:
    return next(iter(run.executions.values())).outputs[0].digest


def test_what_was_destroyed_there_is_lacking_here_and_nothing_is_forbidden(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("people", "model")
    digest = output_of(run)
    mine.push(remote, run)
    bury(remote, digest)
    pulled = yours.pull(remote)
    assert (pulled.new, pulled.purged, pulled.absent) == ([run.id], [], 0)
    assert pulled.destroyed == {digest: "people"}
    found = removed(yours)
    assert not found.purged and set(found.dropped) == set(run.executions)
    check_honest(yours)
    data = mine.store.objects.read(digest)
    assert yours.store.objects.put_bytes(data) == digest
    assert yours.store.objects.read(digest) == data


def test_what_was_destroyed_at_the_remote_counts_here_by_the_users_word(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("people", "model")
    digest = output_of(run)
    mine.push(remote, run)
    bury(remote, digest)
    pulled = yours.pull(remote, accept_purges=True)
    assert (pulled.new, pulled.purged, pulled.destroyed) == ([run.id], [], {})
    found = removed(yours)
    assert found.purged[digest].reason == "asked" and not found.dropped
    with pytest.raises(MlrunError, match="was purged"):
        yours.store.objects.put_bytes(mine.store.objects.read(digest))


@pytest.mark.parametrize("accept", [False, True])
def test_what_is_here_stays_and_people_are_told(mine: Any, remote: Path, accept: bool) -> None:
    run = mine.run("people", "model")
    digest = output_of(run)
    mine.push(remote, run)
    bury(remote, digest)
    pulled = mine.pull(remote, run.id, accept_purges=accept)
    assert (pulled.purged, pulled.destroyed) == ([digest], {})
    assert mine.store.objects.verify(digest)
    assert not removed(mine).purged


def test_the_users_word_may_come_later(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("people")
    digest = output_of(run)
    mine.push(remote, run)
    bury(remote, digest)
    yours.pull(remote)
    pulled = yours.pull(remote, accept_purges=True)
    assert (pulled.restored, pulled.destroyed) == ([run.id], {})
    found = removed(yours)
    assert set(found.purged) == {digest} and not found.dropped


def test_content_in_the_trash_survives_a_tombstone_of_elsewhere(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("people")
    digest = output_of(run)
    mine.push(remote, run)
    yours.pull(remote)
    trash = Trash(yours.store.layout)
    trash.move(trash.begin("gc", "me"), yours.store.objects.path(digest))
    bury(remote, digest)
    assert yours.pull(remote, run.id, accept_purges=True).purged == [digest]
    assert yours.store.objects.verify(digest)
    assert not removed(yours).purged


@pytest.mark.parametrize("files", [RECORDS, None])
def test_a_record_without_a_part_that_was_destroyed_comes_only_by_the_users_word(
    mine: Any, yours: Any, remote: Path, files: Any
) -> None:
    run, kinds = mine.run(), {} if files is None else {"files": files}
    mine.push(remote, run)
    bury(remote, CODE)
    error = yours.pull(remote, **kinds).refused[run.id]
    assert error.code is ExitCode.POLICY
    assert CODE in error.message and "--accept-purges" in str(error.hint)
    assert not yours.store.layout.run(run.id).path.exists() and not removed(yours).purged
    assert yours.pull(remote, accept_purges=True, **kinds).new == [run.id]
    assert set(removed(yours).purged) == {CODE}


def test_what_somebody_destroyed_before_they_pushed_is_treated_the_same(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("people")
    digest = output_of(run)
    about = {"by": "me", "reason": "asked", "names": ["people"]}
    Removals(mine.store.layout).append([{"type": "content-purged", "digest": digest, **about}])
    mine.store.objects.path(digest).unlink()
    mine.push(remote, run)
    assert yours.pull(remote).destroyed == {digest: "people"}
    yours.pull(remote, accept_purges=True)
    assert set(removed(yours).purged) == {digest} and not removed(yours).dropped


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"digest":"x","time":"\x1b[2J","by":1}'])
def test_a_tombstone_that_says_nothing_is_one_all_the_same(mine: Any, yours: Any, remote: Path, data: bytes) -> None:
    run = mine.run("people")
    digest = output_of(run)
    mine.push(remote, run)
    (remote / "tombstones").mkdir()
    (remote / "tombstones" / digest).write_bytes(data)
    yours.pull(remote, accept_purges=True)
    assert not yours.store.objects.has(digest)
    assert removed(yours).purged[digest].reason == ""


@pytest.mark.parametrize("accept", [False, True])
def test_nobody_can_forbid_empty_files(mine: Any, yours: Any, remote: Path, accept: bool) -> None:
    run, other = mine.run("model", size=0), mine.run()
    mine.push(remote, run, other)
    nothing = hash_bytes(b"")
    (remote / "tombstones").mkdir()
    (remote / "tombstones" / nothing).write_bytes(b"{}")
    forge(remote, other, lambda document: document["absent"].append([nothing, "purged"]))
    forged = Purged(nothing, "2026-01-01T00:00:00.000000Z", "me", "", ())
    with pytest.raises(MlrunError, match="an empty file"):
        Depot(open_remote(str(remote))).bury(forged)
    assert yours.pull(remote, accept_purges=accept).new == [run.id, other.id]
    assert not removed(yours).purged
    assert yours.store.objects.put_bytes(b"") == nothing
