"""Writing over a file of the user's."""

import os
from pathlib import Path

import pytest

from runner.cli.rewrite import rewrite_file
from runner.errors import ExitCode, MlrunError


def test_a_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.yaml", tmp_path / "link.yaml"
    target.write_bytes(b"old")
    target.chmod(0o664)
    link.symlink_to("target.yaml")
    rewrite_file(link, b"old", b"new")
    assert (target.read_bytes(), target.stat().st_mode & 0o777, os.readlink(link)) == (b"new", 0o664, "target.yaml")
    assert sorted(os.listdir(tmp_path)) == ["link.yaml", "target.yaml"]


def test_a_file_that_is_made_gets_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        rewrite_file(tmp_path / "a.yaml", None, b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o640


def test_what_somebody_else_wrote_meanwhile_is_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"theirs")
    for before in (b"old", None):
        with pytest.raises(MlrunError) as caught:
            rewrite_file(file, before, b"new")
        assert caught.value.code is ExitCode.USAGE
    assert file.read_bytes() == b"theirs"


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("runner.store.durable.write_all", full)
    with pytest.raises(MlrunError) as caught:
        rewrite_file(file, b"old", b"new")
    assert caught.value.code is ExitCode.DISK
    assert caught.value.hint == "make room on the disk that has its folder"
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.yaml"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MlrunError, match="cannot be written"):
        rewrite_file(tmp_path / "no" / "a.yaml", None, b"new")


def test_a_pipe_a_device_and_a_folder_are_refused_at_once_and_stay(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, kind in ((pipe, "pipe"), (Path("/dev/null"), "device"), (tmp_path, "folder")):
        with pytest.raises(MlrunError, match=kind) as caught:
            rewrite_file(path, None, b"new")
        assert caught.value.code is ExitCode.USAGE
    assert os.listdir(tmp_path) == ["pipe"]
