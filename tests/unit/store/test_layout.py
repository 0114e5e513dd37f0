"""Where everything lies, and which folders are no store of ours."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store import layout as layout_module
from runner.store.layout import SHARDS, Layout
from runner.store.store import Store


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


@pytest.mark.parametrize("trace", ["refs/log", "runs/01a1ffef-b495-7973-bcb4-b167a4f71c03/journal"])
def test_a_store_that_lost_its_format_is_neither_taken_for_none_nor_begun_anew(layout: Layout, trace: str) -> None:
    (layout.root / trace).parent.mkdir(exist_ok=True)
    (layout.root / trace).touch()
    layout.format.unlink()
    for look in (Layout.open_existing, Layout.create_or_open):
        with pytest.raises(MlrunError, match="has lost its file `format`") as caught:
            look(layout.root)
        assert caught.value.code is ExitCode.STORE
        assert "`mlrun store, format 2`" in (caught.value.hint or "")
    assert not layout.format.exists()


@pytest.mark.parametrize(
    "name", ["objects", "runs", "work", "cache", "refs", "packed", "claims", "trash", "quarantine"]
)
def test_a_folder_that_was_deleted_by_hand_is_made_again_by_the_next_writer(layout: Layout, name: str) -> None:
    shutil.rmtree(layout.root / name)
    assert Layout.open_existing(layout.root) == layout
    assert not (layout.root / name).exists()
    with Store.open(layout.root, create=True) as store:
        digest = store.objects.put_bytes(b"anything")
        assert store.objects.read(digest) == b"anything"
    assert stat.S_IMODE((layout.root / name).stat().st_mode) == 0o700


def test_a_file_in_the_place_of_the_cache_is_no_hindrance_and_thrown_away_by_the_next_writer(layout: Layout) -> None:
    with Store.open(layout.root, create=True) as store:
        digest = store.objects.put_bytes(b"anything")
    shutil.rmtree(layout.cache)
    layout.cache.write_text("x")
    with Store.open(layout.root, create=False) as store:
        assert store.objects.read(digest) == b"anything"
    assert layout.cache.is_file()
    with Store.open(layout.root, create=True) as store:
        assert store.objects.read(digest) == b"anything"
    assert stat.S_IMODE(layout.cache.stat().st_mode) == 0o700


def test_a_link_in_the_place_of_the_cache_that_leads_nowhere_is_kept_and_told(layout: Layout) -> None:
    layout.cache.rmdir()
    layout.cache.symlink_to(layout.root / "not mounted")
    with pytest.raises(MlrunError, match="cannot be used: File exists"):
        Layout.create_or_open(layout.root)
    assert layout.cache.is_symlink()


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
        ("mlrun store, format 0\n", "does not name"),
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
    assert answer.startswith("30: the store cannot be used: Permission denied: `")
    assert answer.endswith("give it to this user, or set `MLRUN_STORE` to a folder of your own")


CONTENT = b"content" * 2_000
ADDED = ("packed", "claims", "trash", "quarantine")


@pytest.fixture
def first_format(tmp_path: Path) -> tuple[Path, Digest]:
    """A store of format 1 with an object, as the first version left it."""
    root = tmp_path / "first"
    with Store.open(root, create=True) as store:
        digest = store.objects.put_bytes(CONTENT)
    shutil.rmtree(root / "cache")
    (root / "cache").mkdir(mode=0o700)
    for name in ADDED:
        shutil.rmtree(root / name)
    (root / "format").write_text("mlrun store, format 1\n")
    return root, digest


def test_a_store_of_the_first_format_is_read_without_being_written(first_format: tuple[Path, Digest]) -> None:
    root, digest = first_format
    before = sorted((path, path.stat().st_ctime_ns) for path in (root, *root.rglob("*")))
    with Store.open(root, create=False) as store:
        assert store.objects.read(digest) == CONTENT
        assert store.runs() == []
        assert not store.objects.has(hash_bytes(b"never stored"))
    assert sorted((path, path.stat().st_ctime_ns) for path in (root, *root.rglob("*"))) == before


def test_a_writer_brings_a_store_of_the_first_format_up(first_format: tuple[Path, Digest]) -> None:
    root, digest = first_format
    with Store.open(root, create=True) as store:
        assert store.objects.read(digest) == CONTENT
    assert (root / "format").read_text() == "mlrun store, format 2\n"
    assert all(stat.S_IMODE((root / name).stat().st_mode) == 0o700 for name in ADDED)


class Crash(BaseException):
    """The power goes."""


def test_a_crash_at_any_call_of_the_upgrade_leaves_the_old_store_or_the_new_one(
    first_format: tuple[Path, Digest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, digest = first_format
    # Its order counts here, not its work.
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    for shard in SHARDS:
        if shard != digest[:2]:
            (root / "objects" / shard).rmdir()
    crashes = 0
    for point in range(1000):
        shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copy2)
        calls = iter(range(1000))

        def dying(call: Callable[..., Any], calls: Iterator[int] = calls, point: int = point) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **options: Any) -> Any:
                # The 257 folders of the objects are there already.
                if "/objects" not in str(arguments[0]) and next(calls) == point:
                    raise Crash
                return call(*arguments, **options)

            return wrapped

        with monkeypatch.context() as patch:
            for name in ("mkdir", "rename", "fsync", "write", "open", "unlink", "chmod"):
                patch.setattr(os, name, dying(getattr(os, name)))
            try:
                Layout.create_or_open(tmp_path / "copy")
                crashed = False
            except Crash:
                crashed = True
        for create in (False, True):
            with Store.open(tmp_path / "copy", create=create) as store:
                assert store.objects.read(digest) == CONTENT
        assert (tmp_path / "copy" / "format").read_text() == "mlrun store, format 2\n"
        shutil.rmtree(tmp_path / "copy")
        if not crashed:
            break
        crashes += 1
    assert crashes > 10


def test_many_bring_a_store_up_at_once(first_format: tuple[Path, Digest]) -> None:
    root, digest = first_format
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            try:
                with Store.open(root, create=True) as store:
                    os._exit(0 if store.objects.read(digest) and store.objects.put_bytes(b"x") else 1)
            finally:
                os._exit(2)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert (root / "format").read_text() == "mlrun store, format 2\n"


def test_a_program_that_knows_only_the_first_format_refuses_this_one_by_name(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout_module, "FORMAT", 1)
    with pytest.raises(MlrunError, match="has format 2, this program knows format 1"):
        Layout.open_existing(layout.root)


def test_a_store_killed_while_it_is_made_is_finished_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    point, ended = 0, False
    while not ended:
        # Of the many folders for objects, one is like the other.
        point += 1 if point < 8 else 61 if point < 240 else 7
        root = tmp_path / f"store {point}"
        ended = not dies_making(root, point)

        with Store.open(root, create=True) as store:
            digest = store.objects.put_bytes(b"content")

        assert (root / "format").read_text() == "mlrun store, format 2\n", f"killed at call {point}"
        assert {path.name for path in (root / "objects").iterdir()} >= set(SHARDS), f"killed at call {point}"
        with Store.open(root, create=False) as view:
            assert view.objects.read(digest) == b"content", f"killed at call {point}"
        shutil.rmtree(root)
    assert point > 260


def dies_making(root: Path, point: int) -> bool:
    """Make a store in a process that is killed before its call number `point` that changes the disk; whether it was."""
    child = os.fork()
    if child == 0:
        left = point

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os._exit(9)
                return real(*arguments, **options)

            return call

        try:
            for name in ("mkdir", "chmod", "open", "write", "fsync", "rename", "unlink", "rmdir"):
                setattr(os, name, counted(getattr(os, name)))
            Layout.create_or_open(root)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9
