"""The working tree of a repository and of those nested in it: what belongs to it, and whether it differs from HEAD.

Files are read by ourselves, so neither filters nor `assume-unchanged` can hide anything (git-update-index(1)).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.digest import hash_bytes
from runner.provenance.command import ask, start
from runner.provenance.tree import Captured, Objects, TreeReader, pointer_oid, text

COMMIT = "160000"
"""The mode of a submodule in a tree."""

_MOST_NESTED = 16
"""How deep repositories may lie in one another."""

Row = tuple[str, str]
"""Mode and id."""


@dataclass(slots=True)
class _Listing:
    """What git says belongs to a working tree; paths are relative to it."""

    tracked: set[bytes] = field(default_factory=set)
    untracked: set[bytes] = field(default_factory=set)
    repositories: set[bytes] = field(default_factory=set)
    """Submodules and untracked repositories."""
    skipped: set[bytes] = field(default_factory=set)
    """Tracked files that a sparse checkout may leave out."""


def capture_worktree(objects: Objects, root: Path, cache: Path | None = None, *, keep: bool = True) -> Captured:
    """Take the working tree of the repository at `root`, and of those nested in it, into the store; what has not
    changed since that was done last is not read. `cache` is a folder for the stat cache, only read without `keep`.

    Raises MlrunError: POLICY for untracked files that are too large or a repository that git refuses, INPUT for
    files and repositories that cannot be read.
    """
    with TreeReader(root, objects, cache, keep=keep) as reader:
        return _capture(reader)


def _capture(reader: TreeReader) -> Captured:
    listed, committed = _ask(reader, b"")
    question = hash_bytes(hash_bytes(listed).encode() + hash_bytes(committed).encode() + reader.ignore_text)
    known = reader.recognise(question)
    if known is not None:
        return known
    listing = _parse(listed)
    # What those that lie in it hold is asked of them.
    dirty = _read(reader, listing, committed, b"", 0)
    return reader.finish(dirty=dirty, question=None if listing.repositories else question)


def _ask(reader: TreeReader, prefix: bytes) -> tuple[bytes, bytes]:
    """What git says belongs to the repository at `prefix`, and the tree of HEAD, empty before the first commit."""
    top = reader.place(prefix)
    listed, committed = ask(
        top,
        ("ls-files", "-z", "-v", "--stage", "--cached", "--others", "--exclude-standard"),
        ("ls-tree", "-r", "-z", "HEAD"),
    )
    return listed.required(top), committed.output or b""


def _read(reader: TreeReader, listing: _Listing, committed: bytes, prefix: bytes, depth: int) -> bool:
    """Read the repository at `prefix` and those nested in it; returns whether anything differs from HEAD."""
    tree = {
        path: (mode, id) for path, (mode, _, id) in tree_rows(committed) if not reader.ignore.leaves_out(prefix + path)
    }
    algorithm = "sha256" if any(len(id) == 64 for _, id in tree.values()) else "sha1"
    new = sorted(path for path in listing.untracked if not reader.ignore.leaves_out(prefix + path))
    reader.check_untracked(prefix + path for path in new)
    found: dict[bytes, Row] = {}
    for path in sorted({*listing.tracked, *new}):
        if not reader.ignore.leaves_out(prefix + path):
            row = reader.read(prefix + path, algorithm)
            if row is not None:
                found[path] = row
            elif path in listing.skipped:
                tree.pop(path, None)
                reader.not_captured.append(f"{text(prefix + path)}: outside the sparse checkout")
    nested = sorted(path for path in listing.repositories if not reader.ignore.leaves_out(prefix + path))
    changed = [_read_nested(reader, prefix, path, depth, tree, found) for path in nested]
    return any(changed) or _differs(reader, reader.place(prefix), prefix, tree, found)


def tree_rows(output: bytes) -> Iterator[tuple[bytes, tuple[str, str, str]]]:
    """The lines of `git ls-tree -z`: path and (mode, kind, id)."""
    for line in output.split(b"\0"):
        if line:
            facts, _, path = line.partition(b"\t")
            mode, kind, id = facts.decode("ascii").split()
            yield path, (mode, kind, id)


def _parse(output: bytes) -> _Listing:
    """The records of `git ls-files -z -v --stage --others`: `? PATH`, else `TAG MODE ID STAGE<tab>PATH`."""
    listing = _Listing()
    for record in output.split(b"\0"):
        tag, _, rest = record.partition(b" ")
        if tag == b"?":
            (listing.repositories if rest.endswith(b"/") else listing.untracked).add(rest.removesuffix(b"/"))
        elif tag:
            facts, _, path = rest.partition(b"\t")
            if facts.startswith(COMMIT.encode()):
                listing.repositories.add(path)
            else:
                listing.tracked.add(path)
                if tag.upper() == b"S":
                    listing.skipped.add(path)
    return listing


def _read_nested(
    reader: TreeReader, prefix: bytes, path: bytes, depth: int, tree: dict[bytes, Row], found: dict[bytes, Row]
) -> bool:
    top = reader.place(prefix + path)
    if not reader.is_folder(prefix + path):
        return False
    if not os.path.lexists(top / ".git") or depth == _MOST_NESTED:
        reason = "a submodule that is not checked out" if depth < _MOST_NESTED else "too deep in other repositories"
        reader.not_captured.append(f"{text(prefix + path)}: {reason}")
        tree.pop(path, None)
        return False
    (head,) = ask(top, ("rev-parse", "--verify", "-q", "HEAD"))
    found[path] = (COMMIT, head.line or "")
    prefix += path + b"/"
    listed, committed = _ask(reader, prefix)
    return _read(reader, _parse(listed), committed, prefix, depth + 1)


def _differs(reader: TreeReader, top: Path, prefix: bytes, tree: dict[bytes, Row], found: dict[bytes, Row]) -> bool:
    """Whether a tree differs from what was found; a file that a Git LFS pointer stands for does not."""
    if tree.keys() != found.keys():
        return True
    return any(
        not _is_behind_pointer(reader, top, text(prefix + path), row, found[path])
        for path, row in tree.items()
        if row != found[path]
    )


def _is_behind_pointer(reader: TreeReader, top: Path, path: str, committed: Row, found: Row) -> bool:
    if committed[0] != found[0] or committed[0] == COMMIT:
        return False
    # A blob that is no pointer may be of any size: read no more than a pointer can have.
    process = start(top, ("cat-file", "blob", committed[1]))
    assert process.stdout is not None
    with process:
        oid = pointer_oid(process.stdout.read(1 << 11))
        process.kill()
        process.stderr.close() if process.stderr else None
    if oid is None or reader.sha256(path) != oid:
        return False
    reader.cache.rename_blob(path, committed[1])
    return True
