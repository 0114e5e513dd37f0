"""Outputs copied out of the store."""

import errno
import os
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from runner.cli.delivery import choose_outputs, deliver
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.record import OutputFile


class Shelf:
    """Objects in memory."""

    def __init__(self) -> None:
        self.content: dict[Digest, bytes] = {}

    def put(self, name: str, data: bytes) -> OutputFile:
        digest = hash_bytes(data)
        self.content[digest] = data
        return OutputFile(name, digest, len(data))

    def open(self, digest: Digest, size: int | None = None) -> BinaryIO:
        return BytesIO(self.content[digest])


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def refused(shelf: Shelf, output: OutputFile, folder: Path, *, force: bool = False) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        deliver(shelf, [output], folder, force=force)
    return caught.value


def test_files_are_copied_with_their_folders(shelf: Shelf, tmp_path: Path) -> None:
    outputs = [shelf.put("model.pkl", b"model"), shelf.put("deep/er/plot.png", b"")]
    delivered = deliver(shelf, outputs, tmp_path / "new" / "folder", force=False)
    assert delivered.copied == ("model.pkl", "deep/er/plot.png")
    assert (tmp_path / "new/folder/model.pkl").read_bytes() == b"model"
    assert (tmp_path / "new/folder/deep/er/plot.png").read_bytes() == b""
    assert not [name for name in os.listdir(tmp_path / "new/folder") if name.startswith(".new-")]


def test_the_same_content_is_left_where_it_is(shelf: Shelf, tmp_path: Path) -> None:
    output = shelf.put("model.pkl", b"model")
    deliver(shelf, [output], tmp_path, force=False)
    delivered = deliver(shelf, [output], tmp_path, force=False)
    assert (delivered.copied, delivered.unchanged) == ((), ("model.pkl",))


def test_other_content_is_replaced_only_with_force(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"older")
    output = shelf.put("model.pkl", b"model")
    error = refused(shelf, output, tmp_path)
    assert error.code == ExitCode.OUTPUT
    assert "`model.pkl`" in error.message
    assert (tmp_path / "model.pkl").read_bytes() == b"older"
    deliver(shelf, [output], tmp_path, force=True)
    assert (tmp_path / "model.pkl").read_bytes() == b"model"


def test_nothing_is_copied_when_one_place_is_taken(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"mine")
    with pytest.raises(MlrunError):
        deliver(shelf, [shelf.put("a", b"1"), shelf.put("b", b"2")], tmp_path, force=False)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_link_in_the_place_of_a_file_is_neither_followed_nor_replaced(
    shelf: Shelf, tmp_path: Path, force: bool
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "model.pkl").symlink_to(victim)
    assert refused(shelf, shelf.put("model.pkl", b"model"), folder, force=force).code == ExitCode.OUTPUT
    assert victim.read_bytes() == b"precious"
    assert (folder / "model.pkl").is_symlink()


@pytest.mark.parametrize("force", [False, True])
def test_a_link_in_the_place_of_a_folder_leads_nowhere(shelf: Shelf, tmp_path: Path, force: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "sub").symlink_to(elsewhere)
    assert refused(shelf, shelf.put("sub/model.pkl", b"model"), folder, force=force).code == ExitCode.OUTPUT
    assert os.listdir(elsewhere) == []


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a//b", "", ".", "a/./b", "nul\0"])
def test_no_name_leads_out_of_the_folder(shelf: Shelf, tmp_path: Path, name: str) -> None:
    refused(shelf, shelf.put(name, b"evil"), tmp_path / "out", force=True)
    assert os.listdir(tmp_path) == []


def test_a_damaged_object_is_not_delivered(shelf: Shelf, tmp_path: Path) -> None:
    output = shelf.put("model.pkl", b"model")
    shelf.content[output.digest] = b"m0del"
    assert refused(shelf, output, tmp_path).code == ExitCode.STORE
    assert os.listdir(tmp_path) == []


def test_names_that_are_no_text_keep_their_bytes(shelf: Shelf, tmp_path: Path) -> None:
    deliver(shelf, [shelf.put("caf\udce9", b"x")], tmp_path, force=False)
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9"]


def test_a_folder_that_is_a_file_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert refused(shelf, shelf.put("a", b"1"), tmp_path / "file").code == ExitCode.OUTPUT


def test_patterns_match_paths_and_base_names(shelf: Shelf) -> None:
    outputs = [shelf.put(name, b"") for name in ("model.pkl", "deep/model.txt", "deep/er/plot.png")]
    assert [output.name for output in choose_outputs(outputs, ["model.*"])] == ["model.pkl", "deep/model.txt"]
    assert [output.name for output in choose_outputs(outputs, ["deep/*"])] == ["deep/model.txt", "deep/er/plot.png"]
    assert choose_outputs(outputs, []) == outputs


def test_a_file_gets_its_name_only_when_it_is_on_the_disk(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, list[str]] = {}
    fsync = os.fsync

    def noted(fd: int) -> None:
        fsync(fd)
        synced[os.fstat(fd).st_ino] = [name for name in os.listdir(tmp_path) if not name.startswith(".new-")]

    monkeypatch.setattr("os.fsync", noted)
    deliver(shelf, [shelf.put("a", b"1"), shelf.put("b", b"2")], tmp_path, force=False)
    assert [synced[(tmp_path / name).stat().st_ino] for name in ("a", "b")] == [[], []]
    assert sorted(synced[tmp_path.stat().st_ino]) == ["a", "b"]


def test_no_file_gets_its_name_when_the_disk_fails(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.fsync", failing)
    with pytest.raises(MlrunError) as caught:
        deliver(shelf, [shelf.put("a", b"1"), shelf.put("b", b"2")], tmp_path, force=False)
    assert caught.value.code == ExitCode.OUTPUT
    assert os.listdir(tmp_path) == []


def test_more_files_than_wait_together_are_all_copied(shelf: Shelf, tmp_path: Path) -> None:
    outputs = [shelf.put(f"d{number % 3}/{number}", b"%d" % number) for number in range(600)]
    assert len(deliver(shelf, outputs, tmp_path, force=False).copied) == len(outputs)
    assert all((tmp_path / one.name).read_bytes() == shelf.content[one.digest] for one in outputs)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(outputs)
