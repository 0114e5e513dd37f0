"""A git repository as a source of code: what HEAD is, and the exact bytes of a tree, taken into the store.

Nothing is ever written into the user's `.git`, and nothing that the repository names is run (`command`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit, urlunsplit

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.provenance.command import ask, start
from runner.provenance.folder import capture_folder
from runner.provenance.ignore import IGNORE_FILE, Ignore
from runner.provenance.tree import SMALL, Captured, Objects, TreeReader, text
from runner.provenance.worktree import capture_worktree, tree_rows
from runner.store.tree import EXECUTABLE, FILE, LINK, TreeEntry

__all__ = ["Captured", "Head", "Objects", "Repository", "capture_folder", "find_repository"]

_TOGETHER = 1024
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Head:
    """What is checked out; `commit` is None before the first one, `branch` None when detached."""

    commit: str | None
    branch: str | None
    remote: str | None
    describe: str | None


def find_repository(start: Path) -> "Repository | None":
    """The repository whose working tree `start` lies in."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if os.path.lexists(folder / ".git"):
            return Repository(folder)
    return None


@dataclass(frozen=True, slots=True)
class Repository:
    """The working tree at `root`."""

    root: Path

    def head(self) -> Head:
        """What is checked out. Raises MlrunError when git is missing or refuses the repository."""
        commit, branch, remote, describe = ask(
            self.root,
            ("rev-parse", "--verify", "-q", "HEAD^{commit}"),
            ("symbolic-ref", "-q", "--short", "HEAD"),
            ("config", "--get", "remote.origin.url"),
            ("describe", "--always", "--long", "--tags"),
        )
        return Head(commit.line, branch.line, _without_login(remote.line), describe.line)

    def first_commit(self) -> str | None:
        """The root commit that HEAD comes from by first parents.

        None before the first commit, and in a shallow clone, which does not know it.
        """
        roots, shallow = ask(
            self.root,
            ("rev-list", "--max-parents=0", "--first-parent", "HEAD"),
            ("rev-parse", "--is-shallow-repository"),
        )
        return roots.line if shallow.line == "false" else None

    def resolve(self, revision: str) -> str:
        """The full id of a commit. Raises MlrunError (code USAGE)."""
        (commit,) = ask(self.root, ("rev-parse", "--verify", "-q", "--end-of-options", f"{revision}^{{commit}}"))
        if commit.line is None or "\0" in revision:
            raise MlrunError(
                f"there is no commit `{revision}` in {self.root}",
                code=ExitCode.USAGE,
                hint="`git log --oneline` shows commits",
            )
        return commit.line

    def read_file(self, commit: str, path: str) -> bytes:
        """A file of a commit. Raises MlrunError (code SPEC) when the commit has none."""
        (data,) = ask(self.root, ("cat-file", "blob", f"{commit}:{path}"))
        if data.output is None:
            raise MlrunError(
                f"commit {commit[:12]} has no `{path}`",
                code=ExitCode.SPEC,
                hint="`--commit` takes the YAML file of that commit, too; `--yaml FILE` names another",
            )
        return data.output

    def capture(self, objects: Objects, cache: Path | None = None) -> Captured:
        """Take the working tree into the store; `cache` is a folder for the stat cache.

        Raises MlrunError: POLICY for untracked files that are too large, INPUT for files that the disk cannot give.
        """
        with TreeReader(self.root, objects, cache) as reader:
            return capture_worktree(reader)

    def capture_commit(self, objects: Objects, commit: str) -> Captured:
        """Take the tree of a commit into the store. Raises MlrunError (INPUT) when the repository lacks objects."""
        (listed,) = ask(self.root, ("ls-tree", "-r", "-z", commit))
        rows = list(tree_rows(listed.required(self.root)))
        ignore = self._ignore_of(commit, {path for path, _ in rows})
        rows = [row for row in rows if not ignore.leaves_out(row[0])]
        missing = tuple(f"{text(path)}: a submodule" for path, (_, kind, _) in rows if kind == "commit")
        wanted = [(path, mode, id) for path, (mode, kind, id) in rows if kind == "blob"]
        with _BlobReader(self.root) as blobs:
            snapshot = objects.put_tree(_stored(objects, blobs, wanted))
        return Captured(snapshot, dirty=False, not_captured=missing)

    def _ignore_of(self, commit: str, paths: set[bytes]) -> Ignore:
        return Ignore(self.read_file(commit, text(IGNORE_FILE))) if IGNORE_FILE in paths else Ignore()


class _BlobReader:
    """Contents of blobs, one after another, from one process."""

    def __init__(self, root: Path) -> None:
        self._process = start(root, ("cat-file", "--batch"), feed=True)

    def __enter__(self) -> "_BlobReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:
            pass

    def ask(self, id: str) -> int:
        """Ask for a blob: its size; its content has to be read before the next. Raises MlrunError (INPUT)."""
        to, back = self._pipes()
        to.write(id.encode("ascii") + b"\n")
        to.flush()
        header = back.readline().split()
        if len(header) != 3:
            raise MlrunError(
                f"the repository lacks object {id}",
                code=ExitCode.INPUT,
                hint="a partial or shallow clone? `git fetch --refetch` completes it",
            )
        return int(header[2])

    def pieces(self, size: int) -> Iterator[bytes]:
        """The content asked for."""
        back = self._pipes()[1]
        left = size
        while left:
            piece = back.read(min(left, _PIECE))
            if not piece:
                raise MlrunError("git ended before a blob was complete", code=ExitCode.INPUT)
            left -= len(piece)
            yield piece
        back.read(1)

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


def _stored(objects: Objects, blobs: _BlobReader, wanted: list[tuple[bytes, str, str]]) -> Iterator[TreeEntry]:
    """Put blobs into the store: small ones many together, large ones piece by piece."""
    together: list[tuple[str, str, bytes]] = []
    for path, mode, id in wanted:
        size = blobs.ask(id)
        if mode == LINK:
            target = b"".join(blobs.pieces(size))
            yield TreeEntry(text(path), LINK, text(target), size)
            continue
        # Old trees have other modes for plain files, such as 100664.
        kind = mode if mode == EXECUTABLE else FILE
        if size > SMALL:
            yield TreeEntry(text(path), kind, *objects.put_stream(blobs.pieces(size), size))
            continue
        together.append((text(path), kind, b"".join(blobs.pieces(size))))
        if len(together) >= _TOGETHER:
            yield from _stored_together(objects, together)
            together.clear()
    yield from _stored_together(objects, together)


def _stored_together(objects: Objects, files: list[tuple[str, str, bytes]]) -> Iterator[TreeEntry]:
    stored = objects.put_many(data for _, _, data in files)
    for (path, mode, _), (digest, size) in zip(files, stored, strict=True):
        yield TreeEntry(path, mode, Digest(digest), size)


def _without_login(remote: str | None) -> str | None:
    """The address of a remote without passwords, tokens and queries, which are nobody's business in a record.

    The user of an SSH address stays: it is part of the address and no secret.
    """
    if remote is None or "://" not in remote:
        return remote
    parts = urlsplit(remote)
    login, _, host = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    netloc = f"{user}@{host}" if user and parts.scheme in {"ssh", "git+ssh"} else host
    return urlunsplit(parts._replace(netloc=netloc, query="", fragment=""))
