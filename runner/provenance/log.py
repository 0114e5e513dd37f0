"""The history of a repository: which commits lead to one, who made them, and which files each of them changed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runner.provenance.command import ask
from runner.provenance.tree import text

MOST_COMMITS = 100_000
"""How far back a history is read."""


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit: its full id, the first line of its message, who wrote it and when (UTC, ISO 8601)."""

    id: str
    subject: str
    author: str
    time: str


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file that a commit changed, and how many lines it `added` and `removed`; None where it is no text."""

    path: str
    added: int | None
    removed: int | None


def first_parents(root: Path, commit: str) -> list[str]:
    """The commits that lead to `commit`, a full id, by first parents: itself first, the oldest last.

    Raises MlrunError (INPUT) when the repository cannot be read.
    """
    (listed,) = ask(root, ("rev-list", "--first-parent", f"--max-count={MOST_COMMITS}", commit))
    return listed.required(root).decode("ascii").split()


def commit_info(root: Path, commit: str) -> CommitInfo:
    """Who made a commit and what it is called. Raises MlrunError (INPUT) when the repository lacks it."""
    (found,) = ask(root, ("cat-file", "commit", commit))
    head, _, message = found.required(root).decode("utf-8", "replace").partition("\n\n")
    fields = dict(line.partition(" ")[::2] for line in head.split("\n") if line[:1] != " ")
    name, _, when = fields.get("author", "").partition(" <")
    seconds = when.rpartition("> ")[2].partition(" ")[0]
    return CommitInfo(commit, message.strip().partition("\n")[0], name, _moment(seconds))


def changed_files(root: Path, before: str, after: str) -> tuple[FileStat, ...]:
    """Which files differ between two commits, and by how many lines. No program that the repository names is run.

    Raises MlrunError (INPUT) when the repository lacks one of them.
    """
    words = ("diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv", before, after)
    (told,) = ask(root, words)
    rows = (row.split(b"\t", 2) for row in told.required(root).split(b"\0") if row)
    return tuple(FileStat(text(path), _count(added), _count(removed)) for added, removed, path in rows)


def _moment(seconds: str) -> str:
    """A commit may claim any number (git-commit-tree(1)); where it is no date, that of the epoch."""
    try:
        moment = datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _count(word: bytes) -> int | None:
    return int(word) if word.isdigit() else None
