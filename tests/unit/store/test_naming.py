"""Names that can be moved: set, found again, kept with their history, whole after a crash."""

import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import naming
from runner.store.datum import Datum
from runner.store.head import Head, Key, applied, key_of
from runner.store.journal import Follower
from runner.store.naming import Refs
from runner.store.sealed import unseal

ME = {"user": "me"}
MANIFEST = hash_bytes(b"manifest")


@pytest.fixture
def refs(tmp_path: Path) -> Refs:
    return Refs(tmp_path / "refs", tmp_path / "names.json")


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
    found = Refs(refs._root, refs._seen).alias(name)
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
        real = getattr(naming, function)

        def dying(*arguments: object) -> object:
            count[0] += 1
            if count[0] == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        setattr(naming, function, dying)
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


def test_a_pin_says_who_set_it_and_why_until_it_is_taken_away(refs: Refs) -> None:
    with refs.changing(ME) as change:
        change.pin("run", "r1", "the paper")
        change.pin("datum", "d1", datum=a_datum("\udcff"))
    datum, run = refs.pins()
    assert (run.id, run.what, run.note, run.by, run.datum) == ("r1", "run", "the paper", ME, None)
    assert (datum.id, datum.what, datum.note, datum.datum) == ("d1", "datum", None, a_datum("\udcff"))
    assert refs.pin("r1") == run
    with refs.changing(ME) as change:
        change.pin("run", "r1", "another reason")
        change.unpin("d1")
    assert [pin.note for pin in refs.pins()] == ["another reason"]
    assert (refs.pin("d1"), refs.pin("r2")) == (None, None)


@pytest.mark.parametrize("tag", ["", " ", "a\nb", "\x1b", "\ud800", "x" * 501])
def test_a_tag_that_no_condition_could_spell_is_refused(refs: Refs, tag: str) -> None:
    with pytest.raises(MlrunError, match="the tag") as caught, refs.changing(ME) as change:
        change.tag("run", "r1", tag, own=False)
    assert caught.value.code is ExitCode.USAGE
    assert "\n" not in caught.value.message


def test_a_tag_without_anything_left_has_no_file(refs: Refs) -> None:
    with refs.changing(ME) as change:
        change.tag("run", "r1", "a/b", own=False)
        change.untag("run", "r2", "a/b", own=True)
    (tag,) = refs.tags()
    assert (tag.name, tag.has, tag.without) == ("a/b", {"r1": "run"}, {"r2": "run"})
    with refs.changing(ME) as change:
        change.untag("run", "r1", "a/b", own=False)
        change.tag("run", "r2", "a/b", own=True)
    assert refs.tags() == []
    assert list((refs._root / "tag").iterdir()) == []


def test_what_was_accepted_holds_for_one_state_of_the_code_until_it_is_taken_back(refs: Refs) -> None:
    key, one, other = hash_bytes(b"key"), hash_bytes(b"one"), hash_bytes(b"other")
    assert refs.accepted(key) == ()
    with refs.changing(ME) as change:
        change.accept(key, one, "e1", "r1")
        change.accept(key, other, "e1", "r1")
        change.accept(key, one, "e2", "r2")
    assert [(one.code, one.execution, one.run) for one in refs.accepted(key)] == [
        (other, "e1", "r1"),
        (one, "e2", "r2"),
    ]
    assert refs.accepted(one) == ()
    assert {one.execution for one in refs.acceptances()} == {"e1", "e2"}
    with refs.changing(ME) as change:
        change.unaccept(key, one)
    assert [one.code for one in refs.accepted(key)] == [other]
    with refs.changing(ME) as change:
        change.unaccept(key, other)
    assert refs.acceptances() == []
    assert list((refs._root / "accepted").iterdir()) == []


NAMES = st.sampled_from(["a", "b"])
ENTRIES = st.one_of(
    st.fixed_dictionaries({"type": st.just("alias-set"), "name": NAMES, "datum": st.just(asdict(a_datum()))}),
    st.fixed_dictionaries({"type": st.just("alias-removed"), "name": NAMES}),
    st.fixed_dictionaries({"type": st.just("pinned"), "id": NAMES, "what": st.just("run"), "note": NAMES}),
    st.fixed_dictionaries({"type": st.just("unpinned"), "id": NAMES}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tagged", "untagged"]),
            "name": NAMES,
            "id": NAMES,
            "what": st.just("run"),
            "own": st.booleans(),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("accepted"), "name": NAMES, "code": NAMES, "execution": NAMES, "run": st.just("r")}
    ),
    st.fixed_dictionaries({"type": st.just("unaccepted"), "name": NAMES, "code": NAMES}),
)


@settings(max_examples=100, deadline=None)
@given(before=st.lists(ENTRIES, max_size=6), last=st.lists(ENTRIES, min_size=1, max_size=4))
def test_the_last_turn_of_the_log_may_be_applied_any_number_of_times(
    before: list[dict[str, object]], last: list[dict[str, object]]
) -> None:
    def told(entries: list[dict[str, object]], heads: dict[Key, Head | None]) -> dict[Key, Head | None]:
        for entry in entries:
            key = key_of(entry)
            heads[key] = applied(heads.get(key), {**entry, "time": "t", "by": ME})
        return heads

    once = told(last, told(before, {}))
    assert told(last, dict(once)) == once


def fill(refs: Refs) -> object:
    for name in ("one", "two"):
        make(refs, name, "prod")
        set_alias(refs, name, a_datum(name))
    with refs.changing(ME) as change:
        change.remove_alias("one")
        change.pin("run", "r1")
        change.tag("run", "r1", "best", own=False)
        change.accept(hash_bytes(b"key"), hash_bytes(b"code"), "e1", "r1")
    return everything(refs)


def everything(refs: Refs) -> object:
    collections = [refs.collections("dataset"), refs.collections("model")]
    return [refs.aliases(), collections, refs.pins(), refs.tags(), refs.acceptances()]


def test_damaged_missing_and_old_files_are_put_together_again_from_the_log(refs: Refs) -> None:
    before = fill(refs)
    files = [path for path in refs._root.rglob("*") if path.is_file() and path.name != "log"]
    assert len(files) == 5
    old = files[0].read_bytes()
    for path, content in zip(files, (b"", b"{}", b"\xff", None, b"x"), strict=True):
        path.write_bytes(content) if content is not None else path.unlink()
    (refs._root / "alias" / hash_bytes(b"one")).write_bytes(old)
    assert refs.rebuild(ME) == 6
    assert everything(refs) == before
    assert refs.rebuild(ME) == 0


def test_names_whose_log_is_lost_are_left_as_they_are(refs: Refs) -> None:
    before = fill(refs)
    (refs._root / "log").unlink()
    with pytest.raises(MlrunError, match="has lost what it once told"):
        refs.rebuild(ME)
    assert everything(refs) == before
    assert refs.rebuild(ME) == 0
    assert everything(refs) == before


@pytest.mark.parametrize("lost", ["everything", "the log", "a turn", "all but what came later"])
def test_a_loss_in_the_log_is_noticed_until_a_rebuild_goes_on_with_what_is_left(refs: Refs, lost: str) -> None:
    fill(refs)
    log = refs._root / "log"
    if lost == "a turn":
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    elif lost == "the log":
        log.unlink()
    else:
        shutil.rmtree(refs._root)
    if lost == "all but what came later":
        set_alias(refs, "later", a_datum())
    left = everything(refs)
    for attempt in (refs.mend, refs.as_logged):
        with pytest.raises(MlrunError, match="has lost what it once told") as caught:
            attempt()
        assert caught.value.code is ExitCode.STORE
        assert caught.value.hint is not None and "mlrun store rebuild" in caught.value.hint
    assert everything(refs) == left
    with pytest.raises(MlrunError, match="has lost what it once told"):
        refs.rebuild(ME)
    assert not refs.has_lost_turns()
    assert refs.mend() == 0


def test_an_accepted_loss_is_made_good_in_the_log_by_what_the_files_tell(refs: Refs) -> None:
    fill(refs)
    for version in ("v1", "v2"):
        make(refs, version, "stable")
    before = everything(refs)
    (refs._root / "log").unlink()
    with pytest.raises(MlrunError):
        refs.rebuild(ME)
    assert {entry["type"] for entry in refs.history()} == {"name-kept"}
    assert everything(refs.as_logged()) == everything(refs) == before
    make(refs, "v3")
    shutil.rmtree(refs._root / "dataset")
    assert refs.rebuild(ME) == 1
    (collection,) = (one for one in refs.collections("dataset") if one.name == "iris")
    assert collection.names()[-3:] == ["v1", "v2", "v3"]
    assert collection.aliases["stable"] == "v2"


def test_what_is_set_between_a_loss_and_its_acceptance_follows_what_was_there_before(refs: Refs) -> None:
    make(refs, "v1")
    (refs._root / "log").unlink()
    make(refs, "v2")
    with pytest.raises(MlrunError):
        refs.rebuild(ME)
    assert refs.rebuild(ME) == 0
    (collection,) = refs.collections("dataset")
    assert collection.names() == ["v1", "v2"]


def test_what_only_files_tell_after_a_loss_outlives_what_is_set_later(refs: Refs) -> None:
    make(refs, "v1")
    (refs._root / "log").unlink()
    with pytest.raises(MlrunError):
        refs.rebuild(ME)
    make(refs, "v2")
    assert refs.mend() == 0
    for told in (refs, refs.as_logged()):
        (collection,) = told.collections("dataset")
        assert collection.names() == ["v1", "v2"]


def test_names_are_told_by_the_log_where_their_files_are_gone_damaged_or_behind(refs: Refs) -> None:
    before = fill(refs)
    files = [path for path in refs._root.rglob("*") if path.is_file() and path.name != "log"]
    gone = refs._root / "alias" / hash_bytes(b"one")
    gone.write_bytes(files[0].read_bytes())
    files[0].unlink()
    files[1].write_bytes(b"X")
    assert everything(refs.as_logged()) == before
    assert gone.exists()
    assert not files[0].exists()


def test_how_long_the_log_was_may_be_forgotten_and_is_learned_again(refs: Refs) -> None:
    fill(refs)
    refs._seen.unlink()
    assert not refs.has_lost_turns()
    refs.mend()
    (refs._root / "log").unlink()
    assert refs.has_lost_turns()


def test_names_are_set_where_their_length_cannot_be_kept(tmp_path: Path) -> None:
    refs = Refs(tmp_path / "refs", tmp_path / "nowhere" / "names.json")
    before = fill(refs)
    assert refs.mend() == 0
    assert everything(refs) == before


def test_a_change_reads_only_the_end_of_the_log(refs: Refs, monkeypatch: pytest.MonkeyPatch) -> None:
    with refs.changing(ME) as change:
        for number in range(2000):
            change.pin("run", f"r{number}", "x" * 100)
    for number in range(3):
        set_alias(refs, f"a{number}", a_datum())
    assert (refs._root / "log").stat().st_size > 300_000
    monkeypatch.setattr(Follower, "poll", lambda _: pytest.fail("the whole log was read"))
    set_alias(refs, "last", a_datum())
    assert len(refs.aliases()) == 4


def test_damage_inside_the_log_is_found_by_who_reads_it_and_at_its_end_by_who_writes(refs: Refs) -> None:
    for number in range(400):
        with refs.changing(ME) as change:
            change.pin("run", f"r{number % 3}", "x" * 200)
    log = refs._root / "log"
    data = log.read_bytes()
    log.write_bytes(data[:100] + b"X" + data[101:])
    set_alias(refs, "a", a_datum())
    with pytest.raises(MlrunError, match="is damaged"):
        refs.history()
    with pytest.raises(MlrunError, match="is damaged"):
        refs.rebuild(ME)
    log.write_bytes(data[:-100] + b"X" + data[-99:])
    with pytest.raises(MlrunError, match="is damaged"):
        set_alias(refs, "b", a_datum())
    assert refs.alias("b") is None


def test_reading_writes_nothing(tmp_path: Path) -> None:
    refs = Refs(tmp_path / "refs", tmp_path / "names.json")
    assert (refs.alias("a"), refs.aliases(), refs.collections("model"), refs.history()) == (None, [], [], [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_name_is_what_the_format_says(refs: Refs) -> None:
    set_alias(refs, "Köln", a_datum())
    (path,) = (refs._root / "alias").iterdir()
    assert path.name == hash_bytes("Köln".encode())
    head = unseal(path.read_bytes())
    assert sorted(head) == ["by", "datum", "name", "time"]
    assert sorted(head["datum"]) == ["digest", "execution", "id", "metadata", "name", "size", "version"]
