"""Names that can be moved: set, found again, kept with their history, whole after a crash."""

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import ref as ref_module
from runner.store.datum import Datum
from runner.store.ref import Refs

ME = {"user": "me"}
MANIFEST = hash_bytes(b"manifest")


@pytest.fixture
def refs(tmp_path: Path) -> Refs:
    return Refs(tmp_path / "refs")


def a_datum(name: str = "model.pkl", size: int = 3) -> Datum:
    return Datum(f"id of {name}", name, hash_bytes(name.encode("utf-8", "surrogateescape")), size, "e1", {"note": 1})


def set_alias(refs: Refs, name: str, datum: Datum) -> None:
    with refs.changing(ME) as change:
        change.set_alias(name, datum)


def make(refs: Refs, version: str, *aliases: str) -> None:
    with refs.changing(ME) as change:
        change.make_version(("dataset", "iris"), version, MANIFEST, [a_datum()], {})
        for alias in aliases:
            change.alias_version(("dataset", "iris"), alias, version)


@pytest.mark.parametrize("name", ["prod", "Modell für Köln", "..", ".new-x", "a\\b", "🌱", "x" * 500, "a b"])
def test_an_alias_of_any_text_is_found_again_with_who_set_it(refs: Refs, name: str) -> None:
    set_alias(refs, name, a_datum("\udcff.pkl"))
    found = Refs(refs._root).alias(name)
    assert found is not None
    assert found.datum == a_datum("\udcff.pkl")
    assert (found.name, found.by, found.time[:2]) == (name, ME, "20")
    assert [alias.name for alias in refs.aliases()] == [name]


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\nb", "\ud800", "\udcff", "x" * 501, "0" * 64])
def test_a_name_that_no_reference_could_spell_is_refused(refs: Refs, name: str) -> None:
    with pytest.raises(MlrunError) as caught:
        set_alias(refs, name, a_datum())
    assert caught.value.code is ExitCode.USAGE
    assert "\n" not in caught.value.message
    assert refs.aliases() == []


def test_an_alias_cannot_hide_the_id_of_a_datum(refs: Refs) -> None:
    with pytest.raises(MlrunError, match="would hide"):
        set_alias(refs, "0190a1b2-0000-7000-8000-000000000001", a_datum())


def test_the_history_keeps_what_an_alias_meant_before(refs: Refs) -> None:
    for name in ("one", "two"):
        set_alias(refs, "prod", a_datum(name))
    with refs.changing({"user": "you"}) as change:
        change.remove_alias("prod")
    assert refs.alias("prod") is None
    told = [(entry["type"], entry.get("datum", {}).get("name"), entry["by"]["user"]) for entry in refs.history()]
    assert told == [("alias-set", "one", "me"), ("alias-set", "two", "me"), ("alias-removed", None, "you")]


def test_versions_keep_their_order_and_latest_is_the_newest(refs: Refs) -> None:
    make(refs, "v2", "prod")
    make(refs, "v1")
    found = refs.collection("dataset", "iris")
    assert found is not None
    assert found.names() == ["v2", "v1"]
    named = {name: found.find(name) for name in ("latest", "prod", "v2", "nothing")}
    assert [version.name if version else None for version in named.values()] == ["v1", "v2", "v2", None]
    assert refs.collection("model", "iris") is None
    assert [one.name for one in refs.collections("dataset")] == ["iris"]


def test_a_version_never_changes(refs: Refs) -> None:
    make(refs, "v1")
    before = refs.collection("dataset", "iris")
    with pytest.raises(MlrunError, match="versions do not change"):
        make(refs, "v1")
    assert refs.collection("dataset", "iris") == before


def test_no_version_can_have_the_name_of_the_newest_and_that_is_the_reason_given(refs: Refs) -> None:
    with pytest.raises(MlrunError, match="`latest` is always the newest version of dataset `iris`") as caught:
        make(refs, "latest")
    assert caught.value.code is ExitCode.USAGE
    assert refs.collections("dataset") == []


def test_a_block_that_fails_changes_nothing(refs: Refs) -> None:
    with pytest.raises(ZeroDivisionError), refs.changing(ME) as change:
        change.set_alias("prod", a_datum())
        _ = 1 // 0
    assert (refs.aliases(), refs.history()) == ([], [])


def test_many_writers_lose_nothing(refs: Refs) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: make(refs, f"v{number}"), range(24)))
    found = refs.collection("dataset", "iris")
    assert found is not None
    assert sorted(found.names()) == sorted(f"v{number}" for number in range(24))
    assert len(refs.history()) == 24


def killed_at(refs: Refs, step: Callable[[], None], function: str, call: int) -> None:
    """Do `step` in a process that dies when it calls a function of the module for the `call`-th time."""
    child = os.fork()
    if child == 0:
        count = [0]
        real = getattr(ref_module, function)

        def dying(*arguments: object) -> object:
            count[0] += 1
            if count[0] == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        setattr(ref_module, function, dying)
        step()
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_writer_killed_between_the_log_and_the_files_is_mended_by_the_next(refs: Refs, call: int) -> None:
    set_alias(refs, "other", a_datum("before"))

    def step() -> None:
        with refs.changing(ME) as change:
            for name in ("a", "b", "other"):
                change.set_alias(name, a_datum("after"))

    killed_at(refs, step, "replace_file", call)
    assert len(refs.history()) == 4
    set_alias(refs, "next", a_datum())
    assert {alias.name: alias.datum.name for alias in refs.aliases()} == {
        "a": "after",
        "b": "after",
        "other": "after",
        "next": "model.pkl",
    }


def test_a_torn_line_of_the_log_is_cut_off(refs: Refs) -> None:
    set_alias(refs, "a", a_datum())
    with (refs._root / "log").open("ab") as log:
        log.write(b'0123456789abcdef [{"type": "alias-s')
    set_alias(refs, "b", a_datum())
    assert [entry["name"] for entry in refs.history()] == ["a", "b"]


def test_a_damaged_file_is_named_with_what_to_do(refs: Refs) -> None:
    set_alias(refs, "a", a_datum())
    (path,) = (refs._root / "alias").iterdir()
    path.write_bytes(b"{}")
    with pytest.raises(MlrunError, match="is damaged") as caught:
        refs.alias("a")
    assert caught.value.code is ExitCode.STORE


def test_reading_writes_nothing(tmp_path: Path) -> None:
    refs = Refs(tmp_path / "refs")
    assert (refs.alias("a"), refs.aliases(), refs.collections("model"), refs.history()) == (None, [], [], [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_name_is_what_the_format_says(refs: Refs) -> None:
    set_alias(refs, "Köln", a_datum())
    (path,) = (refs._root / "alias").iterdir()
    assert path.name == hash_bytes("Köln".encode())
    head = json.loads(path.read_bytes())
    assert sorted(head) == ["by", "datum", "name", "time"]
    assert sorted(head["datum"]) == ["digest", "execution", "id", "metadata", "name", "size", "version"]
