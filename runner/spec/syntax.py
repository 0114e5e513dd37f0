"""What a slip of YAML's syntax means: PyYAML's errors as a place, a message and a hint. Pure.

The parser knows where it could not go on; what the writer did is mostly before that, and often the same few things.
"""

import re

import yaml

from runner.spec.tree import Place

Slip = tuple[str, Place, str | None]
"""Message, place and hint."""

_CONFLICT = re.compile(r"(?m)^<{7}(?: .*)?$")
"""The first of the marks that git leaves (`git help merge`, how conflicts are presented)."""


def explain(error: yaml.MarkedYAMLError, text: str) -> Slip:
    """What is wrong with a text at which the parser stopped."""
    if conflict := _CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        return "a merge that is not finished begins here", (line, 1), "keep one of the versions and remove git's marks"
    mark = error.problem_mark or error.context_mark
    if error.context_mark and any(part in str(error.problem) for part in _FOUND_LATE):
        # Its beginning is where to look.
        mark = error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    message = ", ".join(part for part in (error.context, error.problem) if part)
    hint = _bracket_hint(error, place, text) or next(
        (said for find in (_quote_hint, _indent_hint, _key_hint) if (said := find(message, place, text))), None
    )
    return message, place, hint or _hint(message)


_FOUND_LATE = ("end of stream", "could not find expected ':'")
"""What the parser sees only lines later: a quote that is never closed, a key without its colon."""

_BRACKETS = {"parsing a flow sequence": "[", "parsing a flow mapping": "{"}


_TEXT_BEFORE = re.compile(r"[^\s,:\[\]{}'\"-] *$")


def _bracket_hint(error: yaml.MarkedYAMLError, place: Place, text: str) -> str | None:
    """Where the list or mapping in brackets begins whose end was expected, unless text in it goes on with a bracket."""
    word = next((word for part, word in _BRACKETS.items() if part in str(error.context)), None)
    if word is None or error.context_mark is None:
        return None
    lines = text.splitlines()
    line = lines[place[0] - 1] if place[0] <= len(lines) else ""
    if _TEXT_BEFORE.search(line[: place[1] - 1]) and line[place[1] - 1 : place[1]] in ("{", "["):
        return f"put quotes around text with `{line[place[1] - 1]}` in it"
    return f"the `{word}` on line {error.context_mark.line + 1} is never closed, or a `,` is missing"


_KEY_EXPECTED = ("did not find expected key", "expected <block end>")


def _quote_hint(message: str, place: Place, text: str) -> str | None:
    """For text that goes on behind a closing quote."""
    if not any(part in message for part in _KEY_EXPECTED):
        return None
    lines = text.splitlines()
    before = lines[place[0] - 1][: place[1] - 1].rstrip() if place[0] <= len(lines) else ""
    return "the quotes end before this; put other quotes around the whole text" if before.endswith(("'", '"')) else None


_KEY = re.compile(r"[ ]*(?:- +)*[\w-]+[ ]*")
_GLUED = re.compile(r"[ ]*(?:- +)*([\w-]{1,60}:(?!//)[^\s:]\S{0,60})\s*")
_BARE = re.compile(r"[ ]*(?:- +)*([\w-]{1,60})\s*")


def _key_hint(message: str, place: Place, text: str) -> str | None:
    """For a key that lacks the colon, or the blank behind it: the one at the place, or on the line above a good key."""
    lines = text.splitlines()[: place[0]]
    if lines and "mapping values are not allowed" in message and _KEY.fullmatch(lines[-1][: place[1] - 1]):
        lines.pop()
        while lines and not lines[-1].strip(" "):
            lines.pop()
    elif "could not find expected ':'" not in message:
        return None
    line = lines[-1] if lines else ""
    if match := _GLUED.fullmatch(line):
        return f"put a blank behind the `:` of `{match[1]}` on line {len(lines)}"
    if match := _BARE.fullmatch(line):
        return f"put a `:` behind `{match[1]}` on line {len(lines)}"
    return None


_BLOCK = re.compile(r".*: +([|>])[-+\d]*\s*")


def _indent_hint(message: str, place: Place, text: str) -> str | None:
    """For the text of a `|` and for items of a list that begin in the wrong column."""
    lines = text.splitlines()[: place[0]]
    if "could not find expected ':'" in message and len(lines) > 1 and (match := _BLOCK.fullmatch(lines[-2])):
        return f"the text below `{match[1]}` begins further right than its key"
    if "did not find expected key" in message and lines and lines[-1].lstrip(" ").startswith("- "):
        return "items of one list begin in the same column"
    return None


_HINTS = {
    "cannot start any token": "YAML is indented with blanks, not tabs; put quotes around text that begins so",
    "mapping values are not allowed": "check the indentation, and put quotes around text that contains `: `",
    "could not find expected ':'": "a `:` and a blank stand behind every key; look on the line before, too",
    "found unexpected end of stream": "a quote or bracket is never closed",
    "did not find expected '-' indicator": "items of one list begin in the same column",
    "but found '<block mapping start>'": "items of one list begin in the same column",
    "did not find expected key": "keys of one mapping begin in the same column",
    "expected <block end>": "keys of one mapping begin in the same column",
    "block sequence entries are not allowed": "the first `- ` of a list stands on a line of its own, below its key",
    "found unexpected ':'": "put quotes around text with a `:` in it",
    "expected node content": "a bracket is never closed, or a value is missing",
    "while scanning an alias": "put quotes around text that begins with `*` or `&`",
    "while scanning an anchor": "put quotes around text that begins with `*` or `&`",
    "unknown escape character": "put single quotes around it, or write the backslash twice",
    "hexdecimal number": "put single quotes around it, or write the backslash twice",
    "scanning a block scalar": "behind `|` or `>` the line ends; the text begins on the next one",
    "%YAML directive": "remove the line",
}


def _hint(message: str) -> str | None:
    return next((hint for part, hint in _HINTS.items() if part in message), None)
