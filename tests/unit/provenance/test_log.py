"""The history of a repository: commits by first parents, who made them and what they changed."""

import subprocess
from pathlib import Path

import pytest

from runner.errors import MlrunError
from runner.provenance.log import CommitInfo, FileStat, changed_files, commit_info, first_parents


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Zoë <x> y", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, message: str, **files: str) -> str:
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", message, "--date", "2026-01-02T03:04:05+02:00")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


def test_a_merge_counts_as_one_commit_of_its_branch(work: Path) -> None:
    first = commit(work, "first", a="1")
    git(work, "checkout", "-q", "-b", "side")
    commit(work, "aside", b="1")
    git(work, "checkout", "-q", "main")
    second = commit(work, "second", a="2")
    git(work, "merge", "-q", "--no-ff", "-m", "merged", "side")
    merged = git(work, "rev-parse", "HEAD")
    assert first_parents(work, merged) == [merged, second, first]
    assert changed_files(work, second, merged) == (FileStat("b", 1, 0),)


def test_a_commit_tells_its_subject_its_author_and_when_in_utc(work: Path) -> None:
    id = commit(work, "the subject\n\nauthor liar <x> 1 +0000\nmore", a="1")
    assert commit_info(work, id) == CommitInfo(id, "the subject", "Zoë x y", "2026-01-02T01:04:05Z")
    empty = git(work, "commit-tree", f"{id}^{{tree}}", "-m", "")
    assert commit_info(work, empty).subject == ""


@pytest.mark.parametrize("when", ["99999999999999999999 +0000", "253402300800 +0000", "x", "\u0664\u0665 +0000", ""])
def test_a_commit_may_claim_any_date_and_name(work: Path, when: str) -> None:
    id = commit(work, "one", a="1")
    tree = git(work, "rev-parse", f"{id}^{{tree}}")
    text = f"tree {tree}\nparent {id}\nauthor A\x85\x1bB <e@x> {when}\nencoding latin1\n\nsubj\xe9ct".encode(
        "latin-1", "replace"
    )
    told = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        cwd=work,
        input=text,
        capture_output=True,
        check=True,
    )
    found = commit_info(work, told.stdout.decode().strip())
    assert (found.subject, found.time) == ("subj\ufffdct", "1970-01-01T00:00:00Z")
    assert found.author.startswith("A")


def test_what_a_commit_changed_is_counted_in_lines_and_odd_files_are_named(work: Path) -> None:
    before = commit(work, "one", text="a\nb\n", gone="x\n")
    (work / "gone").unlink()
    (work / "image\n\t\xff.bin").write_bytes(b"\0\1")
    after = commit(work, "two", text="a\nc\nd\n")
    assert sorted(changed_files(work, before, after), key=lambda one: one.path) == [
        FileStat("gone", 0, 1),
        FileStat("image\n\t\xff.bin", None, None),
        FileStat("text", 2, 1),
    ]


def test_no_program_that_the_repository_names_is_run(work: Path) -> None:
    trap = work / "trap"
    trap.write_text("#!/bin/sh\ntouch sprung\ncat\n")
    trap.chmod(0o755)
    for name in ("diff.external", "diff.x.textconv", "diff.x.command", "gpg.program"):
        git(work, "config", name, str(trap))
    git(work, "config", "log.showSignature", "true")
    before = commit(work, "one", **{".gitattributes": "* diff=x\n", "a": "1\n"})
    after = commit(work, "two", a="2\n")
    assert changed_files(work, before, after) == (FileStat("a", 1, 1),)
    commit_info(work, after)
    assert not (work / "sprung").exists()


def test_a_commit_that_is_not_there_is_told(work: Path) -> None:
    commit(work, "one")
    for ask in (first_parents, commit_info):
        with pytest.raises(MlrunError, match="git cannot read"):
            ask(work, "0" * 40)
