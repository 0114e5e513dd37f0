"""Which files the key of an edge means, and under which names the step behind it sees them. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from runner.job import InputFile
from runner.plan.address import wildcard_root
from runner.spec.model import Input, KeepDirectories


def match_names(pattern: str, names: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """The names that an edge key means, and the pattern that was tried in its stead if the key matches nothing.

    An exact name wins over a pattern; `*` crosses `/`; a pattern without `/` also matches base names. A key without
    wildcards that names no file is taken as a prefix, then as a folder.
    """
    exact = tuple(name for name in names if name == pattern)
    if exact:
        return exact, None
    matched = _glob(pattern, names)
    if matched or any(sign in pattern for sign in "*?["):
        return matched, None
    for fallback in (f"{pattern}*", f"{pattern}/*"):
        matched = _glob(fallback, names)
        if matched:
            return matched, fallback
    return (), None


def _glob(pattern: str, names: Sequence[str]) -> tuple[str, ...]:
    base_too = "/" not in pattern
    return tuple(
        name
        for name in names
        if fnmatchcase(name, pattern) or (base_too and fnmatchcase(name.rpartition("/")[2], pattern))
    )


def match_files(pattern: str, files: Sequence[InputFile]) -> tuple[tuple[InputFile, ...], str | None]:
    """The files whose names an edge key means, as `match_names`."""
    names, fallback = match_names(pattern, tuple(file.name for file in files))
    chosen = frozenset(names)
    return tuple(file for file in files if file.name in chosen), fallback


def place_files(declared: Input | None, files: tuple[InputFile, ...], pattern: str) -> tuple[InputFile, ...]:
    """The files under the names that the step sees, following the input's `keep-directories`.

    `none` puts every file directly into the input's folder, `full` keeps whole paths, `suffix` what follows the
    literal folders before the first wildcard of `pattern`.
    """
    if declared is None:
        return files
    match declared.keep_directories:
        case KeepDirectories.FULL:
            return files
        case KeepDirectories.SUFFIX:
            root = wildcard_root(pattern)
            return tuple(_renamed(file, file.name.removeprefix(root)) for file in files)
        case _:
            return tuple(_renamed(file, file.name.rpartition("/")[2]) for file in files)


def tell_apart(declared: Input | None, files: tuple[InputFile, ...], trial: int) -> tuple[InputFile, ...]:
    """Placed files of one trial under names that no file of another has: the trial's number stands before the name, or
    is the folder where the input keeps folders."""
    sign = "/" if declared is None or declared.keep_directories is not KeepDirectories.NONE else "-"
    return tuple(_renamed(file, f"{trial}{sign}{file.name}") for file in files)


def rename_single(declared: Input, files: tuple[InputFile, ...]) -> tuple[InputFile, ...]:
    """All files of an input, under its `filename` if there is only one, wherever it came from."""
    if declared.filename and len(files) == 1:
        return (_renamed(files[0], declared.filename),)
    return files


def _renamed(file: InputFile, name: str) -> InputFile:
    return replace(file, name=name)
