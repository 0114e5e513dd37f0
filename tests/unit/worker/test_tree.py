import os
import stat
from pathlib import Path

import pytest

from runner.worker.tree import make_accessible, remove_tree


def deepen(folder: Path, levels: int) -> None:
    """Make `levels` folders within one another, deeper than any path may be long."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(levels):
        os.mkdir("d" * 50, dir_fd=fd)
        inner = os.open("d" * 50, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def test_a_tree_is_removed_with_all_kinds_of_entries(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/file").write_text("x")
    (root / "a/link").symlink_to(outside)
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    os.mkdir(os.fsencode(root) + b"/\xff\n")
    remove_tree(root)
    assert not root.exists()
    assert (outside / "kept").exists()


@pytest.mark.parametrize("levels", [59, 60, 61, 62, 122, 1500])
def test_a_tree_of_any_depth_is_removed(tmp_path: Path, levels: int) -> None:
    root = tmp_path / "root"
    root.mkdir()
    deepen(root, levels)
    remove_tree(root)
    assert not root.exists()


def test_folders_without_rights_are_removed_by_their_owner(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/file").write_text("x")
    for path in (root / "a/b", root / "a", root):
        path.chmod(0)
    remove_tree(root)
    assert not root.exists()


def test_what_is_gone_already_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("x")
    (tmp_path / "root").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="root"):
        remove_tree(tmp_path / "root")
    assert (tmp_path / "outside/kept").exists()


def test_what_cannot_be_removed_is_told_and_the_rest_goes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("a", "b", "c"):
        (root / name).write_text("x")

    def refuse(name: str, /, *, dir_fd: int) -> None:
        if name == "b":
            raise PermissionError(1, "Operation not permitted", "b")
        os.unlink(name, dir_fd=dir_fd)

    with pytest.raises(PermissionError):
        remove_tree(root, refuse)
    assert os.listdir(root) == ["b"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root needs no rights, so it changes none")
def test_only_folders_get_their_rights_back(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    for name in ("folder", "file"):
        (tmp_path / name).chmod(0)
        make_accessible(name, os.open(tmp_path, os.O_RDONLY))
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0
