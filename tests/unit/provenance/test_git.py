"""The exact code of a run, taken from repositories good and bad."""

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.provenance import tree as tree_module
from runner.provenance.commit import capture_commit
from runner.provenance.folder import capture_folder
from runner.provenance.git import Head, Repository, find_repository
from runner.provenance.tree import Captured
from runner.provenance.worktree import capture_worktree
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.tree import TreeEntry


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(Layout.create_or_open(tmp_path / "store"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "a.py").write_text("a = 1\n")
    (folder / "run.sh").write_text("echo\n")
    (folder / "run.sh").chmod(0o755)
    (folder / ".gitignore").write_text("ignored/\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def capture(folder: Path, objects: Objects, cache: Path | None = None) -> Captured:
    repository = find_repository(folder)
    assert repository is not None
    return capture_worktree(objects, repository.root, cache)


def entries(captured: Captured, objects: Objects) -> tuple[TreeEntry, ...]:
    return objects.read_tree(captured.snapshot)


def paths(captured: Captured, objects: Objects) -> list[str]:
    return [entry.path for entry in entries(captured, objects)]


def content(captured: Captured, objects: Objects, path: str) -> bytes:
    entry = next(entry for entry in entries(captured, objects) if entry.path == path)
    return objects.read(Digest(entry.content))


def test_a_clean_tree_is_captured_whole_and_is_not_dirty(work: Path, objects: Objects) -> None:
    captured = capture(work, objects)
    assert paths(captured, objects) == [".gitignore", "a.py", "run.sh"]
    assert [entry.mode for entry in entries(captured, objects)] == ["100644", "100644", "100755"]
    assert not captured.dirty


def test_the_same_tree_has_the_same_snapshot_and_a_commit_has_that_of_its_tree(work: Path, objects: Objects) -> None:
    repository = Repository(work)
    first = capture(work, objects).snapshot
    assert capture(work, objects).snapshot == first
    assert capture_commit(objects, repository, repository.resolve("HEAD")).snapshot == first


def test_untracked_files_count_and_ignored_ones_do_not(work: Path, objects: Objects) -> None:
    (work / "new.py").write_text("new")
    (work / "ignored").mkdir()
    (work / "ignored" / "x").write_text("x")
    (work / "__pycache__").mkdir()
    (work / "__pycache__" / "a.pyc").write_bytes(b"stale")
    captured = capture(work, objects)
    assert paths(captured, objects) == [".gitignore", "a.py", "new.py", "run.sh"]
    assert captured.dirty


def test_vhignore_leaves_out_tracked_and_untracked_files(work: Path, objects: Objects) -> None:
    (work / ".vhignore").write_text("*.sh\nsecret*\n")
    (work / "secret.txt").write_text("s")
    assert paths(capture(work, objects), objects) == [".gitignore", ".vhignore", "a.py"]


@pytest.mark.parametrize("change", ["edit", "delete", "chmod", "same-size"])
def test_every_kind_of_change_makes_the_tree_dirty(work: Path, objects: Objects, change: str) -> None:
    match change:
        case "edit":
            (work / "a.py").write_text("a = 22\n")
        case "same-size":
            (work / "a.py").write_text("a = 2\n")
        case "delete":
            (work / "a.py").unlink()
        case _:
            (work / "a.py").chmod(0o755)
    captured = capture(work, objects)
    assert captured.dirty
    assert ("a.py" in paths(captured, objects)) is (change != "delete")


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_hidden_from_git_is_captured(work: Path, objects: Objects, flag: str) -> None:
    git(work, "update-index", flag, "a.py")
    (work / "a.py").write_text("hidden\n")
    captured = capture(work, objects)
    assert content(captured, objects, "a.py") == b"hidden\n"
    assert captured.dirty


def test_odd_names_and_links_are_captured_byte_for_byte(work: Path, objects: Objects) -> None:
    odd = os.fsdecode(b"n\xff\n\x1b[2J -rf")
    (work / odd).write_text("odd")
    (work / "link").symlink_to("nowhere/at all")
    (work / "folder link").symlink_to("/etc")
    captured = capture(work, objects)
    assert content(captured, objects, odd) == b"odd"
    links = {entry.path: entry.content for entry in entries(captured, objects) if entry.mode == "120000"}
    assert links == {"link": "nowhere/at all", "folder link": "/etc"}


def test_a_nested_repository_is_captured_with_its_own_ignore_rules(work: Path, objects: Objects) -> None:
    nested = work / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / ".gitignore").write_text("skip\n")
    (nested / "skip").write_text("x")
    (nested / "kept").write_text("x")
    captured = capture(work, objects)
    assert paths(captured, objects) == [".gitignore", "a.py", "nested/.gitignore", "nested/kept", "run.sh"]
    assert captured.dirty


def test_a_submodule_that_is_not_checked_out_is_listed(work: Path, objects: Objects) -> None:
    commit = git(work, "rev-parse", "HEAD")
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    git(work, "commit", "-q", "-m", "submodule")
    (work / "sub").mkdir()
    captured = capture(work, objects)
    assert captured.not_captured == ("sub: a submodule that is not checked out",)
    assert not captured.dirty


def test_head_without_a_commit_is_no_error(tmp_path: Path, objects: Objects) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk", "fresh")
    (tmp_path / "fresh" / "x").write_text("x")
    repository = Repository(tmp_path / "fresh")
    assert repository.head() == Head(None, "trunk", None, None)
    assert repository.first_commit() is None
    assert capture(tmp_path / "fresh", objects).dirty


def test_the_login_of_a_remote_is_not_recorded(work: Path) -> None:
    git(work, "remote", "add", "origin", "https://me:secret@example.org/x.git")
    assert Repository(work).head().remote == "https://example.org/x.git"


def test_an_unknown_revision_is_a_usage_error(work: Path) -> None:
    for revision in ("nosuch", "--output=/tmp/x", ""):
        with pytest.raises(MlrunError, match="there is no commit") as caught:
            Repository(work).resolve(revision)
        assert caught.value.code is ExitCode.USAGE


def test_a_file_of_an_older_commit_can_be_read(work: Path) -> None:
    (work / "a.py").write_text("a = 2\n")
    git(work, "commit", "-q", "-am", "second")
    repository = Repository(work)
    assert repository.read_file(repository.resolve("HEAD~1"), "a.py") == b"a = 1\n"


def test_large_untracked_files_are_refused_by_name(
    work: Path, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_module, "MAX_UNTRACKED_FILE", 10)
    (work / "data.bin").write_bytes(b"x" * 11)
    with pytest.raises(MlrunError, match=r"`data.bin`") as caught:
        capture(work, objects)
    assert caught.value.code is ExitCode.POLICY


def test_a_second_capture_trusts_the_stat_cache_but_not_blindly(work: Path, objects: Objects, tmp_path: Path) -> None:
    before = (work / "a.py").stat()
    time.sleep(0.1)  # a file that has just changed is not trusted at all
    first = capture(work, objects, tmp_path / "cache")
    os.utime(work / "a.py", ns=(before.st_atime_ns, before.st_mtime_ns - 10**9))
    old = (work / "a.py").stat()
    time.sleep(0.1)
    capture(work, objects, tmp_path / "cache")
    with (work / "a.py").open("r+") as file:
        file.write("b")
    os.utime(work / "a.py", ns=(old.st_atime_ns, old.st_mtime_ns))
    changed = capture(work, objects, tmp_path / "cache")
    assert content(changed, objects, "a.py") == b"b = 1\n"
    assert changed.snapshot != first.snapshot


def test_a_damaged_stat_cache_costs_nothing_but_time(work: Path, objects: Objects, tmp_path: Path) -> None:
    time.sleep(0.1)
    first = capture(work, objects, tmp_path / "cache")
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(b'{"a.py": [1')
    assert capture(work, objects, tmp_path / "cache").snapshot == first.snapshot


def test_a_hostile_repository_runs_no_program(work: Path, objects: Objects, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    program.chmod(0o755)
    for name in ("core.fsmonitor", "diff.external", "filter.evil.clean", "filter.evil.smudge", "core.sshCommand"):
        git(work, "config", name, str(program))
    git(work, "config", "filter.evil.process", str(program))
    (work / ".gitattributes").write_text("* filter=evil diff=evil\n")
    hooks = work / ".git" / "hooks"
    for hook in ("post-index-change", "post-checkout", "pre-commit", "fsmonitor-watchman"):
        (hooks / hook).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (hooks / hook).chmod(0o755)
    (work / "a.py").write_text("changed\n")
    marker.unlink(missing_ok=True)
    repository = Repository(work)
    repository.head()
    captured = capture_worktree(objects, repository.root)
    capture_commit(objects, repository, repository.resolve("HEAD"))
    repository.read_file("HEAD", "a.py")
    repository.first_commit()
    assert not marker.exists()
    assert content(captured, objects, "a.py") == b"changed\n"


def test_a_hostile_worktree_setting_cannot_point_elsewhere(work: Path, objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text("secret")
    git(work, "config", "core.worktree", str(tmp_path / "private"))
    assert "key" not in paths(capture(work, objects), objects)


def test_nothing_is_written_into_the_repository(work: Path, objects: Objects) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in (work / ".git").rglob("*")}

    (work / "a.py").write_text("changed\n")
    before = state()
    capture_worktree(objects, work)
    Repository(work).head()
    assert state() == before


def test_a_folder_outside_git_is_captured_without_git_folders(tmp_path: Path, objects: Objects) -> None:
    folder = tmp_path / "plain"
    (folder / "sub").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    (folder / "sub" / "b").write_text("b")
    (folder / "a").write_text("a")
    captured = capture_folder(objects, folder)
    assert sorted(paths(captured, objects)) == ["a", "sub/b"]


def test_git_that_is_missing_is_one_line_with_a_hint(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MlrunError, match="git is not installed"):
        Repository(work).head()


def test_a_folder_replaced_by_a_link_is_a_link_and_nothing_behind_it_is_read(
    work: Path, objects: Objects, tmp_path: Path
) -> None:
    (work / "data").mkdir()
    (work / "data" / "key").write_text("tracked")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "data")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text("secret")
    (work / "data" / "key").unlink()
    (work / "data").rmdir()
    (work / "data").symlink_to(tmp_path / "private")
    captured = capture(work, objects)
    assert paths(captured, objects) == [".gitignore", "a.py", "data", "run.sh"]
    assert captured.dirty
    (tmp_path / "copy").mkdir()
    objects.copy_tree(entries(captured, objects), tmp_path / "copy", 0)


def test_a_file_replaced_by_a_folder_and_a_folder_by_a_file_are_captured_as_they_are(
    work: Path, objects: Objects
) -> None:
    (work / "pkg").mkdir()
    (work / "pkg" / "m.py").write_text("m")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "pkg")
    (work / "pkg" / "m.py").unlink()
    (work / "pkg").rmdir()
    (work / "pkg").write_text("file")
    (work / "a.py").unlink()
    (work / "a.py").mkdir()
    (work / "a.py" / "x").write_text("x")
    captured = capture(work, objects)
    assert paths(captured, objects) == [".gitignore", "a.py/x", "pkg", "run.sh"]
    assert captured.not_captured == ()
    assert captured.dirty


def test_pipes_and_unreadable_files_are_listed_not_read(work: Path, objects: Objects) -> None:
    (work / "a.py").unlink()
    os.mkfifo(work / "a.py")
    captured = capture(work, objects)
    assert captured.not_captured == ("a.py: neither a file nor a link",)
    assert captured.dirty


def test_a_file_that_may_not_be_read_is_listed(work: Path, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: object, *arguments: object, **more: object) -> int:
        if path == b"a.py":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    captured = capture(work, objects)
    assert captured.not_captured == ("a.py: it may not be read",)
    assert paths(captured, objects) == [".gitignore", "run.sh"]


def pointer(data: bytes) -> str:
    oid = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n"


def test_a_large_file_behind_a_pointer_is_captured_and_is_no_change(
    work: Path, objects: Objects, tmp_path: Path
) -> None:
    data = os.urandom(300_000)
    (work / "model.bin").write_text(pointer(data))
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "pointer")
    (work / "model.bin").write_bytes(data)
    time.sleep(0.1)
    for _ in range(2):
        captured = capture(work, objects, tmp_path / "cache")
        assert content(captured, objects, "model.bin") == data
        assert not captured.dirty
        assert captured.not_captured == ()
    (work / "model.bin").write_bytes(data + b"more")
    assert capture(work, objects, tmp_path / "cache").dirty


def test_a_pointer_without_its_content_is_listed_every_time(work: Path, objects: Objects, tmp_path: Path) -> None:
    (work / "model.bin").write_text(pointer(b"far away"))
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "pointer")
    time.sleep(0.1)
    for _ in range(2):
        captured = capture(work, objects, tmp_path / "cache")
        assert captured.not_captured == ("model.bin: a Git LFS pointer, its content is not here",)
        assert not captured.dirty


def test_files_outside_a_sparse_checkout_are_listed_and_are_no_change(work: Path, objects: Objects) -> None:
    (work / "far").mkdir()
    (work / "far" / "x").write_text("x")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "far")
    git(work, "sparse-checkout", "set", "near")
    assert not (work / "far").exists()
    captured = capture(work, objects)
    assert captured.not_captured == ("far/x: outside the sparse checkout",)
    assert not captured.dirty


def test_a_repository_with_sha256_ids_is_clean_when_it_is(tmp_path: Path, objects: Objects) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "new")
    (tmp_path / "new" / "x").write_text("x")
    git(tmp_path / "new", "add", "-A")
    git(tmp_path / "new", "commit", "-q", "-m", "first")
    assert not capture(tmp_path / "new", objects).dirty
    (tmp_path / "new" / "x").write_text("y")
    assert capture(tmp_path / "new", objects).dirty


def test_a_checked_out_submodule_is_captured_and_its_dirt_counts(work: Path, objects: Objects) -> None:
    git(work, "init", "-q", "lib")
    (work / "lib" / "l.py").write_text("l")
    git(work / "lib", "add", "-A")
    git(work / "lib", "commit", "-q", "-m", "lib")
    git(work, "add", "lib")
    git(work, "commit", "-q", "-m", "submodule")
    captured = capture(work, objects)
    assert paths(captured, objects) == [".gitignore", "a.py", "lib/l.py", "run.sh"]
    assert not captured.dirty
    (work / "lib" / "l.py").write_text("changed")
    assert capture(work, objects).dirty
    git(work / "lib", "commit", "-q", "-am", "further")
    assert capture(work, objects).dirty


def test_files_in_conflict_are_captured_once(work: Path, objects: Objects) -> None:
    git(work, "checkout", "-q", "-b", "other")
    (work / "a.py").write_text("other\n")
    git(work, "commit", "-q", "-am", "other")
    git(work, "checkout", "-q", "main")
    (work / "a.py").write_text("main\n")
    git(work, "commit", "-q", "-am", "main")
    with pytest.raises(subprocess.CalledProcessError):
        git(work, "merge", "-q", "other")
    captured = capture(work, objects)
    assert paths(captured, objects) == [".gitignore", "a.py", "run.sh"]
    assert captured.dirty


def test_the_ignore_file_holds_for_a_commit_and_outside_git_too(work: Path, objects: Objects) -> None:
    (work / ".vhignore").write_text("*.sh\nfar/\n")
    (work / "far").mkdir()
    (work / "far" / "x").write_text("x")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "ignore")
    repository = Repository(work)
    wanted = [".gitignore", ".vhignore", "a.py"]
    assert paths(capture_commit(objects, repository, repository.resolve("HEAD")), objects) == wanted
    assert paths(capture_folder(objects, work), objects) == wanted
    assert not capture(work, objects).dirty


def test_a_commit_is_captured_with_links_modes_and_large_files(work: Path, objects: Objects) -> None:
    large = os.urandom(700_000)
    (work / "large").write_bytes(large)
    (work / "link").symlink_to("a.py")
    odd = os.fsdecode(b"n\xff\n")
    (work / odd).write_text("odd")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "more")
    repository = Repository(work)
    captured = capture_commit(objects, repository, repository.resolve("HEAD"))
    assert captured == capture(work, objects)
    assert content(captured, objects, "large") == large
    assert odd in paths(captured, objects)


def test_a_repository_that_lacks_objects_says_so(work: Path, objects: Objects) -> None:
    repository = Repository(work)
    commit = repository.resolve("HEAD")
    blob = git(work, "rev-parse", "HEAD:a.py")
    (work / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(MlrunError, match=blob) as caught:
        capture_commit(objects, repository, commit)
    assert caught.value.code is ExitCode.INPUT
    assert not capture(work, objects).dirty
    with pytest.raises(MlrunError, match="git cannot read"):
        capture_commit(objects, repository, "0" * 40)


def test_missing_objects_are_never_fetched(work: Path, objects: Objects, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    repository = Repository(work)
    commit = repository.resolve("HEAD")
    blob = git(work, "rev-parse", "HEAD:a.py")
    (work / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    git(work, "config", "remote.origin.url", f"ext::sh -c touch% {marker}")
    git(work, "config", "remote.origin.promisor", "true")
    git(work, "config", "protocol.ext.allow", "always")
    git(work, "config", "extensions.partialClone", "origin")
    with pytest.raises(MlrunError):
        capture_commit(objects, repository, commit)
    (work / "a.py").write_text("changed")
    assert capture(work, objects).dirty
    assert not marker.exists()


def test_the_first_commit_is_that_of_the_main_line_and_unknown_in_a_shallow_clone(work: Path, tmp_path: Path) -> None:
    first = git(work, "rev-parse", "HEAD")
    git(work, "checkout", "-q", "--orphan", "unrelated")
    git(work, "commit", "-q", "-m", "another root")
    git(work, "checkout", "-q", "main")
    git(work, "merge", "-q", "--allow-unrelated-histories", "-m", "merge", "unrelated")
    assert Repository(work).first_commit() == first
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{work}", "shallow")
    assert Repository(tmp_path / "shallow").first_commit() is None


def test_a_worktree_of_a_repository_is_its_own_folder_with_the_same_history(work: Path, objects: Objects) -> None:
    git(work, "worktree", "add", "-q", "../second", "-b", "second")
    second = find_repository(work.parent / "second")
    assert second is not None
    assert second.head().branch == "second"
    assert second.first_commit() == Repository(work).first_commit()
    assert capture_worktree(objects, second.root).snapshot == capture(work, objects).snapshot


def test_the_callers_git_variables_do_not_lead_astray(
    work: Path, objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Repository(work).head().commit
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert Repository(work).head().commit == commit
    assert not capture(work, objects).dirty


def test_replaced_objects_do_not_count(work: Path, objects: Objects) -> None:
    blob = git(work, "rev-parse", "HEAD:a.py")
    (work / "evil").write_text("evil")
    git(work, "replace", blob, git(work, "hash-object", "-w", "evil"))
    assert Repository(work).read_file("HEAD", "a.py") == b"a = 1\n"


@pytest.mark.parametrize(
    ("address", "recorded"),
    [
        ("https://token@example.org/x.git?private_token=s#f", "https://example.org/x.git"),
        ("ssh://git:secret@example.org:22/x.git", "ssh://git@example.org:22/x.git"),
        ("git@example.org:x.git", "git@example.org:x.git"),
        ("/srv/x.git", "/srv/x.git"),
    ],
)
def test_an_address_is_recorded_without_secrets(work: Path, address: str, recorded: str) -> None:
    git(work, "remote", "add", "origin", address)
    assert Repository(work).head().remote == recorded


@pytest.mark.root
def test_a_repository_of_somebody_else_is_refused_with_the_way_out(work: Path, objects: Objects) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    for path in (work, *work.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    for use in (Repository(work).head, Repository(work).first_commit, lambda: capture(work, objects)):
        with pytest.raises(MlrunError, match="belongs to another user") as caught:
            use()
        assert caught.value.code is ExitCode.POLICY
        assert f"safe.directory '{work}'" in (caught.value.hint or "")


def test_a_broken_repository_is_one_line_with_gits_words(work: Path, objects: Objects) -> None:
    (work / ".git" / "index").write_bytes(b"garbage" * 10)
    with pytest.raises(MlrunError, match=r"git cannot read the repository .*: .+") as caught:
        capture(work, objects)
    assert caught.value.code is ExitCode.INPUT


def test_untracked_files_are_counted_over_nested_repositories(
    work: Path, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_module, "MAX_UNTRACKED", 1000)
    git(work, "init", "-q", "nested")
    for folder in (work, work / "nested"):
        (folder / "data").write_bytes(b"x" * 600)
    with pytest.raises(MlrunError, match="`nested/data`"):
        capture(work, objects)


def test_pipes_in_a_folder_are_listed_and_links_are_kept(tmp_path: Path, objects: Objects) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/etc")
    captured = capture_folder(objects, folder)
    assert captured.not_captured == ("pipe: neither a file nor a link",)
    assert [(entry.path, entry.content) for entry in entries(captured, objects)] == [("link", "/etc")]


def test_a_folder_is_held_to_the_same_limits(tmp_path: Path, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "MAX_UNTRACKED_FILE", 10)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "data.bin").write_bytes(b"x" * 11)
    with pytest.raises(MlrunError, match=r"`data\.bin`"):
        capture_folder(objects, tmp_path / "plain")


def test_a_store_inside_the_repository_is_not_captured(work: Path, objects: Objects) -> None:
    before = capture(work, objects)
    Layout.create_or_open(work / ".store")
    after = capture(work, objects)
    assert paths(after, objects) == paths(before, objects)
    assert after.dirty == before.dirty
