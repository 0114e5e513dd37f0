"""The two sides of a comparison: what the words of a command line mean, and the file and the code of each side.

Everything that comes out of a revision is data: git runs hardened (`runner.provenance.command`), and nothing of the
repository is executed.
"""

import posixpath
from dataclasses import dataclass
from pathlib import Path

from runner.app.place import FILE_NAME
from runner.change.model import FileChange, Kind
from runner.errors import ExitCode, MlrunError, spec_error, usage_error
from runner.provenance.command import ask
from runner.provenance.difference import (
    LINK,
    Tree,
    commit_tree,
    differences,
    ignore_of,
    read_blob,
    worktree_tree,
)
from runner.provenance.git import Repository, find_repository
from runner.provenance.tree import text
from runner.provenance.worktree import COMMIT
from runner.spec.model import Project
from runner.spec.project import parse_project, read_bytes
from runner.spec.source import MAX_BYTES

_DEFAULT_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
_MOST_LINKS = 8
_WHOLE = "in GitHub Actions check out with `fetch-depth: 0`; elsewhere `git fetch --unshallow`; or name a base revision"

EMPTY = b"[]\n"
"""The bytes of a file without items, for a side that has none."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One side: a commit, or the working tree when `commit` is None; `shown` is what the user calls it."""

    shown: str
    commit: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """A side as it was read. `project` has no items where the file is `missing`."""

    revision: Revision
    project: Project
    missing: bool


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a comparison; `file` is the path of the YAML file from the root of the repository. `yaml` tells
    that its content differs; it is among `files` only if it is of another kind or mode."""

    file: str
    base: Side
    head: Side
    files: tuple[FileChange, ...]
    yaml: FileChange | None = None


def revisions(repository: Repository, words: list[str]) -> tuple[Revision, Revision]:
    """What `[BASE [HEAD]]`, `A..B` or `A...B` mean. Without a base it is the commit where HEAD left the default branch,
    without a head the working tree. Raises MlrunError (USAGE)."""
    if len(words) == 1 and ".." in words[0]:
        sign = "..." if "..." in words[0] else ".."
        one, _, other = words[0].partition(sign)
        base, head = _named(repository, one or "HEAD"), _named(repository, other or "HEAD")
        return (_fork_point(repository, base, head) if sign == "..." else base), head
    head = _named(repository, words[1]) if len(words) > 1 else Revision("working tree", None)
    return (_named(repository, words[0]) if words else _default_base(repository)), head


def _named(repository: Repository, word: str) -> Revision:
    commit = repository.resolve(word)
    return Revision(word if not commit.startswith(word) else commit[:10], commit)


def _default_base(repository: Repository) -> Revision:
    """The merge base of HEAD and the default branch."""
    if repository.head().commit is None:
        raise usage_error("the repository has no commit yet, so that there is nothing to compare with")
    answers = ask(repository.root, *(_verify(branch) for branch in _DEFAULT_BRANCHES))
    found = next((pair for pair in zip(_DEFAULT_BRANCHES, answers, strict=True) if pair[1].line), None)
    if found is None:
        looked = ", ".join(f"`{branch}`" for branch in _DEFAULT_BRANCHES)
        raise usage_error(f"there is no default branch to compare with: none of {looked}", _WHOLE)
    branch = found[0]
    if branch == "origin/HEAD":
        (name,) = ask(repository.root, ("rev-parse", "--abbrev-ref", "origin/HEAD"))
        branch = name.line or branch
    head = Revision("HEAD", repository.resolve("HEAD"))
    return _fork_point(repository, Revision(branch, found[1].line), head)


def _verify(branch: str) -> tuple[str, ...]:
    folder = "refs/remotes/" if "/" in branch else "refs/heads/"
    return ("rev-parse", "--verify", "-q", f"{folder}{branch}^{{commit}}")


def _fork_point(repository: Repository, one: Revision, other: Revision) -> Revision:
    """The best common ancestor of two commits."""
    commits = [one.commit or "", other.commit or ""]
    common, shallow = ask(repository.root, ("merge-base", *commits), ("rev-parse", "--is-shallow-repository"))
    if common.line is None:
        if shallow.line == "true":
            raise usage_error(
                f"this clone is shallow: it does not reach back to where {other.shown} left {one.shown}", _WHOLE
            )
        raise usage_error(
            f"{one.shown} and {other.shown} have no commit in common", "`mlrun diff A B` compares any two"
        )
    commit = common.line
    return Revision(f"{commit[:10]} (merge base with {one.shown})" if commit != one.commit else one.shown, commit)


def read_sides(start: Path, words: list[str], yaml: str | None = None) -> Sides:
    """Both sides of the comparison that a command line asks for in the folder `start`; `yaml` names another file,
    relative to it. A file that is on one side only is an empty one on the other.

    Raises MlrunError: USAGE for words that mean nothing, SPEC where neither side has the file, INPUT and POLICY for
    what git cannot or will not read.
    """
    repository = find_repository(start)
    if repository is None:
        raise usage_error(
            f"{start} lies in no git repository with a working tree", "`mlrun diff` compares revisions of one"
        )
    base, head = revisions(repository, words)
    root = repository.root
    before = commit_tree(root, base.commit or "")
    after = commit_tree(root, head.commit) if head.commit else worktree_tree(root, before)
    file = _find_file(root, start, yaml, before, after)
    sides = [_read_side(root, file, revision, tree) for revision, tree in ((base, before), (head, after))]
    if all(side.missing for side in sides):
        raise spec_error(f"neither {base.shown} nor {head.shown} has `{file}`", None, "`--yaml FILE` names another")
    found = differences(
        before,
        after,
        ignore_of(root, before, on_disk=False),
        ignore_of(root, after, on_disk=head.commit is None),
    )
    changes = [_file_change(row.path, row.before, row.after) for row in found]
    own = next((change for change in changes if change.path == file), None)
    files = tuple(change for change in changes if change is not own or (change.names and change.kind is Kind.CHANGED))
    return Sides(file, sides[0], sides[1], files, own)


def _file_change(path: str, before: str | None, after: str | None) -> FileChange:
    if before is None or after is None:
        kind = Kind.ADDED if before is None else Kind.REMOVED
        return FileChange(path, kind, names=True, holds_others=COMMIT in (before, after))
    # The target of a link is its content, which counts as a name does.
    names = before != after or before == LINK
    return FileChange(path, Kind.CHANGED, names, holds_others=COMMIT in (before, after))


def _find_file(root: Path, start: Path, yaml: str | None, before: Tree, after: Tree) -> str:
    """The path of the YAML file from the root: the nearest one upwards that any side has."""
    folder = start.absolute()
    below = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else "."
    if yaml is not None:
        path = posixpath.normpath(posixpath.join(root.as_posix(), below, yaml))
        if not path.startswith(root.as_posix().rstrip("/") + "/"):
            raise usage_error(f"`{yaml}` lies outside the repository {root}", "`--yaml` takes a path inside it")
        return posixpath.relpath(path, root.as_posix())
    while True:
        path = posixpath.normpath(posixpath.join(below, FILE_NAME))
        if any(path.encode("utf-8", "surrogateescape") in tree for tree in (after, before)):
            return path
        if below in ("", "."):
            return FILE_NAME
        below = posixpath.dirname(below)


def _read_side(root: Path, file: str, revision: Revision, tree: Tree) -> Side:
    data = _disk_bytes(root, file) if revision.commit is None else _commit_bytes(root, file, revision, tree)
    return Side(revision, parse_project(EMPTY if data is None else data, file), data is None)


def _disk_bytes(root: Path, file: str) -> bytes | None:
    """The file as it lies in the working tree, also if git ignores it; None when it is not there."""
    place = root / file
    if not place.exists():
        return None
    inside = place.resolve().is_relative_to(root.resolve())
    if not inside or ".git" in place.resolve().relative_to(root.resolve()).parts:
        raise spec_error(f"`{file}` is a link that leads out of the repository", None)
    return read_bytes(place, file)


def _commit_bytes(root: Path, file: str, revision: Revision, tree: Tree) -> bytes | None:
    """The file as a commit has it, followed through links inside the tree; None when it is not there."""
    path = file
    for _ in range(_MOST_LINKS):
        found = tree.get(path.encode("utf-8", "surrogateescape"))
        if found is None or found.mode == COMMIT:
            return None
        if found.mode != LINK:
            data = read_blob(root, found.id) if (found.size or 0) <= MAX_BYTES else None
            if data is None or len(data) > MAX_BYTES:
                raise spec_error(f"`{file}` of {revision.shown} has more than {MAX_BYTES >> 20} MiB", None)
            return data
        target = text(read_blob(root, found.id))
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    raise MlrunError(f"`{file}` of {revision.shown} is a link to a link without end", code=ExitCode.SPEC)
