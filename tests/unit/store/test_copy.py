"""Objects as files and trees of a step: copies that share nothing, and links where they are read only."""

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import MlrunError
from runner.store.objects import Objects
from runner.store.tree import TreeEntry

LARGE = os.urandom(1 << 16) * 80 + b"end"


def test_a_writable_copy_shares_nothing_with_the_object(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(LARGE)
    objects.materialise(digest, tmp_path / "copy", writable=True)
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert (tmp_path / "copy").stat().st_ino != objects.path(digest).stat().st_ino
    (tmp_path / "copy").write_bytes(b"changed")
    assert objects.verify(digest)


def test_a_read_only_file_costs_no_copy(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(LARGE)
    objects.materialise(digest, tmp_path / "shown", writable=False)
    shown = (tmp_path / "shown").stat()
    assert (tmp_path / "shown").read_bytes() == LARGE
    assert stat.S_IMODE(shown.st_mode) == 0o444
    assert shown.st_ino == objects.path(digest).stat().st_ino or objects._copier.cloner.may_work()


def test_not_even_the_first_read_only_file_is_copied_where_links_can_be_made(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(target: int, request: int, source: int) -> int:
        raise OSError(errno.EOPNOTSUPP, "no reflinks here")

    digest = objects.put_bytes(LARGE)
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    monkeypatch.setattr(os, "sendfile", lambda *_: pytest.fail("it was copied"))
    objects.materialise(digest, tmp_path / "shown", writable=False)
    assert (tmp_path / "shown").stat().st_ino == objects.path(digest).stat().st_ino


@pytest.mark.parametrize("reason", [errno.EMLINK, errno.EXDEV, errno.EPERM])
def test_where_no_link_can_be_made_a_copy_is(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(reason, "no link")

    digest = objects.put_bytes(b"x")
    monkeypatch.setattr(os, "link", refuse)
    objects.materialise(digest, tmp_path / "copy", writable=False)
    assert (tmp_path / "copy").read_bytes() == b"x"
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o444


def test_a_reflink_is_used_where_there_is_one(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(target: int, request: int, source: int) -> int:
        assert request == 0x40049409
        os.write(target, b"cloned")
        return 0

    digest = objects.put_bytes(b"x")
    monkeypatch.setattr(fcntl, "ioctl", clone)
    for name, writable in (("a", True), ("b", False)):
        objects.materialise(digest, tmp_path / name, writable=writable)
        assert (tmp_path / name).read_bytes() == b"cloned"


def test_nothing_that_exists_is_overwritten(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(b"x")
    (tmp_path / "mine").write_text("mine")
    for writable in (True, False):
        with pytest.raises(MlrunError):
            objects.materialise(digest, tmp_path / "mine", writable=writable)
    assert (tmp_path / "mine").read_text() == "mine"


def tree(objects: Objects) -> list[TreeEntry]:
    digests = [objects.put_bytes(data) for data in (b"one", b"#!/bin/sh\n", LARGE)]
    return [
        TreeEntry("z", "100644", digests[0], 3),
        TreeEntry("a/deep/er/run.sh", "100755", digests[1], 10),
        TreeEntry("a-b/x", "100644", digests[0], 3),
        TreeEntry("a/large", "100644", digests[2], len(LARGE)),
        TreeEntry("a/\udcff\n", "100644", digests[0], 3),
        TreeEntry("link", "120000", "/etc/passwd", 11),
    ]


def test_a_tree_is_copied_with_modes_links_odd_names_and_one_time(objects: Objects, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.mkdir()
    before = os.umask(0o077)
    try:
        objects.copy_tree(objects.read_tree(objects.put_tree(tree(objects))), target, 10**18)
    finally:
        os.umask(before)
    found = sorted(os.path.relpath(path, target) for path in target.rglob("*") if path.is_symlink() or path.is_file())
    assert found == sorted(entry.path for entry in tree(objects))
    assert (target / "a/large").read_bytes() == LARGE
    assert (target / "link").readlink() == Path("/etc/passwd")
    assert stat.S_IMODE((target / "a/deep/er/run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "z").stat().st_mode) == 0o644
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o755
    assert {path.lstat().st_mtime_ns for path in (target, *target.rglob("*"))} == {10**18}
    (target / "z").write_text("writable")
    assert objects.verify(Digest(tree(objects)[0].content))


def test_a_tree_with_more_folders_than_descriptors_is_copied(objects: Objects, tmp_path: Path) -> None:
    digest = objects.put_bytes(b"x")
    (tmp_path / "copy").mkdir()
    entries = [TreeEntry(f"folder {number}/x", "100644", digest, 1) for number in range(1500)]
    objects.copy_tree(entries, tmp_path / "copy", 0)
    assert len(list((tmp_path / "copy").rglob("x"))) == 1500


def test_a_hostile_tree_cannot_write_through_a_link(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "outside").mkdir()
    entries = [
        TreeEntry("a", "120000", str(tmp_path / "outside"), 9),
        TreeEntry("a/x", "100644", objects.put_bytes(b"x"), 1),
    ]
    with pytest.raises(MlrunError):
        objects.copy_tree(entries, tmp_path / "copy", 0)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_tree_whose_content_is_missing_or_cut_off_names_the_object(objects: Objects, tmp_path: Path) -> None:
    for name, entry in (
        ("one", TreeEntry("x", "100644", hash_bytes(b"missing"), 7)),
        ("two", TreeEntry("x", "100644", objects.put_bytes(b"short"), 7)),
    ):
        (tmp_path / name).mkdir()
        with pytest.raises(MlrunError, match=entry.content):
            objects.copy_tree([entry], tmp_path / name, 0)
