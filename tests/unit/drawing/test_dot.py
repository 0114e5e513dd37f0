"""DOT: every statement is tokenized, and every name is within quotes."""

import re
from collections.abc import Callable

from runner.drawing.dot import render
from runner.drawing.model import Drawing

STRING = r'"(?:[^"\\\n]|\\["\\n])*"'
VALUE = rf"(?:{STRING}|[a-z0-9.A-Z]+)"
ATTRIBUTES = rf"\[[a-z]+={VALUE}(?:, [a-z]+={VALUE})*\]"
LINE = re.compile(rf"digraph {STRING} \{{|  (?:graph|node|edge) {ATTRIBUTES};|  n\d+(?: -> n\d+)? {ATTRIBUTES};|\}}")


def test_the_example_is_drawn_as_ever(example: Drawing, matches_snapshot: Callable[[str, str], None]) -> None:
    matches_snapshot("example.dot", render(example))


def test_every_statement_is_sound_whatever_the_names(example: Drawing, everything: Drawing, hostile: Drawing) -> None:
    for drawing in (example, everything, hostile):
        lines = render(drawing).split("\n")
        assert not [line for line in lines if not LINE.fullmatch(line)]
        assert sum(" -> n" in line for line in lines) == len({(edge.source, edge.target) for edge in drawing.edges})
        assert sum(bool(re.match(r"  n\d+ \[", line)) for line in lines) == len(drawing.nodes)


def test_entities_and_escapes_of_dot_are_shown_as_they_stand(hostile: Drawing) -> None:
    text = render(hostile)
    assert "&amp;amp;" in text
    assert "\\\\N" in text


def test_kinds_and_marks_are_told(everything: Drawing) -> None:
    text = render(everything)
    for word in ("style=dotted", "style=solid", "shape=box3d", "shape=hexagon", "(added)", "− gone", "+ a.csv → model"):
        assert word in text
