"""Problems for people and for programs. Nothing that a file says reaches a terminal unescaped. Pure."""

import re
from collections.abc import Mapping, Sequence

from runner.errors import Problem
from runner.escape import display_width, printable

WIDTH = 110
"""Columns of a source line that are shown."""


def render_problem(problem: Problem, lines: Sequence[str], mark: str | None = None) -> str:
    """A problem as lines of plain text: place, severity, code and message; the source line with a caret; the hint.

    `lines` are those of `runner.spec.source.source_lines`; without the problem's line only the text is shown. `mark`
    is written for severity and code, in colours perhaps.
    """
    place = problem.location
    head = f"{printable(place.file)}:{place.line}:{place.column}"
    shown = [f"{head}: {mark or f'{problem.severity} {problem.code}:'} {printable(problem.message)}"]
    if 0 < place.line <= len(lines) and lines[place.line - 1].strip():
        shown += _excerpt(lines[place.line - 1], place.column)
    if problem.hint:
        shown.append(f"  hint: {printable(problem.hint)}")
    return "\n".join(shown)


def _excerpt(line: str, column: int) -> list[str]:
    """The part of a line around a column, and a caret below it."""
    start = max(0, min(column - 1, len(line)) - WIDTH // 2) if len(line) > WIDTH else 0
    before, after = line[start : column - 1], line[column - 1 : start + WIDTH]
    before, after = (printable(part.replace("\t", " ")) for part in (before, after))
    return [f"  | {before}{after}".rstrip(), f"  | {' ' * display_width(before)}^"]


_WORD = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"                              # in double quotes
    | '(?:[^']|'')*'                               # in single quotes
    | (?:[^\s:#,\[\]{}]|:(?=[^\s])|(?<=[^\s])\#|[^\S\n](?=[^\s:#]))+  # plain, up to a colon or a comment
    """,
    re.VERBOSE,
)


def end_column(line: str, column: int) -> int:
    """The column behind what stands at `column` of a line: a quoted text, a plain one, else one character."""
    word = _WORD.match(line, column - 1)
    return max(word.end() if word else 0, column) + 1


def problem_to_json(problem: Problem) -> Mapping[str, object]:
    """A problem as JSON values."""
    return {
        "file": problem.location.file,
        "line": problem.location.line,
        "column": problem.location.column,
        "severity": str(problem.severity),
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }
