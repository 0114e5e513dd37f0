"""The manifest of a tree."""

import json
import random

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.objects import Objects
from runner.store.tree import EXECUTABLE, FILE, LINK, TreeEntry, decode_tree, encode_tree, read_manifest

DIGEST = hash_bytes(b"x")


def test_a_manifest_is_canonical_json_sorted_by_the_bytes_of_the_path() -> None:
    entries = [TreeEntry(path, FILE, DIGEST, 1) for path in ("a/b", "é", "a-b", "\udcff", "Z", "ab")]
    data = encode_tree(entries)
    random.Random(1).shuffle(entries)
    assert encode_tree(entries) == data
    assert [entry.path for entry in decode_tree(data)] == ["Z", "a-b", "a/b", "ab", "é", "\udcff"]
    assert b'"\xff"' in data


def test_every_kind_of_entry_comes_back_as_it_was() -> None:
    entries = (
        TreeEntry("a\n\x1b[2J", FILE, DIGEST, 1),
        TreeEntry("link", LINK, "\udcfe/nowhere", 9),
        TreeEntry("x", EXECUTABLE, DIGEST, 1),
    )
    assert decode_tree(encode_tree(entries)) == entries


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\0b", "."])
def test_a_path_that_leaves_the_tree_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be a path"):
        encode_tree([(path, FILE, DIGEST, 1)])
    with pytest.raises(ValueError, match="cannot be a path"):
        decode_tree(json.dumps({"entries": [[path, FILE, DIGEST, 1]], "format": 1}).encode())


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format":2,"entries":[]}',
        b'{"format":1}',
        b'{"format":1,"entries":[1]}',
        b'{"format":1,"entries":[["a","100644"]]}',
        b'{"format":1,"entries":[["a","040000","x",1]]}',
        b'{"format":1,"entries":[["a","100644",1,1]]}',
        b'{"format":1,"entries":[[1,"100644","x",1]]}',
        b'{"format":1,"entries":[["b","120000","x",1],["a","120000","x",1]]}',
        b'{"format":1,"entries":[["a","120000","x",1],["a","120000","x",1]]}',
    ],
)
def test_an_object_that_is_no_manifest_is_a_clear_error(objects: Objects, document: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_tree(document)
    with pytest.raises(MlrunError, match="is no tree") as caught:
        read_manifest(objects, objects.put_bytes(document))
    assert caught.value.code is ExitCode.STORE
