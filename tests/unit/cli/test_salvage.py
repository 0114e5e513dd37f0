"""Where outputs that nobody records go: looked at before anything runs."""

from pathlib import Path

import pytest

from runner.cli.salvage import check_folder
from runner.errors import ExitCode, MlrunError


def test_a_name_that_no_folder_can_have_is_refused_before_anything_runs(tmp_path: Path) -> None:
    for name in ("x" * 300, "x/" * 3000):
        with pytest.raises(MlrunError, match="too long") as caught:
            check_folder(str(tmp_path / name), force=False)
        assert (caught.value.code, caught.value.hint) == (ExitCode.USAGE, "name another folder")


def test_a_folder_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch, pytest.raises(MlrunError, match="Permission denied") as caught:
        patch.setattr(Path, "iterdir", refuse)
        check_folder(str(tmp_path), force=False)
    assert caught.value.code is ExitCode.USAGE


def test_a_folder_that_is_empty_or_not_there_yet_will_do(tmp_path: Path) -> None:
    check_folder(str(tmp_path), force=False)
    check_folder(str(tmp_path / "new" / "deep"), force=False)
    check_folder(None, force=False)
