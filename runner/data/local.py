"""Inputs from paths, globs, folders and `file://` of this machine. Reads files; what has not changed, only once."""

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from runner.data.means import Means, Want
from runner.data.pattern import MOST_PATHS, TooManyPaths, expand
from runner.errors import ExitCode, MlrunError
from runner.job import InputFile
from runner.plan.address import scheme
from runner.plan.bind import wildcard_root
from runner.provenance.statcache import StatCache
from runner.spec.model import KeepDirectories


def check(want: Want, means: Means) -> None:
    """Refuse what is not there, or lies outside the project without the user's word. Reads no content.

    Raises MlrunError: INPUT, POLICY.
    """
    pattern, found = _paths(want)
    if found == [pattern] and os.path.isdir(pattern):
        for _ in _below(want, pattern):
            pass


def fetch(want: Want, means: Means) -> tuple[InputFile, ...]:
    """Put the files into the store, in the order of their names. Raises MlrunError: INPUT, POLICY, DISK, STORE."""
    pattern, found = _paths(want)
    reader = _Reader(want, means, pattern)
    files: list[InputFile] = []
    for path in found:
        if not os.path.isdir(path):
            files.append(reader.read(path, _shown_name(want, path, pattern)))
        elif path == pattern:
            files += [reader.read(file, name) for file, name in _below(want, path)]
    reader.remembered.save()
    return tuple(files)


def _paths(want: Want) -> tuple[str, list[str]]:
    """The absolute path or glob that a source means, and what it names on this machine."""
    source = want.source
    text = _path_of_uri(want) if scheme(source.uri) == "file" else source.uri
    if not text.strip():
        raise _nameless(want)
    pattern = os.path.join(source.folder, os.path.expanduser(text) if source.trusted else text)
    found = [pattern] if os.path.lexists(pattern) else _expanded(want, pattern)
    if not found:
        raise _missing(want)
    for path in found:
        _check_inside(want, path)
    return pattern, found


def _path_of_uri(want: Want) -> str:
    """The path in a `file:` address (RFC 8089). Signs that are special in addresses of the web are not so in paths."""
    host, slash, path = want.uri.partition("://")[2].partition("/")
    if host not in ("", "localhost"):
        hint = "write three slashes before a path that begins at the top, `file:///data/a.csv`, or the path alone"
        raise want.refused(f"`{want.uri}` names a file of the machine `{host}`", hint)
    return unquote(slash + path)


def _expanded(want: Want, pattern: str) -> list[str]:
    """What a glob names. One that begins outside the project is refused before any folder is listed."""
    if not glob.has_magic(pattern):
        return []
    _check_inside(want, wildcard_root(pattern))
    try:
        return expand(pattern)
    except TooManyPaths:
        raise want.refused(f"`{want.shown}` names more than {MOST_PATHS:,} paths", "name a folder further in") from None


def _check_inside(want: Want, path: str) -> None:
    """Whatever links lead to: a repository may not show its steps more of this machine than itself."""
    if want.source.trusted or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(want.root)):
        return
    raise want.refused(
        f"`{want.uri}` lies outside the project"
        if path == os.path.join(want.source.folder, want.uri)
        else f"`{want.uri}` names `{path}`, which lies outside the project",
        f"allow it by naming it yourself: `--{want.declared.name} {want.uri}`",
        ExitCode.POLICY,
    )


def _nameless(want: Want) -> MlrunError:
    """An empty name would mean the whole folder that relative paths start at: hardly what anybody wants."""
    return want.refused(
        "its address is empty and names no file",
        f"give a path or an address: `--{want.declared.name} PATH`; `.` is the folder itself",
    )


def _missing(want: Want) -> MlrunError:
    what = "matches nothing" if glob.has_magic(want.uri) else "does not exist"
    hint = "`mlrun inputs map` put it there" if want.mapped else f"relative paths start at {want.source.folder}"
    return want.refused(f"`{want.shown}` {what}", hint)


def _shown_name(want: Want, path: str, pattern: str) -> str:
    """The name below the input's folder: the base name, or as much of the path as `keep-directories` asks for."""
    if want.declared.keep_directories is KeepDirectories.FULL:
        inside = os.path.relpath(path, want.root)
        return inside if not inside.startswith("..") else path.lstrip("/")
    if want.declared.keep_directories is KeepDirectories.SUFFIX:
        return path.removeprefix(wildcard_root(pattern))
    return os.path.basename(path)


def _below(want: Want, path: str) -> Iterator[tuple[str, str]]:
    """Every file below a folder, and its path in that folder; links to folders are not followed."""
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise _unreadable(want, folder, error.strerror or str(error)) from error
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                continue
            if entry.is_symlink():
                if entry.is_dir():
                    continue
                _check_inside(want, entry.path)
            yield entry.path, os.path.relpath(entry.path, path)
        waiting += [entry.path for entry in reversed(found) if entry.is_dir(follow_symlinks=False)]


class _Reader:
    """Puts files into the store, those of one source; one that has not changed since it was put there is not read."""

    def __init__(self, want: Want, means: Means, pattern: str) -> None:
        self._want = want
        self._means = means
        # A tree of its own kind: what is known of the project as code is kept apart.
        self.remembered = StatCache(None if means.fresh else means.cache / "inputs", Path(pattern))

    def read(self, path: str, name: str) -> InputFile:
        """The file as an input. Raises MlrunError (INPUT) when it cannot be read."""
        try:
            # Not to hang on a FIFO; for regular files the flag means nothing.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(self._want, path, error.strerror or str(error)) from error
        try:
            return self._store(fd, path, name)
        except OSError as error:
            raise _unreadable(self._want, path, error.strerror or str(error)) from error
        finally:
            os.close(fd)

    def _store(self, fd: int, path: str, name: str) -> InputFile:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise _unreadable(self._want, path, "not a regular file")
        objects = self._means.objects
        known = self.remembered.find(path, before)
        if known is not None and objects.has(known[0]) and objects.size(known[0]) == before.st_size:
            return InputFile(name, known[0], before.st_size, path)
        digest, size = objects.put_file(fd)
        after = os.fstat(fd)
        # Only what was at rest from before the first byte to after the last is known by its status.
        if (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (size, after.st_mtime_ns, after.st_ctime_ns):
            self.remembered.note(path, after, digest, "")
        return InputFile(name, digest, size, path)


def _unreadable(want: Want, path: str, why: str) -> MlrunError:
    return MlrunError(
        f"input `{want.declared.name}`: cannot read `{path}`: {why}",
        code=ExitCode.INPUT,
        hint="name files that can be read, or a folder without it",
    )
