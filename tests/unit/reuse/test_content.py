"""What counts of files of code, and the file that remembers it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.reuse import content
from runner.reuse.content import CodeKey, Contents
from runner.reuse.syntax import MAX_BYTES
from runner.store.sealed import seal, unseal
from runner.store.tree import EXECUTABLE, FILE, LINK, TreeEntry


class Objects:
    """Contents by digest, and what was read of them."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.reads: list[str] = []

    def entry(self, data: bytes, path: str = "a.py", mode: str = FILE) -> TreeEntry:
        digest = hash_bytes(data)
        self.held[digest] = data
        return TreeEntry(path, mode, digest, len(data))

    def read(self, digest: Digest) -> bytes:
        self.reads.append(digest)
        if digest not in self.held:
            raise MlrunError("it is gone", code=ExitCode.STORE)
        return self.held[digest]


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "keys.json"


ONE, TWO, THREE = b"x = 1\n", b"x = 1  # one\n", b"x = 2\n"


def test_files_of_equal_content_are_the_same_and_nothing_is_read(objects: Objects) -> None:
    assert Contents(objects.read, CodeKey.SYNTAX).same(objects.entry(ONE), objects.entry(ONE))
    assert objects.reads == []


def test_python_files_with_the_same_words_are_the_same(objects: Objects) -> None:
    contents = Contents(objects.read, CodeKey.SYNTAX)
    assert contents.same(objects.entry(ONE), objects.entry(TWO))
    assert not contents.same(objects.entry(ONE), objects.entry(THREE))


@pytest.mark.parametrize(
    ("path", "mode", "kind"),
    [
        ("a.py", FILE, CodeKey.BYTES),
        ("a.sh", FILE, CodeKey.SYNTAX),
        ("a.txt", FILE, CodeKey.SYNTAX),
        ("a.py", LINK, CodeKey.SYNTAX),
        ("a.py", EXECUTABLE, CodeKey.SYNTAX),
    ],
    ids=["when the user says so", "of a shell", "of text", "of a link", "that a shell runs, for it has no `#!`"],
)
def test_all_bytes_count(objects: Objects, path: str, mode: str, kind: CodeKey) -> None:
    one, two = objects.entry(ONE, path, mode), objects.entry(TWO, path, mode)
    assert not Contents(objects.read, kind).same(one, two)


def test_a_program_that_names_its_interpreter_counts_by_its_words(objects: Objects) -> None:
    one, two = (objects.entry(b"#!/usr/bin/env python3\n" + data, mode=EXECUTABLE) for data in (ONE, TWO))
    assert Contents(objects.read, CodeKey.SYNTAX).same(one, two)


def test_a_large_file_counts_by_its_bytes_and_is_not_read(objects: Objects) -> None:
    large = b"x = 1\n" + b"#" * MAX_BYTES
    assert not Contents(objects.read, CodeKey.SYNTAX).same(objects.entry(large), objects.entry(large + b"#"))
    assert objects.reads == []


def test_a_file_that_cannot_be_read_any_more_is_not_the_same_and_nothing_fails(objects: Objects) -> None:
    one, two = objects.entry(ONE), objects.entry(TWO)
    del objects.held[one.content]
    assert not Contents(objects.read, CodeKey.SYNTAX).same(one, two)


def test_what_was_read_once_is_not_read_again(objects: Objects, cache: Path) -> None:
    one, two = objects.entry(ONE), objects.entry(TWO)
    contents = Contents(objects.read, CodeKey.SYNTAX, cache)
    assert contents.same(one, two)
    contents.keep()
    objects.reads.clear()
    assert Contents(objects.read, CodeKey.SYNTAX, cache).same(one, two)
    assert objects.reads == []


def test_a_file_without_words_is_remembered_too(objects: Objects, cache: Path) -> None:
    contents = Contents(objects.read, CodeKey.SYNTAX, cache)
    assert not contents.same(objects.entry(b"print 1"), objects.entry(b"print 2"))
    contents.keep()
    objects.reads.clear()
    assert not Contents(objects.read, CodeKey.SYNTAX, cache).same(objects.entry(b"print 1"), objects.entry(b"print 2"))
    assert objects.reads == []


def kept(objects: Objects, cache: Path, *data: bytes) -> None:
    contents = Contents(objects.read, CodeKey.SYNTAX, cache)
    for one in data:
        contents.key(objects.entry(one))
    contents.keep()


def test_two_that_remember_at_once_lose_nothing_of_each_other(objects: Objects, cache: Path) -> None:
    first, second = (Contents(objects.read, CodeKey.SYNTAX, cache) for _ in range(2))
    first.key(objects.entry(ONE))
    second.key(objects.entry(THREE))
    first.keep()
    second.keep()
    assert set(unseal(cache.read_bytes())["keys"]) == {hash_bytes(ONE), hash_bytes(THREE)}
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


def test_the_cache_keeps_the_newest_and_no_more_than_its_bound(
    objects: Objects, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MOST", 3)
    for number in range(5):
        kept(objects, cache, f"x = {number}".encode())
    assert list(unseal(cache.read_bytes())["keys"]) == [hash_bytes(f"x = {number}".encode()) for number in (2, 3, 4)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(data[60:64], b"0000"),
        lambda data: data[:-10],
        lambda data: b"",
        lambda data: b"\xff\xfe",
        lambda data: json.dumps(unseal(data)).encode()[1:],
        lambda data: seal([1]),
        lambda data: seal({**unseal(data), "keys": []}),
        lambda data: seal({**unseal(data), "grammar": "python 2.7"}),
        lambda data: seal({**unseal(data), "keys": dict.fromkeys(unseal(data)["keys"], "no digest")}),
    ],
)
def test_a_cache_that_is_not_as_it_was_written_counts_for_nothing(objects: Objects, cache: Path, damage) -> None:  # type: ignore[no-untyped-def]
    kept(objects, cache, ONE, THREE)
    cache.write_bytes(damage(cache.read_bytes()))
    contents = Contents(objects.read, CodeKey.SYNTAX, cache)
    assert contents.same(objects.entry(ONE), objects.entry(TWO))
    assert not contents.same(objects.entry(ONE), objects.entry(THREE))


def test_a_cache_that_cannot_be_written_is_none(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    kept(objects, tmp_path / "cache" / "keys.json", ONE)
    assert (tmp_path / "cache").is_file()


def test_the_key_of_a_text_is_the_same_in_every_process(objects: Objects, root: Path) -> None:
    asked = "from runner.reuse.syntax import syntax_key; print(syntax_key(b'x = {1, 2}'))"
    answers = {
        subprocess.run(
            [sys.executable, "-c", asked], env={"PYTHONHASHSEED": seed}, cwd=root, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
    assert len(answers.pop().strip()) == 64


@pytest.fixture
def root() -> Path:
    return Path(__file__).parents[3]
