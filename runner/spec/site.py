"""A file that is to be mended: its text, where everything stands in it, and what a change of it is. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from runner.errors import Problem
from runner.spec.edit import Edit
from runner.spec.model import Project
from runner.spec.span import Span, Spans
from runner.spec.tree import Place, Row, Table


@dataclass(frozen=True, slots=True)
class Renamed:
    """The key at a place gets another name."""

    place: Place
    key: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """The value at a place becomes another one."""

    place: Place
    value: object


Change = Renamed | Replaced


@dataclass(frozen=True, slots=True)
class Mend:
    """Edits of the text, and how the data that YAML reads differ afterwards beyond mere form."""

    edits: tuple[Edit, ...]
    changes: tuple[Change, ...] = ()


class Site:
    """A file with something to mend."""

    def __init__(self, text: str, project: Project) -> None:
        self.text = text
        self.project = project
        self.spans = Spans(text)

    @cached_property
    def canonical(self) -> Mapping[Place, object]:
        """The values of the normalised file by their places."""
        return dict(_placed(self.project.tree))

    @cached_property
    def names(self) -> frozenset[int]:
        """Where the values of `name:` begin: words of the writer's own, which other places repeat."""
        return frozenset(pair.value.start for pair in self.spans.pairs.values() if pair.key.text == "name")

    def scalar(self, problem: Problem) -> Span | None:
        """The scalar on one line that a problem is about, unless it is read in other places too."""
        span = on_one_line(self.spans.value_at(problem.location.place))
        return None if span and span.anchor in self.spans.aliased else span

    def rewrite(self, span: Span, new: str) -> Edit:
        """Other text for a scalar; its anchor stays."""
        return Edit(*self.spans.content(span), new)

    def reword(self, span: Span, new: str) -> Edit | None:
        """The same for words that need no quotes; those around the scalar stay. None if it is spelt with escapes."""
        start, end = self.spans.content(span)
        raw = self.text[start:end]
        return Edit(start, end, raw.replace(span.text, new)) if raw.count(span.text) == 1 else None


def _placed(tree: object) -> Iterator[tuple[Place, object]]:
    waiting = [tree]
    while waiting:
        here = waiting.pop()
        if isinstance(here, Table):
            entries = [(here.values_at[key], here[key]) for key in here]
        elif isinstance(here, Row):
            entries = list(zip(here.items_at, here, strict=True))
        else:
            continue
        yield from entries
        waiting += [value for _, value in entries]


def on_one_line(span: Span | None) -> Span | None:
    """A scalar if it can be written anew where it stands: on one line, without a tag. None for anything else."""
    return span if span and span.kind == "scalar" and span.style not in ("|", ">") and not span.tagged else None
