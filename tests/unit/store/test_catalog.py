"""Data by reference: ids, aliases, digests, versions of datasets and models."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.catalog import data_of, read_listing, write_listing
from runner.store.datum import Datum, datum_id
from runner.store.identity import new_id
from runner.store.migration import MIGRATIONS
from runner.store.store import Store
from runner.store.writer import RunWriter

Header = Callable[..., dict[str, Any]]
ME = {"user": "me"}


def an_execution(writer: RunWriter, store: Store, *names: str, content: bytes = b"") -> str:
    """A finished execution with these outputs."""
    id = new_id()
    job = {"image": "busybox", "parameters": {}, "inputs": []}
    writer.append([{"type": "execution-created", "id": id, "node": "a", "counter": 1, "job": job}])
    outputs = []
    for name in names:
        data = content or name.encode("utf-8", "surrogateescape")
        outputs.append({"name": name, "digest": store.objects.put_bytes(data), "size": len(data), "metadata": {"k": 1}})
    writer.append([{"type": "execution-finished", "id": id, "state": "succeeded", "outputs": outputs}])
    return id


def end(writer: RunWriter) -> None:
    writer.append([{"type": "run-finished", "state": "succeeded"}])
    writer.close()


@pytest.fixture
def execution(store: Store, header: Header) -> str:
    writer = store.begin_run(header())
    id = an_execution(writer, store, "model.pkl", "sub/\udcff.txt")
    end(writer)
    return id


def test_a_datum_is_found_by_its_id(store: Store, execution: str) -> None:
    id = datum_id(execution, "sub/\udcff.txt")
    found = store.catalog.datum(id)
    assert found == Datum(id, "sub/\udcff.txt", hash_bytes(b"sub/\xff.txt"), 9, execution, {"k": 1})
    assert store.catalog.datum(f"datum://{id}") == store.catalog.datum(id.upper()) == found


def test_a_datum_is_found_while_its_run_goes_on_though_the_index_is_behind(store: Store, header: Header) -> None:
    with store.begin_run(header()) as writer:
        id = an_execution(writer, store, "model.pkl")
        with closing(sqlite3.connect(store.layout.index)) as index, index:
            index.execute("DELETE FROM data")
        assert store.catalog.datum(datum_id(id, "model.pkl")).execution == id
        assert store.catalog.datum(hash_bytes(b"model.pkl")).execution == id


def test_data_are_found_again_after_the_index_is_lost(store: Store, execution: str) -> None:
    id = datum_id(execution, "model.pkl")
    store.close()
    store.layout.index.unlink()
    with Store.open(store.layout.root, create=False) as reader:
        assert reader.catalog.datum(id).name == "model.pkl"
    assert store.catalog.datum(id).name == "model.pkl"
    store.rebuild({"user": "me"})
    assert store.catalog.datum(id).name == "model.pkl"


def test_an_index_of_the_version_before_is_brought_up_to_date(store: Store, execution: str) -> None:
    store.close()
    with closing(sqlite3.connect(store.layout.index)) as index, index:
        index.execute("DROP TABLE data")
        index.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
    with Store.open(store.layout.root, create=True) as later:
        assert later.catalog.datum(datum_id(execution, "model.pkl")).execution == execution


def test_a_digest_means_the_newest_datum_with_that_content(store: Store, header: Header) -> None:
    with store.begin_run(header()) as writer:
        ids = [an_execution(writer, store, name, content=b"same") for name in ("x", "y")]
        end(writer)
    found = store.catalog.datum(hash_bytes(b"same"))
    assert (found.execution, found.name) == (ids[1], "y")


def test_content_that_no_execution_left_is_a_datum_too(store: Store) -> None:
    digest = store.objects.put_bytes(b"brought in")
    assert store.catalog.datum(digest) == Datum(digest, digest, digest, 10, "")


def test_an_alias_means_its_datum(store: Store, execution: str) -> None:
    datum = store.catalog.datum(datum_id(execution, "model.pkl"))
    with store.refs.changing(ME) as change:
        change.set_alias("model-prod", datum)
    assert store.catalog.datum("model-prod") == store.catalog.datum("datum://model-prod") == datum


@pytest.mark.parametrize("text", ["model-pro", "0" * 64, "00000000-0000-5000-8000-000000000000", "", "\x1b[2J", "zz"])
def test_a_datum_that_is_not_there_is_an_input_error(store: Store, execution: str, text: str) -> None:
    with store.refs.changing(ME) as change:
        change.set_alias("model-prod", store.catalog.datum(datum_id(execution, "model.pkl")))
    with pytest.raises(MlrunError, match="there is no datum") as caught:
        store.catalog.datum(text)
    assert caught.value.code is ExitCode.INPUT
    assert caught.value.message.isprintable()
    if text == "model-pro":
        assert caught.value.hint == "did you mean `model-prod`?"


def test_the_beginning_of_an_id_is_enough_for_a_person_but_not_for_a_reference(store: Store, execution: str) -> None:
    id = datum_id(execution, "model.pkl")
    for text in (id[:8], id[:10], id.replace("-", "")[:11], id.replace("-", "")):
        assert store.catalog.find(text).id == id
    with pytest.raises(MlrunError):
        store.catalog.datum(id[:8])
    with pytest.raises(MlrunError):
        store.catalog.find(id[:3])


def test_several_data_that_a_beginning_fits_are_named(store: Store, header: Header) -> None:
    names = [f"file{number}" for number in range(3000)]
    with store.begin_run(header()) as writer:
        id = an_execution(writer, store, *names, content=b"x")
        end(writer)
    firsts = [datum_id(id, name)[:4] for name in names]
    twice = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(MlrunError, match="could be any of"):
        store.catalog.find(twice)


@pytest.fixture
def versions(store: Store, execution: str) -> tuple[Datum, ...]:
    """A dataset with two versions, the first with an alias, and a model with one."""
    data = data_of(store.find_execution(None, execution)[1])
    with store.refs.changing(ME) as change:
        for name, listed in (("first", data[:1]), ("second", data)):
            change.make_version(("dataset", "iris"), name, write_listing(store.objects, listed), listed, {})
        change.alias_version(("dataset", "iris"), "prod", "first")
        change.make_version(("model", "churn"), "v1", write_listing(store.objects, data), data, {"tags": ["x"]})
    return data


def test_a_version_gives_its_data_whole(store: Store, versions: tuple[Datum, ...]) -> None:
    catalog = store.catalog
    assert catalog.version("dataset", "iris", "first") == catalog.version("dataset", "iris", "prod") == versions[:1]
    assert catalog.version("dataset", "iris", "latest") == catalog.version("dataset", "iris", "second") == versions
    assert catalog.version("model", "churn", "1") == catalog.version("model", "churn", "latest") == versions


@pytest.mark.parametrize(
    ("kind", "name", "version", "hint"),
    [
        ("dataset", "irsi", "first", "did you mean `iris`?"),
        ("dataset", "iris", "prodd", "did you mean `prod`?"),
        ("dataset", "iris", "1", None),
        ("model", "iris", "v1", None),
    ],
)
def test_a_version_that_is_not_there_is_an_input_error(
    store: Store, versions: tuple[Datum, ...], kind: Any, name: str, version: str, hint: str | None
) -> None:
    with pytest.raises(MlrunError) as caught:
        store.catalog.version(kind, name, version)
    assert caught.value.code is ExitCode.INPUT
    assert hint is None or caught.value.hint == hint


def test_a_listing_that_was_tampered_with_is_not_believed(store: Store, versions: tuple[Datum, ...]) -> None:
    found = store.refs.collection("dataset", "iris")
    assert found is not None
    path = store.objects.path(found.versions[0].manifest)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"model.pkl", b"other.pkl"))
    with pytest.raises(MlrunError, match="other content than its name says"):
        store.catalog.version("dataset", "iris", "first")


def test_what_lists_no_files_is_told(store: Store) -> None:
    for data in (b"", b"[]", b'{"data":[{}],"format":1}'):
        with pytest.raises(MlrunError, match="lists no files") as caught:
            read_listing(store.objects, store.objects.put_bytes(data))
        assert caught.value.code is ExitCode.STORE
