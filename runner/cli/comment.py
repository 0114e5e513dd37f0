"""A comparison as Markdown for a comment of a pull request. What comes from records stands only in code spans and in
fenced blocks (`runner.change.markdown`). Pure."""

import re
from collections.abc import Iterator, Sequence

from runner.app.compare import Comparison
from runner.change.markdown import LIMIT, fenced, html_code
from runner.change.markdown import code as span
from runner.cli.contrast import Part, labels, parts, shortened, unremarkable, worth

_PLAIN = re.compile(r"[a-z0-9 ,:]*")
"""A title of ours without a word of anybody else."""


def markdown(compared: Sequence[Comparison], *, code: bool, every: bool) -> str:
    """The same for a comment of a pull request, never longer than one may be: patches are left out first."""
    text = "\n".join(_markdown_lines(compared, code=code, every=every))
    if len(text) > LIMIT and code:
        text = "\n".join(_markdown_lines(compared, code=False, every=every))
    if len(text) <= LIMIT:
        return text.rstrip()
    return text[: text.rindex("\n", 0, LIMIT)].rstrip() + "\n\n… `mlrun compare` shows the rest"


def _markdown_lines(compared: Sequence[Comparison], *, code: bool, every: bool) -> Iterator[str]:
    seen: set[Part] = set()
    for one in worth(compared):
        yield from (f"### {f'Node {span(one.name)}' if one.name else 'Comparison'}", "")
        for part in shortened(parts(one, code=code, every=every), seen):
            if part.patch:
                summary = html_code(part.title)
                yield from (f"<details><summary>{summary}</summary>", "", fenced("\n".join(part.patch), "diff"))
                yield from ("", "</details>", "")
            elif part.title:
                yield from (f"**{part.title}**" if _PLAIN.fullmatch(part.title) else span(part.title), "")
            if part.rows:
                yield _markdown_row(["", *map(span, labels(one))])
                yield _markdown_row(["---"] * (len(one.sides) + 1))
                for name, cells, same in part.rows:
                    yield _markdown_row([span(name) + ("" if same else " (differs)"), *map(span, cells)])
                yield ""
            if part.lines:
                yield from (*(f"- {span(line)}" for line in part.lines), "")
    yield from map(span, unremarkable(compared))


def _markdown_row(cells: Sequence[str]) -> str:
    """A row of a table; a bar ends a cell even within a code span."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
