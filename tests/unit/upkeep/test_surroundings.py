"""What lies around the records: store journals, files of names, batches in the trash, strangers."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.store.identity import new_id
from runner.store.layout import Layout
from runner.store.removal import Removals
from runner.store.sealed import seal
from runner.store.trash import Trash
from runner.upkeep import ref as ref_module
from runner.upkeep.anomaly import Anomaly
from runner.upkeep.batch import trash_batches
from runner.upkeep.chain import read_removed, store_journals
from runner.upkeep.ref import ref_files
from runner.upkeep.release import PACK
from runner.upkeep.stranger import strangers
from runner.upkeep.turn import alone


@pytest.fixture
def layout(scene: Any) -> Layout:
    scene.execute("train", {"model": b"the model"})
    return Layout(scene.root)


def told(anomalies: Iterator[Anomaly]) -> list[tuple[str, str]]:
    return [(one.code, one.place) for one in anomalies]


def test_a_store_in_order_and_one_that_is_empty_have_nothing_odd(layout: Layout, tmp_path: Path) -> None:
    for one in (layout, Layout.create_or_open(tmp_path / "empty")):
        assert told(store_journals(one)) == []
        assert told(ref_files(one)) == []
        assert told(trash_batches(one)) == []
        assert told(strangers(one)) == []
        assert read_removed(one).runs == {}


# --- journals of the store


def test_a_journal_is_believed_up_to_its_damage(scene: Any, layout: Layout) -> None:
    for name in ("a", "b", "c"):
        Removals(layout).append([{"type": "files-dropped", "executions": [name]}])
    lines = layout.removed.read_bytes().splitlines(keepends=True)
    layout.removed.write_bytes(lines[0] + lines[1].replace(b'"b"', b'"x"') + lines[2])
    assert list(read_removed(layout).dropped) == ["a"]
    assert told(store_journals(layout)) == [("log-damaged", "removed")]


@pytest.mark.usefixtures("bound")
def test_a_journal_that_may_not_be_read_is_told_and_ends_no_check(layout: Layout) -> None:
    layout.removed.write_bytes(b"")
    layout.removed.chmod(0)
    (anomaly,) = store_journals(layout)
    assert (anomaly.code, anomaly.what) == ("log-damaged", "cannot be read: Permission denied")
    assert read_removed(layout).dropped == {}


def test_a_folder_in_the_place_of_a_journal_is_told(layout: Layout) -> None:
    layout.removed.mkdir()
    assert told(store_journals(layout)) == [("log-damaged", "removed")]


# --- names


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"0" * 16 + b" {}\n", seal(["other"])])
def test_a_file_of_a_name_with_anything_else_in_it_is_told(scene: Any, layout: Layout, data: bytes) -> None:
    scene.name(scene.ended[0], "prod")
    (path,) = (layout.refs / "alias").iterdir()
    path.write_bytes(data)
    assert told(ref_files(layout)) == [("ref-damaged", f"refs/alias/{path.name}")]


@pytest.mark.usefixtures("bound")
def test_a_file_of_a_name_that_may_not_be_read_is_told(scene: Any, layout: Layout) -> None:
    scene.name(scene.ended[0], "prod")
    (path,) = (layout.refs / "alias").iterdir()
    path.chmod(0)
    assert told(ref_files(layout)) == [("ref-damaged", f"refs/alias/{path.name}")]


def test_a_name_that_nobody_set_is_told(layout: Layout) -> None:
    path = layout.refs / "alias" / hash_bytes(b"prod")
    path.parent.mkdir()
    path.write_bytes(seal({"name": "prod"}))
    assert told(ref_files(layout)) == [("ref-damaged", f"refs/alias/{path.name}")]


def test_a_name_that_is_set_between_two_looks_is_no_damage(
    scene: Any, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are read before the log."""
    scene.name(scene.ended[0], "staging")
    read, looks = ref_module.read_chain, []

    def late(*arguments: Any) -> Any:
        looks.append(arguments)
        if len(looks) == 1:
            scene.name(scene.ended[0], "prod")
            scene.name(scene.ended[0], "staging")
        return read(*arguments)

    monkeypatch.setattr(ref_module, "read_chain", late)
    assert told(ref_files(layout)) == []
    assert len(looks) == 2


# --- the trash


def test_a_batch_that_does_not_say_what_it_is_is_told(layout: Layout) -> None:
    trash = Trash(layout)
    whole, missing, other, foreign = (trash.folder(trash.begin("gc", "me")) for _ in range(4))
    (missing / "objects").mkdir()
    (missing / "batch").unlink()
    (other / "batch").write_bytes(seal({"id": other.name}))
    (foreign / "batch").write_bytes((whole / "batch").read_bytes())
    found = {one.place: one.what.partition(": ")[2] for one in trash_batches(layout)}
    assert found == {
        f"trash/{missing.name}/batch": "the file is missing",
        f"trash/{other.name}/batch": "it has other fields",
        f"trash/{foreign.name}/batch": f"it says `{whole.name}`",
    }


def test_a_batch_that_was_never_begun_or_is_half_destroyed_is_none(layout: Layout) -> None:
    (layout.trash / new_id()).mkdir()
    (layout.trash / f".new-{new_id()}").mkdir()
    assert told(trash_batches(layout)) == []


def test_what_is_no_batch_is_a_stranger_in_the_trash(layout: Layout) -> None:
    (layout.trash / "mine\n").mkdir()
    assert told(trash_batches(layout)) == [("stranger", "trash/mine\\n")]


# --- strangers


def test_half_written_files_of_the_living_are_nobodys_business(layout: Layout) -> None:
    (layout.scratch / f".new-{os.getpid()}-ab").write_bytes(b"half")
    with alone(layout):
        (layout.scratch / f"{PACK}cd").write_bytes(b"half")
        assert told(strangers(layout)) == []
    assert [one.what for one in strangers(layout)] == ["holds 1 files, 4 bytes, of writers that were killed"]


def test_strange_names_of_temporary_files_are_leftovers_and_no_error(layout: Layout) -> None:
    for name in (".new-", ".new-x", ".new-²-ab", ".new-99999999999999999999-ab", ".new--1-ab"):
        (layout.scratch / name).write_bytes(b"")
    (anomaly,) = strangers(layout)
    assert anomaly.what.startswith("holds 5 files")


def test_a_store_that_others_may_look_into_is_told(layout: Layout) -> None:
    layout.root.chmod(0o755)
    assert told(strangers(layout)) == [("mode", ".")]
