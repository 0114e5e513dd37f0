"""Which files of a repository differ between two commits, or between a commit and the working tree.

Files of the working tree are read by ourselves: git would run filters that a repository names. A submodule counts as
one file whose content is its commit, a link as one whose content is its target, and a file that a Git LFS pointer
stands for is the same as the pointer. What `.vhignore` leaves out does not count, as no step sees it.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.provenance.command import ask
from runner.provenance.ignore import IGNORE_FILE, Ignore
from runner.provenance.tree import pointer_oid, read_ignore, text
from runner.provenance.worktree import COMMIT

LINK = "120000"
_EXECUTABLE, _PLAIN = "100755", "100644"
_POINTER_SIZES = range(110, 1024)
"""Bytes of a Git LFS pointer (git-lfs, docs/spec.md): its two fixed lines, and room for extensions."""
_MOST_NESTED = 16
"""How deep repositories may lie in one another."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file of a tree: its mode and the id of its content; `size` in bytes, None for a submodule and where it is not
    known."""

    mode: str
    id: str
    size: int | None


Tree = Mapping[bytes, TreeFile]
"""The files of one side by their paths from the root of the repository."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that differs: `before` and `after` are its modes, None on a side where there is none."""

    path: str
    before: str | None
    after: str | None


def commit_tree(root: Path, commit: str) -> dict[bytes, TreeFile]:
    """The files of a commit. Raises MlrunError (INPUT) when the repository lacks its tree."""
    words = ("ls-tree", "-r", "-z", "--full-tree", commit)
    (listed,) = ask(root, (*words[:-1], "-l", commit))
    if listed.output is None:
        # A partial clone knows the names of what it lacks, but no sizes.
        (listed,) = ask(root, words)
    found = {}
    for line in listed.required(root).split(b"\0"):
        if line:
            facts, _, path = line.partition(b"\t")
            mode, _, id, size = [*facts.decode("ascii").split(), "-"][:4]
            # Old trees have other modes for plain files, such as 100664.
            kept = mode if mode in (COMMIT, LINK, _EXECUTABLE) else _PLAIN
            found[path] = TreeFile(kept, id, int(size) if size.isdecimal() else None)
    return found


def read_blob(root: Path, id: str) -> bytes:
    """The content of a blob. Raises MlrunError (INPUT) when the repository lacks it."""
    (data,) = ask(root, ("cat-file", "blob", id))
    if data.output is None:
        raise MlrunError(
            f"this clone of the repository lacks the object {id}",
            code=ExitCode.INPUT,
            hint=f"a partial clone gets it by `git cat-file -e {id}`; else `git fsck` says more",
        )
    return data.output


def worktree_tree(root: Path, base: Tree, depth: int = 0) -> dict[bytes, TreeFile]:
    """The tracked and untracked, not ignored files of the working tree.

    A file that is surely not what `base` has at its path has an id that no commit has: it is not read for that. What
    is not checked out counts as the index has it. `depth` tells how deep the repository lies in others.
    Raises MlrunError when git cannot list them.
    """
    (listed,) = ask(root, ("ls-files", "-z", "-v", "--stage", "--cached", "--others", "--exclude-standard"))
    algorithm = "sha256" if any(len(file.id) == 64 for file in base.values()) else "sha1"
    found: dict[bytes, TreeFile] = {}
    folders = _Folders(os.fsencode(root))
    for record in listed.required(root).split(b"\0"):
        tag, _, rest = record.partition(b" ")
        if not tag:
            continue
        facts, _, path = (b"", b"", rest) if tag == b"?" else rest.partition(b"\t")
        path = path.removesuffix(b"/")
        if path in found:
            continue
        reachable = folders.are_real(path.rpartition(b"/")[0])
        file = _on_disk(root, path, base.get(path), algorithm, depth) if reachable else None
        if file is None and (tag.upper() == b"S" or facts.startswith(COMMIT.encode())):
            # A sparse checkout leaves it out, or it is a submodule that is not there; nobody has removed it.
            mode, id, _ = facts.decode("ascii").split()
            file = TreeFile(mode, id, None)
        if file is not None:
            found[path] = file
    return found


class _Folders:
    """Tells whether folders below a root are reached without going through links, each asked once."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._known = {b"": True}

    def are_real(self, folder: bytes) -> bool:
        """Whether neither the folder nor one above it is a link: what lies behind one is no part of the tree."""
        if folder not in self._known:
            above = self.are_real(folder.rpartition(b"/")[0])
            self._known[folder] = above and not os.path.islink(self._root + b"/" + folder)
        return self._known[folder]


def _on_disk(root: Path, path: bytes, known: TreeFile | None, algorithm: str, depth: int) -> TreeFile | None:
    place = os.fsencode(root) + b"/" + path
    try:
        status = os.lstat(place)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(place)
            return TreeFile(LINK, _blob_id(target, algorithm), len(target))
        if stat.S_ISDIR(status.st_mode):
            return _nested(Path(os.fsdecode(place)), depth + 1)
        if not stat.S_ISREG(status.st_mode):
            return None
        mode = _EXECUTABLE if status.st_mode & stat.S_IXUSR else _PLAIN
        return TreeFile(mode, _content_id(root, place, status.st_size, known, algorithm), status.st_size)
    except FileNotFoundError:
        return None
    except OSError:
        # It is there but cannot be read: whether it differs is unknown, so that it counts as different.
        return TreeFile(_PLAIN, "unreadable", None)


def _nested(place: Path, depth: int) -> TreeFile | None:
    """A submodule or another repository that lies in this one; if anything is uncommitted, under an id of its own."""
    if not os.path.lexists(place / ".git"):
        return None
    (head,) = ask(place, ("rev-parse", "--verify", "-q", "HEAD"))
    if head.line is None or depth > _MOST_NESTED:
        return TreeFile(COMMIT, "unknown", None)
    tree = commit_tree(place, head.line)
    disk = worktree_tree(place, tree, depth)
    clean = all(_same(tree.get(path), disk.get(path)) for path in tree.keys() | disk.keys())
    return TreeFile(COMMIT, head.line if clean else "different", None)


def _content_id(root: Path, place: bytes, size: int, known: TreeFile | None, algorithm: str) -> str:
    if known is not None and known.size in (size, None):
        return _hash_file(place, algorithm, b"blob %d\0" % size)
    if known is not None and known.size is not None and known.size in _POINTER_SIZES:
        oid = pointer_oid(read_blob(root, known.id))
        if oid is not None and _hash_file(place, "sha256") == oid:
            return known.id
    return "different"


def _hash_file(place: bytes, algorithm: str, start: bytes = b"") -> str:
    hasher = hashlib.new(algorithm, start, usedforsecurity=False)
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while block := file.read(_PIECE):
            hasher.update(block)
    return hasher.hexdigest()


def _blob_id(data: bytes, algorithm: str) -> str:
    """Git's name for a blob: a hash over a header and the content (gitformat-pack(5))."""
    return hashlib.new(algorithm, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def differences(before: Tree, after: Tree, ignored_before: Ignore, ignored_after: Ignore) -> list[Difference]:
    """The files that differ, sorted by path; those that a side ignores are not there on that side."""
    found = []
    for path in sorted(before.keys() | after.keys()):
        one, other = before.get(path), after.get(path)
        if _same(one, other):
            continue
        one = None if one is None or ignored_before.leaves_out(path) else one
        other = None if other is None or ignored_after.leaves_out(path) else other
        if one is not None or other is not None:
            found.append(Difference(text(path), one.mode if one else None, other.mode if other else None))
    return found


def _same(one: TreeFile | None, other: TreeFile | None) -> bool:
    return one is not None and other is not None and (one.mode, one.id) == (other.mode, other.id)


def ignore_of(root: Path, tree: Tree, *, on_disk: bool) -> Ignore:
    """The patterns of the `.vhignore` of a side; a link or anything else of that name is not followed."""
    file = tree.get(IGNORE_FILE)
    if file is None or file.mode not in (_PLAIN, _EXECUTABLE):
        return Ignore()
    return Ignore(read_ignore(root) if on_disk else read_blob(root, file.id))
