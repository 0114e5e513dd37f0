"""A change as Markdown for a comment on a pull request: GitHub Flavored Markdown, never longer than one may be. Pure.

What comes from a file stands only in code spans, `<code>` elements and fenced blocks, where neither Markdown nor HTML,
mentions, references or links mean anything (GitHub Flavored Markdown Spec, 4.5, 6.3).
"""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runner.change.model import Change, Fate, Foreign, Kind, Phrase, PipelineChange, Verdict
from runner.change.value import cut
from runner.change.wording import (
    detail_phrase,
    headline,
    item_phrase,
    notable,
    remarks_phrase,
    verdict_phrase,
)
from runner.drawing import mermaid
from runner.drawing.model import Drawing
from runner.errors import Problem
from runner.escape import printable
from runner.spec.phrase import counted

LIMIT = 60_000
"""Characters; GitHub takes 65,536 in a comment, and whoever posts it adds some."""
DIAGRAM_LIMIT = 45_000
"""Characters of a diagram, so that a comment has room for some words besides."""
_ROOM = 200
"""Characters kept free for the closing of a section and the note on what was left out."""


def code(text: str) -> str:
    """Foreign text as a code span: one line, whatever it holds."""
    clean = printable(cut(text)) or "(empty)"
    longest = max((len(run) for run in re.findall(r"`+", clean)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if clean.startswith(("`", " ")) or clean.endswith(("`", " ")) else ""
    return f"{fence}{pad}{clean}{pad}{fence}"


def html_code(text: str) -> str:
    """Foreign text as a `code` element, for places where Markdown does not count."""
    return f"<code>{html.escape(printable(cut(text)))}</code>"


def sentence(phrase: Phrase) -> str:
    """A phrase as Markdown."""
    return "".join(code(piece) if isinstance(piece, Foreign) else piece for piece in phrase)


def fenced(text: str, language: str) -> str:
    """A block of code whose fence is longer than any row of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


@dataclass(frozen=True, slots=True)
class _Section:
    """A part that can be folded: its title as HTML, and its lines, of which the last may be left out; `noun` is what
    one of them is called."""

    title: str
    lines: Sequence[str]
    open: bool = False
    noun: str = "line"


def render(change: Change, *, file: str, base: str, head: str) -> str:
    """The comment; `base` and `head` are what the sides are called."""
    parts = [
        f"**{sentence(headline(change))}**",
        f"{code(file)}: {code(base)} → {code(head)}",
    ]
    if change.absent:
        parts.append(" and ".join(f"the {side} side has no such file" for side in change.absent) + ".")
    length = sum(len(part) + 2 for part in parts)
    left_out = 0
    for section in _sections(change):
        text = _fold(section, LIMIT - length - _ROOM)
        if text is None:
            left_out += 1
            continue
        parts.append(text)
        length += len(text) + 2
    if left_out:
        parts.append(f"{counted(left_out, 'section')} left out, as a comment cannot be longer; `mlrun diff` shows all.")
    return "\n\n".join(parts) + "\n"


def _fold(section: _Section, room: int) -> str | None:
    """The section in at most `room` characters; None when not even its first line fits."""
    head = f"<details{' open' if section.open else ''}><summary>{section.title}</summary>\n\n"
    foot = "\n\n</details>"
    left = room - len(head) - len(foot) - 40
    kept: list[str] = []
    for line in section.lines:
        left -= len(line) + 1
        if left < 0:
            break
        kept.append(line)
    if not kept:
        return None
    if len(kept) < len(section.lines):
        rest = len(section.lines) - len(kept)
        kept += ["", f"… and {rest} {section.noun if rest == 1 else section.noun + 's'} more"]
    return head + "\n".join(kept) + foot


def _sections(change: Change) -> Iterator[_Section]:
    if change.problems:
        yield _Section("New errors", [_problem(problem) for problem in change.problems], open=True)
    if change.items:
        yield _Section("What changed", list(_item_lines(change)), open=True)
    for pipeline in change.pipelines:
        if pipeline.verdicts:
            yield _verdicts(pipeline)
    if change.steps and any(verdict.fate is not Fate.STAYS_VALID for verdict in change.steps):
        yield _Section("Steps that no pipeline runs", _verdict_lines(change.steps))
    for pipeline in change.pipelines:
        if pipeline.before or pipeline.after:
            yield _graphs(pipeline)
    if change.files:
        lines = [f"- {code(file.path)} {_FILE_WORDS.get(file.kind, 'changed')}" for file in change.files]
        yield _Section(f"{counted(len(change.files), 'other file')} changed", lines)


_FILE_WORDS = {Kind.ADDED: "is new", Kind.REMOVED: "is gone"}


def _problem(problem: Problem) -> str:
    place = f"line {problem.location.line}"
    return f"- {place}: {code(problem.message)} ({problem.code})"


def _item_lines(change: Change) -> Iterable[str]:
    for item in change.items:
        yield f"- {sentence(item_phrase(item))}"
        for detail in item.details:
            yield f"  - {sentence(detail_phrase(detail))}"
        if item.remarks:
            yield f"  - {sentence(remarks_phrase(item))}"


def _verdicts(pipeline: PipelineChange) -> _Section:
    again = sum(verdict.fate is Fate.RUNS_AGAIN for verdict in pipeline.verdicts)
    valid = sum(verdict.fate is Fate.STAYS_VALID for verdict in pipeline.verdicts)
    total = len(pipeline.verdicts)
    words = f"{again} of {counted(total, 'node')} run again, {valid} valid"
    title = f"Pipeline {html_code(pipeline.name)}: {words}"
    return _Section(title, _verdict_lines(pipeline.verdicts), open=valid < total)


def _verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    told, others = notable(verdicts)
    lines = [f"- {code(verdict.name)}: {sentence(verdict_phrase(verdict))}" for verdict in told]
    return [*lines, f"- {others} more stay valid"] if others else lines


def _graphs(pipeline: PipelineChange) -> _Section:
    lines = []
    for word, drawing in (("Before:", pipeline.before), ("After:", pipeline.after)):
        if drawing is not None:
            # One line of the section is one whole diagram, so that none is cut in two.
            lines.append(f"{word}\n\n{_diagram(drawing)}\n")
    return _Section(f"Graph of {html_code(pipeline.name)}", lines, noun="graph")


def _diagram(drawing: Drawing) -> str:
    text = mermaid.render(drawing)
    if more := mermaid.excess([drawing], text):
        return f"a diagram of {more} is more than GitHub shows; `mlrun graph` draws it"
    if len(text) > DIAGRAM_LIMIT:
        return f"a diagram of {len(text):,} characters leaves no room in a comment; `mlrun graph` draws it"
    return fenced(text, "mermaid")
