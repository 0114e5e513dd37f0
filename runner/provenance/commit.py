"""The tree of a commit, taken into the store from the repository's own objects: no working tree is looked at."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.provenance.command import ask, start
from runner.provenance.git import Repository
from runner.provenance.ignore import IGNORE_FILE, Ignore
from runner.provenance.tree import SMALL, Captured, Objects, text
from runner.provenance.worktree import tree_rows
from runner.store.tree import EXECUTABLE, FILE, LINK, TreeEntry

_TOGETHER = 1024
_PIECE = 1 << 20


def capture_commit(objects: Objects, repository: Repository, commit: str) -> Captured:
    """Take the tree of a commit into the store. Raises MlrunError (INPUT) when the repository lacks objects."""
    (listed,) = ask(repository.root, ("ls-tree", "-r", "-z", commit))
    rows = list(tree_rows(listed.required(repository.root)))
    ignore = _ignore_of(repository, commit, {path for path, _ in rows})
    rows = [row for row in rows if not ignore.leaves_out(row[0])]
    missing = tuple(f"{text(path)}: a submodule" for path, (_, kind, _) in rows if kind == "commit")
    wanted = [(path, mode, id) for path, (mode, kind, id) in rows if kind == "blob"]
    with _BlobReader(repository.root) as blobs:
        snapshot = objects.put_tree(_stored(objects, blobs, wanted))
    return Captured(snapshot, dirty=False, not_captured=missing)


def _ignore_of(repository: Repository, commit: str, paths: set[bytes]) -> Ignore:
    return Ignore(repository.read_file(commit, text(IGNORE_FILE))) if IGNORE_FILE in paths else Ignore()


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
