"""A folder outside git as a source of code. Knows `.vhignore`, and that `.git` is never code."""

import os
from collections.abc import Iterator
from pathlib import Path

from runner.digest import hash_bytes
from runner.provenance.tree import Captured, Objects, TreeReader, text


def capture_folder(objects: Objects, root: Path, cache: Path | None = None, *, keep: bool = True) -> Captured:
    """Take a folder outside git into the store: everything that `.vhignore` does not leave out.

    `cache` is a folder for the stat cache, only read without `keep`. Raises MlrunError: POLICY when it holds too much,
    INPUT for files that the disk cannot give.
    """
    with TreeReader(root, objects, cache, keep=keep) as reader:
        paths = sorted(_walk(reader, os.fsencode(root), b""))
        question = hash_bytes(b"\0".join([*paths, b"", reader.ignore_text]))
        known = None if reader.not_captured else reader.recognise(question)
        if known is not None:
            return known
        reader.check_untracked(paths)
        for path in paths:
            reader.read(path)
        return reader.finish(dirty=True, question=question)


def _walk(reader: TreeReader, folder: bytes, prefix: bytes) -> Iterator[bytes]:
    """Paths of everything that is no folder; folders that are left out are not looked into."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except PermissionError:
        reader.not_captured.append(f"{text(prefix)}: it may not be read")
        return
    for entry in entries:
        path = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name != b".git" and not reader.ignore.leaves_out_folder(path):
                yield from _walk(reader, entry.path, path + b"/")
        elif entry.name != b".git" and not reader.ignore.leaves_out(path):
            yield path
