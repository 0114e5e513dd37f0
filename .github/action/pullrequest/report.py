"""The text of the comment and of the job's summary. Pure."""

import re
from collections.abc import Sequence

MAX_COMMENT = 65_536
"""Characters that GitHub takes for the body of a comment."""
MAX_SUMMARY = 1_000_000
"""Bytes, a little less than what GitHub takes for the summary of a step."""

NO_CHANGE = "This pull request no longer changes what its steps and pipelines do."

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_DETAILS = re.compile(r"</?details\b", re.IGNORECASE)


def counted(number: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def footer(errors: int, warnings: int, base: str | None, head: str) -> str:
    """The small last line: what was found and what was compared."""
    span = f"{base[:10]} … {head[:10]}" if base else head[:10]
    return f"<sub>mlrun lint: {counted(errors, 'error')}, {counted(warnings, 'warning')} · {span}</sub>"


def compose(head: str, sections: Sequence[str], foot: str, limit: int = MAX_COMMENT) -> str:
    """The whole text in at most `limit` characters: where the sections are too long, they are cut at a line."""
    middle = "\n\n".join(section.strip("\n") for section in sections)
    room = limit - len(head) - len(foot) - 4
    return "\n".join((head, cut(middle, room), "", foot, ""))


def cut(text: str, limit: int) -> str:
    """`text` in at most `limit` characters: whole lines, with a code block or fold that was open closed again."""
    if len(text) <= limit:
        return text
    note = "\n… the rest is left out: the summary of the job has more of it."
    kept: list[str] = []
    size, fence, folds = len(note), "", 0
    for line in text.split("\n"):
        opened = _fence_after(line, fence)
        deeper = folds if fence or opened else max(0, folds + _folds(line))
        if size + len(line) + 1 + len(_closing(opened, deeper)) > limit:
            break
        kept.append(line)
        size, fence, folds = size + len(line) + 1, opened, deeper
    return "\n".join(kept) + _closing(fence, folds) + note


def _fence_after(line: str, fence: str) -> str:
    """The fence of the code block that is open behind `line`, if before it `fence` was."""
    found = _FENCE.match(line)
    if not found:
        return fence
    if not fence:
        return found[1]
    closes = found[1].startswith(fence) and not line.strip().strip(fence[0])
    return "" if closes else fence


def _folds(line: str) -> int:
    return sum(-1 if found.startswith("</") else 1 for found in _DETAILS.findall(line))


def _closing(fence: str, folds: int) -> str:
    return (f"\n{fence}" if fence else "") + "\n\n</details>" * folds
