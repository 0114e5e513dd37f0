"""Which files that differ the command of a step names. Pure: compares words and paths, reads nothing.

A word names a file if it is its path, a folder above it, a pattern that matches it, or a module after `-m`; paths
start at the root of the repository, where a step begins, or at a folder that the command goes to by `cd`.
"""

import posixpath
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import islice

from runner.change.model import FileChange

_WORD = re.compile(r"[^\s'\"`;|&()<>=,{}]+")
_MODULE = re.compile(r"(?:^|\s)-m[\s'\"]*([A-Za-z_][\w.]*)")
_FOLDER = re.compile(r"(?:^|[\s;&|(])cd\s+['\"]?([^\s'\";&|)]+)")
_SOURCED = re.compile(r"(^|[;&|\n]\s*)\.(?=\s)")
_LONGEST = 300
"""Characters of a word that can be a path."""
_FOLDERS = 8
"""How many `cd` of one text are followed."""
_REPOSITORY = "/valohai/repository/"
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class ChangedFiles:
    """The files that differ, for looking up by words of commands. `yaml` is the YAML file itself if it differs, which
    counts only where it is named: what it says is compared already."""

    def __init__(self, files: Iterable[FileChange], yaml: FileChange | None = None) -> None:
        self.files = tuple(files)
        self.yaml = yaml
        self._below: dict[str, FileChange] = {}
        self._matched: dict[str, list[FileChange]] = {}
        self._counted: dict[Sequence[str] | None, tuple[FileChange, ...]] = {None: self.files}
        for file in [*self.files, yaml] if yaml else self.files:
            place = file.path
            while place:
                self._below.setdefault(place, file)
                place = posixpath.dirname(place)
        if self.files:
            self._below["."] = self.files[0]
        self._holders = [file for file in self.files if file.holds_others]

    def named_by(self, texts: Sequence[str], sources: Sequence[str], code: Sequence[str] | None) -> list[FileChange]:
        """The files that commands or texts name, or that `sources`, the defaults of inputs, lead to. `code` are the
        patterns of a policy: files that none of them matches do not count as code."""
        if not self.files and not self.yaml:
            return []
        found = {}
        for place in self._places(texts):
            for file in self._at(place):
                if counts(file, code):
                    found[file.path] = file
        for uri in sources:
            if not _SCHEME.match(uri):
                found |= {file.path: file for file in self._at(posixpath.normpath(_PLACEHOLDER.sub("*", uri)))}
        return list(found.values())

    def others(self, code: tuple[str, ...] | None) -> tuple[FileChange, ...]:
        """The files that count for a step of which nobody knows what it reads."""
        if code not in self._counted:
            self._counted[code] = tuple(file for file in self.files if counts(file, code))
        return self._counted[code]

    def _at(self, place: str) -> list[FileChange]:
        if len(place) > _LONGEST:
            return []
        if "*" in place or "?" in place or ("[" in place and "]" in place):
            if place not in self._matched:
                self._matched[place] = self._matching(place)
            return self._matched[place]
        file = self._below.get(place)
        return [file] if file else [holder for holder in self._holders if place.startswith(f"{holder.path}/")]

    def _matching(self, pattern: str) -> list[FileChange]:
        """The first file that a pattern matches; the YAML file only by a pattern that says something of its name."""
        files = [*self.files, self.yaml] if self.yaml and pattern.strip("*?./") else self.files
        return next(([file] for file in files if _matches(pattern, file) or file.path == pattern), [])

    def _places(self, texts: Sequence[str]) -> set[str]:
        places: set[str] = set()
        for text in texts:
            text = _SOURCED.sub(r"\1", text)
            folders = ["", *(match[1].removeprefix(_REPOSITORY) for match in islice(_FOLDER.finditer(text), _FOLDERS))]
            words = [match[0].removeprefix(_REPOSITORY) for match in _WORD.finditer(text)]
            for module in _MODULE.finditer(text):
                path = module[1].replace(".", "/")
                words += [f"{path}.py", f"{path}/__main__.py", f"{path}/__init__.py"]
                words += [f"{parent}/__init__.py" for parent in _parents(path)]
            places |= {posixpath.normpath(posixpath.join(folder, word)) for folder in folders for word in words}
        return places


def counts(file: FileChange, code: Sequence[str] | None) -> bool:
    """Whether a file is code by the patterns of a policy; without a policy every file is. What stands for others may
    hold some that are."""
    return code is None or file.holds_others or is_code(file.path, code)


def is_code(path: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns of a policy means the file at `path`."""
    return any(_covers(_from_root(pattern), path) for pattern in patterns)


def _matches(pattern: str, file: FileChange) -> bool:
    """Whether a pattern of a shell or of an input means a file, or could mean one that it stands for. `**/` is also no
    folder at all."""
    if file.holds_others and fnmatchcase(file.path, "/".join(pattern.split("/")[: file.path.count("/") + 1])):
        return True
    return any(fnmatchcase(file.path, form) for form in {pattern, pattern.replace("**/", "")})


def _from_root(pattern: str) -> str:
    """A pattern of a policy as it is meant from the root of the repository, which is the only place it can start at."""
    return posixpath.normpath(pattern.removeprefix(_REPOSITORY).lstrip("/"))


def _covers(pattern: str, path: str) -> bool:
    """Whether a pattern means a file: by its path, by a folder above it, or with `**/` for no folder at all."""
    return (
        any(fnmatchcase(path, form) or fnmatchcase(path, f"{form}/*") for form in {pattern, pattern.replace("**/", "")})
        or pattern == "."
    )


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
