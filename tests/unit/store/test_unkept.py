"""The objects of a store that is only looked at."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import MlrunError
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.unkept import UnkeptObjects

LARGE = b"0123456789abcdef" * (1 << 17)


def names_below(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.fixture
def unkept(layout: Layout) -> Iterator[UnkeptObjects]:
    with closing(UnkeptObjects(layout)) as objects:
        yield objects


def test_what_is_put_is_read_again_and_leaves_no_trace(layout: Layout, unkept: UnkeptObjects) -> None:
    before = names_below(layout.root)
    digest = unkept.put_bytes(b"hello")
    assert digest == hash_bytes(b"hello")
    assert unkept.put_many([b"hello", b"you"]) == [(digest, 5), (hash_bytes(b"you"), 3)]
    assert unkept.put_stream([b"he", b"llo"]) == (digest, 5)
    assert (unkept.read(digest), unkept.size(digest), unkept.has(digest)) == (b"hello", 5, True)
    assert unkept.open(digest).read() == b"hello"
    assert unkept.lacking([digest, hash_bytes(b"nobody")]) == {hash_bytes(b"nobody")}
    assert names_below(layout.root) == before
    with closing(UnkeptObjects(layout)) as others:
        assert not others.has(digest)


def test_what_the_store_has_is_found_too(layout: Layout, unkept: UnkeptObjects) -> None:
    digest = Objects(layout).put_bytes(b"kept")
    assert unkept.read(digest) == b"kept"
    assert unkept.is_sound(digest)
    with pytest.raises(MlrunError):
        unkept.read(hash_bytes(b"nobody"))


def test_a_tree_can_be_put_and_read(unkept: UnkeptObjects) -> None:
    digest = unkept.put_tree([("a.py", "100644", hash_bytes(b"a"), 1)])
    assert [entry.path for entry in unkept.read_tree(digest)] == ["a.py"]


def test_a_large_file_is_hashed_and_read_where_it_is(unkept: UnkeptObjects, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    fd = os.open(path, os.O_RDONLY)
    digest, size = unkept.put_file(fd)
    os.close(fd)
    assert (digest, size) == (hash_bytes(LARGE), len(LARGE))
    assert unkept.size(digest) == len(LARGE)
    with unkept.open(digest) as file:
        assert file.read() == LARGE


def test_a_large_content_that_is_nowhere_else_is_known_by_its_hash_only(unkept: UnkeptObjects) -> None:
    digest, _ = unkept.put_stream([LARGE])
    assert unkept.has(digest)
    with pytest.raises(MlrunError):
        unkept.open(digest)


def test_a_finished_file_stays_where_it_is(unkept: UnkeptObjects, tmp_path: Path) -> None:
    path = tmp_path / "downloaded"
    path.write_bytes(b"far")
    digest, size = unkept.adopt(path)
    assert (digest, size, path.read_bytes()) == (Digest(hash_bytes(b"far")), 3, b"far")
    assert unkept.has(digest)
