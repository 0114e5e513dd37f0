"""Patterns of files to leave out, with the meaning of gitignore(5). Pure.

Git's own rules are left to git; this is for `.vhignore`, which also holds for tracked files, for commits and outside
git.
"""

import re
from dataclasses import dataclass

IGNORE_FILE = b".vhignore"

_ALWAYS = b"__pycache__"
"""Compiled modules belong to one interpreter and one path: a copy must not bring stale ones."""


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[bytes]
    keeps: bool
    folders_only: bool


class Ignore:
    """Which paths, relative to the root of the tree, the patterns in `text` leave out."""

    def __init__(self, text: bytes = b"") -> None:
        lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        rules = (_rule(line.removesuffix(b"\r")) for line in lines)
        self._rules = [rule for rule in rules if rule is not None][::-1]
        self._folders: dict[bytes, bool] = {b"": False}

    def leaves_out(self, path: bytes) -> bool:
        """Whether the file or link at `path` is left out, by itself or with a folder it lies in."""
        parent, _, name = path.rpartition(b"/")
        return self.leaves_out_folder(parent) or name == _ALWAYS or self._matches(path, folder=False)

    def leaves_out_folder(self, path: bytes) -> bool:
        """Whether the folder at `path` is left out with everything in it."""
        unknown: list[bytes] = []
        while (known := self._folders.get(path)) is None:
            unknown.append(path)
            path = path.rpartition(b"/")[0]
        for folder in reversed(unknown):
            known = known or folder.rpartition(b"/")[2] == _ALWAYS or self._matches(folder, folder=True)
            self._folders[folder] = known
        return known

    def _matches(self, path: bytes, *, folder: bool) -> bool:
        """The last pattern that matches decides."""
        for rule in self._rules:
            if (folder or not rule.folders_only) and rule.pattern.fullmatch(path):
                return not rule.keeps
        return False


def _rule(line: bytes) -> _Rule | None:
    if line.startswith(b"#"):
        return None
    line = _without_blanks(line)
    keeps = line.startswith(b"!")
    line = line[1:] if keeps else line
    folders_only = line.endswith(b"/")
    line = line[:-1] if folders_only else line
    if not line:
        return None
    anchored = b"/" in line
    plain = _QUOTED.sub(lambda found: b"/" if found[1] == b"/" else found[0], line)
    body = _translate(plain.removeprefix(b"/"), anchored=anchored)
    if body is None:
        return None
    return _Rule(re.compile((b"" if anchored else b"(?:.*/)?") + body, re.DOTALL), keeps, folders_only)


def _without_blanks(line: bytes) -> bytes:
    """Trailing blanks do not count unless a backslash stands before them."""
    end = len(line)
    while end and line[end - 1 : end] == b" " and not _is_quoted(line, end - 1):
        end -= 1
    return line[:end]


def _is_quoted(line: bytes, place: int) -> bool:
    before = line[:place]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _translate(pattern: bytes, *, anchored: bool) -> bytes | None:
    """A regular expression for a pattern; None for one that can never match, such as an open bracket."""
    out = b""
    place = 0
    # Git compares the text before the first wildcard by itself, so that two stars may also begin right behind it.
    literal = len(_WILD.split(pattern, 1)[0]) if anchored else 0
    while place < len(pattern):
        rest = pattern[place:]
        starts = place == literal or pattern[place - 1 : place] == b"/"
        if rest.startswith(b"*"):
            stars = len(rest) - len(rest.lstrip(b"*"))
            after = rest[stars : stars + 1]
            if stars > 1 and starts and after in {b"", b"/"}:
                out, place = out + (b"(?:.*/)?" if after else b".*"), place + stars + len(after)
            else:
                out, place = out + b"[^/]*", place + stars
        elif rest.startswith(b"?"):
            out, place = out + b"[^/]", place + 1
        elif rest.startswith(b"["):
            bracket = _BRACKET.match(rest)
            if bracket is None:
                return None
            out, place = out + _bracket(bracket), place + bracket.end()
        elif rest.startswith(b"\\"):
            if len(rest) == 1:
                return None
            out, place = out + re.escape(rest[1:2]), place + 2
        else:
            out, place = out + re.escape(rest[:1]), place + 1
    return out


_QUOTED = re.compile(rb"\\(.)", re.DOTALL)
_WILD = re.compile(rb"[*?\[\\]")
_BRACKET = re.compile(rb"\[([!^]?)(\]?(?:\\.|\[:[a-z]+:\]|[^\]\\])*)\]", re.DOTALL)
_PIECE = re.compile(rb"\[:([a-z]+):\]|(\\?)(.)", re.DOTALL)
_CLASSES = {
    b"alnum": b"0-9A-Za-z",
    b"alpha": b"A-Za-z",
    b"blank": b" \\t",
    b"digit": b"0-9",
    b"lower": b"a-z",
    b"punct": rb"!-\/:-@\[-`{-~",
    b"space": b"\\s",
    b"upper": b"A-Z",
    b"xdigit": b"0-9A-Fa-f",
}


def _bracket(found: re.Match[bytes]) -> bytes:
    """A bracket expression of fnmatch(3); it never matches a slash."""
    body = b"".join(
        _CLASSES.get(piece[1], b"") if piece[1] else b"-" if piece[0] == b"-" else re.escape(piece[3])
        for piece in _PIECE.finditer(found[2])
    )
    try:
        inside = (b"[^" if found[1] else b"[") + body + b"]"
        re.compile(inside)
    except re.error:
        return b"(?!)"
    return b"(?!/)" + inside
