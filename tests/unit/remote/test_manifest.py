"""What a remote says of a run: written as one byte string, read only as what it was written as."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.digest import Digest, hash_bytes
from runner.remote.manifest import MOST_JOURNAL, MOST_SIZE, Manifest, ManifestName, decode_manifest, join

PROJECT, RUN = "01a1f0b4-7c00-7000-8000-00000000000a", "01a1f0b4-7c00-7000-8000-00000000000b"
A, B, C, JOURNAL = (hash_bytes(word) for word in (b"a", b"b", b"c", b"journal"))


def manifest(objects: dict[Digest, int] | None = None, absent: dict[Digest, str] | None = None) -> Manifest:
    return Manifest(PROJECT, RUN, JOURNAL, 7, objects or {}, absent or {})


def named(data: bytes) -> ManifestName:
    return ManifestName(PROJECT, RUN, hash_bytes(data), len(data))


digests = st.sampled_from([A, B, C])


@given(
    st.dictionaries(digests, st.integers(0, MOST_SIZE - 1)),
    st.dictionaries(digests, st.sampled_from(["dropped", "purged"])),
)
def test_a_manifest_comes_back_as_it_was_written(objects: dict[Digest, int], absent: dict[Digest, str]) -> None:
    written = manifest(objects, absent)
    name, data = written.encode()
    assert name == named(data)
    assert decode_manifest(name, data) == written


def test_the_order_in_which_it_was_told_makes_no_difference() -> None:
    assert manifest({A: 1, B: 2}).encode() == manifest({B: 2, A: 1}).encode()


def test_the_name_of_its_file_says_what_it_must_be() -> None:
    name, data = manifest({A: 1}).encode()
    folder, project, file = name.path.split("/")
    assert (folder, project) == ("runs", PROJECT)
    assert ManifestName.parse(project, file, len(data)) == name


@pytest.mark.parametrize(
    ("project", "text"),
    [
        (PROJECT, ""),
        (PROJECT, RUN),
        (PROJECT, f"{RUN}."),
        (PROJECT, f"{RUN}.{A[:-1]}"),
        (PROJECT, f"{RUN}.{A.upper()}"),
        (PROJECT, f"{RUN}.{A}.x"),
        (PROJECT, f"../{RUN}.{A}"),
        (PROJECT, f"{RUN[:-1]}.{A}"),
        ("..", f"{RUN}.{A}"),
    ],
)
def test_any_other_name_is_none(project: str, text: str) -> None:
    assert ManifestName.parse(project, text, 5) is None


def test_content_that_is_not_what_the_name_says_is_refused() -> None:
    name, data = manifest({A: 1}).encode()
    with pytest.raises(ValueError, match="not what its name says"):
        decode_manifest(name, data + b" ")


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(manifest({A: 1}).encode()[1]) | fields).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"{}",
        changed(format=2),
        changed(more=1),
        changed(run=PROJECT),
        changed(project=RUN),
        changed(journal=[JOURNAL]),
        changed(journal=[JOURNAL, MOST_JOURNAL + 1]),
        changed(journal=["x", 5]),
        changed(objects={A: 1}),
        changed(objects=[[A, -1]]),
        changed(objects=[[A, MOST_SIZE]]),
        changed(objects=[[A, True]]),
        changed(objects=[[A, 1.0]]),
        changed(objects=[[[], 1]]),
        changed(objects=[[A, 1, 2]]),
        changed(absent=[[B, "eaten"]]),
        changed(absent=[[B, None]]),
        changed(absent=[["../x", "purged"]]),
    ],
)
def test_what_no_push_would_have_written_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_manifest(named(data), data)


def test_what_one_of_several_has_is_there() -> None:
    joined = join([manifest({A: 1}, {B: "dropped", C: "dropped"}), manifest({B: 2}, {A: "dropped", C: "purged"})])
    assert joined == manifest({A: 1, B: 2}, {C: "purged"})


def test_one_alone_lists_nothing_as_absent_that_it_has() -> None:
    assert join([manifest({A: 1}, {A: "purged"})]).absent == {}


@pytest.mark.parametrize(
    "other",
    [
        replace(manifest(), journal=A),
        replace(manifest(), journal_size=8),
        manifest({A: 2}),
    ],
)
def test_several_that_contradict_each_other_are_refused(other: Manifest) -> None:
    with pytest.raises(ValueError, match="two"):
        join([manifest({A: 1}), other])
