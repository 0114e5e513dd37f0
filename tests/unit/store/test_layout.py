"""Where everything lies, and which folders are no store of ours."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import ExitCode, MlrunError
from runner.store.layout import Layout


def test_a_store_is_made_with_all_its_folders_for_its_owner_only(tmp_path: Path) -> None:
    layout = Layout.create_or_open(tmp_path / "deep" / "store")
    assert layout.format.read_text() == "mlrun store, format 2\n"
    assert {path.name for path in layout.root.iterdir()} == {
        ".gitignore",
        "format",
        "objects",
        "runs",
        "work",
        "cache",
        "refs",
        "packed",
        "claims",
        "trash",
        "quarantine",
    }
    assert sum(path.is_dir() for path in layout.objects.iterdir()) == 257
    for folder in (layout.root, *(path for path in layout.root.rglob("*") if path.is_dir())):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert Layout.create_or_open(layout.root) == layout


def test_looking_for_a_store_makes_nothing(tmp_path: Path) -> None:
    assert Layout.open_existing(tmp_path / "none") is None
    (tmp_path / "file").touch()
    assert Layout.open_existing(tmp_path / "file") is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_store_that_was_half_made_is_finished(tmp_path: Path) -> None:
    (tmp_path / "objects" / "00").mkdir(parents=True)
    assert Layout.open_existing(tmp_path) is None
    Layout.create_or_open(tmp_path)
    assert Layout.open_existing(tmp_path) is not None


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(MlrunError, match=r"not a store: it holds `thesis\.tex`") as caught:
        Layout.create_or_open(tmp_path)
    assert caught.value.code is ExitCode.STORE
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mlrun store, format 3\n", "has format 3, this program knows format 2"),
        ("restic 1", "does not name"),
        ("", "does not name"),
    ],
)
def test_a_store_of_another_format_is_refused_by_readers_and_writers(layout: Layout, text: str, message: str) -> None:
    layout.format.write_text(text)
    for way in (Layout.open_existing, Layout.create_or_open):
        with pytest.raises(MlrunError, match=message) as caught:
            way(layout.root)
        assert caught.value.code is ExitCode.STORE
        assert caught.value.hint


def test_a_file_in_the_place_of_the_store_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(MlrunError, match="cannot be used") as caught:
        Layout.create_or_open(tmp_path / "store")
    assert caught.value.code is ExitCode.STORE


@pytest.mark.root
@pytest.mark.parametrize("hidden", [False, True])
def test_a_store_of_somebody_else_cannot_be_written(
    foreign_place: Path, as_nobody: Callable[[Callable[[], str]], str], hidden: bool
) -> None:
    layout = Layout.create_or_open(foreign_place / "store")
    layout.root.chmod(0o755)
    layout.objects.chmod(0o755)
    layout.format.chmod(0o600 if hidden else 0o644)

    def open_store() -> str:
        try:
            Layout.create_or_open(layout.root)
        except MlrunError as error:
            return f"{error.code}: {error.message}: {error.hint}"
        return "opened"

    answer = as_nobody(open_store)
    assert answer.startswith("30: the store cannot be used: Perm" if hidden else "30: the store `")
    assert answer.endswith("give it to this user, or set `MLRUN_STORE` to a folder of your own")
