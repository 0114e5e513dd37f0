"""What a change of names makes of the file of a name."""

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.digest import hash_bytes
from runner.store.datum import Datum
from runner.store.head import READERS, REF_ENTRY_TYPES, Head, applied, heads_of, key_of
from runner.store.ref import Collection, Tagging

ME = {"user": "me"}
DATUM = Datum("d1", "model.pkl", hash_bytes(b"m"), 3, "e1")
IDS, WORDS = st.sampled_from(["r1", "r2"]), st.sampled_from(["one", "two"])
KIND = st.sampled_from(["dataset", "model"])
OWN = st.booleans()


def entries(type: str, **parts: Any) -> st.SearchStrategy[dict[str, Any]]:
    said = {"time": st.sampled_from(["t1", "t2"]), "by": st.just(ME)}
    given = {key: value if isinstance(value, st.SearchStrategy) else st.just(value) for key, value in parts.items()}
    return st.fixed_dictionaries({"type": st.just(type), **said, **given})


MADE = {"manifest": hash_bytes(b"list"), "files": 1, "size": 3, "notes": st.sampled_from([{}, {"k": 1}])}
EACH = {
    "alias-set": entries("alias-set", name="a", datum=asdict(DATUM)),
    "alias-removed": entries("alias-removed", name="a"),
    "version-made": entries("version-made", kind=KIND, name="a", version=WORDS, **MADE),
    "version-aliased": entries("version-aliased", kind=KIND, name="a", alias=WORDS, version=WORDS),
    "pinned": entries("pinned", id=IDS, what="datum", note=st.sampled_from([None, "why"]), datum=asdict(DATUM)),
    "unpinned": entries("unpinned", id=IDS),
    "tagged": entries("tagged", name="a", id=IDS, what="run", own=OWN),
    "untagged": entries("untagged", name="a", id=IDS, what="run", own=OWN),
    "accepted": entries("accepted", name="a", code=WORDS, execution=IDS, run="r"),
    "unaccepted": entries("unaccepted", name="a", code=WORDS),
    "name-kept": entries("name-kept", kind=KIND, name="a", head=st.just({"name": "a", "versions": [], "aliases": {}})),
}


def test_every_kind_of_change_is_here() -> None:
    assert set(EACH) == set(REF_ENTRY_TYPES)


@given(st.lists(st.one_of(*EACH.values()), max_size=12))
def test_whatever_happens_to_a_name_its_file_can_be_understood_and_a_change_told_twice_is_one(
    told: list[dict[str, Any]],
) -> None:
    heads: dict[tuple[str, str], Head | None] = {}
    for entry in told:
        key = key_of(entry)
        after = applied(heads.get(key), entry)
        assert applied(after, entry) == after
        if after is not None:
            READERS[key[0]](after)
        heads[key] = after


def test_a_name_that_means_something_else_for_each_kind_has_a_file_for_each() -> None:
    keys = {key_of(dict.fromkeys(("id", "name"), "x") | {"type": type}) for type in EACH}
    keys |= {key_of({"type": "version-made", "kind": kind, "name": "x"}) for kind in ("dataset", "model")}
    assert {folder for folder, _ in keys} == set(READERS)


def a_version(name: str, size: int) -> dict[str, Any]:
    made = {"manifest": hash_bytes(b"list"), "files": 1, "size": size, "notes": {}}
    return {"type": "version-made", "kind": "model", "name": "m", "version": name, "time": "t", "by": ME, **made}


def test_versions_keep_their_order_and_none_is_ever_replaced() -> None:
    head = None
    for name, size in (("v2", 1), ("v1", 2), ("v2", 3)):
        head = applied(head, a_version(name, size))
    assert head is not None
    collection = READERS["model"](head)
    assert isinstance(collection, Collection)
    assert [(version.name, version.size) for version in collection.versions] == [("v2", 1), ("v1", 2)]


def tagging(*changes: tuple[str, bool]) -> Tagging | None:
    head = None
    for type, own in changes:
        entry = {"type": type, "name": "best", "id": "r1", "what": "run", "own": own, "time": "t", "by": ME}
        head = applied(head, entry)
    if head is None:
        return None
    found = READERS["tag"](head)
    assert isinstance(found, Tagging)
    return found


def test_only_what_differs_from_how_a_run_began_is_kept_of_a_tag() -> None:
    given, taken = tagging(("tagged", False)), tagging(("untagged", True))
    assert given is not None
    assert taken is not None
    assert (given.has, given.without) == ({"r1": "run"}, {})
    assert (taken.has, taken.without) == ({}, {"r1": "run"})
    assert tagging(("tagged", True)) is None
    assert tagging(("tagged", False), ("untagged", False)) is None
    assert tagging(("untagged", True), ("tagged", True)) is None


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("head", [{}, {"name": "a"}, [], None, "text", {"name": "a", "datum": {}, "versions": [1]}])
def test_what_is_no_file_of_a_name_is_refused(kind: str, head: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        READERS[kind](head)


def test_a_log_comes_to_what_its_entries_come_to_one_by_one() -> None:
    said = {"time": "2026-01-01T00:00:00.000000Z", "by": {"user": "me"}, "kind": "dataset", "name": "iris"}
    facts = {"manifest": "m", "files": 1, "size": 1, "notes": {}}
    made = [{"type": "version-made", "version": version, **facts, **said} for version in ("v1", "v2", "v1", "v3")]
    log = [*made[:2], {"type": "version-aliased", "alias": "prod", "version": "v1", **said}, *made[2:]]
    head = None
    for entry in log:
        head = applied(head, entry)
    assert heads_of(log) == {("dataset", "iris"): head}
    assert head is not None
    assert [version["name"] for version in head["versions"]] == ["v1", "v2", "v3"]
