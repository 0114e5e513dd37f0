"""What processes rely on: seen by others as long as they live, and never half."""

import errno
import os
import threading
from pathlib import Path

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import claim as claim_module
from runner.store.claim import Claims, claimed, remove_left

A, B, C = (hash_bytes(name) for name in (b"a", b"b", b"c"))


def test_a_claim_holds_until_it_is_closed_and_can_be_made_again(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "claims")
    assert claimed(tmp_path / "claims") == set()
    claims.claim([])
    assert not (tmp_path / "claims").exists()
    for _ in range(2):
        claims.claim([A, B])
        claims.claim([B, C])
        assert claimed(tmp_path / "claims") == {A, B, C}
        (file,) = (tmp_path / "claims").iterdir()
        assert file.stat().st_size == 3 * 32, "what is claimed already is not written again"
        remove_left(tmp_path / "claims")
        assert file.exists()
        claims.close()
        claims.close()
        assert list((tmp_path / "claims").iterdir()) == []


def test_the_claims_of_a_process_that_was_killed_are_none(tmp_path: Path) -> None:
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        Claims(tmp_path / "claims").claim([A])
        os.write(send, b"x")
        os.read(receive, 0)
        threading.Event().wait()
    assert os.read(receive, 1) == b"x"
    assert claimed(tmp_path / "claims") == {A}
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert claimed(tmp_path / "claims") == set()
    remove_left(tmp_path / "claims")
    assert list((tmp_path / "claims").iterdir()) == []


def test_a_forked_process_has_claims_of_its_own_and_ends_nobody_s(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "claims")
    claims.claim([A])
    child = os.fork()
    if child == 0:
        claims.claim([A, B])
        both = claimed(tmp_path / "claims") == {A, B} and len(os.listdir(tmp_path / "claims")) == 2
        claims.close()
        os._exit(0 if both else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert claimed(tmp_path / "claims") == {A}
    claims.claim([C])
    assert claimed(tmp_path / "claims") == {A, C}
    claims.close()


def test_a_claim_that_could_not_be_written_whole_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = Claims(tmp_path / "claims")
    claims.claim([A])

    def half(fd: int, data: bytes) -> None:
        os.write(fd, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(claim_module, "write_all", half)
        with pytest.raises(MlrunError) as caught:
            claims.claim([B])
        assert caught.value.code is ExitCode.DISK
    claims.claim([B, C])
    assert claimed(tmp_path / "claims") == {A, B, C}
    claims.close()


def test_threads_claim_side_by_side(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "claims")
    digests = [hash_bytes(b"%d" % number) for number in range(800)]
    threads = [
        threading.Thread(target=lambda part=digests[start::8]: [claims.claim([one]) for one in part])
        for start in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert claimed(tmp_path / "claims") == set(digests)
    claims.close()


def test_without_locks_nothing_is_claimed_and_nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(claim_module.fcntl, "flock", refuse)
    with pytest.raises(MlrunError, match="No locks available"):
        Claims(tmp_path / "claims").claim([A])
    assert list((tmp_path / "claims").iterdir()) == []
