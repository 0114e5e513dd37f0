"""What is asked for in a block that changes names, before anything is written."""

from collections.abc import Callable
from dataclasses import asdict

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.change import Change
from runner.store.datum import Datum
from runner.store.head import applied, key_of
from runner.store.identity import new_id
from runner.store.ref import Collection, CollectionKind, Version

ME = {"user": "me"}
DATUM = Datum("d1", "model.pkl", hash_bytes(b"m"), 3, "e1")
LIST = hash_bytes(b"list")
OLD = Collection("dataset", "flowers", (Version("v1", LIST, 1, 3, "t", ME),), {"prod": "v1"})


class Known:
    def collection(self, kind: CollectionKind, name: str) -> Collection | None:
        return OLD if (kind, name) == (OLD.kind, OLD.name) else None


@pytest.fixture
def change() -> Change:
    return Change(Known(), ME)


def test_what_is_asked_for_is_told_in_order_with_who_asked(change: Change) -> None:
    change.set_alias("prod", DATUM)
    change.pin("datum", "d1", "the best", DATUM)
    change.pin("run", "r1")
    change.unpin("r1")
    change.tag("run", "r1", "good/one", own=False)
    change.untag("run", "r1", "good/one", own=False)
    change.remove_alias("prod")
    types = ["alias-set", "pinned", "pinned", "unpinned", "tagged", "untagged", "alias-removed"]
    assert [entry["type"] for entry in change.entries] == types
    assert all(entry["by"] == ME for entry in change.entries)
    assert change.entries[0]["datum"] == asdict(DATUM)
    assert [change.entries[number]["datum"] for number in (1, 2)] == [asdict(DATUM), None]


def test_versions_of_the_same_block_are_seen_beside_those_that_there_are(change: Change) -> None:
    change.make_version(("dataset", "flowers"), "v2", LIST, [DATUM, DATUM], {"k": 1})
    change.make_version(("model", "flowers"), "v1", LIST, [], {})
    found = change.collection("dataset", "flowers")
    assert found.names() == ["v1", "v2"]
    assert (found.versions[1].files, found.versions[1].size, found.aliases) == (2, 6, OLD.aliases)
    assert change.collection("model", "flowers").names() == ["v1"]
    assert change.collection("model", "trees") == Collection("model", "trees")
    assert OLD.names() == ["v1"]


def test_a_version_that_is_made_is_what_its_file_will_say(change: Change) -> None:
    change.make_version(("model", "trees"), "v1", LIST, [DATUM], {"k": 1})
    (entry,) = change.entries
    head = applied(None, {**entry, "time": ""})
    assert key_of(entry) == ("model", "trees")
    assert head is not None
    assert head["versions"] == [asdict(version) for version in change.collection("model", "trees").versions]


def refused(change: Change, ask: Callable[[], None], words: str) -> None:
    before = list(change.entries)
    with pytest.raises(MlrunError, match=words) as caught:
        ask()
    assert caught.value.code is ExitCode.USAGE
    assert change.entries == before


@pytest.mark.parametrize("again", ["v1", "v2"])
def test_a_version_is_made_once_also_within_a_block(change: Change, again: str) -> None:
    flowers: tuple[CollectionKind, str] = ("dataset", "flowers")
    change.make_version(flowers, "v2", LIST, [DATUM], {})
    refused(change, lambda: change.make_version(flowers, again, LIST, [], {}), "versions do not change")


@pytest.mark.parametrize("name", ["", "a/b", "x" * 501, "a\nb", "\udcff"])
def test_a_name_that_cannot_be_one_is_refused_wherever_it_stands(change: Change, name: str) -> None:
    refused(change, lambda: change.set_alias(name, DATUM), "the name of the alias")
    refused(change, lambda: change.make_version(("model", name), "v1", LIST, [], {}), "the name of the model")
    refused(change, lambda: change.make_version(("model", "m"), name, LIST, [], {}), "the name of the version")
    refused(change, lambda: change.alias_version(("dataset", "flowers"), name, "v1"), "the name of the alias")


def test_latest_is_nobody_s_name_and_needs_no_alias(change: Change) -> None:
    refused(change, lambda: change.make_version(("model", "m"), "latest", LIST, [], {}), "always the newest version")
    change.alias_version(("dataset", "flowers"), "latest", "v1")
    assert change.entries == []


@pytest.mark.parametrize("name", [new_id(), "0" * 64], ids=["id", "content"])
def test_an_alias_hides_no_id_and_no_content(change: Change, name: str) -> None:
    refused(change, lambda: change.set_alias(name, DATUM), "would hide the datum")


@pytest.mark.parametrize("tag", ["", " ", "a\nb", "x" * 501])
def test_a_tag_that_cannot_be_one_is_refused_and_what_is_taken_away_may_be_anything(change: Change, tag: str) -> None:
    refused(change, lambda: change.tag("run", "r1", tag, own=False), "the tag")
    change.untag("run", "r1", tag, own=False)
    assert len(change.entries) == 1
