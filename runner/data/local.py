"""Inputs from paths, globs, folders and `file://` of this machine. Reads files; what has not changed, only once."""

import glob
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from runner.data.means import Means, Want
from runner.data.pattern import MOST_PATHS, TooManyPaths, expand
from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.job import InputFile
from runner.plan.address import scheme, wildcard_root
from runner.provenance.statcache import StatCache
from runner.spec.model import KeepDirectories

_SMALL = 1 << 18
"""Files up to so many bytes are read at once and stored together."""
_TOGETHER = 4096
"""How many small files are stored together."""
_TOGETHER_BYTES = 32 << 20
_NO_METADATA: Mapping[str, object] = {}
"""One for all: with a hundred thousand files each would count."""


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
    reader, name_of = _Reader(want, means, pattern), _naming(want, pattern)
    for path in found:
        if not reader.add(path, name_of(path)) and path == pattern:
            for file, name in _below(want, path):
                reader.add(file, name)
    return reader.finish()


def _paths(want: Want) -> tuple[str, list[str]]:
    """The absolute path or glob that a source means, and what it names on this machine."""
    source = want.source
    text = _path_of_uri(want) if scheme(source.uri) == "file" else source.uri
    if not text.strip():
        raise _nameless(want)
    pattern = os.path.join(source.folder, os.path.expanduser(text) if source.trusted else text)
    found = {pattern: pattern} if os.path.lexists(pattern) else _expanded(want, pattern)
    if not found:
        raise _missing(want)
    for place in dict.fromkeys(found.values()):
        _check_inside(want, place)
    return pattern, list(found)


def _path_of_uri(want: Want) -> str:
    """The path in a `file:` address (RFC 8089). Signs that are special in addresses of the web are not so in paths."""
    host, slash, path = want.uri.partition("://")[2].partition("/")
    if host not in ("", "localhost"):
        hint = "write three slashes before a path that begins at the top, `file:///data/a.csv`, or the path alone"
        raise want.refused(f"`{want.uri}` names a file of the machine `{host}`", hint)
    return unquote(slash + path)


def _expanded(want: Want, pattern: str) -> dict[str, str]:
    """What a glob names, by `expand`. One that begins outside the project is refused before any folder is listed."""
    if not glob.has_magic(pattern):
        return {}
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


def _naming(want: Want, pattern: str) -> Callable[[str], str]:
    """What gives a path its name below the input's folder: the base name, or as much of it as `keep-directories` asks
    for."""

    def full(path: str) -> str:
        inside = os.path.relpath(path, want.root)
        return inside if not inside.startswith("..") else path.lstrip("/")

    root = wildcard_root(pattern)
    match want.declared.keep_directories:
        case KeepDirectories.FULL:
            return full
        case KeepDirectories.SUFFIX:
            return lambda path: path.removeprefix(root)
        case _:
            return lambda path: path[path.rfind("/") + 1 :]


def _below(want: Want, path: str) -> Iterator[tuple[str, str]]:
    """Every file below a folder, and its path in that folder; links to folders are not followed."""
    top, waiting = os.path.join(path, ""), [path]
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
            yield entry.path, entry.path[len(top) :]
        waiting += [entry.path for entry in reversed(found) if entry.is_dir(follow_symlinks=False)]


class _Waiting(NamedTuple):
    """A small file that was read but not stored yet; `status` is None if it may not be remembered."""

    place: int
    data: bytes
    status: os.stat_result | None


class _Reader:
    """Puts files into the store, those of one source; one that has not changed since it was put there is not read."""

    def __init__(self, want: Want, means: Means, pattern: str) -> None:
        self._want = want
        self._means = means
        # A tree of its own kind: what is known of the project as code is kept apart.
        self._remembered = StatCache(None if means.fresh else means.cache / "inputs", Path(pattern), keep=means.keep)
        self._lacking = means.objects.lacking(self._remembered.contents())
        self._files: list[InputFile] = []
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0

    def add(self, path: str, name: str) -> bool:
        """Take a file under this name; False for a folder. Raises MlrunError (INPUT) when it cannot be read."""
        try:
            status = os.stat(path)
            if stat.S_ISDIR(status.st_mode):
                return False
            known = self._remembered.find(path, status)
            if known is not None and known[0] not in self._lacking:
                self._files.append(InputFile(name, known[0], status.st_size, path, _NO_METADATA))
                return True
            # Not to hang on a FIFO; for regular files the flag means nothing.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                self._read(fd, path, name)
            finally:
                os.close(fd)
        except OSError as error:
            raise _unreadable(self._want, path, error.strerror or str(error)) from error
        if len(self._waiting) >= _TOGETHER or self._waiting_bytes >= _TOGETHER_BYTES:
            self._flush()
        return True

    def finish(self) -> tuple[InputFile, ...]:
        """Everything that was added, in that order; it is in the store when this returns."""
        self._flush()
        self._remembered.save()
        return tuple(self._files)

    def _read(self, fd: int, path: str, name: str) -> None:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise _unreadable(self._want, path, "not a regular file")
        data = None
        if before.st_size <= _SMALL:
            with os.fdopen(fd, "rb", closefd=False) as file:
                data = file.read()
            digest, size = Digest(""), len(data)
        else:
            digest, size = self._means.objects.put_file(fd)
        after = os.fstat(fd)
        # Only what was at rest from before the first byte to after the last is known by its status.
        rested = (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
            size,
            after.st_mtime_ns,
            after.st_ctime_ns,
        )
        if data is not None:
            self._waiting.append(_Waiting(len(self._files), data, after if rested else None))
            self._waiting_bytes += size
        elif rested:
            self._remembered.note(path, after, digest)
        self._files.append(InputFile(name, digest, size, path, _NO_METADATA))

    def _flush(self) -> None:
        """Store the small files that wait, all together: a sync for each would cost far more."""
        stored = self._means.objects.put_many(waiting.data for waiting in self._waiting)
        for waiting, (digest, _) in zip(self._waiting, stored, strict=True):
            file = self._files[waiting.place]
            self._files[waiting.place] = replace(file, digest=digest)
            if waiting.status is not None:
                self._remembered.note(file.origin, waiting.status, digest)
        self._waiting.clear()
        self._waiting_bytes = 0


def _unreadable(want: Want, path: str, why: str) -> MlrunError:
    return MlrunError(
        f"input `{want.declared.name}`: cannot read `{path}`: {why}",
        code=ExitCode.INPUT,
        hint="name files that can be read, or a folder without it",
    )
