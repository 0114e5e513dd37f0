"""Checksums of objects: what publishers of data give, computed once."""

import hashlib
import os
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.checksum import ALGORITHMS, Checksums
from runner.store.objects import Objects

DATA = os.urandom(1 << 16) * 100 + b"end"


@pytest.fixture
def checksums(objects: Objects, tmp_path: Path) -> Checksums:
    return Checksums(tmp_path / "store" / "cache" / "checksums", objects)


def test_what_nobody_asked_for_is_not_computed(objects: Objects, checksums: Checksums) -> None:
    digest = objects.put_bytes(DATA)
    assert checksums.known(digest) == {"blake3": digest}


@pytest.mark.parametrize("data", [b"", b"x", DATA])
def test_each_checksum_is_that_of_the_content(objects: Objects, checksums: Checksums, data: bytes) -> None:
    digest = objects.put_bytes(data)
    expected = {name: hashlib.new(name, data).hexdigest() for name in ALGORITHMS}
    assert checksums.compute(digest) == {"blake3": digest, **expected}
    assert checksums.known(digest) == {"blake3": digest, **expected}


def test_an_object_is_read_once_only(
    objects: Objects, checksums: Checksums, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    digest = objects.put_bytes(DATA)
    first = checksums.compute(digest, ["md5"])
    assert set(first) == {"blake3", "md5"}
    assert set(checksums.compute(digest, ["sha256"])) == {"blake3", "md5", "sha256"}
    monkeypatch.setattr(Objects, "open", lambda *_: pytest.fail("it was read again"))
    assert set(Checksums(tmp_path / "store/cache/checksums", objects).compute(digest, ["sha256", "md5"])) == {
        "blake3",
        "md5",
        "sha256",
    }


def test_a_damaged_object_gets_no_checksums(objects: Objects, checksums: Checksums) -> None:
    digest = objects.put_bytes(DATA)
    objects.path(digest).chmod(0o644)
    objects.path(digest).write_bytes(b"other")
    with pytest.raises(MlrunError, match="other content") as caught:
        checksums.compute(digest)
    assert caught.value.code is ExitCode.STORE
    assert checksums.known(digest) == {"blake3": digest}


def test_an_object_that_is_missing_is_named(checksums: Checksums) -> None:
    with pytest.raises(MlrunError, match="is missing"):
        checksums.compute(hash_bytes(b"nowhere"))


@pytest.mark.parametrize("note", ["", "[]", '{"md5": 3}', "\xff"])
def test_a_damaged_note_is_computed_again(objects: Objects, checksums: Checksums, tmp_path: Path, note: str) -> None:
    digest = objects.put_bytes(b"x")
    before = checksums.compute(digest)
    (path,) = (tmp_path / "store/cache/checksums").rglob("*.json")
    path.write_text(note, "latin-1")
    assert checksums.compute(digest) == before


def test_a_cache_that_cannot_be_written_costs_only_time(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    digest = objects.put_bytes(b"x")
    assert set(Checksums(tmp_path / "file", objects).compute(digest)) == {"blake3", *ALGORITHMS}


def test_blake3_stands_beside_the_others_always(objects: Objects, checksums: Checksums) -> None:
    digest = Digest(objects.put_bytes(b"x"))
    assert checksums.compute(digest, []) == {"blake3": digest}
