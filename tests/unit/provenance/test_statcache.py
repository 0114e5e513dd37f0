"""What is known of files without reading them: nothing that changed may count as unchanged."""

import os
import subprocess
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from random import Random
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.digest import Digest, hash_bytes
from runner.provenance import statcache
from runner.provenance.folder import capture_folder
from runner.provenance.git import Repository
from runner.provenance.statcache import StatCache, Whole
from runner.provenance.tree import Captured
from runner.provenance.worktree import capture_worktree
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.tree import decode_tree, encode_tree

NAMES = [*(f"f{number}" for number in range(6)), "sub/a", "sub/b", os.fsdecode(b"odd\xff\nname")]


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as one at rest, however young."""
    monkeypatch.setattr(statcache, "_REST", -(10**12))
    monkeypatch.setattr(statcache, "_COARSE_REST", -(10**12))


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(Layout.create_or_open(tmp_path / "store"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "sub").mkdir(parents=True)
    for name in NAMES:
        (top / name).write_bytes(b"content of " + os.fsencode(name))
    (top / "link").symlink_to("f0")
    return top


def make_repository(tree: Path) -> Repository:
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *words], cwd=tree, check=True, capture_output=True)
    return Repository(tree)


def captures(tree: Path, kind: str) -> Callable[[Objects, Path | None], Captured]:
    """How to capture the tree, as a folder or as a repository."""
    if kind == "repository":
        root = make_repository(tree).root
        return lambda objects, cache: capture_worktree(objects, root, cache)
    return lambda objects, cache: capture_folder(objects, tree, cache)


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was read or stored")

    for name in ("put_many", "put_file", "put_tree", "put_stream"):
        monkeypatch.setattr(Objects, name, refuse)


@pytest.mark.parametrize("kind", ["folder", "repository"])
def test_an_unchanged_tree_is_recognised_without_reading_any_of_it(
    tree: Path, objects: Objects, tmp_path: Path, rested: None, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    capture = captures(tree, kind)
    first = capture(objects, tmp_path / "cache")
    forbid_reading(monkeypatch)
    assert capture(objects, tmp_path / "cache") == first


@pytest.mark.parametrize("kind", ["folder", "repository"])
def test_a_tree_with_a_file_that_has_just_changed_is_not_trusted_as_a_whole(
    tree: Path, objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    capture = captures(tree, kind)
    # Nothing is ever old enough.
    monkeypatch.setattr(statcache, "_REST", 10**18)
    capture(objects, tmp_path / "cache")
    forbid_reading(monkeypatch)
    with pytest.raises(AssertionError):
        capture(objects, tmp_path / "cache")


@pytest.mark.parametrize("lost", ["a file", "the manifest"])
def test_a_tree_whose_objects_are_gone_is_stored_again(
    tree: Path, objects: Objects, tmp_path: Path, rested: None, lost: str
) -> None:
    capture = captures(tree, "repository")
    first = capture(objects, tmp_path / "cache")
    digest = first.snapshot if lost == "the manifest" else hash_bytes(b"content of f3")
    path = objects.path(digest)
    path.unlink()
    assert capture(objects, tmp_path / "cache") == first
    assert hash_bytes(path.read_bytes()) == digest


@pytest.mark.parametrize(
    "words",
    [
        ["commit", "-q", "--allow-empty", "-m", "nothing"],
        ["rm", "-q", "--cached", "f1"],
        ["update-index", "--chmod=+x", "f1"],
    ],
)
def test_what_git_says_of_unchanged_files_is_asked_every_time(
    tree: Path, objects: Objects, tmp_path: Path, rested: None, words: list[str]
) -> None:
    repository = make_repository(tree)
    capture_worktree(objects, repository.root, tmp_path / "cache")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=tree, check=True, capture_output=True)
    assert capture_worktree(objects, repository.root, tmp_path / "cache") == capture_worktree(objects, repository.root)


def test_a_pattern_that_leaves_files_out_is_noticed(tree: Path, objects: Objects, tmp_path: Path, rested: None) -> None:
    repository = make_repository(tree)
    before = capture_worktree(objects, repository.root, tmp_path / "cache")
    (tree / ".git/info/exclude").write_text("new\n")
    (tree / "new").write_text("left out by git\n")
    assert capture_worktree(objects, repository.root, tmp_path / "cache") == before
    (tree / ".vhignore").write_text("f1\n")
    after = capture_worktree(objects, repository.root, tmp_path / "cache")
    assert "f1" not in {entry.path for entry in objects.read_tree(after.snapshot)}


def test_a_folder_replaced_by_a_link_to_its_copy_is_noticed(
    tree: Path, objects: Objects, tmp_path: Path, rested: None
) -> None:
    capture_folder(objects, tree, tmp_path / "cache")
    # The files keep device, inode, size and times: only the way to them has changed.
    (tree / "sub").rename(tmp_path / "elsewhere")
    (tree / "sub").symlink_to(tmp_path / "elsewhere")
    after = capture_folder(objects, tree, tmp_path / "cache")
    assert {entry.path: entry.mode for entry in objects.read_tree(after.snapshot)}["sub"] == "120000"


class Memory:
    """Objects that wait for no disk."""

    def __init__(self) -> None:
        self.held: dict[Digest, bytes] = {}

    def put_many(self, items: Iterable[bytes]) -> list[tuple[Digest, int]]:
        stored = []
        for data in items:
            self.held[hash_bytes(data)] = data
            stored.append((hash_bytes(data), len(data)))
        return stored

    def put_stream(self, chunks: Iterable[bytes], expected: int = 0) -> tuple[Digest, int]:
        return self.put_many([b"".join(chunks)])[0]

    def put_file(self, fd: int) -> tuple[Digest, int]:
        with os.fdopen(fd, "rb", closefd=False) as file:
            return self.put_many([file.read()])[0]

    def put_tree(self, entries: Iterable[tuple[str, str, str, int]]) -> Digest:
        return self.put_many([encode_tree(entries)])[0][0]

    def has(self, digest: Digest) -> bool:
        return digest in self.held

    def lacking(self, wanted: Iterable[Digest]) -> set[Digest]:
        return set(wanted) - self.held.keys()

    def open(self, digest: Digest) -> BinaryIO:
        return BytesIO(self.held[digest])


EDITS = ("same size, old time", "other content", "mode", "remove", "swap", "link", "add", "truncate", "nothing")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), edits=st.lists(st.sampled_from(EDITS), min_size=10, max_size=10))
def test_a_thousand_random_edits_are_all_noticed(
    tmp_path_factory: pytest.TempPathFactory, rested: None, seed: int, edits: list[str]
) -> None:
    top, random = tmp_path_factory.mktemp("edits"), Random(seed)
    objects = Memory()
    tree = top / "tree"
    tree.mkdir()
    for number in range(4):
        (tree / f"f{number}").write_bytes(random.randbytes(20))
    capture_folder(objects, tree, top / "cache")
    for edit in edits:
        change(tree, random, edit)
        captured = capture_folder(objects, tree, top / "cache")
        assert list(decode_tree(objects.held[captured.snapshot])) == rows(tree), f"seed {seed}: {edit}"


def rows(tree: Path) -> list[tuple[str, str, str, int]]:
    """What the tree holds, read anew."""
    found = []
    for path in sorted(tree.iterdir()):
        data = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
        kind = "120000" if path.is_symlink() else "100755" if path.stat().st_mode & 0o100 else "100644"
        found.append((path.name, kind, data.decode() if path.is_symlink() else hash_bytes(data), len(data)))
    return found


def change(tree: Path, random: Random, edit: str) -> None:
    """Change one file of the tree, or none."""
    files = sorted(path for path in tree.iterdir() if not path.is_symlink())
    path = random.choice(files) if files else tree / "first"
    status = path.stat() if files else None
    match edit:
        case "same size, old time" if status is not None:
            path.write_bytes(random.randbytes(status.st_size))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "mode" if status is not None:
            path.chmod(status.st_mode ^ 0o100)
        case "remove" if status is not None:
            path.unlink()
        case "swap" if len(files) > 1:
            other = random.choice([file for file in files if file != path])
            path.rename(tree / "swap")
            other.rename(path)
            (tree / "swap").rename(other)
        case "link":
            (tree / f"link{random.randrange(9**9)}").symlink_to(f"f{random.randrange(9)}")
        case "truncate" if status is not None:
            os.truncate(path, status.st_size // 2)
        case "nothing":
            pass
        case _:
            (tree / f"new{random.randrange(9**9)}").write_bytes(random.randbytes(10))


def test_a_file_in_the_place_of_the_cache_costs_nothing_but_time(objects: Objects, tree: Path, tmp_path: Path) -> None:
    capture = captures(tree, "repository")
    (tmp_path / "cache").write_text("x")
    first = capture(objects, tmp_path / "cache")
    assert capture(objects, tmp_path / "cache") == first
    assert (tmp_path / "cache").read_text() == "x"


def test_a_same_size_edit_with_restored_time_is_noticed(
    tree: Path, objects: Objects, tmp_path: Path, rested: None
) -> None:
    capture = captures(tree, "repository")
    before = capture(objects, tmp_path / "cache")
    status = (tree / "f1").stat()
    (tree / "f1").write_bytes(b"content of f!")
    os.utime(tree / "f1", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = capture(objects, tmp_path / "cache")
    assert (tree / "f1").stat().st_mtime_ns == status.st_mtime_ns
    assert after.snapshot != before.snapshot
    assert after.dirty


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_of_what_is_known_costs_nothing_but_time(
    tree: Path, objects: Objects, tmp_path: Path, rested: None, seed: int
) -> None:
    first = capture_folder(objects, tree, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    data, random = bytearray(file.read_bytes()), Random(seed)
    match seed % 3:
        case 0:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        case 1:
            del data[random.randrange(len(data)) :]
        case _:
            data[:] = bytes(len(data))
    file.write_bytes(data)
    assert capture_folder(objects, tree, tmp_path / "cache") == first


def test_what_is_written_is_read_again(tmp_path: Path, rested: None) -> None:
    cache = StatCache(tmp_path, Path("/tree"))
    digest = Digest("ab" * 32)
    old = os.stat_result((0o100644, 2**63 + 5, 2**40, 1, 0, 0, 7, 0, -5, -5), {"st_mtime_ns": -5, "st_ctime_ns": -5})
    cache.note(os.fsdecode(b"\xff"), old, digest, "12" * 20)
    cache.note("link", old)
    cache.save(Whole("question", digest, dirty=True))
    again = StatCache(tmp_path, Path("/tree"))
    assert again.find(os.fsdecode(b"\xff"), old) == (digest, "12" * 20)
    assert again.find("link", old) is None
    assert again.contents() == {digest}
    assert again.whole == Whole("question", digest, dirty=True)
    assert StatCache(tmp_path, Path("/other")).whole is None
