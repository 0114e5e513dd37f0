"""From a source of an input (path, glob, folder, URI) to files in the store, named as the step will see them."""

import glob
import importlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.job import InputFile
from runner.plan.bind import place_files, wildcard_root
from runner.plan.model import Source
from runner.spec.model import Input, KeepDirectories

_MODULES = {"http": "runner.data.http", "https": "runner.data.http"}
"""Modules that fetch a URI scheme, loaded when first needed: `fetch(uri, objects) -> InputFile`."""


class ObjectWriter(Protocol):
    """What fetching needs of the store."""

    def put_file(self, fd: int) -> tuple[Digest, int]:
        """Store the content of an open regular file; returns digest and size."""
        ...

    def put_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """Store what an iterator yields; returns digest and size."""
        ...


def fetch(declared: Input, sources: tuple[Source, ...], root: Path, objects: ObjectWriter) -> tuple[InputFile, ...]:
    """All files of one input, in the order of its sources. `root` is the project folder.

    A path that only the YAML file names must lie inside the project; the command line may name any. Raises MlrunError:
    INPUT when something is not to be had, POLICY for a path outside the project.
    """
    files: list[InputFile] = []
    for source in sources:
        scheme = _scheme(source)
        if scheme in {"", "file"}:
            files += _local(declared, source, root, objects)
        elif scheme in _MODULES:
            get: Callable[[str, ObjectWriter], InputFile] = importlib.import_module(_MODULES[scheme]).fetch
            files += place_files(declared, (get(source.uri, objects),), source.uri)
        else:
            raise _unsupported(declared, source, scheme)
    return tuple(files)


def check_sources(declared: Input, sources: tuple[Source, ...], root: Path) -> None:
    """Refuse sources that are plainly not to be had, without reading any. Raises MlrunError like `fetch`."""
    for source in sources:
        scheme = _scheme(source)
        if scheme in {"", "file"}:
            _paths(declared, source, root)
        elif scheme not in _MODULES:
            raise _unsupported(declared, source, scheme)


def _scheme(source: Source) -> str:
    return urlsplit(source.uri).scheme if "://" in source.uri else ""


def _unsupported(declared: Input, source: Source, scheme: str) -> MlrunError:
    return MlrunError(
        f"input `{declared.name}`: `{scheme}://` sources are not supported by this version ({source.uri})",
        code=ExitCode.INPUT,
        location=declared.location,
        hint=f"give a local file in its place: `--{declared.name} PATH`",
    )


def _local(declared: Input, source: Source, root: Path, objects: ObjectWriter) -> list[InputFile]:
    pattern, found = _paths(declared, source, root)
    files: list[InputFile] = []
    for path in found:
        if not Path(path).is_dir():
            files.append(_file(declared, path, _shown_name(declared, path, pattern, root), objects))
        elif path == pattern:
            files += _folder(declared, path, objects)
    if declared.filename and len(files) == 1:
        return list(place_files(declared, tuple(files), pattern))
    return files


def _paths(declared: Input, source: Source, root: Path) -> tuple[str, list[str]]:
    """The absolute path or glob that a source means, and what it names on this machine."""
    text = unquote(urlsplit(source.uri).path) if source.uri.startswith("file://") else source.uri
    if not text.strip():
        raise _nameless(declared, source)
    pattern = os.path.join(source.folder, os.path.expanduser(text) if source.trusted else text)
    found = [pattern] if os.path.lexists(pattern) else sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise _missing(declared, source)
    top = os.path.realpath(root)
    for path in found:
        if not source.trusted and not Path(os.path.realpath(path)).is_relative_to(top):
            raise MlrunError(
                f"input `{declared.name}` names `{source.uri}`, outside the project",
                code=ExitCode.POLICY,
                location=declared.location,
                hint=f"allow it by naming it yourself: `--{declared.name} {source.uri}`",
            )
    return pattern, found


def _nameless(declared: Input, source: Source) -> MlrunError:
    """An empty name would mean the whole folder that relative paths start at: hardly what anybody wants."""
    return MlrunError(
        f"input `{declared.name}` names no file: its address is empty",
        code=ExitCode.INPUT,
        location=None if source.trusted else declared.location,
        hint=f"give a path or an address: `--{declared.name} PATH`; `.` is the folder itself",
    )


def _missing(declared: Input, source: Source) -> MlrunError:
    what = "matches nothing" if glob.has_magic(source.uri) else "does not exist"
    return MlrunError(
        f"input `{declared.name}`: `{source.uri}` {what}",
        code=ExitCode.INPUT,
        location=None if source.trusted else declared.location,
        hint=f"relative paths start at {source.folder}",
    )


def _shown_name(declared: Input, path: str, pattern: str, root: Path) -> str:
    """The name below the input's folder: the base name, or as much of the path as `keep-directories` asks for."""
    if declared.keep_directories is KeepDirectories.FULL:
        inside = os.path.relpath(path, root)
        return inside if not inside.startswith("..") else path.lstrip("/")
    if declared.keep_directories is KeepDirectories.SUFFIX:
        return path.removeprefix(wildcard_root(pattern))
    return os.path.basename(path)


def _folder(declared: Input, path: str, objects: ObjectWriter) -> list[InputFile]:
    """Every file below a folder, under its path in that folder; links to folders are not followed."""
    files: list[InputFile] = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            files.append(_file(declared, file, os.path.relpath(file, path), objects))
    return files


def _file(declared: Input, path: str, name: str, objects: ObjectWriter) -> InputFile:
    try:
        # Not to hang on a FIFO; for regular files the flag means nothing.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(declared, path, error.strerror or str(error)) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _unreadable(declared, path, "not a regular file")
        digest, size = objects.put_file(fd)
    except OSError as error:
        raise _unreadable(declared, path, error.strerror or str(error)) from error
    finally:
        os.close(fd)
    return InputFile(name, digest, size, path)


def _unreadable(declared: Input, path: str, why: str) -> MlrunError:
    return MlrunError(
        f"input `{declared.name}`: cannot read `{path}`: {why}",
        code=ExitCode.INPUT,
        hint="name files that can be read, or a folder without it",
    )
